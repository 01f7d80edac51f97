package records

import (
	"cmp"
	"context"
	"encoding/hex"
	"path"
	"slices"
	"strings"
)

// reminderStores is where each account's reminders lie since iOS 13, below a
// folder that has moved.
const reminderStores = "Container_v1/Stores/Data-*.sqlite"

func reminderPlaces() []place {
	modern := []reader{{name: "iOS 13 and later", fits: fitsReminders, read: readReminders}}
	return []place{
		{domain: "AppDomainGroup-group.com.apple.reminders", path: reminderStores, readers: modern},
		{domain: "HomeDomain", path: "Library/Reminders/" + reminderStores, readers: modern},
		{domain: "HomeDomain", path: calendarPath, readers: []reader{
			{name: "iOS 12 and earlier", fits: fitsCalendar, read: readOldReminders},
		}},
	}
}

func fitsReminders(s schema) bool {
	return s.has("Z_PRIMARYKEY", "Z_ENT", "Z_NAME") && s.has("ZREMCDOBJECT", "Z_ENT") &&
		s.has("ZREMCDREMINDER", "Z_ENT", "ZTITLE", "ZCOMPLETED", "ZLIST")
}

// reminderStore is what the tables around ZREMCDREMINDER hold.
type reminderStore struct {
	*store
	names    map[int64]string // of the entities: their numbers differ from store to store
	lists    map[int64]string // IDs of the containers by row; "" of those that are deleted
	labels   map[int64]string // names of hashtags
	triggers map[int64]reminderTrigger
	zones    zones
	unread   unreadable // by reminder

	// What belongs to each reminder.
	tags   map[int64][]string
	urls   map[int64][]string
	rules  map[int64][]storedRule
	alarms map[int64][]pendingAlarm
}

// pendingAlarm is an alarm whose trigger is a row of its own.
type pendingAlarm struct {
	alarm
	row, trigger int64
}

// maxEntities bounds Z_PRIMARYKEY; stores have some 60.
const maxEntities = 10_000

// readReminders reads a store of iOS 13 and later.
func readReminders(ctx context.Context, s *store) error {
	c := &reminderStore{
		store: s, names: map[int64]string{}, lists: map[int64]string{}, labels: map[int64]string{}, triggers: map[int64]reminderTrigger{},
		tags: map[int64][]string{}, urls: map[int64][]string{}, rules: map[int64][]storedRule{}, alarms: map[int64][]pendingAlarm{},
	}
	for r, err := range c.rows(ctx, "Z_PRIMARYKEY", "Z_ENT", "Z_NAME") {
		if err != nil {
			return err
		}
		if n, ok := r.integer("Z_ENT"); ok && len(c.names) < maxEntities {
			c.names[n] = r.text("Z_NAME")
		}
	}
	for r, err := range c.rows(ctx, "ZREMCDHASHTAGLABEL", "Z_PK", "ZNAME") {
		if err != nil {
			return err
		}
		c.labels[r.id] = r.text("ZNAME")
	}
	missing, err := s.readParts(ctx, []part{{c.readLists, nil}, {c.readObjects, []string{"CATEGORIES", "RRULE", "URL", "VALARM"}}})
	if err != nil {
		return err
	}
	c.unread.all = with(c.unread.all, missing...)
	return c.readReminders(ctx)
}

// listColumns are those columns that a list may have, in its own table or among
// ZREMCDOBJECT's, where several entities keep a name in columns of their own.
var listColumns = []string{
	"Z_ENT", "ZIDENTIFIER", "ZCKIDENTIFIER", "ZNAME", "ZNAME1", "ZNAME2", "ZNAME3", "ZISGROUP", "ZMARKEDFORDELETION", "ZACCOUNT",
	"ZACCOUNT1", "ZACCOUNT2", "ZACCOUNT3", "ZPARENTACCOUNT", "ZPARENTACCOUNT1", "ZCOLOR", "ZCOLOR1", "ZDAISREADONLY",
}

