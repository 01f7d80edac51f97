package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	second, err := r.AddKey(ctx, "second", cheap, Owner{Hostname: "h", Username: "u", Time: testTime().AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := r.Keys(ctx)
	if err != nil || len(keys) != 2 || !keys[0].Current || keys[1].Current || keys[1].ID != second || keys[1].Owner.Username != "u" || keys[1].Cost != cheap {
		t.Fatalf("got %+v, %v", keys, err)
	}
	if id, err := r.FindKey(ctx, second.String()[:8]); err != nil || id != second {
		t.Errorf("find: got %v, %v", id, err)
	}
	for _, prefix := range []string{"", "zz", second.String() + "0"} {
		if _, err := r.FindKey(ctx, prefix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("find %q: got %v", prefix, err)
		}
	}
	if err := r.RemoveKey(ctx, r.KeyID()); err == nil {
		t.Error("the key in use was removed")
	}
	if err := r.RemoveKey(ctx, second); err != nil {
		t.Error(err)
	}
	if _, err := Open(ctx, be, "second"); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("got %v, want a wrong password", err)
	}
	id, err := r.ChangePassword(ctx, "third", cheap, Owner{Time: testTime()})
	if err != nil || r.KeyID() != id {
		t.Errorf("got %v, %v, want %v", r.KeyID(), err, id)
	}
	if _, err := Open(ctx, be, testPassword); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("got %v, want a wrong password", err)
	}
	if again, err := Open(ctx, be, "third"); err != nil || again.ID() != r.ID() {
		t.Error(err)
	}
	f := backend.File{Kind: backend.Key, Name: chunk.Sum([]byte("x")).String()}
	if err := be.Save(ctx, f, []byte("y")); err != nil {
		t.Fatal(err)
	}
	if keys, err := r.Keys(ctx); err != nil || len(keys) != 2 || !keys[0].Damaged {
		t.Errorf("got %+v, %v, want a damaged one first", keys, err)
	}
}

func TestKeysAreTooMany(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	for n := 1; n < maxKeys; n++ {
		if _, err := r.AddKey(t.Context(), fmt.Sprint(n), cheap, Owner{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.AddKey(t.Context(), "one more", cheap, Owner{}); !errors.Is(err, errManyKeys) {
		t.Errorf("got %v, want %v", err, errManyKeys)
	}
	if _, err := r.ChangePassword(t.Context(), "other", cheap, Owner{}); err != nil {
		t.Error(err)
	}
}

// TestChangePasswordFaults changes a password on a place that fails, or at which
// the process dies, at every operation: one of the two passwords must open it,
// and the new one where it was reported set.
func TestChangePasswordFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	start := backend.NewMemory()
	initRepo(t, start, 2)
	opens := func(be backend.Backend, password string) bool {
		_, err := Open(ctx, be, password)
		return err == nil
	}
	for _, kind := range []func(n int) backendtest.Faults{
		func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n} },
		func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n, Late: true} },
		func(n int) backendtest.Faults { return backendtest.Faults{FailAt: n, FailCount: -1} },
		func(n int) backendtest.Faults { return backendtest.Faults{DieAt: n} },
		func(n int) backendtest.Faults {
			return backendtest.Faults{DieAt: n, Tear: func(size int) int { return size / 2 }}
		},
	} {
		for n := 1; ; n++ {
			be, err := backendtest.Copy(ctx, start)
			if err != nil {
				t.Fatal(err)
			}
			faulty := backendtest.NewFaulty(be, kind(n))
			r, err := Open(ctx, faulty, testPassword)
			if err == nil {
				_, err = r.ChangePassword(ctx, "new", cheap, Owner{})
			}
			before, after := opens(be, testPassword), opens(be, "new")
			if err == nil && (before || !after) || !before && !after {
				t.Fatalf("%+v: old opens %v, new opens %v after %v", kind(n), before, after, err)
			}
			if !faulty.Fired() {
				break
			}
		}
	}
}

// TestAddKeyReadsBack adds a key to a place that keeps other bytes than it got.
func TestAddKeyReadsBack(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	initRepo(t, be, 2)
	r, err := Open(t.Context(), forgetful{be}, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ChangePassword(t.Context(), "new", cheap, Owner{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want damage", err)
	}
	if keys, err := r.Keys(t.Context()); err != nil || len(keys) != 1 || !keys[0].Current {
		t.Errorf("got %+v, %v, want the old key alone", keys, err)
	}
}

// forgetful saves files with their last byte changed.
type forgetful struct{ backend.Backend }

func (b forgetful) Save(ctx context.Context, f backend.File, data []byte) error {
	data = append([]byte(nil), data...)
	data[len(data)-1]++
	return b.Backend.Save(ctx, f, data)
}
