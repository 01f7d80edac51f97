package records

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"russet/internal/vobject"
)

// Limits of an address book: people have thousands of contacts, with a few values each.
const (
	maxContacts = 200_000
	maxValues   = 1_000_000
	// maxName is the length in bytes of labels, groups and the like: thousands of
	// values can refer to one.
	maxName = 255
	// maxGroups is how many groups a contact is in.
	maxGroups = 1000
)

// The address book and the pictures of the people in it.
const (
	addressBookPath = "Library/AddressBook/AddressBook.sqlitedb"
	picturesPath    = "Library/AddressBook/AddressBookImages.sqlitedb"
)

func contactPlaces() []place {
	return []place{{
		domain: "HomeDomain", path: addressBookPath, also: []string{picturesPath},
		readers: []reader{
			{name: "iOS 7 and later", fits: fitsContacts("guid"), read: readContacts},
			{name: "iOS 4 to 6", fits: fitsContacts(), read: readContacts},
		},
	}}
}

// fitsContacts knows an address book by what every version has, and more columns
// of people.
func fitsContacts(more ...string) func(schema) bool {
	return func(s schema) bool {
		return s.has("ABPerson", append(more, "First", "Last", "Organization", "ModificationDate", "StoreID")...) &&
			s.has("ABMultiValue", "UID", "record_id", "property", "label", "value") &&
			s.has("ABMultiValueLabel", "value") && s.has("ABMultiValueEntry", "parent_id", "key", "value") &&
			s.has("ABMultiValueEntryKey", "value") && s.has("ABStore", "Name", "Type")
	}
}

// person is a contact as it is put together from the tables.
type person struct {
	row               int64
	text              map[string]string // by column, one of textColumns
	company           bool
	modified          time.Time // zero where it is not known
	created           string    // as it stands
	birthday          string
	alternateBirthday []byte
	store             int64 // a row of ABStore, or noStore
	values            []multiValue
	groups            []string
	picture           picture
	badPicture        bool     // there is one that no card can have
	unread            []string // as in a Record, in any order
}

// noStore is the store of people who are in none: no row has that number.
const noStore = math.MinInt64

// multiValue is one of the values of which a person may have several.
type multiValue struct {
	row      int64
	property int64
	label    string
	text     string
	parts    map[string]string // of an address and the like, by keys in lower case
}

// name is a text that thousands of rows can refer to.
type name struct {
	text   string
	spoilt bool // it is not all of it
}

// addressBook joins the tables of an address book in memory.
type addressBook struct {
	s      *store
	people []*person
	byRow  map[int64]*person
	stores map[int64]Container
	own    int64    // the store that is the phone's own, or noStore
	unread []string // of everybody, as rows that could not be read may be anybody's
}

// readContacts reads an address book of any version.
func readContacts(ctx context.Context, s *store) error {
	b := &addressBook{s: s, byRow: map[int64]*person{}, stores: map[int64]Container{}, own: noStore}
	missing, err := s.readParts(ctx, []part{
		{b.readStores, nil},
		{b.readPeople, nil},
		{b.readValues, allValueNames()},
		{b.readGroups, []string{"CATEGORIES"}},
		{b.readPictures, []string{"PHOTO"}},
	})
	if err != nil {
		return err
	}
	b.unread = with(b.unread, missing...)
	b.noteRemote()
	used := map[[2]string]bool{}
	for _, p := range b.people {
		c := b.container(p)
		uid := b.uid(p, c, used)
		p.unread = with(p.unread, b.unread...)
		card := &card{s: s, p: p, c: vobject.New("VCARD")}
		s.set.Records = append(s.set.Records, Record{UID: uid, Container: c.ID, Object: card.write(uid), Modified: p.modified, Unread: slices.Sorted(slices.Values(p.unread))})
	}
	for _, c := range b.stores {
		s.set.Containers = append(s.set.Containers, c)
	}
	return nil
}

// readStores reads the containers, and names them after the phone's accounts.
func (b *addressBook) readStores(ctx context.Context) error {
	identifiers := map[int64]string{}
	for r, err := range b.s.rows(ctx, "ABAccount", "AccountIdentifier") {
		if err != nil {
			return err
		}
		identifiers[r.id] = r.text("AccountIdentifier")
	}
	var accounts map[string]account
	if len(identifiers) > 0 {
		accounts = b.s.accounts(ctx)
	}
	taken := map[string]bool{}
	for r, err := range b.s.rows(ctx, "ABStore", "Name", "Type", "ExternalIdentifier", "AccountID", "Enabled", "guid") {
		if err != nil {
			return err
		}
		accountID, _ := r.integer("AccountID")
		a := accounts[identifiers[accountID]]
		kind, _ := r.integer("Type")
		c := Container{
			ID: bareGUID(r.text("guid")), Name: cmp.Or(a.name, r.text("Name")), Account: cmp.Or(a.user, a.name),
			Type: storeType(kind, a.kind), Host: cmp.Or(a.host, hostOf(r.text("ExternalIdentifier"))),
		}
		if c.ID == "" || taken[c.ID] {
			c.ID = storeID(r.id)
		}
		taken[c.ID] = true
		if enabled, ok := r.integer("Enabled"); c.Type == "local" {
			c.Name = cmp.Or(c.Name, ownName)
			c.Synced = !ok || enabled != 0
			if b.own == noStore {
				b.own = r.id
			}
		}
		b.stores[r.id] = c
	}
	return nil
}

