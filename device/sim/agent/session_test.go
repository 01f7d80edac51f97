package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"russet/device/mb2"
)

// shown is the reference host's folder as Russet's own host shows it.
type treeFolder struct{ *tree }

func (f treeFolder) Mkdir(_ context.Context, name string) error { return f.mkdir(name) }

func (f treeFolder) List(_ context.Context, name string) ([]mb2.Entry, error) {
	dir, err := f.at(name)
	if err != nil {
		return nil, err
	}
	if dir.dir == nil {
		return nil, mb2.ErrNotDir
	}
	var entries []mb2.Entry
	for name, e := range dir.dir {
		entries = append(entries, mb2.Entry{Name: name, Size: int64(len(e.data)), Dir: e.dir != nil, ModTime: treeTime()})
	}
	return entries, nil
}

func (f treeFolder) Open(_ context.Context, name string) (io.ReadCloser, error) {
	data, err := f.read(name)
	return io.NopCloser(bytes.NewReader(data)), err
}

// received is a file that comes.
type received struct {
	bytes.Buffer

	into treeFolder
	name string
}

func (r *received) Commit() error { return r.into.write(r.name, r.Bytes()) }
func (r *received) Abort()        {}

func (f treeFolder) Create(_ context.Context, name string) (mb2.File, error) {
	if _, err := f.parent(name); err != nil {
		return nil, err
	}
	return &received{into: f, name: name}, nil
}

func (f treeFolder) Move(_ context.Context, from, to string) error { return f.move(from, to) }
func (f treeFolder) Remove(_ context.Context, name string) error   { return f.remove(name) }
func (f treeFolder) Free(context.Context) (int64, error)           { return 1 << 40, nil }

func (f treeFolder) Copy(_ context.Context, from, to string) error {
	return (&host{root: f.tree}).copyItem(from, to)
}

// converse lets Russet's own host make one request.
func converse(ctx context.Context, p *Phone, call func(*mb2.Session) error) (report Report, phone, host error) {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		report, phone = p.Serve(ctx, theirs)
	}()
	s, host := mb2.Start(ctx, ours, mb2.Options{})
	if host == nil {
		host = errors.Join(call(s), s.Close())
	}
	<-done
	return report, phone, host
}

// Russet's own host keeps all rules that the reference host keeps.
func TestOwnHost(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		t.Run("password="+password, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, small())
			p, h := openPhone(t, d, Options{}), newHost()
			folder, udid := treeFolder{h.root}, d.Config().UDID
			good := func(call func(*mb2.Session) error) Report {
				t.Helper()
				report, phone, host := converse(t.Context(), p, call)
				if phone != nil || host != nil {
					t.Fatalf("phone: %v, host: %v", phone, host)
				}
				return report
			}
			backup := func(s *mb2.Session) error { return s.Backup(t.Context(), folder, udid, false) }
			if password != "" {
				good(func(s *mb2.Session) error { return s.ChangePassword(t.Context(), folder, udid, "", password) })
			}
			good(backup)
			for range 3 {
				if err := d.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
				if r := good(backup); r.Full || r.Fallback != "" {
					t.Errorf("got %+v", r)
				}
				same(t, meaning(t, h.backup(), password), written(t, d, password))
			}
			good(func(s *mb2.Session) error {
				return s.Restore(t.Context(), folder, udid, udid, mb2.RestoreOptions{Password: password})
			})
			if password != "" {
				good(func(s *mb2.Session) error { return s.ChangePassword(t.Context(), folder, udid, password, "new") })
				if r := good(backup); r.Full {
					t.Errorf("got %+v", r)
				}
				same(t, meaning(t, h.backup(), "new"), written(t, d, "new"))
			}
		})
	}
}

func TestOwnHostMeetsFaults(t *testing.T) {
	t.Parallel()
	c := quick(t, "a", "b", "c", "d")
	var hostile []Hostile
	for _, order := range []string{"upload", "mkdir", "move", "remove", "download", "list", "copy"} {
		for _, name := range []string{"../x", "/etc/x", "x", ".", small().UDID + "/../../x", "a//b"} {
			hostile = append(hostile, Hostile{Order: order, Name: name})
		}
	}
	for name, script := range map[string]Script{
		"EIO":     {Files: []FileTask{{N: 2, After: 3, Code: 11}}},
		"twice":   {Files: []FileTask{{N: 2, Twice: true}}, Batch: 1, Unit: 2},
		"old":     {Behaviour: Behaviour{OldSpelling: true}},
		"hostile": {Hostile: hostile},
		"purge":   {DeviceLink: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h := openPhone(t, c, Options{Script: script}), newHost()
			backup := func(s *mb2.Session) error { return s.Backup(t.Context(), treeFolder{h.root}, small().UDID, false) }
			if _, phone, host := converse(t.Context(), p, backup); phone != nil {
				t.Fatalf("phone: %v, host: %v", phone, host)
			}
			p.SetScript(Script{})
			if _, phone, host := converse(t.Context(), p, backup); phone != nil || host != nil {
				t.Fatalf("phone: %v, host: %v", phone, host)
			}
			same(t, contents(t, h.backup(), ""), contents(t, fresh(t, c), ""))
		})
	}
}

func TestOwnHostIsCut(t *testing.T) {
	t.Parallel()
	c := quick(t, "a", "b", "c")
	p, h := openPhone(t, c, Options{Script: Script{Batch: 2}}), newHost()
	backup := func(s *mb2.Session) error { return s.Backup(t.Context(), treeFolder{h.root}, small().UDID, false) }
	report, phone, host := converse(t.Context(), p, backup)
	if phone != nil || host != nil {
		t.Fatalf("phone: %v, host: %v", phone, host)
	}
	want := contents(t, h.backup(), "")
	for step := 1; step < report.Steps; step += 1 + step/9 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			p, h := openPhone(t, c, Options{Script: Script{Batch: 2, Disconnect: step}}), newHost()
			backup := func(s *mb2.Session) error { return s.Backup(t.Context(), treeFolder{h.root}, small().UDID, false) }
			if _, phone, host := converse(t.Context(), p, backup); !errors.Is(phone, ErrCut) || !errors.Is(host, mb2.ErrDisconnected) {
				t.Fatalf("phone: %v, host: %v", phone, host)
			}
			p.SetScript(Script{})
			if r, phone, host := converse(t.Context(), p, backup); phone != nil || host != nil || r.Fallback != "" {
				t.Fatalf("phone: %v, host: %v, %+v", phone, host, r)
			}
			same(t, contents(t, h.backup(), ""), want)
		})
	}
}
