package records

import (
	"context"
	"strings"

	"russet/internal/vobject"
)

// Values of Participant.entity_type.
const (
	personAttendee  = 7
	personOrganizer = 8
)

// participant is an attendee or the organizer of an event.
type participant struct {
	id                 int64
	organizer          bool
	name, uri          string
	status, role, kind int64
}

// Values of Participant.status, role and type; what is not in them is not said.
var (
	partStatuses = map[int64]string{0: "NEEDS-ACTION", 1: "ACCEPTED", 2: "DECLINED", 3: "TENTATIVE", 4: "DELEGATED"}
	partRoles    = map[int64]string{1: "REQ-PARTICIPANT", 2: "OPT-PARTICIPANT", 3: "CHAIR", 4: "NON-PARTICIPANT"}
	partKinds    = map[int64]string{2: "ROOM", 3: "RESOURCE", 4: "GROUP"}
)

func (c *calendarStore) readPeople(ctx context.Context) error {
	type identity struct {
		name, address string
		bad           bool
	}
	identities := map[int64]identity{}
	for r, err := range c.rows(ctx, "Identity", "display_name", "address", "first_name", "last_name") {
		if err != nil {
			return err
		}
		name := r.text("display_name")
		if name == "" {
			name = strings.TrimSpace(r.text("first_name") + " " + r.text("last_name"))
		}
		address := r.text("address")
		identities[r.id] = identity{name, address, r.bad()}
	}
	for r, err := range c.rows(ctx, "Participant", "entity_type", "type", "status", "role", "identity_id", "owner_id", "email", "phone_number") {
		if err != nil {
			return err
		}
		entity, _ := r.integer("entity_type")
		owner, _ := r.integer("owner_id")
		key, _ := r.integer("identity_id")
		p := participant{id: r.id, organizer: entity == personOrganizer, name: identities[key].name}
		p.uri = personURI(r.text("email"), identities[key].address, r.text("phone_number"))
		p.kind, _ = r.integer("type")
		p.role, _ = r.integer("role")
		status, ok := r.integer("status")
		if p.status = status; !ok {
			p.status = -1
		}
		if r.bad() || identities[key].bad {
			c.unread.add(owner, !r.bad("owner_id"), peopleProperties...)
		}
		if entity != personAttendee && entity != personOrganizer {
			continue
		}
		c.people[owner] = append(c.people[owner], p)
	}
	return nil
}

// personURI returns the address of a person; Apple's clients write invalid:nomail
// where there is none.
func personURI(mail, address, phone string) string {
	mail, address, phone = cleanURI(mail), cleanURI(address), cleanURI(phone)
	switch {
	case mail != "":
		return "mailto:" + strings.TrimPrefix(mail, "mailto:")
	case strings.Contains(address, ":"):
		return address
	case address != "":
		return "mailto:" + address
	case phone != "":
		return "tel:" + phone
	}
	return "invalid:nomail"
}

// addPeople adds the organizer and the attendees. SCHEDULE-AGENT (RFC 6638 7.1)
// keeps servers from sending invitations for what is only a copy.
func addPeople(c *vobject.Component, people []participant, organizer int64) {
	agent := vobject.Param{Name: "SCHEDULE-AGENT", Values: []string{"NONE"}}
	var attendees []vobject.Line
	var chief *vobject.Line
	for _, p := range people {
		var params []vobject.Param
		add := func(name, value string) {
			if value != "" {
				params = append(params, vobject.Param{Name: name, Values: []string{value}})
			}
		}
		add("CN", p.name)
		if p.organizer {
			l := vobject.NewLine("ORGANIZER", p.uri, append(params, agent)...)
			if chief == nil || p.id == organizer {
				chief = &l
			}
			continue
		}
		add("CUTYPE", partKinds[p.kind])
		add("PARTSTAT", partStatuses[p.status])
		add("ROLE", partRoles[p.role])
		attendees = append(attendees, vobject.NewLine("ATTENDEE", p.uri, append(params, agent)...))
	}
	if chief != nil {
		c.Add(*chief)
	}
	c.Add(attendees...)
}
