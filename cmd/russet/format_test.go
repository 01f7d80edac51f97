package main

import (
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"Jo’s iPhone", "Jo’s iPhone"},
		{"iPhone de Léa", "iPhone de Léa"}, // a space that does not break
		{"家族 👩‍👧 ❤️", "家族 👩‍👧 ❤️"},
		{"a\x1b]0;title\x07", `a\x1b]0;title\a`},
		{"two\nlines\r\ttab", `two\nlines\r\ttab`},
		{"\u009b31m", `\u009b31m`},
		{"evil\u202egpj.exe", `evil\u202egpj.exe`},
		{"\u2028", `\u2028`},
		{"bad\xff\xc3", `bad\xff\xc3`},
		{"\ufffd", `\ufffd`},
		{`back\slash`, `back\slash`},
	} {
		if got := visible(c.in); got != c.want {
			t.Errorf("visible(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode fs.FileMode
		want string
	}{
		{0o644, "-rw-r--r--"},
		{fs.ModeDir | 0o755, "drwxr-xr-x"},
		{fs.ModeSymlink | 0o777, "lrwxrwxrwx"},
		{fs.ModeNamedPipe | 0o600, "prw-------"},
		{fs.ModeSocket | 0o600, "srw-------"},
		{fs.ModeDevice | 0o660, "brw-rw----"},
		{fs.ModeDevice | fs.ModeCharDevice | 0o666, "crw-rw-rw-"},
		{fs.ModeSetuid | 0o755, "-rwsr-xr-x"},
		{fs.ModeSetgid | 0o644, "-rw-r-Sr--"},
		{fs.ModeDir | fs.ModeSticky | 0o777, "drwxrwxrwt"},
		{fs.ModeDir | fs.ModeSticky | 0o770, "drwxrwx--T"},
	} {
		if got := permissions(c.mode); got != c.want {
			t.Errorf("permissions(%v) = %q, want %q", c.mode, got, c.want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("a\x1b[2J\xff\u202e")
	f.Add("家族 👩‍👧")
	f.Fuzz(func(t *testing.T, s string) {
		v := visible(s)
		if !utf8.ValidString(v) || strings.ContainsFunc(v, hidden) {
			t.Errorf("visible(%q) = %q, which is not", s, v)
		}
		if visible(v) != v {
			t.Errorf("visible(%q) is not stable", s)
		}
		if short := elide(v, 10); columns(short) > 10 {
			t.Errorf("elide(%q, 10) = %q, %d columns", v, short, columns(short))
		}
	})
}

func TestElide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{{"short", 5, "short"}, {"longer", 5, "long…"}, {"家族写真", 8, "家族写真"}, {"家族写真", 7, "家族写…"}, {"家族写真", 6, "家族…"}, {"ab", 1, "…"}} {
		if got := elide(c.in, c.width); got != c.want {
			t.Errorf("elide(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}

func TestSizeCountDuration(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 1 << 20: "1.0 MiB",
		1234567890: "1.1 GiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0:00", 1500 * time.Millisecond: "0:02", 59*time.Minute + 59*time.Second: "59:59", 90 * time.Minute: "1:30:00",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	tab := table{head: []string{"device", " files", "note"}}
	tab.add("Jo’s iPhone", "12", "")
	tab.add("家族\x1b", "1,234", "x")
	want := `device       files  note
------------------------
Jo’s iPhone     12
家族\x1b     1,234  x
`
	if got := tab.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	if got, want := wrap("one two  three four", 9), "one two\nthree\nfour"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"": 0, "4096": 4096, "200G": 200 << 30, "200 gib": 200 << 30, "1.5T": 3 << 39, "7k": 7 << 10, "3MB": 3 << 20, "12 B": 12,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"G", "-1G", "0", "1X", "1GG", "nan", "inf", "1e30", "99999999999T", "G5"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}
