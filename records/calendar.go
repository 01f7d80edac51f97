package records

import "russet/internal/vobject"

func calendarPlaces() []place { return nil }

func calendarColumns() []string { return nil }

func calendarRow(*Row, *vobject.Component) {}
