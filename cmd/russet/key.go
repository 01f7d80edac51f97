package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"russet/repo"
)

// keyMessage is a key of the repository, under restic's names.
type keyMessage struct {
	MessageType string    `json:"message_type" doc:"\"key\"; \"key_added\", \"key_removed\" or \"password_changed\" after a change"`
	ID          string    `json:"id" doc:"the key's"`
	Current     bool      `json:"current" doc:"it opened the repository just now"`
	Damaged     bool      `json:"damaged,omitempty" doc:"it opens nothing"`
	UserName    string    `json:"userName,omitempty" doc:"who made it, as the key says"`
	HostName    string    `json:"hostName,omitempty" doc:"on which computer"`
	Created     time.Time `json:"created,omitzero" doc:"when"`
}

func (p *program) keyVerb() *cli.Command {
	return &cli.Command{
		Name:      "key",
		Category:  groupCare,
		Usage:     "list, add, remove and change passwords; print a recovery sheet",
		ArgsUsage: "list|add|remove ID|passwd|sheet",
		UsageText: "russet key list -r /media/drive/repo\n" +
			"russet key add -r /media/drive/repo                # one more password opens it\n" +
			"russet key passwd -r /media/drive/repo             # another password instead of this one\n" +
			"russet key remove 1a2b3c4d -r /media/drive/repo\n" +
			"russet key sheet -r /media/drive/repo --with-password --html > sheet.html",
		Description: "A repository has one or more passwords; each is a key file in it. They are restic's.\n" +
			"A new key is read back and opened before it counts, and before passwd removes the old one.\n" +
			"The key that opened the repository cannot be removed. Whoever has a copy of a removed key\n" +
			"file and knows its password can still read the repository: only a copy of it with keys of\n" +
			"its own (russet copy) keeps him out of what comes later. A mirror keeps removed key files\n" +
			"aside, in its folder quarantine, for 30 days after the next run.\n" +
			"\n" +
			"sheet prints what somebody needs who finds the drive and not you: where the repository is,\n" +
			"and how stock restic opens it. With --with-password it makes one more password, of letters\n" +
			"that are not confused, and prints it: whoever holds that sheet and the drive can read\n" +
			"everything. It is not kept anywhere else.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "new-password-file", Usage: "read the new password from `FILE`"},
			&cli.StringFlag{Name: "new-password-command", Usage: "take the new password from what `COMMAND` prints"},
			&cli.BoolFlag{Name: "with-password", Usage: "sheet: make a password of its own for the sheet, and print it there"},
			&cli.BoolFlag{Name: "html", Usage: "sheet: as a page for a browser to print"},
		},
		BashComplete: func(c *cli.Context) {
			for _, what := range [][2]string{
				{"list", "who made which key, and when"},
				{"add", "one more password"},
				{"remove", "a key no longer opens the repository"},
				{"passwd", "another password instead of this one"},
				{"sheet", "a recovery sheet to print"},
			} {
				fmt.Fprintf(c.App.Writer, "%s\t%s\n", what[0], what[1])
			}
		},
		Action: p.keyAction,
	}
}

func (p *program) keyAction(c *cli.Context) error {
	what := c.Args().First()
	want := 1
	if what == "remove" {
		want = 2
	}
	switch {
	case what == "":
		return usageError{"key wants to know what to do: list, add, remove ID, passwd or sheet"}
	case c.NArg() != want:
		return usageError{fmt.Sprintf("key %s takes %s", what, plural(want-1, "argument"))}
	}
	if err := keyUsage(c, what); err != nil {
		return err
	}
	switch what {
	case "list":
		return p.withRepository(c, lockNone, p.listKeys)
	case "add":
		return p.withRepository(c, lockShared, func(ctx context.Context, r *repo.Repository) error { return p.addKey(ctx, c, r) })
	case "passwd":
		return p.withRepository(c, lockExclusive, func(ctx context.Context, r *repo.Repository) error { return p.changePassword(ctx, c, r) })
	case "remove":
		return p.withRepository(c, lockExclusive, func(ctx context.Context, r *repo.Repository) error {
			return p.removeKey(ctx, r, c.Args().Get(1))
		})
	case "sheet":
		return p.printSheet(c)
	}
	return usageError{fmt.Sprintf("key does not know %q; it knows list, add, remove ID, passwd and sheet", what)}
}

