package main

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// visible makes a foreign name safe for a terminal: what cannot be seen, or
// would be obeyed, is written as an escape. That is all but letters, marks,
// numbers, punctuation, symbols and spaces; bytes that are no UTF-8 become
// \xNN. The joiner that builds one emoji of several stays.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	const joiner = '\u200d'
	return r == utf8.RuneError || !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) && r != joiner
}

// columns is how many columns of a terminal a string takes that went through
// visible. It knows wide scripts and marks; where a terminal disagrees a
// column is cut, no more.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
		r >= 0x3000 && r <= 0x303e, r >= 0xff01 && r <= 0xff60, // CJK punctuation, full-width forms
		r >= 0x1f300 && r <= 0x1faff: // emoji
		return 2
	}
	return 1
}

// elide cuts a string to a width in columns, with an ellipsis at the end.
func elide(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeColumns(r); n > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// size writes a number of bytes as people read it.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, prefix := float64(n), -1
	for f >= unit-0.05 && prefix < 5 { // 1023.96 would print as 1024.0
		f /= unit
		prefix++
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + "KMGTPE"[prefix:prefix+1] + "iB"
}

// parseSize reads a number of bytes as size writes it, and as people do: 200G,
// 1.5 TiB, 4096. Nothing is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number := strings.TrimRight(strings.ToUpper(text), " KMGTIB")
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(strings.ToUpper(text)[len(number):]), "B"), "I")
	shift, ok := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[unit]
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(f > 0 && f < 1<<22) && unit != "" || !(f > 0 && f < 1<<62) {
		return 0, fmt.Errorf("%q is no size; 200G is one", text)
	}
	return int64(f * float64(int64(1)<<shift)), nil
}

// count writes a number with its thousands apart.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(s, "-")
	var b strings.Builder
	b.WriteString(s[:len(s)-len(digits)])
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return count(int64(n)) + " " + thing
}

// enumerate writes names as a sentence has them: "a, b or c", with "or" as the word.
func enumerate(names []string, word string) string {
	last := len(names) - 1
	if last <= 0 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}

// duration writes a time span as m:ss or h:mm:ss.
func duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// permissions writes a mode as ls -l does, which has other letters for kinds of
// files and special bits than fs.FileMode.
func permissions(mode fs.FileMode) string {
	b := []byte("-" + mode.Perm().String()[1:])
	switch mode.Type() {
	case fs.ModeDir:
		b[0] = 'd'
	case fs.ModeSymlink:
		b[0] = 'l'
	case fs.ModeNamedPipe:
		b[0] = 'p'
	case fs.ModeSocket:
		b[0] = 's'
	case fs.ModeDevice:
		b[0] = 'b'
	case fs.ModeDevice | fs.ModeCharDevice:
		b[0] = 'c'
	}
	for _, s := range []struct {
		bit     fs.FileMode
		at      int
		letters string // without and with the right to execute
	}{{fs.ModeSetuid, 3, "Ss"}, {fs.ModeSetgid, 6, "Ss"}, {fs.ModeSticky, 9, "Tt"}} {
		if mode&s.bit == 0 {
			continue
		}
		if b[s.at] == '-' {
			b[s.at] = s.letters[0]
		} else {
			b[s.at] = s.letters[1]
		}
	}
	return string(b)
}

// moment writes a time in the zone of loc, to the second.
func moment(t time.Time, loc *time.Location) string { return t.In(loc).Format(time.DateTime) }

// table is rows under a head, for people. A column whose head begins with a
// space is aligned to the right.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String writes the table, a line under its head. Cells are made visible.
func (t *table) String() string {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = columns(strings.TrimSpace(h))
		for _, row := range t.rows {
			widths[i] = max(widths[i], columns(visible(row[i])))
		}
	}
	var b strings.Builder
	line := func(cells []string) {
		var l strings.Builder
		for i, cell := range cells {
			cell = visible(strings.TrimSpace(cell))
			pad := strings.Repeat(" ", widths[i]-columns(cell))
			if strings.HasPrefix(t.head[i], " ") {
				cell, pad = pad+cell, ""
			}
			l.WriteString(cell + pad + "  ")
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(t.head)
	total := -2
	for _, w := range widths {
		total += w + 2
	}
	b.WriteString(strings.Repeat("-", max(total, 0)) + "\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}
