package records

import ("time"; "russet/internal/vobject")

func Occurrences(o *vobject.Component, from, to time.Time, limit int) []time.Time { return nil }