// keyUsage finds flags that belong to something else than is done with keys.
func keyUsage(c *cli.Context, what string) error {
	for _, name := range []string{"html", "with-password"} {
		if what != "sheet" && c.Bool(name) {
			return usageError{fmt.Sprintf("--%s is for key sheet", name)}
		}
	}
	for _, name := range []string{"new-password-file", "new-password-command"} {
		if what != "add" && what != "passwd" && c.IsSet(name) {
			return usageError{fmt.Sprintf("--%s is for key add and key passwd", name)}
		}
	}
	return nil
}

func (p *program) listKeys(ctx context.Context, r *repo.Repository) error {
	keys, err := r.Keys(ctx)
	if err != nil {
		return err
	}
	t := table{head: []string{"", "id", "user", "computer", "made"}}
	for _, k := range keys {
		if p.json {
			err := p.emit(keyMessage{"key", k.ID.String(), k.Current, k.Damaged, k.Owner.Username, k.Owner.Hostname, k.Owner.Time})
			if err != nil {
				return err
			}
			continue
		}
		mark, made := "", ""
		switch {
		case k.Current:
			mark = "*"
		case k.Damaged:
			mark = "damaged"
		}
		if !k.Damaged {
			made = moment(k.Owner.Time, time.Local)
		}
		t.add(mark, k.ID.String()[:8], k.Owner.Username, k.Owner.Hostname, made)
	}
	if p.json {
		return nil
	}
	_, err = fmt.Fprint(p.stdout, t.String())
	return err
}

// newPassword finds out the password of a new key.
func (p *program) newPassword(ctx context.Context, c *cli.Context) (string, error) {
	s := secret{
		what:    "new password",
		command: c.String("new-password-command"), file: c.String("new-password-file"),
	}
	s, err := s.orEnvironment(p.env, "--new-password-", []string{ourPrefix}, "NEW_PASSWORD")
	if err != nil {
		return "", err
	}
	password, err := s.choose(ctx, p, "password of the repository")
	if errors.Is(err, errNoPassword) {
		err = situation{err, errNewPassword}
	}
	if err != nil {
		return "", fmt.Errorf("new password: %w", err)
	}
	return password, nil
}

func (p *program) addKey(ctx context.Context, c *cli.Context, r *repo.Repository) error {
	password, err := p.newPassword(ctx, c)
	if err != nil {
		return err
	}
	who := owner(time.Now())
	id, err := r.AddKey(ctx, password, p.cost(), who)
	if err != nil {
		return err
	}
	return p.sayKey(keyMessage{"key_added", id.String(), false, false, who.Username, who.Hostname, who.Time},
		"added key %.8s: its password opens the repository, too\n")
}

func (p *program) changePassword(ctx context.Context, c *cli.Context, r *repo.Repository) error {
	password, err := p.newPassword(ctx, c)
	if err != nil {
		return err
	}
	who := owner(time.Now())
	id, err := r.ChangePassword(ctx, password, p.cost(), who)
	if err != nil {
		return err
	}
	return p.sayKey(keyMessage{"password_changed", id.String(), true, false, who.Username, who.Hostname, who.Time},
		"changed the password: the key is %.8s now\n")
}

func (p *program) removeKey(ctx context.Context, r *repo.Repository, prefix string) error {
	id, err := r.FindKey(ctx, prefix)
	if err != nil {
		return situation{err, errNoSuchKey}
	}
	if err := r.RemoveKey(ctx, id); err != nil {
		return err
	}
	return p.sayKey(keyMessage{MessageType: "key_removed", ID: id.String()}, "removed key %.8s\n")
}

// sayKey tells what became of a key; its id is put into text.
func (p *program) sayKey(m keyMessage, text string) error {
	switch {
	case p.json:
		return p.emit(m)
	case p.quiet:
		return nil
	}
	_, err := fmt.Fprintf(p.stdout, text, m.ID)
	return err
}
