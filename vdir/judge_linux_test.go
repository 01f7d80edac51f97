package vdir_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/vdir"
)

// judge runs a program of somebody else in a home of its own.
func judge(t *testing.T, home, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("judge missing: " + name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home, "XDG_CACHE_HOME="+home, "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestKhard(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	if _, err := f.Create(t.Context(), "a", card("a", "Lovelace")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Create(t.Context(), "urn:uuid:b", card("urn:uuid:b", "Müller")); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	config := filepath.Join(home, "khard.conf")
	write(t, home, "khard.conf", []byte("[addressbooks]\n[[book]]\npath = "+dir+"\n[general]\ndebug = no\n"))
	got := judge(t, home, "khard", "-c", config, "list", "--parsable", "--fields", "name,phone")
	for _, want := range []string{"Lovelace", "Müller", "+1 555 0100"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%swithout %s", got, want)
		}
	}
	if n := strings.Count(got, "\n"); n != 2 {
		t.Errorf("got\n%swant 2 lines", got)
	}
}

func event(uid, summary, start, end string) []byte {
	return []byte(strings.Join([]string{
		"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Russet//EN", "BEGIN:VEVENT", "UID:" + uid, "DTSTAMP:20260101T000000Z",
		"DTSTART:" + start, "DTEND:" + end, "SUMMARY:" + summary, "END:VEVENT", "END:VCALENDAR", "",
	}, "\r\n"))
}

func TestKhal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := vdir.Open(dir, vdir.ICalendars)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := f.Export(t.Context(), "calendar", true, func(yield func(string, []byte) bool) {
		_ = yield("one", event("one", "Coffee", "20260301T090000Z", "20260301T100000Z")) &&
			yield("two:2", event("two:2", "Käse", "20260302T090000Z", "20260302T100000Z"))
	})
	if err != nil || got != (vdir.Exported{Written: 2}) {
		t.Fatalf("Export: got %+v, %v", got, err)
	}
	home := t.TempDir()
	config := filepath.Join(home, "khal.conf")
	write(t, home, "khal.conf", []byte("[calendars]\n[[phone]]\npath = "+dir+"\n[locale]\nlocal_timezone = UTC\ndefault_timezone = UTC\n"+
		"timeformat = %H:%M\ndateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\ndatetimeformat = %Y-%m-%d %H:%M\nlongdatetimeformat = %Y-%m-%d %H:%M\n"))
	out := judge(t, home, "khal", "-c", config, "list", "--format", "{start} {title}", "2026-03-01", "3d")
	for _, want := range []string{"2026-03-01 09:00 Coffee", "2026-03-02 09:00 Käse"} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%swithout %s", out, want)
		}
	}
}

// vdirsyncer takes what we wrote into a folder of its own, and what it writes there
// we read.
func TestVdirsyncer(t *testing.T) {
	t.Parallel()
	f, dir := open(t)
	for _, uid := range []string{"a", "b:c"} {
		if _, err := f.Create(t.Context(), uid, card(uid, "Ada")); err != nil {
			t.Fatal(err)
		}
	}
	home, other := t.TempDir(), t.TempDir()
	write(t, other, "theirs.vcf", card("theirs", "Eve"))
	config := filepath.Join(home, "config")
	storage := func(name, path string) string {
		return "[storage " + name + "]\ntype = \"filesystem\"\npath = \"" + path + "\"\nfileext = \".vcf\"\n"
	}
	write(t, home, "config", []byte("[general]\nstatus_path = \""+filepath.Join(home, "status")+"\"\n"+
		"[pair p]\na = \"ours\"\nb = \"other\"\ncollections = null\n"+storage("ours", dir)+storage("other", other)))
	judge(t, home, "vdirsyncer", "-c", config, "discover")
	judge(t, home, "vdirsyncer", "-c", config, "sync")
	if got := files(t, other); len(got) != 3 {
		t.Errorf("vdirsyncer took %q", got)
	}
	names := hrefs(t, f)
	items, err := f.Get(t.Context(), names)
	if err != nil || len(items) != 3 || !slices.Contains(names, "theirs.vcf") {
		t.Fatalf("got %q, %v", names, err)
	}
	theirs := items[slices.Index(names, "theirs.vcf")]
	if string(theirs.Body) != string(card("theirs", "Eve")) {
		t.Errorf("got %q", theirs.Body)
	}
}