// readLists reads the lists, wherever this version keeps them, and the accounts
// that they belong to.
func (c *reminderStore) readLists(ctx context.Context) error {
	accounts, err := c.readListAccounts(ctx)
	if err != nil {
		return err
	}
	for _, table := range []string{"ZREMCDBASELIST", "ZREMCDOBJECT"} {
		for r, err := range c.rows(ctx, table, listColumns...) {
			if err != nil {
				return err
			}
			if _, there := c.lists[r.id]; there || !c.isList(table, r) {
				continue
			}
			if isSet(r, "ZMARKEDFORDELETION") {
				c.lists[r.id] = ""
				continue
			}
			account := firstInteger(r, "ZACCOUNT", "ZACCOUNT1", "ZACCOUNT2", "ZACCOUNT3", "ZPARENTACCOUNT", "ZPARENTACCOUNT1")
			made := Container{Name: firstText(r, "ZNAME", "ZNAME1", "ZNAME2", "ZNAME3"), Account: accounts[account], Type: "other"}
			made.Color = colorText(cmp.Or(r.text("ZCOLOR"), r.text("ZCOLOR1")))
			if path.Base(c.path) == "Data-local.sqlite" {
				made.Type, made.Account, made.Synced = "local", "", true
			}
			if made.ID = rowUUID(r, "ZIDENTIFIER", "ZCKIDENTIFIER"); made.ID == "" {
				made.ID = contentID("list", path.Base(c.path), made.Name)
			}
			c.lists[r.id] = made.ID
			if !slices.ContainsFunc(c.set.Containers, func(o Container) bool { return o.ID == made.ID }) {
				c.set.Containers = append(c.set.Containers, made)
			}
		}
	}
	return nil
}

// isList tells lists of reminders from groups of lists, smart lists and whatever
// else the table holds.
func (c *reminderStore) isList(table string, r row) bool {
	if isSet(r, "ZISGROUP") {
		return false
	}
	entity, _ := r.integer("Z_ENT")
	name := c.names[entity]
	return name == "REMCDList" || table == "ZREMCDBASELIST" && (name == "REMCDBaseList" || name == "")
}

// readListAccounts returns the accounts' names by row.
func (c *reminderStore) readListAccounts(ctx context.Context) (map[int64]string, error) {
	accounts := map[int64]string{}
	for r, err := range c.rows(ctx, "ZREMCDOBJECT", "Z_ENT", "ZNAME", "ZNAME1", "ZNAME2", "ZNAME3") {
		if err != nil {
			return nil, err
		}
		if entity, _ := r.integer("Z_ENT"); c.names[entity] == "REMCDAccount" {
			accounts[r.id] = firstText(r, "ZNAME", "ZNAME1", "ZNAME2", "ZNAME3")
		}
	}
	return accounts, nil
}

func firstText(r row, columns ...string) string {
	for _, c := range columns {
		if s := r.text(c); s != "" {
			return s
		}
	}
	return ""
}

func firstInteger(r row, columns ...string) int64 {
	for _, c := range columns {
		if n, ok := r.integer(c); ok && n > 0 {
			return n
		}
	}
	return 0
}

// rowUUID returns an identifier: the UUID of 16 bytes in upper case, or a text as it
// is. All zeros are none.
func rowUUID(r row, columns ...string) string {
	for _, c := range columns {
		if b := r.bytes(c); len(b) == 16 {
			if slices.Max(b) == 0 {
				continue
			}
			h := strings.ToUpper(hex.EncodeToString(b))
			return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		}
		if s := strings.TrimSpace(r.text(c)); s != "" && len(s) <= 200 {
			return s
		}
	}
	return ""
}

// reminderColumnNames are the columns of ZREMCDREMINDER.
var reminderColumnNames = []string{
	"ZIDENTIFIER", "ZCKIDENTIFIER", "ZDACALENDARITEMUNIQUEIDENTIFIER", "ZTITLE", "ZTITLE1", "ZNOTES", "ZNOTES1", "ZCOMPLETED",
	"ZCOMPLETIONDATE", "ZFLAGGED", "ZPRIORITY", "ZALLDAY", "ZDUEDATE", "ZSTARTDATE", "ZTIMEZONE", "ZDISPLAYDATETIMEZONE",
	"ZCREATIONDATE", "ZLASTMODIFIEDDATE", "ZMARKEDFORDELETION", "ZPARENTREMINDER", "ZLIST", "ZICSURL",
}

// todoProperties are the properties that columns of ZREMCDREMINDER become.
var todoProperties = map[string][]string{
	"ZTITLE": {"SUMMARY"}, "ZTITLE1": {"SUMMARY"}, "ZNOTES": {"DESCRIPTION"}, "ZNOTES1": {"DESCRIPTION"}, "ZICSURL": {"URL"},
	"ZCOMPLETED": {"COMPLETED", "PERCENT-COMPLETE", "STATUS"}, "ZCOMPLETIONDATE": {"COMPLETED"}, "ZFLAGGED": {"X-APPLE-FLAGGED"},
	"ZPRIORITY": {"PRIORITY"}, "ZALLDAY": {"DTSTART", "DUE"}, "ZDUEDATE": {"DTSTART", "DUE"}, "ZSTARTDATE": {"DTSTART"}, "ZPARENTREMINDER": {"RELATED-TO"},
}

