package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"russet/internal/plist"
)

// plainFake is a phone whose services are not encrypted, but lockdownd is: for
// tests with a clock of their own.
func plainFake(t *testing.T, services map[string]func(net.Conn)) *fake {
	f := newFake(t)
	f.services = services
	for name := range services {
		f.plain[name] = true
	}
	return f
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	proxy := &fakeProxy{}
	f := plainFake(t, map[string]func(net.Conn){"com.apple.mobile.notification_proxy": proxy.serve})
	n, err := f.open(t).Notifications(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Observe(t.Context(), SyncCancelRequest, PasscodePresented); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		defer close(got)
		for name, err := range n.Received(t.Context()) {
			if err != nil {
				return
			}
			got <- name
		}
	}()
	for _, name := range []string{"other", SyncCancelRequest, PasscodePresented} {
		if err := n.Post(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := <-got, <-got; a != SyncCancelRequest || b != PasscodePresented {
		t.Errorf("got %q, %q, want %q, %q", a, b, SyncCancelRequest, PasscodePresented)
	}
	n.Close()
	if name, more := <-got; more {
		t.Errorf("after Close: got %q", name)
	}
	for _, err := range n.Received(t.Context()) {
		if err == nil {
			t.Error("a closed service still tells")
		}
	}
}

// syncServices are the services that the sync lock needs.
func syncServices(afc *fakeAFC, proxy *fakeProxy) map[string]func(net.Conn) {
	return map[string]func(net.Conn){"com.apple.mobile.notification_proxy": proxy.serve, "com.apple.afc": afc.serve}
}

func TestSyncLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		afc, proxy := newFakeAFC(), &fakeProxy{}
		afc.locked = syncLockTries - 1
		f := plainFake(t, syncServices(afc, proxy))
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		l, err := f.open(t).SyncLock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(start), (syncLockTries-1)*syncLockPause; got != want {
			t.Errorf("it took %v, want %v", got, want)
		}
		if _, ok := afc.files[syncLockPath]; !ok {
			t.Error("the lock's file was not made")
		}
		if !afc.held {
			t.Error("nothing is locked")
		}
		cancel() // the lock is released all the same
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if want := []string{syncWillStart, syncLockRequest, syncDidStart, syncDidFinish}; !slices.Equal(proxy.posted, want) {
			t.Errorf("posted %q, want %q", proxy.posted, want)
		}
		if n := len(afc.asked); afc.held || afc.asked[n-1] != AFCFileClose {
			t.Errorf("held: %v, asked last: %v, want it unlocked and closed", afc.held, afc.asked[n-1])
		}
	})
}

func TestSyncLockHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		afc, proxy := newFakeAFC(), &fakeProxy{}
		afc.locked = syncLockTries
		p := plainFake(t, syncServices(afc, proxy)).open(t)
		if _, err := p.SyncLock(t.Context()); !errors.Is(err, AFCWouldBlock) {
			t.Errorf("got %v, want %v", err, AFCWouldBlock)
		}
		afc.locked = syncLockTries
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.SyncLock(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		// Another refusal is not waited for.
		afc.refused[AFCFileLock] = AFCDenied
		start := time.Now()
		if _, err := p.SyncLock(t.Context()); !errors.Is(err, AFCDenied) || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want %v at once", err, time.Since(start), AFCDenied)
		}
		for _, name := range proxy.posted {
			if name == syncDidStart || name == syncDidFinish {
				t.Errorf("posted %s without the lock", name)
			}
		}
		synctest.Wait()
	})
}

func browsed(done string, apps ...any) map[string]any {
	return map[string]any{"Status": done, "CurrentAmount": len(apps), "CurrentList": apps}
}

func testApp(id string) map[string]any {
	return map[string]any{"CFBundleIdentifier": id, "ApplicationSINF": []byte("sinf of " + id), "iTunesMetadata": []byte("meta of " + id)}
}

