package mb2_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"russet/backend/backendtest"
	"russet/device/mb2"
	"russet/device/sim/agent"
)

// long says that there is time. Under the race detector each of many rounds
// does a part.
func long() bool { return os.Getenv("RUSSET_SOAK") == "1" }

// soak says that nothing is left out.
func soak() bool { return long() && !raced }

// day puts on the phone what is there on a day.
func (x *rig) day(n int) {
	x.t.Helper()
	at := int64(1_700_000_000 + 86_400*n)
	if n == 0 {
		for _, name := range []string{"a", "changed", "gone", "Library/b", "Library/Deep/er/c"} {
			x.put("HomeDomain", name, strings.Repeat(name+" of day 0. ", 900), at)
		}
		x.put("HomeDomain", "empty", "", at)
		x.put("CameraRollDomain", "Media/long", noise(300_000, 0), at)
		return
	}
	x.put("HomeDomain", "changed", strings.Repeat("new content ", 400), at)
	x.put("HomeDomain", "added", noise(300_000, n), at)
	x.put("HomeDomain", "Library/empty too", "", at)
	x.put("HomeDomain", "empty", "not so any more", at)
	if err := errors.Join(
		os.Remove(x.path("HomeDomain", "gone")),
		os.Rename(x.path("HomeDomain", "Library/Deep"), x.path("HomeDomain", "Deep")),
	); err != nil {
		x.t.Fatal(err)
	}
}

func noise(n, seed int) string { return string(backendtest.Bytes(n, byte(seed+1))) }

// steps are those at which a run is cut: where files go, most of them; of the
// hundreds of folders that are made and listed few, but for soaking.
func steps(t *testing.T, o outcome) (all []int) {
	t.Helper()
	dull := 0
	for i, e := range o.events {
		folder := strings.HasSuffix(e.Message, "Directory") ||
			e.Message == "DLMessageStatusResponse" && i > 0 && strings.HasSuffix(o.events[i-1].Message, "Directory")
		if folder {
			dull++
		}
		if e.Message == "" || folder && dull%211 != 1 && !long() {
			continue
		}
		all = append(all, e.Step)
	}
	if len(all) < 20 || all[len(all)-1] != o.report.Steps {
		t.Fatalf("got the steps %v of %d", all, o.report.Steps)
	}
	return all
}

// someOf thins steps out.
func someOf(all []int, few, shift int) (some []int) {
	stride := max(1, len(all)/few)
	switch {
	case soak():
		stride = 1
	case long():
		stride = 97
		shift = rand.IntN(stride)
	case testing.Short():
		stride *= 2
	}
	for i := shift % stride; i < len(all); i += stride {
		some = append(some, all[i])
	}
	return some
}

// each runs a test for a first and a next backup, plain and encrypted.
func each(t *testing.T, test func(t *testing.T, x *rig, first outcome, shift int)) {
	t.Helper()
	t.Parallel()
	for i, name := range []string{"plain first", "plain next", "encrypted first", "encrypted next"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newRig(t, []string{"", "secret"}[i/2])
			x.day(0)
			var first outcome
			if i%2 == 1 {
				first = x.whole(agent.Script{})
				x.day(1)
			}
			test(t, x, first, i)
		})
	}
}

// TestCutAtEachStep: the cable is pulled, and the host is killed at that very
// moment. The last snapshot stays; the next run is complete, no fallback, and
// sends and stores nothing again that was kept.
func TestCutAtEachStep(t *testing.T) {
	each(t, func(t *testing.T, x *rig, first outcome, shift int) {
		dry := x.clone().whole(agent.Script{Batch: 2})
		moving := stepOf(dry, "DLMessageMoveItems")
		all := append(someOf(steps(t, dry), 3, shift), inFiles(t, dry), moving)
		if testing.Short() {
			all = all[len(all)-2:]
		}
		for _, n := range all {
			y := x.clone()
			cut := y.run(agent.Script{Batch: 2, Disconnect: n}, false)
			if !errors.Is(cut.phone, agent.ErrCut) || !errors.Is(cut.host, mb2.ErrDisconnected) || len(cut.report.Violations) > 0 {
				t.Fatalf("step %d: host: %v; phone: %v", n, cut.host, cut.phone)
			}
			y.goesOn(fmt.Sprintf("step %d, pulled", n), first, dry, &cut)
			again := cut.killed.goesOn(fmt.Sprintf("step %d, killed", n), first, dry, nil)
			if n >= moving && again.report.Sent > 0 {
				t.Errorf("step %d, killed: %d files were sent again that a Status came after", n, again.report.Sent)
			}
			if t.Failed() {
				t.Fatalf("step %d of %d", n, dry.report.Steps)
			}
		}
	})
}

