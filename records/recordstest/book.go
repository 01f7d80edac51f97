package recordstest

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
)

// Properties of which a person may have several values, by the numbers of iOS.
const (
	Phones    = 3
	Emails    = 4
	Addresses = 5
	Dates     = 12
	Messages  = 13
	URLs      = 22
	Related   = 23
	Profiles  = 46
)

// Person is a row of the address book.
type Person struct {
	GUID     string
	Text     map[string]string // by column of ABPerson, see personColumns; those that are not there are NULL
	Company  bool
	Modified int64 // Cocoa seconds
	Values   []Value
	Groups   []int  // of groupNames, sorted
	Photo    []byte // a JPEG, or nil
	Server   bool   // it is in the account on a server, and not the phone's own

	row int64
}

// Value is one of the values of which a person may have several.
type Value struct {
	Property int
	Label    string // one of labels, or ""
	Text     string
	Parts    map[string]string // of Addresses, messages and profiles

	uid int64
}

// UID is that of the record which package records makes of p.
func (p *Person) UID() string {
	if p.Server {
		return p.Text["ExternalUUID"]
	}
	return p.GUID
}

func (p *Person) key() (row int64, uid string) { return p.row, p.UID() }

// Book is an address book, and what of it is not written yet.
type Book struct {
	People []*Person // in the order of their rows

	generator[*Person]
	lastUID int64
}

// NewBook returns an address book of n people made from seed.
func NewBook(seed uint64, n int) *Book {
	b := &Book{generator: newGenerator[*Person](seed, 4)}
	for range n {
		b.add()
	}
	return b
}

func (b *Book) add() *Person {
	p := &Person{GUID: b.guid(), Text: map[string]string{}, Server: b.rng.IntN(10) == 0}
	if p.Server {
		p.Text["ExternalUUID"] = strings.ToLower(b.guid())
	}
	p.Company = b.rng.IntN(12) == 0
	if !p.Company {
		p.Text["First"], p.Text["Last"] = b.pick(firstNames), b.pick(lastNames)
	}
	if p.Company || b.rng.IntN(3) == 0 {
		p.Text["Organization"] = b.pick(companies)
	}
	for range 1 + b.rng.IntN(3) {
		b.addValue(p, Phones)
	}
	for _, property := range []int{Emails, Emails, Addresses, Dates, Messages, URLs, Related, Profiles} {
		if b.rng.IntN(3) == 0 {
			b.addValue(p, property)
		}
	}
	for _, f := range textFields {
		if b.rng.IntN(6) == 0 {
			p.Text[f.column] = b.word(f.column)
		}
	}
	if b.rng.IntN(3) == 0 {
		p.Text["Birthday"] = b.birthday()
	}
	if b.rng.IntN(5) == 0 {
		p.Groups = []int{b.rng.IntN(len(groupNames))}
	}
	if b.rng.IntN(8) == 0 {
		p.Photo = b.photo()
	}
	b.Put(p)
	return p
}

// Put adds p, or takes over what was changed of it: the next Write writes it.
func (b *Book) Put(p *Person) {
	if p.row == 0 {
		b.lastRow++
		p.row = b.lastRow
		b.People = append(b.People, p)
	}
	if p.GUID == "" {
		p.GUID = b.guid()
	}
	for i := range p.Values {
		if p.Values[i].uid == 0 {
			b.lastUID++
			p.Values[i].uid = b.lastUID
		}
	}
	p.Modified = b.tick()
	b.put(p)
}

func (b *Book) guid() string {
	return fmt.Sprintf("%08X-%04X-4%03X-8%03X-%012X", b.rng.Uint32(), b.rng.IntN(1<<16), b.rng.IntN(1<<12), b.rng.IntN(1<<12), b.rng.Int64N(1<<48))
}

// word returns a text for a column which it never had.
func (b *Book) word(column string) string {
	n := b.number()
	switch column {
	case "Note":
		return fmt.Sprintf("%s %d.\nSaid; \"not, ever\" \\ and more of %s.", b.pick(companies), n, Secret)
	case "FirstPhonetic", "LastPhonetic":
		return fmt.Sprintf("ファースト %d", n)
	}
	return fmt.Sprintf("%s %d", b.pick(words), n)
}

// birthday returns a day as the column has it: seconds at noon, some before 2001,
// some of no year.
func (b *Book) birthday() string {
	days := int64(b.number()*37) % 20_000
	if b.rng.IntN(4) == 0 {
		const year1604 = -145_000 // days from 2001 to one in 1604
		days = year1604 + days%360
	} else {
		days -= 16_000
	}
	return fmt.Sprintf("%d", days*86_400+43_200)
}

