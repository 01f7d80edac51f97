package mb2_test

import (
	"errors"
	"testing"

	"russet/device/mb2"
	"russet/device/sim/agent"
	"russet/repo"
)

// under runs a check with the password of another time.
func (x *rig) under(password string, snap *repo.Snapshot, want map[string]string) {
	x.t.Helper()
	y := *x
	y.password = password
	y.gives(snap, want)
}

// TestChangePassword: the phone wraps the keys of its last backup anew, which is
// a version of its own. Older ones open with the password of their time, the next
// run is incremental, and switching encryption off or on begins a new chain,
// which is said.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	for _, noRewrap := range []bool{false, true} {
		x := newRig(t, "old")
		script := agent.Script{Behaviour: agent.Behaviour{NoRewrap: noRewrap}}
		x.script = script
		x.day(0)
		first := x.whole(script)
		changed := x.changePassword("new")
		if changed == nil || changed.Kept != noRewrap {
			t.Fatalf("no rewrap %t: got %+v", noRewrap, changed)
		}
		x.under("old", first.snapshot.Snapshot, first.held)
		if !noRewrap {
			x.under("new", changed.Snapshot, first.held)
			if changed.Summary.BytesRead > 100_000 || !changed.Snapshot.Time.After(first.snapshot.Snapshot.Time) {
				t.Errorf("got %+v at %v, after %v", changed.Summary, changed.Snapshot.Time, first.snapshot.Snapshot.Time)
			}
		}
		x.day(1)
		second := x.run(script, false)
		second.fine(t)
		if second.report.Full != noRewrap {
			t.Errorf("no rewrap %t: %+v, %q", noRewrap, second.report, second.why)
		}
		second.held = x.holds()
		x.under("new", second.snapshot.Snapshot, second.held)
		x.under("old", first.snapshot.Snapshot, first.held)

		for _, password := range []string{"", "again"} {
			x.changePassword(password)
			o := x.run(script, false)
			o.fine(t)
			if !o.report.Full || o.why == "" {
				t.Errorf("switched to %q: %+v, %q", password, o.report, o.why)
			}
			x.gives(o.snapshot.Snapshot, x.holds())
			if o = x.whole(script); o.report.Full || o.why != "" {
				t.Errorf("after the switch to %q: %+v, %q", password, o.report, o.why)
			}
		}
		x.under("old", first.snapshot.Snapshot, first.held)
		x.under("new", second.snapshot.Snapshot, second.held)
		x.sound()
	}
}

// TestWrongPassword: a change that the phone refuses changes nothing.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	x := newRig(t, "right")
	x.day(0)
	first := x.whole(agent.Script{})
	ph := x.open(false)
	o := x.talk(agent.Script{}, func(s *mb2.Session) error {
		return s.ChangePassword(t.Context(), ph, someUDID, "wrong", "new")
	})
	if refused, ok := errors.AsType[*mb2.PhoneError](o.host); !ok || refused.Code != 207 {
		t.Errorf("got %v", o.host)
	}
	if err := ph.Close(); err != nil {
		t.Error(err)
	}
	x.gives(first.snapshot.Snapshot, first.held)
	if o := x.whole(agent.Script{}); o.report.Full || o.report.Sent > 0 {
		t.Errorf("the next run: %+v", o.report)
	}
}

// TestPasswordWhileCut: the password is changed, or encryption switched, while a
// run is cut off. The phone goes on or starts over; nothing is lost.
func TestPasswordWhileCut(t *testing.T) {
	t.Parallel()
	for _, p := range []struct{ old, new string }{{"old", "new"}, {"", "new"}, {"old", ""}} {
		for _, next := range []bool{false, true} {
			if !next && testing.Short() {
				continue
			}
			x := newRig(t, p.old)
			x.day(0)
			var first outcome
			if next {
				first = x.whole(agent.Script{})
				x.day(1)
			}
			if o := x.run(agent.Script{Disconnect: cutInFiles(t, x, agent.Script{})}, false); !errors.Is(o.phone, agent.ErrCut) {
				t.Fatal(o.phone)
			}
			ph := x.open(false)
			x.talk(agent.Script{}, func(s *mb2.Session) error {
				return s.ChangePassword(t.Context(), ph, someUDID, p.old, p.new)
			}).fine(t)
			x.password = p.new
			if err := ph.Close(); err != nil {
				t.Error(err)
			}
			o := x.run(agent.Script{}, false)
			o.fine(t)
			if sum := o.snapshot.Summary; sum.FilesSealed+sum.Missing > 0 {
				t.Errorf("%q to %q: %+v", p.old, p.new, sum)
			}
			x.gives(o.snapshot.Snapshot, x.holds())
			if o = x.whole(agent.Script{}); o.report.Full || o.report.Sent > 0 {
				t.Errorf("%q to %q: the next run: %+v", p.old, p.new, o.report)
			}
			if next {
				x.under(p.old, first.snapshot.Snapshot, first.held)
			}
			x.sound()
		}
	}
}