// ownName is what the phone's own address book is called, which has no name.
const ownName = "On My Device"

// storeID is the ID of a store without an identifier.
func storeID(row int64) string { return "store-" + strconv.FormatInt(row, 10) }

// hostOf returns the host of a URL, or "".
func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// storeType says what a store of a number is, and of what account it is.
func storeType(number int64, account string) string {
	switch {
	case number == 4 || account == "com.apple.account.CardDAV":
		return "carddav"
	case number == 1 || account == "com.apple.account.Exchange":
		return "exchange"
	case number == 0:
		return "local"
	}
	return "other"
}

// container returns what a person is in: the phone's own for people of no store.
func (b *addressBook) container(p *person) Container {
	if p.store == noStore && b.own != noStore {
		p.store = b.own
	}
	c, ok := b.stores[p.store]
	switch {
	case ok:
		return c
	case p.store == noStore:
		c = Container{ID: "local", Name: ownName, Type: "local", Synced: true}
	default:
		b.s.note(p.row, "the contact is in a store that is not there")
		c = Container{ID: storeID(p.store), Name: storeID(p.store), Type: "other"}
	}
	b.stores[p.store] = c
	return c
}

// bareGUID returns an identifier as every version of iOS has it: iOS 9 adds the
// name of the table.
func bareGUID(guid string) string {
	guid, _, _ = strings.Cut(guid, ":")
	return strings.ToUpper(strings.TrimSpace(guid))
}

// maxUID is the length in bytes of the longest UID that is taken as it is.
const maxUID = 500

