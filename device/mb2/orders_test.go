package mb2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestOrders(t *testing.T) {
	t.Parallel()
	u := udid + "/"
	none := map[string]any{}
	for _, c := range []struct {
		name  string
		args  []any
		want  Status
		value any
		calls string
	}{
		{"DLMessageCreateDirectory", []any{u + "new", none, 1.0}, StatusOK, none, "Mkdir " + u + "new"},
		{"DLMessageCreateDirectory", []any{u + "new"}, StatusOK, none, "Mkdir " + u + "new"},
		{"DLMessageCreateDirectory", []any{udid, none, 1.0, "more", 7.0}, StatusExists, none, "Mkdir " + udid},
		{"DLMessageCreateDirectory", []any{uint64(1)}, StatusBadParameter, none, ""},
		{"DLMessageCreateDirectory", nil, StatusBadParameter, none, ""},
		{"DLContentsOfDirectory", []any{u + "gone", none, 1.0}, StatusNotFound, none, "List " + u + "gone"},
		{"DLContentsOfDirectory", []any{u + "file"}, StatusNotDir, none, "List " + u + "file"},
		{"DLContentsOfDirectory", []any{"."}, StatusBadParameter, none, ""},
		{"DLMessageRemoveDirectory", []any{u + "ab"}, StatusOK, none, "Remove " + u + "ab"},
		{"DLMessageRemoveDirectory", []any{u + "gone"}, StatusOK, none, "Remove " + u + "gone"},
		{"DLMessageRemoveDirectory", []any{"/etc"}, StatusBadParameter, none, ""},
		{"DLMessageCopyItem", []any{udid, udid + "-20260102-030405", none, 1.0, uint64(9)}, StatusOK, none, "Copy " + udid + " " + udid + "-20260102-030405"},
		{"DLMessageCopyItem", []any{udid, udid + "-2026", none, 1.0}, StatusBadParameter, none, ""},
		{"DLMessageCopyItem", []any{u + "gone", u + "to"}, StatusNotFound, none, "Copy " + u + "gone " + u + "to"},
		{"DLMessageGetFreeDiskSpace", nil, StatusOK, uint64(1 << 40), "Free"},
		{"DLMessagePurgeDiskSpace", []any{uint64(1 << 33), uint64(4)}, StatusOK, uint64(0), ""},
		{"DLMessagePurgeDiskSpace", []any{"much", uint64(4)}, StatusBadParameter, none, ""},
		{"DLMessagePurgeDiskSpace", []any{int64(-6), uint64(4)}, StatusBadParameter, none, ""},
		{"DLMessageFutureOrder", []any{"x", none}, StatusError, none, ""},
		{processMessage, []any{map[string]any{"MessageName": "Question", "ErrorCode": uint64(0)}}, StatusError, none, ""},
		{processMessage, nil, StatusError, none, ""},
	} {
		f := newFolder(t, u+"file", "content", u+first, "1")
		err := ordered(t, f, Options{}, func(p *phone) {
			p.say(c.name, c.args...)
			if got := p.wantStatus(c.want); fmt.Sprint(got) != fmt.Sprint(c.value) {
				t.Errorf("got the value %v, want %v", got, c.value)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := strings.Join(f.calls, ", "); got != c.calls {
			t.Errorf("%s: got the calls %q, want %q", c.name, got, c.calls)
		}
	}
}

func TestMoveAndRemove(t *testing.T) {
	t.Parallel()
	u := udid + "/"
	for _, spelling := range []string{"Files", "Items"} {
		f := newFolder(t, u+"a", "1", u+"b", "2", u+"c", "3", u+"Snapshot/d", "4")
		var violations []Violation
		o := Options{Violation: func(v Violation) { violations = append(violations, v) }}
		err := ordered(t, f, o, func(p *phone) {
			p.say("DLMessageMove"+spelling, map[string]any{
				u + "a": u + "x", u + "gone": u + "y", "../b": u + "z", u + "b": "/etc/passwd", u + "c": u + "b",
			}, map[string]any{}, 50.0)
			checkDetails(t, p.wantStatus(StatusMulti), map[string]Status{
				u + "gone": StatusNotFound, "../b": StatusBadParameter, u + "b": StatusBadParameter,
			})
			p.say("DLMessageRemove"+spelling, []any{u + "gone", "..", u + "x", u + "Snapshot"}, map[string]any{}, 50.0)
			checkDetails(t, p.wantStatus(StatusMulti), map[string]Status{"..": StatusBadParameter})
			p.say("DLMessageMove"+spelling, map[string]any{udid: udid + "-20260102-030405"})
			p.wantStatus(StatusOK)
			p.say("DLMessageMove"+spelling, map[string]any{u + "a": uint64(7)})
			p.wantStatus(StatusBadParameter)
			p.say("DLMessageRemove"+spelling, []any{u + "a", uint64(7)})
			p.wantStatus(StatusBadParameter)
		})
		if err != nil {
			t.Error(err)
		}
		f.want(udid+"-20260102-030405/b", "3")
		if len(violations) != 5 {
			t.Errorf("got %d violations, want 5: %v", len(violations), violations)
		}
		for _, v := range violations {
			if strings.Contains(v.String(), "etc") || v.Rule == "" || v.Order == "" {
				t.Errorf("got the violation %q", v)
			}
		}
	}
}

// checkDetails compares the value of StatusMulti.
func checkDetails(t testing.TB, value any, want map[string]Status) {
	t.Helper()
	got := map[string]Status{}
	dict, _ := value.(map[string]any)
	for name, v := range dict {
		d := v.(map[string]any)
		code, ok := Integer(d["DLFileErrorCode"])
		if text, _ := d["DLFileErrorString"].(string); !ok || text != Status(code).text() {
			t.Errorf("got the detail %v", d)
		}
		got[name] = Status(code)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got the details %v, want %v", got, want)
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err   error
		freed int64
		want  Status
	}{{nil, 5, StatusOK}, {nil, -5, StatusOK}, {errDisk, 0, StatusError}} {
		var asked int64
		o := Options{Version: 400, Purge: func(n int64) (int64, error) { asked = n; return c.freed, c.err }}
		err := ordered(t, newFolder(t), o, func(p *phone) {
			p.say("DLMessagePurgeDiskSpace", uint64(3<<30), uint64(4))
			if freed, _ := Integer(p.wantStatus(c.want)); freed != max(c.freed, 0) {
				t.Errorf("got %d bytes freed, want %d", freed, c.freed)
			}
		})
		if err != nil || asked != 3<<30 {
			t.Errorf("got %v, %d bytes asked", err, asked)
		}
	}
}

func TestFreeSpaceIsNeverNegative(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.free = -5
	if err := ordered(t, f, Options{}, func(p *phone) {
		p.say("DLMessageGetFreeDiskSpace")
		if free, ok := Integer(p.wantStatus(StatusOK)); !ok || free != 0 {
			t.Errorf("got %d", free)
		}
	}); err != nil {
		t.Error(err)
	}
}

// longNames lists names that no message holds.
type longNames struct{ *memFolder }

func (f longNames) List(context.Context, string) ([]Entry, error) {
	return slices.Repeat([]Entry{{Name: strings.Repeat("x", MaxMessage)}}, 1), nil
}

func TestListingTooLong(t *testing.T) {
	t.Parallel()
	err := ordered(t, longNames{newFolder(t)}, Options{}, func(p *phone) {
		p.say("DLContentsOfDirectory", udid)
		p.wantStatus(StatusError)
	})
	if err == nil {
		t.Error("the run succeeded without a listing")
	}
}

// A phone may do things in another order; what is shown never goes back.
func TestPhasesNeverGoBack(t *testing.T) {
	t.Parallel()
	u := udid + "/"
	var phases []Phase
	o := Options{Progress: func(p Progress) { phases = append(phases, p.Phase) }}
	if err := ordered(t, newFolder(t, u+"a", "1"), o, func(p *phone) {
		p.say("DLMessageRemoveItems", []any{u + "b"})
		p.wantStatus(StatusOK)
		p.say("DLMessageMoveItems", map[string]any{u + "a": u + "b"})
		p.wantStatus(StatusOK)
		p.download(u + "b")
		p.wantStatus(StatusOK)
		p.upload(1, u+"c", "1")
		p.wantStatus(StatusOK)
		p.say("DLMessageCreateDirectory", u+"d")
		p.wantStatus(StatusOK)
	}); err != nil {
		t.Error(err)
	}
	if !slices.IsSorted(phases) || phases[len(phases)-1] != PhaseVerifying {
		t.Errorf("got the phases %v", phases)
	}
}

func TestFreeSpaceUnknown(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.fails["Free"] = errDisk
	if err := ordered(t, f, Options{}, func(p *phone) {
		p.say("DLMessageGetFreeDiskSpace")
		p.wantStatus(StatusError)
	}); err != nil {
		t.Errorf("got %v: no figure is no fault of the run", err)
	}
}

func TestHostErrorsAreTold(t *testing.T) {
	t.Parallel()
	u := udid + "/"
	for _, c := range []struct {
		call string
		do   func(*phone)
	}{
		{"Mkdir " + u + "a", func(p *phone) { p.say("DLMessageCreateDirectory", u+"a") }},
		{"List " + u + "a", func(p *phone) { p.say("DLContentsOfDirectory", u+"a") }},
		{"Copy " + u + "a " + u + "b", func(p *phone) { p.say("DLMessageCopyItem", u+"a", u+"b") }},
		{"Move " + u + "a " + u + "b", func(p *phone) { p.say("DLMessageMoveItems", map[string]any{u + "a": u + "b"}) }},
		{"Remove " + u + "a", func(p *phone) { p.say("DLMessageRemoveItems", []any{u + "a"}) }},
		{"Open " + u + "a", func(p *phone) { p.download(u + "a") }},
		{"Read " + u + "file", func(p *phone) { p.download(u + "file") }},
		{"Create " + u + "a", func(p *phone) { p.upload(0, u+"a", "x") }},
		{"Write " + u + "a", func(p *phone) { p.upload(0, u+"a", "x") }},
		{"Commit " + u + "a", func(p *phone) { p.upload(0, u+"a", "x") }},
	} {
		for _, answer := range []int64{0, 104} {
			f := newFolder(t, u+"file", "content")
			f.fails[c.call] = errDisk
			err := converse(t, Options{}, func(p *phone) {
				p.request()
				c.do(p)
				got, value := p.status()
				if got == StatusMulti {
					for _, v := range value.(map[string]any) {
						code, _ := Integer(v.(map[string]any)["DLFileErrorCode"])
						got = Status(code)
					}
				}
				if got != StatusIO {
					t.Errorf("%s: got status %d, want %d", c.call, got, StatusIO)
				}
				p.respond(answer)
				p.farewell()
			}, backup(f))
			if !errors.Is(err, errDisk) {
				t.Errorf("%s, answer %d: got %v", c.call, answer, err)
			}
			if e, ok := errors.AsType[*PhoneError](err); ok != (answer != 0) || ok && e.Code != 104 {
				t.Errorf("%s, answer %d: got %v", c.call, answer, err)
			}
			if f.open != 0 || len(f.files) != 1 {
				t.Errorf("%s: the folder holds %v, %d open", c.call, f.files, f.open)
			}
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		arg  any
		want float64
	}{
		{12.5, 12.5},
		{float32(2), 2},
		{uint64(7), 7},
		{int64(-7), 0},
		{-1.5, 0},
		{1e9, 100},
		{math.Inf(1), 100},
		{math.Inf(-1), 0},
		{math.NaN(), 0},
		{"50", 0},
		{nil, 0},
	} {
		if got := (arguments{c.arg}).percent(0); got != c.want {
			t.Errorf("%v: got %v %%, want %v", c.arg, got, c.want)
		}
	}
	list := make([]any, maxBatch+1)
	dict := make(map[string]any, maxBatch+1)
	for i := range list {
		list[i] = "x"
		dict[fmt.Sprint(i)] = "x"
	}
	a := arguments{list, dict, list[1:]}
	if _, ok := a.texts(0); ok {
		t.Error("a list without bound was taken")
	}
	if _, ok := a.pairs(1); ok {
		t.Error("a dictionary without bound was taken")
	}
	delete(dict, "0")
	texts, ok := a.texts(2)
	pairs, ok2 := a.pairs(1)
	if !ok || !ok2 || len(texts) != maxBatch || len(pairs) != maxBatch {
		t.Errorf("got %d texts, %d pairs", len(texts), len(pairs))
	}
}
