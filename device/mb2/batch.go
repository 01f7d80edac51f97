package mb2

import (
	"maps"
	"slices"
)

// batch collects what became of the names in one order. One failure does not
// stop the others.
type batch struct {
	details map[string]any
}

// note adds what became of a name.
func (b *batch) note(name string, status Status) {
	if status == StatusOK {
		return
	}
	if b.details == nil {
		b.details = map[string]any{}
	}
	b.details[name] = map[string]any{"DLFileErrorString": status.text(), "DLFileErrorCode": int64(status)}
}

// reply is one status for all of them.
func (b *batch) reply() reply {
	if len(b.details) == 0 {
		return reply{}
	}
	return reply{status: StatusMulti, value: b.details}
}

// sorted returns the keys in an order that does not change from run to run.
func sorted(pairs map[string]string) []string {
	return slices.Sorted(maps.Keys(pairs))
}
