package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/urfave/cli/v2"
)

// maxSecret bounds what is read from a password file or command, in bytes. A
// password is shorter; a wrong file may be anything.
const maxSecret = 1 << 16

// noKeyring says that this computer's keyring does not take somebody's password, and
// how it is given else: by flags that begin so, or in a variable.
func noKeyring(whose, flags, variable string, err error) error {
	return remedied{
		fmt.Errorf("keep the %s password: %w: %w", whose, errNoKeyring, err),
		fmt.Sprintf("without --save-password it is taken from %sfile or %scommand, from %s, or asked for", flags, flags, variable),
	}
}

// passwordTries is how often a person may try at the terminal.
const passwordTries = 3

// secret says where a password comes from. The first that is set counts:
// command, file, value, question.
type secret struct {
	what    string // "repository password": for questions and errors
	command string
	file    string
	value   string
	from    string // the flag or variable that says so, for errors
	pipe    bool   // may be read from a standard input that is no terminal
}

// repositoryPassword finds out where the repository's password comes from:
// flags first, then RUSSET_PASSWORD and its kin, then restic's.
func (p *program) repositoryPassword(c *cli.Context) (secret, error) {
	s := secret{
		what:    "repository password",
		command: c.String("password-command"), file: c.String("password-file"),
		pipe: true,
	}
	return s.orEnvironment(p.env, "--password-", []string{ourPrefix, resticPrefix}, "PASSWORD")
}

// phoneFlags are those of verbs that open encrypted phone backups.
func phoneFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "backup-password-file", Usage: "read the phone's backup password from `FILE`"},
		&cli.StringFlag{Name: "backup-password-command", Usage: "take the phone's backup password from what `COMMAND` prints"},
	}
}

// phonePassword finds out where the password of the phone's encrypted backups
// comes from.
func (p *program) phonePassword(c *cli.Context) (secret, error) {
	s := secret{
		what:    "phone's backup password",
		command: c.String("backup-password-command"), file: c.String("backup-password-file"),
	}
	return s.orEnvironment(p.env, "--backup-password-", []string{ourPrefix}, "BACKUP_PASSWORD")
}

// orEnvironment fills s from the environment when no flag says anything, and
// refuses what contradicts itself.
func (s secret) orEnvironment(env environ, flagPrefix string, prefixes []string, name string) (secret, error) {
	commandName, fileName := flagPrefix+"command", flagPrefix+"file"
	if s.command == "" && s.file == "" {
		values, prefix := env.family(prefixes, name+"_COMMAND", name+"_FILE", name)
		s.command, s.file, s.value = values[0], values[1], values[2]
		commandName, fileName = prefix+name+"_COMMAND", prefix+name+"_FILE"
	}
	switch {
	case s.command != "" && s.file != "":
		return s, usageError{fmt.Sprintf("%s and %s are both given; which one is meant?", commandName, fileName)}
	case s.command != "":
		s.from = commandName
	case s.file != "":
		s.from = fileName
	}
	return s, nil
}

// given reports whether the password is to be had without asking.
func (s secret) given() bool { return s.command != "" || s.file != "" || s.value != "" }

// unlock finds the password and tries it. A password that was typed at the
// terminal may be tried three times, as long as try's error is wrong; any
// other once. label goes into the question.
func (s secret) unlock(ctx context.Context, p *program, label string, wrong error, try func(password string) error) error {
	for tries := passwordTries; ; tries-- {
		password, err := s.read(ctx, p, label)
		if err != nil {
			return err
		}
		err = try(password)
		if err == nil || !errors.Is(err, wrong) || s.given() || !p.hasTerminal() || tries == 1 {
			return err
		}
		p.warn("wrong password, try again")
	}
}