// uid returns the UID of a person: the server's for people who came from one, else
// that of the phone. Two people of one container have not the same.
func (b *addressBook) uid(p *person, c Container, used map[[2]string]bool) string {
	uid := bareGUID(p.text["guid"])
	if server := p.text["ExternalUUID"]; server != "" && (c.Type != "local" || uid == "") {
		uid = server
	}
	clean := strings.TrimSpace(oneLine(uid))
	if clean == "" || len(clean) > maxUID || used[[2]string{c.ID, clean}] {
		if clean != "" {
			b.s.note(p.row, "the contact's identifier is too long, or another contact has it")
		}
		// Row numbers survive edits and restores. They do not survive an account that is
		// set up anew, and then nothing else of a contact without an identifier does.
		sum := sha256.Sum256([]byte(c.ID + "\x00" + strconv.FormatInt(p.row, 10) + "\x00" + p.created + "\x00" + clean))
		sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562, version 8
		clean = fmt.Sprintf("%X-%X-%X-%X-%X", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	}
	used[[2]string{c.ID, clean}] = true
	return clean
}

// textColumns are the columns of a person that are text and nothing else.
var textColumns = []string{
	"First", "Last", "Middle", "Prefix", "Suffix", "Nickname", "FirstPhonetic", "MiddlePhonetic", "LastPhonetic",
	"FirstPronunciation", "MiddlePronunciation", "LastPronunciation", "Organization", "OrganizationPhonetic",
	"OrganizationPronunciation", "Department", "JobTitle", "PreviousFamilyName", "Note", "ExternalUUID", "guid", "DisplayName", "ImageURI",
}

func (b *addressBook) readPeople(ctx context.Context) error {
	columns := append(slices.Clone(textColumns), "Kind", "Birthday", "AlternateBirthday", "CreationDate", "ModificationDate", "StoreID")
	for r, err := range b.s.rows(ctx, "ABPerson", columns...) {
		if err != nil {
			return err
		}
		if len(b.people) == maxContacts {
			return errTooMany("contacts", maxContacts)
		}
		p := &person{row: r.id, text: map[string]string{}, store: noStore}
		for _, c := range textColumns {
			if r.has(c) {
				p.text[c] = r.text(c)
			}
		}
		kind, _ := r.integer("Kind")
		p.company = kind == 1
		p.modified, _ = r.time("ModificationDate")
		p.created, p.birthday, p.alternateBirthday = r.text("CreationDate"), r.text("Birthday"), r.bytes("AlternateBirthday")
		if store, ok := r.integer("StoreID"); ok {
			p.store = store
		}
		for _, column := range *r.spoilt {
			switch property := personProperties[column]; {
			case property != "":
				p.unread = with(p.unread, property)
			case column == "guid" || column == "ExternalUUID" || column == "StoreID":
				b.s.set.Complete = false // it looks like another contact, or like one of another container
			}
		}
		b.people = append(b.people, p)
		b.byRow[p.row] = p
	}
	return nil
}

func errTooMany(what string, limit int) error {
	return fmt.Errorf("it has more than %d %s", limit, what)
}

// readValues reads phone numbers, addresses and all else of which a person may
// have several.
func (b *addressBook) readValues(ctx context.Context) error {
	labels, err := b.s.texts(ctx, "ABMultiValueLabel", "value")
	if err != nil {
		return err
	}
	parts, spoilt, err := b.readValueParts(ctx)
	if err != nil {
		return err
	}
	n := 0
	for r, err := range b.s.rows(ctx, "ABMultiValue", "UID", "record_id", "property", "label", "value") {
		if err != nil {
			return err
		}
		if n++; n > maxValues {
			return errTooMany("values", maxValues)
		}
		owner, _ := r.integer("record_id")
		p, ok := b.byRow[owner]
		if !ok {
			if b.s.note(r.id, "a value belongs to no contact"); r.bad() {
				b.unread = with(b.unread, allValueNames()...)
			}
			continue
		}
		uid, _ := r.integer("UID")
		v := multiValue{row: r.id, text: r.text("value"), parts: parts[uid]}
		delete(parts, uid) // they are of one value only
		v.property, _ = r.integer("property")
		bad := spoilt[uid]
		if label, ok := r.integer("label"); ok && label >= 0 {
			found, ok := labels[label]
			if v.label = found.text; !ok {
				b.s.lost(r.id, "the label of a value is not there")
			}
			bad = bad || !ok || found.spoilt
		}
		switch {
		case r.bad("property"):
			p.unread = with(p.unread, allValueNames()...)
		case bad || r.bad():
			p.unread = with(p.unread, valueNames(v.property)...)
		}
		p.values = append(p.values, v)
	}
	return nil
}

// readValueParts returns the parts of values by their UIDs, and those of which something
// could not be read.
func (b *addressBook) readValueParts(ctx context.Context) (parts map[int64]map[string]string, spoilt map[int64]bool, err error) {
	keys, err := b.s.texts(ctx, "ABMultiValueEntryKey", "value")
	if err != nil {
		return nil, nil, err
	}
	parts, spoilt = map[int64]map[string]string{}, map[int64]bool{}
	for r, err := range b.s.rows(ctx, "ABMultiValueEntry", "parent_id", "key", "value") {
		if err != nil {
			return nil, nil, err
		}
		parent, _ := r.integer("parent_id")
		key, _ := r.integer("key")
		name, ok := keys[key]
		text := r.text("value")
		if r.bad() || !ok || name.spoilt {
			spoilt[parent] = true
		}
		if r.bad("parent_id") {
			b.unread = with(b.unread, allValueNames()...)
		}
		if !ok {
			b.s.lost(r.id, "a part of a value has no name")
			continue
		}
		if parts[parent] == nil {
			parts[parent] = map[string]string{}
		}
		parts[parent][strings.ToLower(name.text)] = text
	}
	return parts, spoilt, nil
}

// readGroups tells people the names of their groups.
func (b *addressBook) readGroups(ctx context.Context) error {
	names, err := b.s.texts(ctx, "ABGroup", "Name")
	if err != nil {
		return err
	}
	for r, err := range b.s.rows(ctx, "ABGroupMembers", "group_id", "member_type", "member_id") {
		if err != nil {
			return err
		}
		group, _ := r.integer("group_id")
		member, _ := r.integer("member_id")
		kind, _ := r.integer("member_type")
		p, found := b.byRow[member], names[group]
		if r.bad() || found.spoilt {
			if p == nil {
				b.unread = with(b.unread, "CATEGORIES")
			} else {
				p.unread = with(p.unread, "CATEGORIES")
			}
		}
		if kind != 0 {
			b.s.note(r.id, "a group is in another group, which categories cannot say")
		} else if p != nil && found.text != "" && len(p.groups) < maxGroups {
			p.groups = append(p.groups, found.text)
		}
	}
	return nil
}

// texts returns the names in a column of a table by row.
func (s *store) texts(ctx context.Context, table, column string) (map[int64]name, error) {
	found := map[int64]name{}
	for r, err := range s.rows(ctx, table, column) {
		if err != nil {
			return nil, err
		}
		n := name{text: r.text(column)}
		n.spoilt = r.bad() || len(n.text) > maxName
		if len(n.text) > maxName {
			s.lost(r.id, "a name in table %s has more than %d bytes, and is cut there", table, maxName)
			n.text = cutText(n.text, maxName)
		}
		found[r.id] = n
	}
	return found, nil
}
