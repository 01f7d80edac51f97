package agent

import (
	"bytes"
	"errors"
	"io"
	"os"
	pathpkg "path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"russet/device/sim"
	"russet/internal/plist"
	"russet/ios"
)

func restoreRequest(password string) map[string]any {
	options := map[string]any{"RestoreDontCopyBackup": true}
	if password != "" {
		options["Password"] = password
	}
	return map[string]any{"MessageName": "Restore", "TargetIdentifier": small().UDID, "Options": options}
}

func passwordRequest(old, password string) map[string]any {
	m := map[string]any{"MessageName": "ChangePassword", "TargetIdentifier": small().UDID}
	if old != "" {
		m["OldPassword"] = old
	}
	if password != "" {
		m["NewPassword"] = password
	}
	return m
}

// ask makes a request and wants an answer.
func ask(t *testing.T, p *Phone, h *host, request map[string]any, want int) Report {
	t.Helper()
	f, report, err := speak(t.Context(), p, h, request)
	if f.code != want || !report.Answered {
		t.Fatalf("got the answer %d %q, %v, want %d", f.code, f.text, err, want)
	}
	if r, ok := errors.AsType[*Refusal](err); ok != (want != 0) || ok && r.Code != want {
		t.Fatalf("got %v for the answer %d", err, want)
	}
	return report
}

// texts returns the bytes of all regular files and the targets of all links.
func texts(t *testing.T, c Contents) map[string]string {
	t.Helper()
	files := map[string]string{}
	for f, err := range c.Scan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		text := f.Target
		if f.Regular() {
			r, err := c.Open(f)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				t.Fatal(err)
			}
			text = string(data)
		}
		files[f.Domain+"-"+f.RelativePath] = text
	}
	return files
}

func TestRestore(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		t.Run("password="+password, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, small())
			p, h := openPhone(t, d, Options{}), newHost()
			if password != "" {
				ask(t, p, h, passwordRequest("", password), 0)
			}
			backUp(t, p, h)
			if report := ask(t, p, h, restoreRequest(password), 0); report.Restored == 0 {
				t.Errorf("got %+v", report)
			}
			got, err := p.Restored()
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			same(t, texts(t, got), texts(t, d))

			into, err := sim.OpenFolder(t.TempDir(), small())
			if err != nil {
				t.Fatal(err)
			}
			defer into.Close()
			junk := sim.NewFile("HomeDomain", ios.File{RelativePath: "junk", Mode: 0o100644}, 1)
			if err := into.Put(junk, strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
			ask(t, openPhone(t, into, Options{}), h, restoreRequest(password), 0)
			same(t, texts(t, into), texts(t, d))
			if password != "" {
				ask(t, p, h, restoreRequest("wrong"), 207)
			}
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	d := newDevice(t, small())
	p, good := openPhone(t, d, Options{}), newHost()
	backUp(t, p, good)
	info, err := plist.Marshal(map[string]any{"Product Version": "18.10"}, plist.XML)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(h *host) error
		code   int
	}{
		"newer":          {func(h *host) error { return h.root.write(small().UDID+"/Info.plist", info) }, 203},
		"no Status":      {func(h *host) error { return h.root.remove(small().UDID + "/Status.plist") }, 204},
		"no manifest":    {func(h *host) error { return h.root.remove(small().UDID + "/Manifest.plist") }, 204},
		"no database":    {func(h *host) error { return h.root.remove(small().UDID + "/Manifest.db") }, 205},
		"files are lost": {func(h *host) error { return h.loseFiles() }, 205},
		"files are damaged": {func(h *host) error {
			h.serves = func(path string, data []byte) []byte {
				if isID(pathpkg.Base(path)) && len(data) > 0 {
					data = bytes.Repeat([]byte("x"), len(data))
				}
				return data
			}
			return nil
		}, 205},
		"a folder has a file's record": {func(h *host) error { return h.confuse(t) }, 205},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost()
			h.root = good.root.clone()
			if err := c.change(h); err != nil {
				t.Fatal(err)
			}
			report := ask(t, openPhone(t, d, Options{}), h, restoreRequest(""), c.code)
			if name != "files are damaged" {
				return
			}
			want := 0 // whose damage nobody can see
			for f := range d.Files() {
				if f.Regular() && (f.Length() == 0 || !ios.HasDigest(f.Domain)) {
					want++
				}
			}
			if report.Restored != want {
				t.Errorf("got %d files restored, want %d", report.Restored, want)
			}
		})
	}
}