// read gets the password once.
func (s secret) read(ctx context.Context, p *program, label string) (string, error) {
	switch {
	case s.command != "":
		return s.trimmed(commandOutput(ctx, s.command, p.console))
	case s.file != "":
		return s.trimmed(readText(s.file))
	case s.value != "":
		return s.value, nil
	case p.hasTerminal():
		password, err := p.ask(ctx, label)
		if err == nil && password == "" {
			return "", fmt.Errorf("%s: %w", s.what, errEmptyPassword)
		}
		return password, err
	case s.pipe:
		return s.readLine(p.stdin)
	}
	return "", errNoPassword
}

// choose gets a password for something new: one that is typed is typed twice.
func (s secret) choose(ctx context.Context, p *program, label string) (string, error) {
	if s.given() || !p.hasTerminal() {
		return s.read(ctx, p, label)
	}
	for range passwordTries {
		first, err := s.read(ctx, p, "new "+label)
		if err != nil {
			return "", err
		}
		again, err := p.ask(ctx, label+" again")
		if err != nil {
			return "", err
		}
		if first == again {
			return first, nil
		}
		p.warn("the two differ, try again")
	}
	return "", errPasswordsDiffer
}

// trimmed finishes what a file or a command gave, as restic does.
func (s secret) trimmed(text string, err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.from, err)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", fmt.Errorf("%s: %w", s.from, errEmptyPassword)
	}
	return text, nil
}

// readLine reads the password from a pipe: its first line, nothing trimmed.
func (s secret) readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecret)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read %s from standard input: %w", s.what, err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errNoPassword
	}
	return line, nil
}

// readText reads a small text file; "-" is no standard input here.
func readText(name string) (string, error) {
	data, err := readAtMost(name, maxSecret)
	return decodeText(data), err
}

// readAtMost reads a file of at most so many bytes.
func readAtMost(name string, most int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		return nil, errors.New("it is too long")
	}
	return data, err
}

// decodeText takes a byte order mark away, and reads UTF-16 where it says so:
// Windows' editors and PowerShell's ">" write both.
func decodeText(data []byte) string {
	big := len(data) > 1 && data[0] == 0xFE && data[1] == 0xFF
	if !big && (len(data) < 2 || data[0] != 0xFF || data[1] != 0xFE) {
		return strings.TrimPrefix(string(data), "\uFEFF")
	}
	var units []uint16
	for i := 2; i+1 < len(data); i += 2 {
		lo, hi := data[i], data[i+1]
		if big {
			lo, hi = hi, lo
		}
		units = append(units, uint16(lo)|uint16(hi)<<8)
	}
	return string(utf16.Decode(units))
}

// commandOutput runs a command without a shell and returns what it prints. Its
// complaints go to stderr.
func commandOutput(ctx context.Context, line string, stderr io.Writer) (string, error) {
	words, err := splitCommand(line)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stderr = stderr
	cmd.WaitDelay = time.Second // for what the command leaves behind holding our pipe
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case len(out) > maxSecret:
		return "", errors.New("too long for a line of text")
	}
	return decodeText(out), nil
}

// splitCommand splits a command line at its spaces. Single and double quotes
// keep spaces; outside single quotes a backslash before a quote, a space or a
// backslash takes its meaning, and any other stands for itself, as in Windows
// paths.
func splitCommand(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inWord, escaped := false, false
	for _, r := range line {
		if escaped {
			escaped = false
			if !strings.ContainsRune(`'"\`, r) && !unicode.IsSpace(r) {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			continue
		}
		switch {
		case r == '\\' && quote != '\'':
			inWord, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			inWord, quote = true, r
		case quote == 0 && unicode.IsSpace(r):
			if inWord {
				words = append(words, word.String())
			}
			inWord = false
			word.Reset()
		default:
			inWord = true
			word.WriteRune(r)
		}
	}
	if escaped {
		word.WriteByte('\\')
	}
	if inWord {
		words = append(words, word.String())
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("split command: a %c is not closed", quote)
	case len(words) == 0 || words[0] == "":
		return nil, errors.New("split command: it is empty")
	}
	return words, nil
}
