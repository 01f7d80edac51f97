package capture

import "testing"

// TestHistory opens of a phone with many versions only the newest, and the
// others when they are asked for.
func TestHistory(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	for range 3 {
		backUp(t, se, s)
		s.next()
	}
	p := openFolder(t, se, s)
	if got, want := len(p.history.snapshots), 3; got != want {
		t.Fatalf("got %d snapshots, want %d", got, want)
	}
	if got, want := len(p.history.opened), 1; got != want {
		t.Errorf("opened %d versions, want %d", got, want)
	}
	oldest := p.history.snapshots[2]
	v, err := p.history.newest(t.Context(), func(v *Version) bool { return v.Snapshot == oldest })
	if err != nil || v == nil {
		t.Errorf("the oldest version: got %v, %v", v, err)
	}
	again, err := p.history.newest(t.Context(), (*Version).usable)
	if err != nil || again != p.parent {
		t.Errorf("the newest version: got %v, %v, want the one that is built upon", again, err)
	}
	if err := p.Drop(); err != nil {
		t.Error(err)
	}
}