// addValue gives p one more value of a property.
func (b *Book) addValue(p *Person, property int) {
	v := Value{Property: property}
	b.fill(&v)
	p.Values = append(p.Values, v)
}

// fill makes v a value which no person had.
func (b *Book) fill(v *Value) {
	n := b.number()
	v.Label = b.pick(labelsOf(v.Property))
	v.Text, v.Parts = "", nil
	switch v.Property {
	case Phones:
		v.Text = fmt.Sprintf("+49 (170) %07d", n)
	case Emails:
		v.Text = fmt.Sprintf("person%d@example.test", n)
	case Addresses:
		v.Parts = map[string]string{
			"Street": fmt.Sprintf("%d Main Street\nBack; yard", n), "City": b.pick(words), "ZIP": fmt.Sprintf("%05d", n%100_000),
			"Country": "Schweiz", "CountryCode": "ch", "SubLocality": "Altstadt",
		}
	case Dates:
		v.Text = b.birthday()
	case Messages:
		v.Parts = map[string]string{"service": b.pick(services), "username": fmt.Sprintf("user%d", n)}
	case URLs:
		v.Text = fmt.Sprintf("https://example.test/a,b;c?%d", n)
	case Related:
		v.Text = fmt.Sprintf("%s %d", b.pick(firstNames), n)
	case Profiles:
		v.Parts = map[string]string{
			"service": "Twitter", "username": fmt.Sprintf("user%d", n), "url": fmt.Sprintf("https://twitter.example/user%d", n), "displayname": b.pick(words),
		}
	}
}

// photo returns a small JPEG.
func (b *Book) photo() []byte {
	const side = 24
	m := image.NewGray(image.Rect(0, 0, side, side))
	n := b.number()
	for y := range side {
		for x := range side {
			m.SetGray(x, y, color.Gray{Y: uint8(x*y*n + b.rng.IntN(40))})
		}
	}
	var data bytes.Buffer
	if err := jpeg.Encode(&data, m, nil); err != nil {
		panic("recordstest: " + err.Error()) // memory takes all
	}
	return data.Bytes()
}

// labelsOf returns the labels that values of a property have.
func labelsOf(property int) []string {
	switch property {
	case Phones:
		return labels[:9]
	case Dates:
		return []string{"_$!<Anniversary>!$_", "First day; at work"}
	case Related:
		return []string{"_$!<Mother>!$_", "_$!<Friend>!$_", "Neighbour"}
	case URLs:
		return []string{"_$!<HomePage>!$_", "_$!<Work>!$_", ""}
	}
	return []string{"_$!<Home>!$_", "_$!<Work>!$_", "_$!<Other>!$_", "Neighbour", ""}
}

// What the content is made of.
var (
	labels = []string{
		"_$!<Mobile>!$_", "_$!<Home>!$_", "_$!<Work>!$_", "_$!<Main>!$_", "iPhone", "_$!<HomeFAX>!$_", "_$!<Other>!$_", "Neighbour", "",
		"_$!<HomePage>!$_", "_$!<Anniversary>!$_", "First day; at work", "_$!<Mother>!$_", "_$!<Friend>!$_",
	}
	entryKeys  = []string{"Street", "ZIP", "City", "CountryCode", "State", "Country", "SubLocality", "service", "username", "url", "displayname"}
	groupNames = []string{"Family", "Club, the old one", "Work; all", "Zürich"}
	services   = []string{"Skype", "Jabber", "QQ", "GoogleTalk"}
	firstNames = []string{"Ada", "Grace", "Zoë", "Björn", "小明", "Łukasz", "Anne-Marie", "O;Neil", "José", "Ирина", "Mo", "Dieter"}
	lastNames  = []string{"Lovelace", "Hopper", "Müller", "王", "Nowak", "D'Arc", "von der Heide", "Ibáñez", "Петрова", "Smith, Jr", "🦊", "Ng"}
	companies  = []string{"Example Ltd.", "Müller & Söhne; GmbH", "A, B and C", "株式会社例"}
	words      = []string{"Alpha", "Beta, the second", "Gamma; third", "Delta\\four", "Ümlaut", "例", "Long " + strings.Repeat("and longer ", 9)}
)

// textFields are the columns of text, and the properties that they become.
var textFields = []struct{ column, property string }{
	{"Middle", "N"},
	{"Prefix", "N"},
	{"Suffix", "N"},
	{"Nickname", "NICKNAME"},
	{"FirstPhonetic", "X-PHONETIC-FIRST-NAME"},
	{"LastPhonetic", "X-PHONETIC-LAST-NAME"},
	{"Organization", "ORG"},
	{"Department", "ORG"},
	{"JobTitle", "TITLE"},
	{"PreviousFamilyName", "X-MAIDENNAME"},
	{"Note", "NOTE"},
}
