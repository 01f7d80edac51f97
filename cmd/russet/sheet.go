package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
	"russet/repo"
)

// sheetLetters are those that people do not confuse on paper: no i, l and o,
// which look like digits, and of q and g, u and v one each or none.
const sheetLetters = "abcdefghjkmnprstwxyz"

// The password of a sheet has 30 letters of 20: 129 bits.
const (
	sheetGroups = 6
	sheetGroup  = 5
)

// sheetPassword draws a password that can be copied by hand.
func sheetPassword() string {
	var b strings.Builder
	var random [1]byte
	for n := 0; n < sheetGroups*sheetGroup; {
		_, _ = rand.Read(random[:])                      // never fails: it ends the program instead
		if int(random[0]) >= 256-256%len(sheetLetters) { // or the first letters would come more often
			continue
		}
		if n > 0 && n%sheetGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(sheetLetters[int(random[0])%len(sheetLetters)])
		n++
	}
	return b.String()
}

// sheet is what is printed.
type sheet struct {
	place, id, keyID string
	elsewhere        bool   // the place is none on a drive
	password         string // "" where the sheet has none
	made             time.Time
}

// sheetPart is one section: paragraphs, then lines to be typed.
type sheetPart struct {
	heading string
	text    []string
	typed   []string
}

func (s *sheet) parts() []sheetPart {
	what := sheetPart{"What this is", []string{
		"This sheet says how to get at the backups of iPhones and iPads in the repository named below. They are " +
			"encrypted; the program restic, which anybody may have for nothing from restic.net, opens them with a password.",
	}, nil}
	password := sheetPart{"The password", []string{
		"This sheet does not hold the password. Without it nobody can read the backups. If it is to be found here, write it down:",
	}, []string{"__________________________________________"}}
	if s.password != "" {
		what.text = append(what.text, "KEEP IT AS YOU KEEP A KEY TO YOUR HOME. Whoever holds this sheet and the repository can read "+
			"everything in it: messages, photos, passwords. Keep it away from the drive.")
		password = sheetPart{"The password", []string{
			"Small letters and hyphens, just as they stand here. There are no i, l, o, q, u and v, and no digits.",
		}, []string{s.password}}
	}
	open := "Connect the drive; if it has another name on this computer, put that name in. "
	if s.elsewhere {
		open = "The place is not on a drive: it wants a user and a password of its own, or a key, which this sheet does not hold; restic's manual " +
			"says in its chapter on repositories how to give them. "
	}
	parts := []sheetPart{what, {"The repository", nil, []string{
		"place  " + s.place, "id     " + s.id, "sheet  made on " + s.made.Format(time.DateOnly),
	}}, password, {"How to open it", []string{
		"Install restic 0.14 or later. " + open + "Each command asks for the password.",
	}, []string{
		"restic -r " + quoteWord(s.place) + " snapshots",
		"restic -r " + quoteWord(s.place) + " restore latest --target FOLDER",
	}}, {"To put a version back on a phone", []string{
		"Russet writes a version as the backup folder that Finder, iTunes and Apple Devices restore a phone from.",
	}, []string{"russet -r " + quoteWord(s.place) + " restore latest --target FOLDER"}}}
	if s.password != "" {
		parts = append(parts, sheetPart{"If this sheet is lost", []string{
			"Remove its key; its password opens nothing then. Who may have copied the drive's key files can still use it on that copy.",
		}, []string{"russet -r " + quoteWord(s.place) + " key remove " + s.keyID[:8]}})
	}
	return parts
}

// quoteWord puts a name in quotes where a shell would take it apart: in double
// ones, which every shell knows, unless it would look into these.
func quoteWord(name string) string {
	switch {
	case strings.ContainsAny(name, "\"$`!"):
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	case strings.ContainsAny(name, " \t'()&;*?<>|#~[]{}"):
		return `"` + name + `"`
	}
	return name
}

const sheetTitle = "Recovery sheet of a backup repository"

// sheetWidth is the width of the plain text in columns.
const sheetWidth = 76

