package phone

import (
	"bytes"
	"image/png"
	"io"
	"slices"
	"testing"
	"time"

	"russet/device"
	"russet/internal/plist"
)

func TestApps(t *testing.T) {
	t.Parallel()
	apps := []App{{Bundle: "com.apple.calculator", Name: "Calculator", System: true}}
	for i := range 45 {
		apps = append(apps, App{Bundle: "org.example.app" + string(rune('A'+i/26)) + string(rune('a'+i%26)), Name: "App", FileSharing: i == 0})
	}
	_, h, j := newRig(t, Options{Apps: apps})
	conn := h.session(t, 1).service(t, installationProxy)
	options := func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	a := exchange(t, conn, map[string]any{"Command": "Browse", "ClientOptions": options("ApplicationType", "User", "ReturnAttributes", []string{"CFBundleIdentifier", "ApplicationSINF"})})
	var got []string
	for a["Status"] == "BrowsingApplications" {
		list := a["CurrentList"].([]any)
		if a["CurrentIndex"] != uint64(len(got)) || a["CurrentAmount"] != uint64(len(list)) || a["Total"] != uint64(45) {
			t.Errorf("got index %v, amount %v, total %v", a["CurrentIndex"], a["CurrentAmount"], a["Total"])
		}
		for _, app := range list {
			m := app.(map[string]any)
			got = append(got, m["CFBundleIdentifier"].(string))
			if len(m) != 2 || m["ApplicationSINF"] == nil {
				t.Errorf("got %v, want two attributes", m)
			}
		}
		a = map[string]any{}
		if err := device.ReadPlist(conn, &a); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 45 || slices.Contains(got, apps[0].Bundle) || a["Status"] != "Complete" {
		t.Errorf("got %q and %v", got, a)
	}
	a = exchange(t, conn, map[string]any{"Command": "Lookup", "ClientOptions": options("BundleIDs", []string{apps[1].Bundle})})
	found, _ := a["LookupResult"].(map[string]any)
	if app, _ := found[apps[1].Bundle].(map[string]any); len(found) != 1 || app["UIFileSharingEnabled"] != true || app["iTunesMetadata"] == nil {
		t.Errorf("got %v", a)
	}
	j.clean(t)
	if a := exchange(t, conn, map[string]any{"Command": "Explode"}); a["Error"] != "UnknownCommand" || len(j.violations()) != 1 {
		t.Errorf("got %v, %q", a, j.violations())
	}
}

func TestAppIdentifiersAreChecked(t *testing.T) {
	t.Parallel()
	for _, bundle := range []string{"", "..", "../x", "a/b", `a\b`, ".hidden", "a b"} {
		if _, err := New(t.TempDir(), Options{Apps: []App{{Bundle: bundle}}}); err == nil {
			t.Errorf("an application %q was installed", bundle)
		}
	}
	if _, err := New(t.TempDir(), Options{UDID: "../x"}); err == nil {
		t.Error("a UDID that is a path was accepted")
	}
}

func TestIcons(t *testing.T) {
	t.Parallel()
	_, h, _ := newRig(t, Options{})
	conn := h.session(t, 1).service(t, springboard)
	a := exchange(t, conn, map[string]any{"command": "getIconPNGData", "bundleId": "org.example.notes"})
	b, _ := a["pngData"].([]byte)
	if img, err := png.Decode(bytes.NewReader(b)); err != nil || img.Bounds().Dx() != 60 {
		t.Errorf("got %v", err)
	}
	for _, r := range []map[string]any{{"command": "getIconPNGData", "bundleId": "none"}, {"command": "explode"}} {
		if a := exchange(t, conn, r); a["Error"] == nil {
			t.Errorf("%v: got %v, want a refusal", r, a)
		}
	}
}

func TestDiagnostics(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"17.3.1": "Success", "17.4": "MobileGestaltDeprecated", "18.0": "MobileGestaltDeprecated"} {
		_, h, j := newRig(t, Options{ProductVersion: version})
		conn := h.session(t, 1).service(t, diagnostics)
		a := exchange(t, conn, map[string]any{"Request": "MobileGestalt", "MobileGestaltKeys": []string{"ProductType", "None"}})
		answers := a["Diagnostics"].(map[string]any)["MobileGestalt"].(map[string]any)
		if answers["Status"] != want || (answers["ProductType"] == "iPhone14,5") != (want == "Success") || answers["None"] != nil {
			t.Errorf("%s: got %v", version, answers)
		}
		for _, request := range []string{"All", "WiFi", "IORegistry", "Restart"} {
			if a := exchange(t, conn, map[string]any{"Request": request}); a["Status"] != "Success" {
				t.Errorf("%s: got %v", request, a)
			}
		}
		j.clean(t)
		if a := exchange(t, conn, map[string]any{"Request": "Explode"}); a["Status"] != "UnknownRequest" || len(j.violations()) != 1 {
			t.Errorf("got %v, %q", a, j.violations())
		}
		exchange(t, conn, map[string]any{"Request": "Goodbye"})
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after Goodbye: got %v", err)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	_, h, j := newRig(t, Options{Heartbeat: 50 * time.Millisecond})
	l := h.session(t, 1)
	conn := l.service(t, heartbeat)
	beat := func() {
		t.Helper()
		var a map[string]any
		if err := device.ReadPlist(conn, &a); err != nil || a["Command"] != "Marco" {
			t.Fatalf("got %v, %v, want Marco", a, err)
		}
	}
	say := func(command string) {
		t.Helper()
		if err := device.WritePlist(conn, map[string]any{"Command": command}, plist.XML); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		beat()
		say("Polo")
	}
	beat()
	j.clean(t)
	say("Columbus")
	if _, err := conn.Read(make([]byte, 1)); err == nil || len(j.violations()) != 1 {
		t.Errorf("got %v, %q, want the end", err, j.violations())
	}
	conn = l.service(t, heartbeat)
	beat()
	if _, err := conn.Read(make([]byte, 1)); err == nil || len(j.violations()) != 2 {
		t.Errorf("silence: got %v, %q, want the end", err, j.violations())
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	_, h, j := newRig(t, Options{})
	conn := h.session(t, 1).service(t, assertions)
	if a := exchange(t, conn, map[string]any{"CommandKey": "CommandCreateAssertion", "AssertionTypeKey": "PreventUserIdleSystemSleep"}); a["Status"] != "Success" {
		t.Errorf("got %v", a)
	}
	j.clean(t)
	if a := exchange(t, conn, map[string]any{"CommandKey": "Explode"}); a["Status"] != "Failure" || len(j.violations()) != 1 {
		t.Errorf("got %v, %q", a, j.violations())
	}
}
