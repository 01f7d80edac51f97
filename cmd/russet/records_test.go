package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"russet/dav/davtest"
	"russet/internal/vobject"
	"russet/records/recordstest"
)

// recordsMain is the command of scripts that writes the databases of a phone:
//
//	records FOLDER NUMBER [STEP...]
//
// FOLDER is that of a simulated phone's state. It gets so many contacts, events and
// reminders, always the same ones. A step is edit:N or remove:N, for the contact of
// that number, event:N or reminder:N, which edit one of these. What the steps changed
// is printed.
func recordsMain() {
	if err := writeRecords(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "records:", err)
		os.Exit(1)
	}
}

func writeRecords(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: records FOLDER NUMBER [STEP...]")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	dir := filepath.Join(args[0], "Files")
	for _, name := range []string{"AddressBook", "Calendar", "Reminders"} {
		if err := os.RemoveAll(filepath.Join(dir, "HomeDomain", "Library", name)); err != nil {
			return err
		}
	}
	book, calendar, reminders := recordstest.NewBook(1, n), recordstest.NewCalendar(1, n), recordstest.NewReminders(1, n)
	for _, step := range args[2:] {
		what, number, _ := strings.Cut(step, ":")
		i, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		var changes []recordstest.Change
		switch what {
		case "edit":
			changes = append(changes, book.Edit(i))
		case "remove":
			changes = append(changes, book.Remove(i))
		case "event":
			changes = append(changes, calendar.Edit(i))
		case "reminder":
			changes = append(changes, reminders.Edit(i))
		default:
			return fmt.Errorf("no step is called %q", what)
		}
		for _, c := range changes {
			fmt.Println(c.What, c.UID, c.Property)
		}
	}
	return errors.Join(book.Write(dir), calendar.Write(dir), reminders.Write(dir))
}

// servers are those of the scripts that run at once, by their work folders.
type servers struct {
	mu   sync.Mutex
	all  map[string]*davtest.Server
	told map[string]int // requests that davrequests wrote already
}

func (s *servers) of(ts *testscript.TestScript) *davtest.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[ts.Getenv("WORK")]
}

// start is the script command `davserver`: it starts a CardDAV and CalDAV server
// with one address book and one calendar, and sets SERVER to its address without a
// scheme, DAVUSER and DAVPASSWORD.
func (s *servers) start(ts *testscript.TestScript, _ bool, _ []string) {
	server := davtest.New(davtest.Quirks{WellKnown: 301, Rewrite: true})
	listening := httptest.NewServer(server)
	server.URL = listening.URL
	ts.Defer(listening.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all, s.told = map[string]*davtest.Server{}, map[string]int{}
	}
	s.all[ts.Getenv("WORK")] = server
	ts.Setenv("SERVER", listening.URL)
	ts.Setenv("DAVUSER", davtest.User)
	ts.Setenv("DAVPASSWORD", davtest.Password)
}

// edit is the script command `davedit PROPERTY VALUE NUMBER`: somebody else gives the
// card of that number on the server another value of a property. Its UID is CARD from
// then on.
func (s *servers) edit(ts *testscript.TestScript, _ bool, args []string) {
	server := s.of(ts)
	all := server.Items(server.Book())
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	name := slices.Sorted(maps.Keys(all))[n]
	cards, err := vobject.Parse([]byte(all[name]))
	ts.Check(err)
	cards[0].Set(vobject.NewLine(args[0], vobject.Text(args[1])))
	server.Put(server.Book(), name, string(cards[0].Bytes()))
	ts.Setenv("CARD", cards[0].Value("UID"))
}

// items is the script command `davitems FILE`: it writes the cards on the server, or
// with a file.ics its events, to the file, sorted by their names.
func (s *servers) items(ts *testscript.TestScript, _ bool, args []string) {
	server := s.of(ts)
	all := server.Items(server.Book())
	if strings.HasSuffix(args[0], ".ics") {
		all = server.Items(server.Calendar())
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.WriteString(all[name])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// requests is the script command `davrequests FILE`: it writes what was asked of the
// server since the last time, a method a line.
func (s *servers) requests(ts *testscript.TestScript, _ bool, args []string) {
	all := s.of(ts).Requests()
	s.mu.Lock()
	fresh := all[s.told[ts.Getenv("WORK")]:]
	s.told[ts.Getenv("WORK")] = len(all)
	s.mu.Unlock()
	var b strings.Builder
	for _, r := range fresh {
		b.WriteString(r.Method + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}