// text is the sheet for a text printer.
func (s *sheet) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", strings.ToUpper(sheetTitle), strings.Repeat("=", len(sheetTitle)))
	for _, part := range s.parts() {
		fmt.Fprintf(&b, "\n%s\n\n", part.heading)
		for i, t := range part.text {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(wrap(t, sheetWidth) + "\n")
		}
		if len(part.text) > 0 && len(part.typed) > 0 {
			b.WriteByte('\n')
		}
		for _, t := range part.typed {
			b.WriteString("    " + visible(t) + "\n")
		}
	}
	return b.String()
}

// page is the sheet for a browser. It loads nothing and runs nothing.
func (s *sheet) page() string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n" +
		"<title>" + sheetTitle + "</title>\n<style>\n" +
		"body { font: 11pt/1.4 sans-serif; max-width: 17cm; margin: 1cm auto; color: black; background: white }\n" +
		"h1 { font-size: 16pt } h2 { font-size: 12pt; margin: 1.2em 0 0.3em } p { margin: 0.3em 0 }\n" +
		"pre { font: 12pt/1.5 monospace; border: 1px solid gray; padding: 0.5em; white-space: pre-wrap; overflow-wrap: anywhere }\n" +
		"</style>\n</head>\n<body>\n<h1>" + sheetTitle + "</h1>\n")
	for _, part := range s.parts() {
		b.WriteString("<h2>" + html.EscapeString(part.heading) + "</h2>\n")
		for _, t := range part.text {
			b.WriteString("<p>" + html.EscapeString(t) + "</p>\n")
		}
		if len(part.typed) > 0 {
			lines := make([]string, len(part.typed))
			for i, t := range part.typed {
				lines[i] = html.EscapeString(visible(t))
			}
			b.WriteString("<pre>" + strings.Join(lines, "\n") + "</pre>\n")
		}
	}
	b.WriteString("</body>\n</html>\n")
	return b.String()
}

// printSheet prints the sheet, after the key for it was made, where it gets one.
func (p *program) printSheet(c *cli.Context) error {
	place, err := p.repository(c)
	if err != nil {
		return err
	}
	elsewhere := isRemote(place)
	// A password in the address is left out, so that restic can be told it otherwise.
	place = strings.Replace(shown(place), ":"+hiddenPart+"@", "@", 1)
	if folder, ok := backend.LocalFolder(place); ok {
		if place, err = filepath.Abs(folder); err != nil {
			return err
		}
	}
	kind := lockShared
	if !c.Bool("with-password") {
		kind = lockNone
	}
	return p.withRepository(c, kind, func(ctx context.Context, r *repo.Repository) error {
		now := owner(time.Now())
		s := &sheet{place: place, elsewhere: elsewhere, id: r.ID().String(), made: now.Time}
		if !c.Bool("with-password") {
			return p.showSheet(s, c.Bool("html"))
		}
		if err := p.confirmSheet(ctx); err != nil {
			return err
		}
		s.password = sheetPassword()
		id, err := r.AddKey(ctx, s.password, p.cost(), now)
		if err != nil {
			return err
		}
		s.keyID = id.String()
		if err := p.showSheet(s, c.Bool("html")); err != nil {
			// A key that nobody knows is no use, and would stay for ever.
			ctx, done := lasting(ctx, stopGrace)
			defer done()
			return errors.Join(fmt.Errorf("print the sheet: %w", err), r.RemoveKey(ctx, id))
		}
		p.note("the sheet has key %.8s; russet key remove %.8s ends it", s.keyID, s.keyID)
		return nil
	})
}

// confirmSheet asks a person who is at hand whether the password shall be
// printed.
func (p *program) confirmSheet(ctx context.Context) error {
	if !p.hasTerminal() {
		return nil
	}
	answer, err := p.ask(ctx, "This prints a new password that opens the repository. Type yes to go on")
	if err == nil && strings.TrimSpace(strings.ToLower(answer)) != "yes" {
		err = errNotConfirmed
	}
	return err
}

func (p *program) showSheet(s *sheet, page bool) error {
	text := s.text()
	if page {
		text = s.page()
	}
	_, err := fmt.Fprint(p.stdout, text)
	return err
}