// goesOn makes the run after one that was cut. What was cut is nil where it is
// not known how much of it was kept.
func (x *rig) goesOn(when string, first, dry outcome, cut *outcome) outcome {
	x.t.Helper()
	if first.snapshot != nil {
		x.gives(first.snapshot.Snapshot, first.held)
	}
	x.sound()
	o := x.whole(agent.Script{})
	x.sound()
	if first.snapshot != nil && (o.report.Full || o.why != "") {
		x.t.Errorf("%s: the next run is full: %q", when, o.why)
	}
	if cut == nil {
		return o
	}
	if sent := cut.report.Sent; sent > 0 && (!o.resumed || o.report.Sent > dry.report.Sent-sent) {
		x.t.Errorf("%s: resumed %t; %d files were sent before, and %d of %d again", when, o.resumed, sent, o.report.Sent, dry.report.Sent)
	}
	return o
}

// stepOf is the step of the first message of a name.
func stepOf(o outcome, message string) int {
	for _, e := range o.events {
		if e.Message == message {
			return e.Step
		}
	}
	return 0
}

// TestRefusedAtEachStep: the phone gives up with an error of its own.
func TestRefusedAtEachStep(t *testing.T) {
	each(t, func(t *testing.T, x *rig, first outcome, shift int) {
		dry := x.clone().whole(agent.Script{})
		all := steps(t, dry)
		all = all[:len(all)-4] // at the last ones the phone answers
		for i, n := range someOf(all, 2, shift+1) {
			code := []int{208, 105, 202, 1, 205}[i%5]
			y := x.clone()
			o := y.run(agent.Script{Respond: []agent.Answer{{At: agent.Point{Step: n}, Code: code, Text: "no"}}}, false)
			if refused, ok := errors.AsType[*mb2.PhoneError](o.host); !ok || refused.Code != code {
				t.Fatalf("step %d: got %v; phone: %v", n, o.host, o.phone)
			}
			y.goesOn(fmt.Sprintf("step %d, refused with %d", n, code), first, dry, nil)
			o.killed.goesOn(fmt.Sprintf("step %d, refused with %d and killed", n, code), first, dry, nil)
			if t.Failed() {
				t.Fatalf("step %d of %d", n, dry.report.Steps)
			}
		}
	})
}

// TestFullAtEachWrite: the place of the repository is full from its n-th write
// on. The phone is told so, and the next run has room again.
func TestFullAtEachWrite(t *testing.T) {
	each(t, func(t *testing.T, x *rig, first outcome, shift int) {
		dry := x.clone().whole(agent.Script{})
		stride := 1
		if testing.Short() {
			stride = 4
		}
		for n := 1; ; n += stride {
			y := x.clone()
			store := y.be
			faulty := backendtest.NewFaulty(store, backendtest.Faults{
				FailAt: n, FailCount: -1, Err: syscall.ENOSPC,
				Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Save },
			})
			y.be = faulty
			o := y.run(agent.Script{}, false)
			if !faulty.Fired() {
				o.fine(t)
				if n < 4 {
					t.Errorf("there were %d writes", n-1)
				}
				return
			}
			if !errors.Is(o.host, syscall.ENOSPC) {
				t.Fatalf("write %d: host: %v; phone: %v", n, o.host, o.phone)
			}
			y.be = store
			y.goesOn(fmt.Sprintf("write %d", n), first, dry, nil)
		}
	})
}
