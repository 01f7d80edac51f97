package mb2_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"russet/backend"
	"russet/device/mb2"
	"russet/device/sim/agent"
)

// TestSpoolFull: the drive of the spool is full after so many bytes of an
// encrypted backup. The phone is told that there is no room, and once there is
// the run goes on.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	x := newRig(t, "secret")
	x.day(0)
	first := x.whole(agent.Script{})
	x.day(1)
	dry := x.clone().whole(agent.Script{})
	stride := 15
	switch {
	case soak():
		stride = 1
	case testing.Short():
		stride = 60
	}
	full := 0
	for pages := 1; ; pages += stride {
		y := x.clone()
		if err := syscall.Mount("tmpfs", y.spool, "tmpfs", 0, fmt.Sprintf("size=%d", 4096*pages)); err != nil {
			if !errors.Is(err, syscall.EPERM) {
				t.Fatal(err)
			}
			t.Skipf("not here: a drive of its own, without the right to mount one: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(y.spool, syscall.MNT_DETACH); err != nil {
				t.Errorf("unmount: %v", err)
			}
		})
		o := y.run(agent.Script{}, false)
		if o.host == nil {
			y.gives(o.snapshot.Snapshot, y.holds())
			if full < 2 {
				t.Errorf("the spool was full %d times", full)
			}
			return
		}
		full++
		refused, ok := errors.AsType[*mb2.PhoneError](o.host)
		if !backend.IsFull(o.host) || o.phone != nil && (!ok || refused.Code != 105 && refused.Code != 104) || len(o.report.Violations) > 0 {
			t.Errorf("%d pages: host: %v; phone: %v", pages, o.host, o.phone)
		}
		if err := syscall.Mount("", y.spool, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
		y.goesOn(fmt.Sprintf("%d pages", pages), first, dry, nil)
		if t.Failed() {
			t.FailNow()
		}
	}
}
