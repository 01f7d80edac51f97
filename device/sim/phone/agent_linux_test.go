package phone

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"russet/device/sim"
	"russet/device/sim/agent"
	"russet/ios"
)

// backupRig is a phone with contents whose backup service judges call.
type backupRig struct {
	judge

	device *sim.Device
	agent  *agent.Phone
	report agent.Report // of the session that wait waited for
	err    error
	ended  chan ended

	// turn is held by whoever uses device. They take turns anyway, but only by
	// way of another program, which the race detector does not see.
	turn sync.Mutex
}

// ended is how a session of the backup service ended.
type ended struct {
	report agent.Report
	err    error
}

func newBackupRig(t *testing.T, o agent.Options) *backupRig {
	t.Helper()
	if _, err := exec.LookPath("idevicebackup2"); err != nil {
		t.Skip("judge missing: idevicebackup2")
	}
	c := sim.Tiny()
	c.SmallFiles, c.Photos, c.Messages = 60, 1, 50
	d, err := sim.New(t.Context(), c, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &backupRig{device: d, ended: make(chan ended, 8)}
	o.Iterations, o.Now = 10, d.Date
	if r.agent, err = agent.Open(t.TempDir(), d, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.agent.Close() })
	opts := Options{UDID: c.UDID, Name: c.Name, Backup: func(ctx context.Context, conn net.Conn, p *Phone) error {
		r.turn.Lock()
		defer r.turn.Unlock()
		report, err := r.agent.Serve(ctx, conn)
		if err := p.SetWillEncrypt(r.agent.Encrypted()); err != nil {
			return err
		}
		r.ended <- ended{report, err}
		return err
	}}
	_, r.judge, _ = newJudge(t, t.TempDir(), opts)
	return r
}

// wait waits for the end of a session of the backup service.
func (r *backupRig) wait(t *testing.T) {
	t.Helper()
	select {
	case e := <-r.ended:
		r.report, r.err = e.report, e.err
	case <-time.After(judgePatience):
		t.Fatal("the backup service was not spoken to, or speaks still")
	}
}

// call runs idevicebackup2, and wants it to succeed without a violation.
func (r *backupRig) call(t *testing.T, args ...string) {
	t.Helper()
	out := r.good(t, "idevicebackup2", args...)
	r.wait(t)
	if r.err != nil {
		t.Fatalf("%q: %v\n%s", args, r.err, out)
	}
}

// refused runs idevicebackup2, and wants the phone's answer to be an error.
func (r *backupRig) refused(t *testing.T, code int, args ...string) {
	t.Helper()
	out, _ := r.run(t, "idevicebackup2", args...)
	r.wait(t)
	if want := fmt.Sprintf("ErrorCode %d:", code); !strings.Contains(out, want) {
		t.Errorf("%q: got %s, want %q in it", args, out, want)
	}
}

// stored returns the plaintext of the files of a backup.
func stored(t *testing.T, folder, password string) map[string]string {
	t.Helper()
	fsys := os.DirFS(folder)
	b, err := ios.Open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	data, err := fs.ReadFile(fsys, ios.DatabaseName)
	if err != nil {
		t.Fatal(err)
	}
	var keys ios.ClassKeys
	if password != "" {
		bag, err := b.Keybag()
		if err != nil {
			t.Fatal(err)
		}
		if keys, err = bag.Unlock(t.Context(), password); err != nil {
			t.Fatal(err)
		}
		k, _, err := b.ManifestKey(keys)
		if err != nil {
			t.Fatal(err)
		}
		if data, err = ios.Decrypt(nil, data, k); err != nil {
			t.Fatal(err)
		}
	}
	m, err := ios.OpenManifest(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	files := map[string]string{}
	for rec, err := range m.Records(t.Context()) {
		var f ios.File
		if err != nil || rec.Parse(&f) != nil {
			t.Fatal(err)
		}
		if rec.Flags != ios.RegularFile {
			continue
		}
		data, err := fs.ReadFile(fsys, b.Path(rec.FileID))
		if err != nil {
			t.Fatal(err)
		}
		if keys != nil {
			k, err := keys.Unwrap(f.EncryptionKey)
			if err != nil {
				t.Fatal(err)
			}
			if data, err = ios.Decrypt(nil, data, k); err != nil {
				t.Fatal(err)
			}
		}
		files[rec.Domain+"-"+rec.RelativePath] = string(data)
	}
	return files
}

// check compares a backup with what the generator writes of the phone.
func (r *backupRig) check(t *testing.T, dir, password string) {
	t.Helper()
	report, err := r.device.WriteBackup(t.Context(), t.TempDir(), sim.Options{Password: password, Iterations: 10})
	if err != nil {
		t.Fatal(err)
	}
	want := stored(t, report.Folder, password)
	got := stored(t, filepath.Join(dir, r.device.Config().UDID), password)
	if len(got) != len(want) {
		t.Errorf("got %d files, want %d", len(got), len(want))
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%q: got %d bytes, want %d", name, len(got[name]), len(w))
		}
	}
}