// loseFiles removes every stored file whose name begins with 0 to 7.
func (h *host) loseFiles() error {
	for i := range 128 {
		h.root.dir[small().UDID].dir[shard(i)] = newTree()
	}
	return nil
}

// confuse gives the row of a folder the record of a file.
func (h *host) confuse(t *testing.T) error {
	name, path := small().UDID+"/"+ios.DatabaseName, filepath.Join(t.TempDir(), ios.DatabaseName)
	data, err := h.root.read(name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	m, err := sim.OpenManifest(t.Context(), path, false)
	if err != nil {
		return err
	}
	defer m.Close()
	f := sim.NewFile("AppDomain-com.example.notes", ios.File{RelativePath: "Documents/empty folder", Mode: 0o100644}, 0)
	id := ios.FileID(f.Domain, f.RelativePath)
	if err := m.Put(t.Context(), true, id, f, ios.MarshalFile(&f.File)); err != nil {
		return err
	}
	if err := m.Commit(); err != nil {
		return err
	}
	if data, err = os.ReadFile(path); err != nil {
		return err
	}
	return h.root.write(name, data)
}

func TestRestoreCopies(t *testing.T) {
	t.Parallel()
	d := newDevice(t, small())
	p, h := openPhone(t, d, Options{}), newHost()
	backUp(t, p, h)
	m := restoreRequest("")
	delete(m, "Options")
	ask(t, p, h, m, 0)
	if !slices.Contains(h.orders, "DLMessageCopyItem") || len(h.root.dir) != 2 {
		t.Errorf("got the orders %v, %d folders", h.orders, len(h.root.dir))
	}
	m["Options"] = map[string]any{"RestoreDontCopyBackup": "yes"}
	if _, _, err := speak(t.Context(), p, h, m); !errors.Is(err, ErrViolation) {
		t.Errorf("got %v for an option of another type", err)
	}
}

func TestRestoreLosesFiles(t *testing.T) {
	t.Parallel()
	d := newDevice(t, small())
	p, h := openPhone(t, d, Options{}), newHost()
	backUp(t, p, h)
	h.sends = func(path string) string {
		if isID(pathpkg.Base(path)) {
			return "" // as the unit that ends a batch
		}
		return path
	}
	_, report, err := speak(t.Context(), p, h, restoreRequest(""))
	if !errors.Is(err, ErrViolation) || report.Violations[0].Rule != RuleMissing {
		t.Errorf("got %v", err)
	}
	h.sends, h.stopAll = nil, true
	if err := h.loseFiles(); err != nil {
		t.Fatal(err)
	}
	// What stops after a failure is a host that is known, and breaks no rule.
	ask(t, p, h, restoreRequest(""), 205)
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	d := newDevice(t, small())
	var posted []string
	p, h := openPhone(t, d, Options{Notify: func(name string) { posted = append(posted, name) }}), newHost()
	backUp(t, p, h)
	ask(t, p, h, passwordRequest("", "first"), 0)
	if !p.Encrypted() || !slices.Contains(posted, "com.apple.mobile.backup.domain_changed") {
		t.Errorf("encrypted %t, posted %v", p.Encrypted(), posted)
	}
	if r := backUp(t, p, h); !r.Full || r.Fallback == "" {
		t.Errorf("encryption was switched on: got %+v", r)
	}
	ask(t, p, h, passwordRequest("wrong", "second"), 207)
	before := written(t, d, "first")
	same(t, meaning(t, h.backup(), "first"), before)

	ask(t, p, h, passwordRequest("first", "second"), 0)
	same(t, meaning(t, h.backup(), "second"), before)
	if r := backUp(t, p, h); r.Full || r.Sent != 0 {
		t.Errorf("the password was changed: got %+v", r)
	}
	p.SetScript(Script{Behaviour: Behaviour{NoRewrap: true}})
	ask(t, p, h, passwordRequest("second", "third"), 0)
	if r := backUp(t, p, h); !r.Full || r.Fallback == "" {
		t.Errorf("the manifest kept the old password: got %+v", r)
	}
	ask(t, p, h, passwordRequest("third", ""), 0)
	if r := backUp(t, p, h); !r.Full || p.Encrypted() {
		t.Errorf("encryption was switched off: got %+v", r)
	}
	same(t, meaning(t, h.backup(), ""), written(t, d, ""))
	ask(t, p, h, passwordRequest("", ""), 1)
}