func TestApps(t *testing.T) {
	t.Parallel()
	const service = "com.apple.mobile.installation_proxy"
	talk := func(messages ...map[string]any) ([]App, error) {
		f := plainFake(t, map[string]func(net.Conn){service: fakeTalk(messages...)})
		return f.open(t).Apps(t.Context())
	}
	got, err := talk(
		browsed("BrowsingApplications", testApp("com.example.a"), "no app", map[string]any{"CFBundleIdentifier": 7}),
		browsed("BrowsingApplications", map[string]any{"CFBundleIdentifier": "com.example.b"}), map[string]any{"Status": "Complete"},
	)
	want := []App{{"com.example.a", []byte("sinf of com.example.a"), []byte("meta of com.example.a")}, {ID: "com.example.b"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	_, err = talk(map[string]any{"Error": "APIInternalError", "ErrorDescription": "x"})
	if got, ok := errors.AsType[ServiceError](err); !ok || got != "APIInternalError" {
		t.Errorf("got %v, want APIInternalError", err)
	}
	for name, m := range map[string]map[string]any{"nothing": {}, "other status": {"Status": "Installing"}} {
		if _, err := talk(m); err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
	}
	if _, err := talk(browsed("BrowsingApplications", testApp("a"))); err == nil {
		t.Error("a phone that hangs up: got nil, want an error")
	}
}

func TestAppListIsBounded(t *testing.T) {
	t.Parallel()
	var l appList
	var err error
	for range maxApps + 1 {
		if _, err = l.add(browsed("BrowsingApplications")); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("messages without end: got nil, want an error")
	}
	l = appList{}
	big := testApp("a")
	big["iTunesMetadata"] = make([]byte, maxAppBytes)
	if _, err := l.add(browsed("Complete", testApp("b"), big)); err != nil || len(l.apps) != 2 || l.apps[1].Metadata != nil || l.apps[0].SINF == nil {
		t.Errorf("a list too large: got %d apps, %v, want the second without its metadata", len(l.apps), err)
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polos := 0
		f := plainFake(t, map[string]func(net.Conn){"com.apple.mobile.heartbeat": func(c net.Conn) {
			for range 3 {
				if WritePlist(c, map[string]any{"Command": "Marco", "Interval": 10}, 1) != nil {
					return
				}
				var m dict
				if ReadPlist(c, &m) == nil && m.text("Command") == "Polo" {
					polos++
				}
			}
			// Silence: the phone is gone.
			ReadPlist(c, new(dict))
		}})
		start := time.Now()
		err := f.open(t).Heartbeat(t.Context())
		synctest.Wait()
		if got, want := time.Since(start), 20*time.Second+serviceTimeout; err == nil || got != want || polos != 3 {
			t.Errorf("got %v after %v and %d answers, want an error after %v and 3", err, got, polos, want)
		}
		f = plainFake(t, map[string]func(net.Conn){})
		f.services["com.apple.mobile.heartbeat"] = func(c net.Conn) { WritePlist(c, map[string]any{"Command": "SleepyTime"}, 1) }
		f.plain["com.apple.mobile.heartbeat"] = true
		if err := f.open(t).Heartbeat(t.Context()); !strings.Contains(fmt.Sprint(err), "sleep") {
			t.Errorf("got %v, want that the phone goes to sleep", err)
		}
	})
}

// infoServices are the services that BackupInfo asks.
func infoServices(afc *fakeAFC) map[string]func(net.Conn) {
	return map[string]func(net.Conn){
		"com.apple.afc": afc.serve,
		"com.apple.mobile.installation_proxy": fakeTalk(browsed("BrowsingApplications", testApp("com.example.a"), testApp("com.example.b"),
			map[string]any{"CFBundleIdentifier": "com.example.c"}), map[string]any{"Status": "Complete"}),
		"com.apple.springboardservices": fakeAnswers(map[string]any{"pngData": []byte("icon")}, map[string]any{"Error": "none"}),
	}
}

func TestBackupInfo(t *testing.T) {
	t.Parallel()
	f := plainFake(t, infoServices(newFakeAFC()))
	f.values[""]["DeviceName"] = "Änna's \U0001f34e"
	f.values[""]["InternationalMobileEquipmentIdentity"] = "35"
	f.values[itunesDomain] = map[string]any{"LibraryID": "x"}
	f.values[mobileDomain] = map[string]any{"MinITunesVersion": "12.1"}
	now := time.Date(2026, 11, 25, 20, 0, 1, 5, time.FixedZone("", 3600))
	p := f.open(t)
	p.udid = strings.ToLower(testUDID) // as old ones are
	data, err := p.BackupInfo(t.Context(), now, "0123ABCD", true)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data), "<?xml") {
		t.Errorf("it begins with %.5q, want XML", data)
	}
	var got map[string]any
	if err := plist.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	app := func(id string) map[string]any {
		return map[string]any{"ApplicationSINF": []byte("sinf of " + id), "iTunesMetadata": []byte("meta of " + id)}
	}
	first := app("com.example.a")
	first["PlaceholderIcon"] = []byte("icon")
	want := map[string]any{
		"Applications": map[string]any{"com.example.a": first, "com.example.b": app("com.example.b")}, "Build Version": "22B83",
		"Device Name": "Änna's \U0001f34e", "Display Name": "Änna's \U0001f34e", "GUID": "0123ABCD", "IMEI": "35",
		"Installed Applications": []any{"com.example.a", "com.example.b", "com.example.c"},
		"Last Backup Date":       time.Date(2026, 11, 25, 19, 0, 1, 0, time.UTC), "Product Type": "iPhone12,1", "Product Version": "18.1",
		"Serial Number": "C8QTEST", "Target Identifier": strings.ToLower(testUDID), "Target Type": "Device", "Unique Identifier": testUDID,
		"iBooks Data 2": []byte("books"), "iTunes Files": map[string]any{"iTunesPrefs": []byte("prefs")},
		"iTunes Settings": map[string]any{"LibraryID": "x"}, "iTunes Version": "12.1",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A phone without these services is backed up as well; a locked one is not.
func TestBackupInfoWithLess(t *testing.T) {
	t.Parallel()
	f := plainFake(t, nil)
	p := f.open(t)
	data, err := p.BackupInfo(t.Context(), time.Now(), "G", true)
	var got map[string]any
	if err != nil || plist.Unmarshal(data, &got) != nil || got["iTunes Version"] != "10.0.1" || got["iTunes Files"] == nil || got["Applications"] == nil {
		t.Errorf("got %v, %v, want a list with what is there", got, err)
	}
	for name := range infoServices(newFakeAFC()) {
		f = plainFake(t, infoServices(newFakeAFC()))
		f.errors["StartService "+name] = "PasswordProtected"
		if _, err := f.open(t).BackupInfo(t.Context(), time.Now(), "G", true); !errors.Is(err, PasswordProtected) {
			t.Errorf("%s of a locked phone: got %v, want %v", name, err, PasswordProtected)
		}
	}
	f = plainFake(t, infoServices(newFakeAFC()))
	f.services["com.apple.springboardservices"] = func(net.Conn) {} // hangs up
	if _, err := f.open(t).BackupInfo(t.Context(), time.Now(), "G", true); err != nil {
		t.Errorf("without icons: got %v, want nil", err)
	}
	afc := newFakeAFC()
	afc.files["/iTunes_Control/iTunes/iTunesPrefs"] = strings.Repeat("x", maxInfoFiles+1)
	f = plainFake(t, infoServices(afc))
	data, err = f.open(t).BackupInfo(t.Context(), time.Now(), "G", false)
	got = nil
	if err != nil || plist.Unmarshal(data, &got) != nil || len(got["iTunes Files"].(map[string]any)) != 0 || got["iBooks Data 2"] == nil {
		t.Errorf("a file too large: got %v, want it left out", err)
	}
	if apps := got["Applications"].(map[string]any); apps["com.example.a"].(map[string]any)["PlaceholderIcon"] != nil {
		t.Error("an icon was asked for without being wanted")
	}
}

// After a phone refuses, no error holds a secret.
func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	for request, word := range map[string]string{"StartSession": "InvalidHostID", "StartService x": "EscrowLocked", "Pair": "Odd", "GetValue": "PasswordProtected"} {
		f := newFake(t)
		f.errors[request] = word
		p := f.open(t)
		proposal := *testPairing().record // Pair fills it in
		p.proposal = &proposal
		_, service := p.Service(t.Context(), "x", true)
		_, facts := p.Facts(t.Context())
		_, info := p.BackupInfo(t.Context(), time.Now(), "G", true)
		for _, err := range []error{service, facts, info, p.Pair(t.Context(), time.Now()), p.Unpair(t.Context())} {
			noSecrets(t, err)
		}
	}
}