func TestIdevicebackup2WithContents(t *testing.T) {
	t.Parallel()
	r := newBackupRig(t, agent.Options{})
	dir := t.TempDir()
	r.call(t, "backup", dir)
	if !r.report.Full {
		t.Errorf("got %+v", r.report)
	}
	r.check(t, dir, "")
	for range 2 {
		r.turn.Lock()
		err := r.device.Next(t.Context())
		r.turn.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		r.call(t, "backup", dir)
		if r.report.Full || r.report.Fallback != "" {
			t.Errorf("got %+v", r.report)
		}
		r.check(t, dir, "")
	}
	r.call(t, "backup", "--full", dir)
	r.call(t, "restore", "--no-reboot", "--system", "--remove", dir)
	if r.report.Restored == 0 {
		t.Errorf("got %+v", r.report)
	}
	r.call(t, "encryption", "on", "secret", dir)
	r.call(t, "backup", dir)
	r.check(t, dir, "secret")
	r.call(t, "changepw", "secret", "other", dir)
	r.call(t, "backup", dir)
	if !r.report.Full { // idevicebackup2 shows no folder while the password is changed
		t.Errorf("after a change of the password: got %+v", r.report)
	}
	r.check(t, dir, "other")
	r.call(t, "restore", "--no-reboot", "--password", "other", dir)
	r.call(t, "encryption", "off", "other", dir)
	r.call(t, "backup", dir)
	r.check(t, dir, "")
}

// Info and List look for the manifest of iOS 9, as on any newer phone.
func TestIdevicebackup2DescribesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: every run of idevicebackup2 takes seconds")
	}
	r := newBackupRig(t, agent.Options{})
	dir := t.TempDir()
	r.call(t, "backup", dir)
	r.refused(t, 205, "info", dir)
	r.refused(t, 205, "list", dir)
	r.call(t, "encryption", "on", "secret", dir)
	r.call(t, "backup", dir)
	r.refused(t, 207, "info", dir)
	r.refused(t, 207, "list", dir)
}

func TestIdevicebackup2HearsRefusals(t *testing.T) {
	t.Parallel()
	r := newBackupRig(t, agent.Options{})
	dir := t.TempDir()
	for code, exit := range map[int]int{208: 48, 205: 51, 104: 152, 105: 151} {
		r.agent.SetScript(agent.Script{Respond: []agent.Answer{{At: agent.Point{Phase: agent.PhaseScan}, Code: code, Text: "x"}}})
		out, ok := r.run(t, "idevicebackup2", "backup", dir)
		r.wait(t)
		if ok || !bytes.Contains([]byte(out), fmt.Append(nil, "Error Code ", code)) {
			t.Errorf("answer %d, exit %d wanted: got %s", code, exit, out)
		}
	}
	r.agent.SetScript(agent.Script{Files: []agent.FileTask{{N: 5, After: 3, Code: 11}, {N: 7, Twice: true}}})
	r.call(t, "backup", dir)
	r.agent.SetScript(agent.Script{})
	r.call(t, "backup", dir)
	r.check(t, dir, "")
}

func TestIdevicebackup2ResumesARun(t *testing.T) {
	t.Parallel()
	var batches []int
	r := newBackupRig(t, agent.Options{Script: agent.Script{Batch: 16}, Event: func(e agent.Event) {
		if e.Message == "DLMessageUploadFiles" && strings.HasSuffix(e.Path, "/Snapshot") {
			batches = append(batches, e.Step)
		}
	}})
	r.call(t, "backup", t.TempDir())
	// Within a file idevicebackup2 would not notice that the phone has left.
	r.agent.SetScript(agent.Script{Batch: 16, Disconnect: batches[3]})
	dir := t.TempDir()
	if out, ok := r.run(t, "idevicebackup2", "backup", dir); ok {
		t.Errorf("a backup that was cut succeeded:\n%s", out)
	}
	r.wait(t)
	sent := r.report.Sent
	r.agent.SetScript(agent.Script{})
	r.call(t, "backup", dir)
	if sent != 48 || !r.report.Resumed || r.report.Kept != sent {
		t.Errorf("%d files were sent before, then %+v", sent, r.report)
	}
	r.check(t, dir, "")
}
