package mb2

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath bounds a name within the folder, in bytes.
const maxPath = 4096

// unbackRoot is where files are taken out of a backup to, by requests of old.
const unbackRoot = "_unback_"

// setAside matches what a phone appends to the identifier of a backup that it
// moves out of the way.
var setAside = regexp.MustCompile(`^-[0-9]{8}-[0-9]{6}$`)

// roots are the identifiers with which names from the phone may begin.
type roots struct {
	target string
	source string // empty where there is no other
}

// check refuses identifiers that cannot be the name of a folder.
func (r roots) check() error {
	for i, id := range []string{r.target, r.source} {
		if i == 1 && id == "" {
			break
		}
		if wellFormed(id) != "" || strings.Contains(id, "/") {
			return errors.New("the identifier of the phone or of the backup cannot be the name of a folder")
		}
	}
	return nil
}

// broken returns the rule that a name from the phone breaks, or "".
func (r roots) broken(name string) string {
	if rule := wellFormed(name); rule != "" {
		return rule
	}
	first, _, _ := strings.Cut(name, "/")
	if first == unbackRoot || r.has(r.target, first) || r.source != "" && r.has(r.source, first) {
		return ""
	}
	return "a name of another backup"
}

// has reports whether the first element of a name is a backup's identifier, or
// that of the backup moved out of the way.
func (r roots) has(id, first string) bool {
	rest, ok := strings.CutPrefix(first, id)
	return ok && (rest == "" || setAside.MatchString(rest))
}

// wellFormed returns the rule that a name breaks wherever it leads, or "".
func wellFormed(name string) string {
	switch {
	case name == "":
		return "an empty name"
	case len(name) > maxPath:
		return "a name that is too long"
	case strings.HasPrefix(name, "/"):
		return "a name that begins at the root"
	case strings.ContainsAny(name, "\x00\\"):
		return "a name with NUL or a backslash"
	case !utf8.ValidString(name):
		return "a name that is not UTF-8"
	}
	for element := range strings.SplitSeq(name, "/") {
		switch element {
		case "", ".", "..":
			return "a name with an empty element, . or .."
		}
	}
	return ""
}

// shown is a phone's text, made fit for a person: bounded, without control
// characters and what changes the direction of writing.
func shown(s string, longest int) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > longest {
			break
		}
		b.WriteRune(r) // U+FFFD for what is not UTF-8
	}
	return b.String()
}
