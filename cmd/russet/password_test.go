package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestSplitCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want []string // nil: an error
	}{
		{"pass show iphone", []string{"pass", "show", "iphone"}},
		{"  a\t b\nc ", []string{"a", "b", "c"}},
		{`a 'b c' "d e"`, []string{"a", "b c", "d e"}},
		{`a b\ c`, []string{"a", "b c"}},
		{`a "say \"x\""`, []string{"a", `say "x"`}},
		{`a 'no \ escape'`, []string{"a", `no \ escape`}},
		{`C:\tools\pass.exe show`, []string{`C:\tools\pass.exe`, "show"}},
		{`a ''`, []string{"a", ""}},
		{`x'y'z`, []string{"xyz"}},
		{`a\`, []string{`a\`}},
		{"", nil},
		{"   ", nil},
		{`''`, nil},
		{`a 'b`, nil},
		{`a "b`, nil},
	} {
		got, err := splitCommand(c.line)
		if (err == nil) != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("splitCommand(%q) = %q, %v, want %q", c.line, got, err, c.want)
		}
	}
}

func FuzzSplitCommand(f *testing.F) {
	f.Add(`a 'b c' "d\"e" f\ g`)
	f.Add(`'`)
	f.Add("\\\xff")
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitCommand(line)
		if err == nil && (len(words) == 0 || words[0] == "") {
			t.Errorf("splitCommand(%q) = %q: no program and no error", line, words)
		}
	})
}

func TestDecodeText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ data, want string }{
		{"Grün", "Grün"},
		{"\xef\xbb\xbfGrün", "Grün"},
		{"\xff\xfeG\x00r\x00\xfc\x00n\x00", "Grün"},
		{"\xfe\xff\x00G\x00r\x00\xfc\x00n", "Grün"},
		{"\xff\xfe", ""},
		{"\xff\xfeG", ""}, // half a unit
		{"\xff", "\xff"},
		{"", ""},
	} {
		if got := decodeText([]byte(c.data)); got != c.want {
			t.Errorf("decodeText(%q) = %q, want %q", c.data, got, c.want)
		}
	}
}

// TestSecretPrecedence gives all sources at once and takes the first away,
// one after the other.
func TestSecretPrecedence(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct {
		name  string
		flags []string
		env   map[string]string
		stdin string
		want  string // or
		err   string
	}{
		{name: "flag before all", flags: []string{"--password-file=" + file(" flag \n")}, env: map[string]string{
			"RUSSET_PASSWORD_COMMAND": "false", "RESTIC_PASSWORD_FILE": "/none",
		}, want: "flag"},
		{
			name: "command and file flags", flags: []string{"--password-file=x", "--password-command=y"},
			err: "--password-command and --password-file are both given",
		},
		{
			name: "command and file in the environment", env: map[string]string{"RESTIC_PASSWORD_FILE": "x", "RESTIC_PASSWORD_COMMAND": "y"},
			err: "RESTIC_PASSWORD_COMMAND and RESTIC_PASSWORD_FILE are both given",
		},
		{name: "command before value", env: map[string]string{"RUSSET_PASSWORD_COMMAND": "echo ' command '", "RUSSET_PASSWORD": "value"}, want: "command"},
		{name: "file before value", env: map[string]string{"RESTIC_PASSWORD_FILE": file("file\r\n"), "RESTIC_PASSWORD": "value"}, want: "file"},
		{name: "our value before restic's command", env: map[string]string{"RUSSET_PASSWORD": " ours ", "RESTIC_PASSWORD_COMMAND": "false"}, want: " ours "},
		{name: "restic's value", env: map[string]string{"RESTIC_PASSWORD": "restic's"}, want: "restic's"},
		{name: "pipe", stdin: " a b \r\nmore\n", want: " a b "},
		{name: "nothing", err: "no password given"},
		{name: "empty file", flags: []string{"--password-file=" + file(" \n")}, err: "--password-file: the password is empty"},
		{name: "no file", env: map[string]string{"RUSSET_PASSWORD_FILE": filepath.Join(t.TempDir(), "none")}, err: "RUSSET_PASSWORD_FILE: open "},
		{name: "long file", flags: []string{"--password-file=" + file(strings.Repeat("x", maxSecret+1))}, err: "too long"},
		{name: "command fails", flags: []string{"--password-command=false"}, err: "--password-command: exit status 1"},
		{name: "no command", flags: []string{"--password-command=/no/such/program"}, err: "--password-command: fork/exec"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(func(name string) string { return c.env[name] }, strings.NewReader(c.stdin), nil, &bytes.Buffer{})
			var got string
			err := inAction(t, p, c.flags, func(c *cli.Context) error {
				s, err := p.repositoryPassword(c)
				if err == nil {
					got, err = s.read(t.Context(), p, "password")
				}
				return err
			})
			if c.err == "" && (err != nil || got != c.want) {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %q, %v, want the error %q", got, err, c.err)
			}
		})
	}
}

