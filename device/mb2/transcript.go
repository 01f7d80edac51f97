package mb2

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"russet/internal/plist"
)

// Where a line of a transcript comes from.
const (
	fromPhone = "phone"
	fromHost  = "host"
)

// line is one line of a transcript, in JSON. docs/protocol-mobilebackup2.md
// gives the format.
type line struct {
	At      int64            `json:"at"` // milliseconds since the session began
	From    string           `json:"from"`
	Message string           `json:"message,omitempty"`
	Request string           `json:"request,omitempty"`
	Version int64            `json:"version,omitempty"`
	Code    *int64           `json:"code,omitempty"`
	Names   []string         `json:"names,omitempty"`
	To      []string         `json:"to,omitempty"`
	Percent float64          `json:"percent,omitempty"`
	Size    int64            `json:"size,omitempty"`
	Entries int              `json:"entries,omitempty"`
	Details map[string]int64 `json:"details,omitempty"`
	File    *fileLine        `json:"file,omitempty"`
	End     bool             `json:"end,omitempty"`
}

// fileLine is one file on the wire: a run of units.
type fileLine struct {
	Name   string      `json:"name"`
	Units  int64       `json:"units"`          // with content
	Unit   int64       `json:"unit,omitempty"` // content of the largest one, in bytes
	Bytes  int64       `json:"bytes"`
	Code   int64       `json:"code"`
	Cut    bool        `json:"cut,omitempty"` // the session ended within it
	Status *statusLine `json:"status,omitempty"`
}

// statusLine is the content of a Status.plist, the only content in a
// transcript.
type statusLine struct {
	Version       string    `json:"version" plist:"Version"`
	UUID          string    `json:"uuid" plist:"UUID"`
	Date          time.Time `json:"date" plist:"Date"`
	BackupState   string    `json:"backupState" plist:"BackupState"`
	SnapshotState string    `json:"snapshotState" plist:"SnapshotState"`
	IsFullBackup  bool      `json:"isFullBackup" plist:"IsFullBackup"`
}

const (
	// maxStatus bounds a Status.plist, in bytes. Phones write some 190.
	maxStatus = 4096
	// maxOthers bounds the names that a transcript tells apart by a number.
	maxOthers = 10000
	udidWord  = "UDID"
	sourceTag = "SOURCE"
	statusEnd = "/Status.plist"
)

var (
	// plainWord matches what is no more than a term of the protocol. It has no
	// digits, so it names no device.
	plainWord   = regexp.MustCompile(`^[A-Za-z]{1,64}$`)
	versionText = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}$`)
	uuidText    = regexp.MustCompile(`^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$`)
	// knownName matches the names below a backup that say nothing of its owner.
	knownName = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{2}|Snapshot|Status\.plist|Info\.plist|Manifest\.(plist|db|mbdb|mbdx))$`)
)

// parseStatus reads a Status.plist for a transcript, or returns nil. Texts of
// another form than phones write are left out.
func parseStatus(data []byte) *statusLine {
	var s statusLine
	if plist.Unmarshal(data, &s) != nil {
		return nil
	}
	keep := func(text *string, form *regexp.Regexp) {
		if !form.MatchString(*text) {
			*text = ""
		}
	}
	keep(&s.Version, versionText)
	keep(&s.UUID, uuidText)
	keep(&s.BackupState, plainWord)
	keep(&s.SnapshotState, plainWord)
	if y := s.Date.Year(); y < 1970 || y > 9999 {
		s.Date = time.Unix(0, 0)
	}
	s.Date = s.Date.UTC()
	return &s
}

// disguise replaces what is personal in names: identifiers of devices become
// words, and what is not one of the format's own names a number.
type disguise struct {
	roots  roots
	others map[string]int
}

// name returns a name as it stands in a transcript.
func (d *disguise) name(name string) string {
	if wellFormed(name) != "" {
		return d.other(name)
	}
	elements := strings.Split(name, "/")
	for i, e := range elements {
		switch {
		case i > 0 && knownName.MatchString(e):
		case i == 0 && e == unbackRoot:
		case i == 0 && d.roots.target != "" && d.roots.has(d.roots.target, e):
			elements[i] = udidWord + strings.TrimPrefix(e, d.roots.target)
		case i == 0 && d.roots.source != "" && d.roots.has(d.roots.source, e):
			elements[i] = sourceTag + strings.TrimPrefix(e, d.roots.source)
		default:
			elements[i] = d.other(e)
		}
	}
	return strings.Join(elements, "/")
}

// other returns the number of another name.
func (d *disguise) other(name string) string {
	n, ok := d.others[name]
	if !ok {
		if len(d.others) == maxOthers || len(name) > maxPath {
			return "other"
		}
		n = len(d.others) + 1
		d.others[name] = n
	}
	return "other-" + strconv.Itoa(n)
}

func (d *disguise) names(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = d.name(n)
	}
	return out
}

// word returns a term of the protocol, or "?" for anything else.
func word(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "?"
}
