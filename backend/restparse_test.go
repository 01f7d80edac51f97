package backend

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestParseListEndless has lists that do not end, in one way and another.
func TestParseListEndless(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("ab", nameSize/2)
	for _, c := range []struct{ start, again string }{
		{"[", `"` + name + `",`},
		{"[", `{"name":"` + name + `","size":1},`},
		{"[", `"",`},
		{"", " "},
		{"[", " "},
		{`["`, "x"},
		{`["","`, "x"},
		{"", "["},
		{`[{"name":`, `[`},
		{`[{"`, `x`},
		{`[{"a":0`, `,"a":0`},
		{`[`, `1`},
	} {
		read := &endless{[]byte(c.start), []byte(c.again), 0}
		infos, err := parseList(read, 1000)
		if !errors.Is(err, errList) || len(infos) > 1000 {
			t.Errorf("%s%s...: got %d files, %v, want %v", c.start, c.again, len(infos), err, errList)
		}
		if most := int64(1000 * maxEntry); read.count > most {
			t.Errorf("%s%s...: read %d bytes, want at most %d", c.start, c.again, read.count, most)
		}
	}
}

// endless reads a start, and then the same again and again.
type endless struct {
	start, again []byte
	count        int64
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(e.start) == 0 {
			e.start = e.again
		}
		k := copy(p[n:], e.start)
		e.start = e.start[k:]
		n += k
	}
	e.count += int64(n)
	return n, nil
}

// TestParseListLost tells the end of a connection from a list that is wrong.
func TestParseListLost(t *testing.T) {
	t.Parallel()
	errLost := errors.New("lost")
	full := `[{"name":"` + strings.Repeat("ab", nameSize/2) + `","size":1}]`
	for n := range len(full) {
		if _, err := parseList(strings.NewReader(full[:n]), 10); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got %v, want %v", full[:n], err, io.ErrUnexpectedEOF)
		}
		lost := io.MultiReader(strings.NewReader(full[:n]), iotest.ErrReader(errLost))
		if _, err := parseList(lost, 10); !errors.Is(err, errLost) {
			t.Errorf("%s: got %v, want %v", full[:n], err, errLost)
		}
	}
	if infos, err := parseList(strings.NewReader(full), 10); err != nil || len(infos) != 1 {
		t.Errorf("whole: got %v, %v, want one file", infos, err)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte(`["` + strings.Repeat("ab", nameSize/2) + `"]`))
	f.Add([]byte(`[{"name":"` + strings.Repeat("01", nameSize/2) + `","size":12}]`))
	f.Add([]byte(`[{"name":"x","size":-1}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		infos, err := parseList(bytes.NewReader(data), 100)
		if len(infos) > 100 || err != nil && len(infos) > 0 {
			t.Errorf("got %d files, %v", len(infos), err)
		}
		for _, info := range infos {
			if !isName(info.Name) || info.Size < unknownSize {
				t.Errorf("got %+v", info)
			}
		}
	})
}

func TestLastLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want   string
		pieces []string
	}{
		{"", nil},
		{"", []string{"\n", "\n\n"}},
		{": no newline", []string{"no new", "line"}},
		{": last", []string{"first\nse", "cond\nla", "st\n", "\n"}},
		{": Failed to create file system for ...: didn't find section in config file", []string{
			"2026/11/26 05:33:03 Failed to create file system for \"home server:\": didn't find section in config file\n",
		}},
		{": cannot write ... ... now", []string{"cannot write /home/me/x C:\\Users\\me now\n"}},
		{": login of ... failed", []string{"login of me@example.org failed\n"}},
		{": Get ...", []string{"Get \"https://host/with quotation that does not end"}},
		{"", []string{"Wrong PASSWORD: x\n"}},
		{"", []string{"AccessKey x\n"}},
		{": ?[31mred??", []string{"\x1b[31mred\xff\x00\n"}},
		{": " + strings.Repeat("x", maxLine), []string{strings.Repeat("x", 150), strings.Repeat("x", 1<<20), "\n"}},
	} {
		var l lastLine
		for _, piece := range c.pieces {
			if n, err := l.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Errorf("Write: got %d, %v, want %d", n, err, len(piece))
			}
		}
		if got := l.text(); got != c.want {
			t.Errorf("%.80q: got %q, want %q", c.pieces, got, c.want)
		}
	}
}