// inAction runs a function as the action of a verb with the global flags.
func inAction(t *testing.T, p *program, flags []string, action cli.ActionFunc) error {
	t.Helper()
	app := p.app()
	app.Commands = []*cli.Command{{Name: "probe", Flags: phoneFlags(), HideHelp: true, Action: action}}
	line, err := arrange(app, append([]string{"probe"}, flags...))
	if err != nil {
		t.Fatal(err)
	}
	return app.RunContext(t.Context(), append([]string{"russet"}, line.arranged...))
}

func TestPhonePassword(t *testing.T) {
	t.Parallel()
	env := map[string]string{"RUSSET_BACKUP_PASSWORD": "phone", "RUSSET_PASSWORD": "repository"}
	p := newProgram(func(name string) string { return env[name] }, strings.NewReader("pipe\n"), nil, &bytes.Buffer{})
	check := func(want string, wantErr error) {
		t.Helper()
		var got string
		err := inAction(t, p, nil, func(c *cli.Context) error {
			s, err := p.phonePassword(c)
			if err == nil {
				got, err = s.read(t.Context(), p, "password")
			}
			return err
		})
		if got != want || !errors.Is(err, wantErr) {
			t.Errorf("got %q, %v, want %q, %v", got, err, want, wantErr)
		}
	}
	check("phone", nil)
	delete(env, "RUSSET_BACKUP_PASSWORD")
	env["RESTIC_BACKUP_PASSWORD"] = "restic has no such thing"
	check("", errNoPassword) // and the pipe is not read: it is for the repository's
}

// TestUnlockTriesOnce holds where nobody types: a second try would be the same.
func TestUnlockTriesOnce(t *testing.T) {
	t.Parallel()
	p := newProgram(noEnv, strings.NewReader("wrong\nright\n"), nil, &bytes.Buffer{})
	wrong, tries := errors.New("wrong"), 0
	err := secret{pipe: true}.unlock(t.Context(), p, "password", wrong, func(string) error { tries++; return wrong })
	if !errors.Is(err, wrong) || tries != 1 {
		t.Errorf("got %v after %d tries, want %v after 1", err, tries, wrong)
	}
}

func TestCommandIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	_, err := commandOutput(ctx, "sleep 60", &bytes.Buffer{})
	if !errors.Is(err, errInterrupted) {
		t.Errorf("got %v, want %v", err, errInterrupted)
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "place")
	if err := os.WriteFile(name, []byte("\xef\xbb\xbf/from/file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags []string
		env   map[string]string
		want  string // or
		err   string
	}{
		{flags: []string{"-r=/flag"}, env: map[string]string{"RUSSET_REPOSITORY": "/ours"}, want: "/flag"},
		{flags: []string{"--repository-file=" + name}, env: map[string]string{"RUSSET_REPOSITORY": "/ours"}, want: "/from/file"},
		{env: map[string]string{"RUSSET_REPOSITORY": "/ours", "RESTIC_REPOSITORY": "/restic's"}, want: "/ours"},
		{env: map[string]string{"RESTIC_REPOSITORY_FILE": name}, want: "/from/file"},
		{env: map[string]string{"RUSSET_REPOSITORY": "/ours", "RESTIC_REPOSITORY_FILE": name}, want: "/ours"},
		{env: map[string]string{"RESTIC_REPOSITORY": "/x", "RESTIC_REPOSITORY_FILE": name}, err: "are both given"},
		{flags: []string{"-r=/x", "--repository-file=y"}, err: "are both given"},
		{flags: []string{"--repository-file=" + os.DevNull}, err: "is empty"},
		{err: "no repository given"},
	} {
		p := newProgram(func(name string) string { return c.env[name] }, strings.NewReader(""), nil, &bytes.Buffer{})
		var got string
		err := inAction(t, p, c.flags, func(ctx *cli.Context) (err error) { got, err = p.repository(ctx); return err })
		if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q %q: got %q, %v, want %q or the error %q", c.flags, c.env, got, err, c.want, c.err)
		}
	}
}