// todoIdentity are the columns without which a reminder looks like another one, or like
// one of another list.
var todoIdentity = []string{
	"ZIDENTIFIER", "ZCKIDENTIFIER", "ZDACALENDARITEMUNIQUEIDENTIFIER", "ZLIST", "ZMARKEDFORDELETION",
}

// readReminders reads the reminders that are not deleted.
func (c *reminderStore) readReminders(ctx context.Context) error {
	var todos []*todo
	byRow := map[int64]*todo{}
	for r, err := range c.rows(ctx, "ZREMCDREMINDER", reminderColumnNames...) {
		if err != nil {
			return err
		}
		list, _ := r.integer("ZLIST")
		container, known := c.lists[list]
		if isSet(r, "ZMARKEDFORDELETION") || known && container == "" {
			continue
		}
		if !known {
			c.note(r.id, "a reminder belongs to a list that is not there")
			lost := Container{ID: contentID("list", path.Base(c.path)), Type: "other"}
			c.lists[list], container = lost.ID, lost.ID
			c.set.Containers = append(c.set.Containers, lost)
		}
		t := c.readTodo(r)
		t.container = container
		c.set.Complete = c.set.Complete && !r.bad(todoIdentity...)
		todos = append(todos, t)
		byRow[r.id] = t
	}
	c.nameTodos(todos, &c.unread)
	for _, t := range todos {
		if p := byRow[t.parentRow]; p != nil && p != t {
			t.parent = p.uid
		}
		c.set.Records = append(c.set.Records, t.record(&c.unread))
	}
	return nil
}

func (c *reminderStore) readTodo(r row) *todo {
	t := &todo{
		id: r.id, uid: rowUUID(r, "ZIDENTIFIER", "ZCKIDENTIFIER", "ZDACALENDARITEMUNIQUEIDENTIFIER"),
		summary: firstText(r, "ZTITLE", "ZTITLE1"), description: firstText(r, "ZNOTES", "ZNOTES1"), url: r.text("ZICSURL"),
		done: isSet(r, "ZCOMPLETED"), flagged: isSet(r, "ZFLAGGED"),
		completed: someTime(r, "ZCOMPLETIONDATE"), due: someTime(r, "ZDUEDATE"), start: someTime(r, "ZSTARTDATE"),
		created: someTime(r, "ZCREATIONDATE"), modified: someTime(r, "ZLASTMODIFIEDDATE"),
		tags: c.tags[r.id], rules: c.rules[r.id],
	}
	t.priority, _ = r.integer("ZPRIORITY")
	t.parentRow, _ = r.integer("ZPARENTREMINDER")
	if t.url == "" && len(c.urls[r.id]) > 0 {
		t.url = c.urls[r.id][0]
	}
	t.clock = c.todoClock(r, isSet(r, "ZALLDAY"))
	for _, column := range *r.spoilt {
		c.unread.add(r.id, true, todoProperties[column]...)
	}
	for _, a := range c.alarms[r.id] {
		trigger, ok := c.triggers[a.trigger]
		if !ok || trigger.bad {
			c.unread.add(r.id, true, "VALARM")
		}
		switch {
		case !ok:
			c.lost(a.row, "an alarm has no trigger")
		case trigger.err != nil:
			c.lost(a.row, "an alarm is not understood: %v", trigger.err)
		default:
			made := trigger.alarm
			if !trigger.local.IsZero() {
				made.at = trigger.moment(t.clock)
			}
			made.uid, made.acknowledged = a.uid, a.acknowledged
			t.alarms = append(t.alarms, made)
		}
	}
	for _, rule := range t.rules {
		if rule.err != nil {
			c.lost(rule.id, "a recurrence is not understood, so that the reminder stands once: %v", rule.err)
		}
	}
	return t
}

// todoClock returns the clock of a reminder's times: the day in UTC of all-day
// ones, the zone that it was made in of the others, and UTC where none is said.
func (c *reminderStore) todoClock(r row, allDay bool) clock {
	name := cmp.Or(r.text("ZTIMEZONE"), r.text("ZDISPLAYDATETIMEZONE"))
	if allDay {
		name = ""
	}
	z, err := c.zones.find(name)
	if err != nil {
		c.note(r.id, "its time is written in UTC: %v", err)
		z, _ = c.zones.find("")
	}
	return clock{zone: z, date: allDay}
}
