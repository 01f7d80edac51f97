package records

import "russet/internal/vobject"

func reminderPlaces() []place { return nil }

func reminderColumns() []string { return nil }

func reminderRow(*Row, *vobject.Component) {}
