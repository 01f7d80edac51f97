package mb2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"russet/internal/plist"
)

// statusPlist is a Status.plist in the phone's form.
func statusPlist(t testing.TB, state string) string {
	t.Helper()
	data, err := plist.Marshal(map[string]any{
		"Version": "3.3", "UUID": "6E0A2B54-1B1A-4C0F-9AFF-9F1B0E6E5A01", "BackupState": "new",
		"SnapshotState": state, "IsFullBackup": false,
	}, plist.Binary)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const (
	first  = "ab/ab00000000000000000000000000000000000001"
	second = "cd/cd00000000000000000000000000000000000002"
	empty  = "cd/cd00000000000000000000000000000000000003"
)

// fullBackup is what a phone does at its first backup, in the order of
// docs/protocol-mobilebackup2.md.
func fullBackup(p *phone) {
	u := udid + "/"
	if files := p.download(u + "Status.plist"); len(files) != 1 || files[0].code != CodeNotFound {
		p.t.Errorf("got %v for a status that is not there", files)
	}
	p.wantStatus(StatusMulti)
	p.say("DLMessagePing", "still here")
	p.say("DLMessageGetFreeDiskSpace")
	if free, _ := Integer(p.wantStatus(StatusOK)); free != 1<<40 {
		p.t.Errorf("got %d bytes free", free)
	}
	for _, dir := range []string{udid, u + "ab", u + "cd", u + "Snapshot", u + "Snapshot/ab", u + "Snapshot/cd"} {
		p.say("DLMessageCreateDirectory", dir, map[string]any{}, 0.0)
		p.wantStatus(StatusOK)
	}
	p.upload(1, u+"Status.plist", statusPlist(p.t, "uploading"))
	p.wantStatus(StatusOK)
	p.upload(40, u+"Snapshot/"+first, strings.Repeat("x", 1000), u+"Snapshot/"+second, "short", u+"Snapshot/"+empty, "")
	p.wantStatus(StatusOK)
	p.upload(30, u+"Snapshot/Manifest.plist", "manifest")
	p.wantStatus(StatusOK)
	p.upload(50, u+"Snapshot/Manifest.db", "database")
	p.wantStatus(StatusOK)
	p.upload(0, u+"Status.plist", statusPlist(p.t, "moving"))
	p.wantStatus(StatusOK)
	moves := map[string]any{}
	for _, n := range []string{first, second, empty, "Manifest.plist", "Manifest.db"} {
		moves[u+"Snapshot/"+n] = u + n
	}
	p.say("DLMessageMoveItems", moves, map[string]any{}, 90.0)
	p.wantStatus(StatusOK)
	p.upload(91, u+"Status.plist", statusPlist(p.t, "removing"))
	p.wantStatus(StatusOK)
	p.say("DLMessageRemoveItems", []any{u + "Manifest.mbdb", u + "Snapshot"}, map[string]any{}, 95.0)
	p.wantStatus(StatusOK)
	p.upload(99, u+"Status.plist", statusPlist(p.t, "finished"))
	p.wantStatus(StatusOK)
	files := p.download(u+"Status.plist", u+"Manifest.plist")
	p.wantStatus(StatusOK)
	want := []sent{{name: u + "Status.plist", content: statusPlist(p.t, "finished")}, {name: u + "Manifest.plist", content: "manifest"}}
	if !slices.Equal(files, want) {
		p.t.Errorf("got %v in the read-back", files)
	}
	p.say("DLContentsOfDirectory", udid+"/cd", map[string]any{}, 130.0)
	checkListing(p.t, p.wantStatus(StatusOK), map[string]int64{second[3:]: 5, empty[3:]: 0})
	p.respond(0)
	p.farewell()
}

func TestFullBackup(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	var phases []Phase
	percent := []float64{0}
	o := Options{Progress: func(p Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
		percent = append(percent, p.Percent)
	}}
	var r Result
	err := converse(t, o, func(p *phone) {
		request := p.request()
		if fmt.Sprint(request) != fmt.Sprint(map[string]any{
			"MessageName": "Backup", "TargetIdentifier": udid, "Options": map[string]any{"ForceFullBackup": true},
		}) {
			t.Errorf("got the request %v", request)
		}
		fullBackup(p)
	}, func(ctx context.Context, s *Session) error {
		err := s.Backup(ctx, f, udid, true)
		r = s.Result()
		return err
	})
	if err != nil {
		t.Error(err)
	}
	f.want(
		udid+"/Status.plist", statusPlist(t, "finished"), udid+"/Manifest.plist", "manifest", udid+"/Manifest.db", "database",
		udid+"/"+first, strings.Repeat("x", 1000), udid+"/"+second, "short", udid+"/"+empty, "",
	)
	want := []Phase{PhaseWaiting, PhasePreparing, PhaseReceiving, PhaseMoving, PhaseRemoving, PhaseVerifying}
	if !slices.Equal(phases, want) {
		t.Errorf("got the phases %v, want %v", phases, want)
	}
	if !slices.IsSorted(percent) || percent[len(percent)-1] != 100 {
		t.Errorf("got the percentages %v", percent)
	}
	if r.Files != 11 || r.Violations != 0 || r.Unread != 0 || r.Bytes < 1021 {
		t.Errorf("got %+v", r)
	}
}

func TestRestoreSends(t *testing.T) {
	t.Parallel()
	u := "source-1/"
	f := newFolder(t, u+"Manifest.plist", "manifest", u+first, "content")
	var phases []Phase
	err := converse(t, Options{Progress: func(p Progress) { phases = append(phases, p.Phase) }}, func(p *phone) {
		request := p.request()
		options := request["Options"].(map[string]any)
		if request["MessageName"] != "Restore" || request["TargetIdentifier"] != udid || request["SourceIdentifier"] != "source-1" {
			t.Errorf("got the request %v", request)
		}
		for name, want := range map[string]any{
			"RestoreDontCopyBackup": true, "RestoreShouldReboot": true, "RestorePreserveSettings": false,
			"RestoreSystemFiles": true, "RemoveItemsNotRestored": false, "RestorePreserveCameraRoll": false, "Password": "pass word",
		} {
			if options[name] != want {
				t.Errorf("got the option %s = %v, want %v", name, options[name], want)
			}
		}
		p.download(u + "Manifest.plist")
		p.wantStatus(StatusOK)
		if files := p.download(u + first); files[0].content != "content" {
			t.Errorf("got %v", files)
		}
		p.wantStatus(StatusOK)
		p.respond(0)
		p.farewell()
	}, func(ctx context.Context, s *Session) error {
		return s.Restore(ctx, f, udid, "source-1", RestoreOptions{SystemFiles: true, Password: "pass word"})
	})
	if err != nil {
		t.Error(err)
	}
	if !slices.IsSorted(phases) || phases[len(phases)-1] != PhaseSending || !slices.Contains(phases, PhasePreparing) {
		t.Errorf("got the phases %v", phases)
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, password string }{{"", "hunter2 new"}, {"hunter2 old", "hunter2 new"}, {"hunter2 old", ""}} {
		f := newFolder(t, udid+"/Manifest.plist", "wrapped")
		var record strings.Builder
		err := converse(t, Options{Record: &record}, func(p *phone) {
			want := map[string]any{"MessageName": "ChangePassword", "TargetIdentifier": udid}
			if c.old != "" {
				want["OldPassword"] = c.old
			}
			if c.password != "" {
				want["NewPassword"] = c.password
			}
			if got := p.request(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got the request %v, want %v", got, want)
			}
			p.download(udid + "/Manifest.plist")
			p.wantStatus(StatusOK)
			p.upload(0, udid+"/Manifest.plist", "wrapped again")
			p.wantStatus(StatusOK)
			p.say(processMessage, map[string]any{
				"MessageName": "Response", "ErrorCode": uint64(207), "ErrorDescription": "Invalid password: " + c.old,
			})
			p.farewell()
		}, func(ctx context.Context, s *Session) error {
			return s.ChangePassword(ctx, f, udid, c.old, c.password)
		})
		e, ok := errors.AsType[*PhoneError](err)
		if !ok || e.Code != 207 || strings.Contains(err.Error(), "hunter2") || strings.Contains(record.String(), "hunter2") {
			t.Errorf("got %v and this transcript:\n%s", err, &record)
		}
		f.want(udid+"/Manifest.plist", "wrapped again")
	}
}

func TestIdentifiersAreChecked(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", ".", "..", "a/b", "a\\b", "a\x00", strings.Repeat("x", 5000)} {
		err := converse(t, Options{}, func(p *phone) {
			p.greet(300)
			p.farewell()
		}, func(ctx context.Context, s *Session) error { return s.Backup(ctx, newFolder(t), id, false) })
		if err == nil {
			t.Errorf("%.10q was taken for an identifier", id)
		}
	}
}

func TestOneCall(t *testing.T) {
	t.Parallel()
	err := converse(t, Options{}, func(p *phone) {
		p.request()
		p.respond(0)
		p.farewell()
	}, func(ctx context.Context, s *Session) error {
		if err := s.Backup(ctx, newFolder(t), udid, false); err != nil {
			t.Error(err)
		}
		return s.Backup(ctx, newFolder(t), udid, false)
	})
	if err == nil {
		t.Error("a session served two calls")
	}
}
