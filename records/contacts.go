package records

import "russet/internal/vobject"

func contactPlaces() []place { return nil }

func contactColumns() []string {
	return []string{"name", "organization", "phones", "emails", "birthday"}
}

func contactRow(*Row, *vobject.Component) {}
