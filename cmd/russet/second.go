package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// place is a repository's address, and where its password comes from.
type place struct {
	address  string
	password secret
	login    *login // nil where nobody is asked who we are
	second   bool   // the verb has another one: errors must tell them apart
	hint     string // of a second one, how its password is given
}

// named is an error that says so where it is the second repository's.
func (at place) named(err error) error {
	if at.second {
		err = fmt.Errorf("second repository %s: %w", at, err)
	}
	return err
}

// unasked adds to the error of a second repository for whose password nobody could be
// asked how it is given.
func (at place) unasked(err error) error {
	if !at.second || !errors.Is(err, errNoPassword) {
		return err
	}
	return situation{remedied{err, at.hint}, errSecond}
}

// String is the address as people may see it, who are no terminal: see visible.
func (at place) String() string { return shown(at.address) }

// placeNames are the names under which a repository is given: flags, and
// variables behind the prefix.
type placeNames struct {
	repository, repositoryFile string // flags; the latter may be none
	flags                      string // of a second one's password, before "file" and "command"
	prefixes                   []string
	variable                   string // FROM_ or TO_, or nothing
}

// ownNames are those of --repo and its kin. fromNames are restic's, and toNames
// ours: copy can be told either way.
var (
	ownNames  = placeNames{"repo", "repository-file", "", []string{ourPrefix, resticPrefix}, ""}
	fromNames = placeNames{"from-repo", "from-repository-file", "from-password-", []string{ourPrefix, resticPrefix}, "FROM_"}
	toNames   = placeNames{"to", "", "to-password-", []string{ourPrefix}, "TO_"}
)

// fromFlags are those of verbs that take something from a second repository.
func fromFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "from-repo", Usage: "the repository to take from: a `FOLDER`, or an address"},
		&cli.StringFlag{Name: "from-repository-file", Usage: "read the place of that repository from `FILE`"},
		&cli.StringFlag{Name: "from-password-file", Usage: "read the password of that repository from `FILE`"},
		&cli.StringFlag{Name: "from-password-command", Usage: "take the password of that repository from what `COMMAND` prints"},
	}
}

// mainPlace is the repository of --repo and its kin.
func (p *program) mainPlace(c *cli.Context) (place, error) {
	address, err := p.repository(c)
	if err != nil {
		return place{}, err
	}
	at := place{address: address}
	if at.login, err = p.storageLogin(c, address, ownNames); err == nil {
		at.password, err = p.repositoryPassword(c)
	}
	return at, err
}

// secondPlace is the other repository of a verb that works on two. Its address
// is empty where none is given.
func (p *program) secondPlace(c *cli.Context, names placeNames) (place, error) {
	address, err := p.address(c, names)
	if err != nil {
		return place{}, err
	}
	return p.secondPlaceAt(c, address, names)
}

// secondPlaceAt is the other repository where its address is known.
func (p *program) secondPlaceAt(c *cli.Context, address string, names placeNames) (_ place, err error) {
	at := place{address: address, second: true, hint: fmt.Sprintf("give the second repository's password with --%[1]sfile or --%[1]scommand, set %[2]s%[3]sPASSWORD, or run on a terminal",
		names.flags, names.prefixes[0], names.variable)}
	if at.login, err = p.storageLogin(c, address, names); err != nil {
		return at, err
	}
	s := secret{
		what:    "password of the second repository",
		command: c.String(names.flags + "command"), file: c.String(names.flags + "file"),
	}
	at.password, err = s.orEnvironment(p.env, "--"+names.flags, names.prefixes, names.variable+"PASSWORD")
	return at, err
}

// address says where a repository is: flags first, then the environment. It is
// empty where neither does.
func (p *program) address(c *cli.Context, names placeNames) (string, error) {
	address, file := c.String(names.repository), ""
	placeName, fileName := "--"+names.repository, "--"+names.repositoryFile
	if names.repositoryFile != "" {
		file = c.String(names.repositoryFile)
	}
	if address == "" && file == "" {
		values, prefix := p.env.family(names.prefixes, names.variable+"REPOSITORY", names.variable+"REPOSITORY_FILE")
		address, file = values[0], values[1]
		placeName, fileName = prefix+names.variable+"REPOSITORY", prefix+names.variable+"REPOSITORY_FILE"
	}
	switch {
	case address != "" && file != "":
		return "", usageError{fmt.Sprintf("%s and %s are both given; which one is meant?", placeName, fileName)}
	case file == "":
		return address, nil
	}
	text, err := readText(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", fileName, err)
	}
	if address = strings.TrimSpace(text); address == "" {
		return "", usageError{fmt.Sprintf("%s: the file is empty", fileName)}
	}
	return address, nil
}
