package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"russet/device/mb2"
	"russet/ios"
)

const ended = -1 // in place of an answer: the connection ended without one

// badHost is a host that breaks one rule. The backup that it breaks is a full
// one, or the incremental one after it.
type badHost struct {
	name        string
	incremental bool
	breaks      func(h *host)
	rule        Rule
	code        int // of the answer, or ended
	fallback    bool
	script      Script
}

// after lets a number of calls pass.
func after(n int) func() bool {
	return func() bool { n--; return n < 0 }
}

// onOrder answers one order, after some of its kind, with something else.
func onOrder(order string, skip int, answer ...any) func(*host) {
	passed := after(skip)
	return func(h *host) {
		h.answer = func(name string, _ []any) []any {
			if name != order || !passed() {
				return nil
			}
			return append([]any{}, answer...) // never nil
		}
	}
}

// lose leaves a name out of all listings once it is wanted.
func lose(which func(name string, e map[string]any) bool) func(*host) {
	return func(h *host) {
		h.listing = func(_ string, names map[string]any) map[string]any {
			for name, v := range names {
				if which(name, v.(map[string]any)) {
					delete(names, name)
				}
			}
			return names
		}
	}
}

func stored(name string, e map[string]any) bool { return isID(name) && e["DLFileSize"] != 0 }

func emptyFile(name string, e map[string]any) bool { return isID(name) && e["DLFileSize"] == 0 }

func serving(name string, data string) func(*host) {
	return func(h *host) {
		h.serves = func(path string, was []byte) []byte {
			if strings.HasSuffix(path, small().UDID+"/"+name) {
				return []byte(data)
			}
			return was
		}
	}
}

func badHosts() []badHost {
	return slices.Concat(badTalkers(), badAnswers(), badFolders())
}

// badTalkers break the order and the form of messages.
func badTalkers() []badHost {
	return []badHost{
		{name: "no Hello", breaks: func(h *host) { h.noHello = true }, rule: RuleHello, code: ended},
		{name: "a version that is none", breaks: func(h *host) { h.version = 1 }, rule: RuleVersion, code: ended},
		{name: "no goodbye", breaks: func(h *host) { h.noBye = true }, rule: RuleGoodbye, code: 0},
		{name: "an upload is not answered", breaks: func(h *host) { h.noStatus = "DLMessageUploadFiles" }, rule: RuleOrder, code: ended},
		{name: "a folder is not answered", breaks: func(h *host) { h.noStatus = "DLMessageCreateDirectory" }, rule: RuleOrder, code: ended},
		{name: "a download is not answered", breaks: func(h *host) { h.noStatus = "DLMessageDownloadFiles" }, rule: RuleOrder, code: ended},
		{name: "a move is not answered", breaks: func(h *host) { h.noStatus = "DLMessageMoveItems" }, rule: RuleOrder, code: ended},
		{name: "a removal is not answered", breaks: func(h *host) { h.noStatus = "DLMessageRemoveItems" }, rule: RuleOrder, code: ended},
		{name: "a listing is not answered", breaks: func(h *host) { h.noStatus = "DLContentsOfDirectory" }, rule: RuleOrder, code: ended},
		{
			name: "units over 32 KiB", incremental: true, breaks: func(h *host) { h.unit = mb2.DataSize + 1 },
			rule: RuleUnitSize, code: ended,
		},
		{
			name: "a unit without end", breaks: func(h *host) {
				h.sends = func(path string) string { return strings.Repeat("x", mb2.MaxName+1) }
			},
			rule: RuleUnit, code: ended,
		},
		{
			name: "another name in a download", incremental: true, breaks: func(h *host) {
				h.sends = func(path string) string { return "./" + path }
			},
			rule: RuleName, code: 1,
		},
	}
}

// badAnswers give answers that are none.
func badAnswers() []badHost {
	none := map[string]any{}
	details := map[string]any{small().UDID + "/Status.plist": map[string]any{"DLFileErrorCode": "-6"}}
	return []badHost{
		{name: "a code that is text", breaks: onOrder("DLMessageCreateDirectory", 3, "0", mb2.Text, none), rule: RuleStatus, code: 100},
		{name: "a positive code", breaks: onOrder("DLMessageCreateDirectory", 3, 6, mb2.Text, none), rule: RuleStatus, code: 100},
		{name: "a text that is a number", breaks: onOrder("DLMessageCreateDirectory", 3, 0, 0, none), rule: RuleStatus, code: 100},
		{name: "no code", breaks: onOrder("DLMessageUploadFiles", 1), rule: RuleStatus, code: 100},
		{name: "multi status without details", breaks: onOrder("DLMessageDownloadFiles", 0, -13, "Multi status", 7), rule: RuleStatus, code: 100},
		{name: "details of other types", breaks: onOrder("DLMessageDownloadFiles", 0, -13, "Multi status", details), rule: RuleStatus, code: 100},
		{name: "a listing that is a text", breaks: onOrder("DLContentsOfDirectory", 0, 0, mb2.Text, "x"), rule: RuleStatus, code: 100},
		{
			name: "entries without a type", breaks: onOrder("DLContentsOfDirectory", 0, 0, mb2.Text,
				map[string]any{"00": map[string]any{"DLFileSize": 1, "DLFileModificationDate": treeTime()}}),
			rule: RuleStatus, code: 100,
		},
		{name: "free space as text", breaks: onOrder("DLMessageGetFreeDiskSpace", 0, 0, mb2.Text, "1"), rule: RuleSpace, code: 0},
		{name: "negative free space", breaks: onOrder("DLMessageGetFreeDiskSpace", 0, 0, mb2.Text, -5), rule: RuleSpace, code: 0},
		{
			name: "a failure that the status hides", breaks: onOrder("DLMessageDownloadFiles", 0, 0, mb2.Text, none),
			rule: RuleFailure, code: 0,
		},
		{
			name: "details where nothing failed", incremental: true,
			breaks: onOrder("DLMessageDownloadFiles", 0, -13, "Multi status", none), rule: RuleFailure, code: 0,
		},
	}
}

// badFolders show another folder than the phone has written.
func badFolders() []badHost {
	return []badHost{
		{name: "files are not listed", breaks: lose(stored), rule: RuleListing, code: 205},
		{name: "files are not listed any more", incremental: true, breaks: lose(stored), rule: RuleListing, code: 205, fallback: true},
		{name: "empty files are not listed", breaks: lose(emptyFile), rule: RuleEmpty, code: 205},
		{
			name: "the manifest is not listed", breaks: lose(func(name string, _ map[string]any) bool { return name == ios.DatabaseName }),
			rule: RuleListing, code: 205,
		},
		{
			name: "sizes are wrong", breaks: func(h *host) {
				h.listing = func(_ string, names map[string]any) map[string]any {
					for name, v := range names {
						if isID(name) {
							v.(map[string]any)["DLFileSize"] = 3
						}
					}
					return names
				}
			},
			rule: RuleSize, code: 205,
		},
		{name: "an empty manifest", incremental: true, breaks: serving(ios.ManifestName, ""), rule: RuleManifest, code: 205},
		{
			name: "another manifest", incremental: true, breaks: serving(ios.DatabaseName, "SQLite format 3\x00"),
			rule: RuleContent, code: 205, fallback: true,
		},
		{name: "another manifest at the end", breaks: serving(ios.DatabaseName, "SQLite format 3\x00"), rule: RuleContent, code: 205},
		{
			name: "a move that does not replace", incremental: true, breaks: func(h *host) {
				before := h.root.clone()
				h.serves = func(path string, data []byte) []byte {
					if strings.HasSuffix(path, small().UDID+"/"+ios.DatabaseName) {
						data, _ = before.read(path)
					}
					return data
				}
			},
			rule: RuleContent, code: 205,
		},
		{
			name: "a name that leads out", breaks: onOrder("DLMessageCreateDirectory", 514, 0, mb2.Text, map[string]any{}),
			rule: RuleEscape, code: 0, script: Script{Hostile: []Hostile{{Order: "mkdir", Name: "../x"}}},
		},
	}
}

func TestBrokenHosts(t *testing.T) {
	t.Parallel()
	d := newDevice(t, small())
	good := newHost()
	first := openPhone(t, d, Options{})
	backUp(t, first, good)
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range badHosts() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost()
			p := openPhone(t, d, Options{Script: c.script})
			if c.incremental {
				h.root = good.root.clone()
				if err := p.remember(func(s *state) { *s = first.remembered() }); err != nil {
					t.Fatal(err)
				}
			}
			c.breaks(h)
			f, report, err := speak(t.Context(), p, h, backupRequest(d.Config().UDID))
			if !errors.Is(err, ErrViolation) {
				t.Fatalf("got %v, want a violation", err)
			}
			if !slices.ContainsFunc(report.Violations, func(v *Violation) bool { return v.Rule == c.rule }) {
				t.Errorf("got %v, want rule %q", err, c.rule)
			}
			for _, v := range report.Violations {
				if v.Rule != c.rule {
					t.Errorf("rule %q was broken, too: %v", v.Rule, v)
				}
			}
			if !report.Answered {
				f.code = ended
			}
			if f.code != c.code || (report.Fallback != "") != c.fallback {
				t.Errorf("got the answer %d, fallback %q, want %d, %t; %v", f.code, report.Fallback, c.code, c.fallback, err)
			}
		})
	}
}

func TestAllRulesAreTested(t *testing.T) {
	t.Parallel()
	tested := map[Rule]bool{
		RuleRequest: true, RuleTarget: true, // TestRequests
		RuleMissing: true, // TestRestoreLosesFiles
	}
	for _, c := range badHosts() {
		tested[c.rule] = true
	}
	for _, r := range []Rule{
		RuleVersion, RuleHello, RuleRequest, RuleTarget, RuleUnit, RuleUnitSize, RuleOrder, RuleStatus, RuleName,
		RuleFailure, RuleMissing, RuleListing, RuleEmpty, RuleSize, RuleManifest, RuleContent, RuleSpace, RuleEscape,
		RuleGoodbye,
	} {
		if !tested[r] {
			t.Errorf("no host breaks the rule %q", r)
		}
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	d := newDevice(t, small())
	for _, c := range []struct {
		request map[string]any
		rule    Rule
		code    int
	}{
		{map[string]any{"MessageName": "Backup", "TargetIdentifier": "another"}, RuleTarget, ended},
		{map[string]any{"MessageName": "Restore", "TargetIdentifier": "another"}, RuleTarget, ended},
		{map[string]any{"MessageName": "ChangePassword", "TargetIdentifier": "another"}, RuleTarget, ended},
		{map[string]any{"MessageName": "Info"}, RuleTarget, ended},
		{map[string]any{"MessageName": "CancelBackup"}, RuleRequest, ended},
		{map[string]any{"MessageName": 7}, RuleRequest, ended},
		{map[string]any{"MessageName": "EnableCloudBackup"}, RuleRequest, ended},
		{map[string]any{"MessageName": "EnableCloudBackup", "CloudBackupState": true}, "", 0},
		{map[string]any{"MessageName": "Remove"}, "", 1},
		{map[string]any{"MessageName": "Info", "TargetIdentifier": d.Config().UDID}, "", 204},
		{map[string]any{"MessageName": "Restore", "TargetIdentifier": d.Config().UDID}, "", 204},
	} {
		p := openPhone(t, d, Options{})
		f, report, err := speak(t.Context(), p, newHost(), c.request)
		if !report.Answered {
			f.code = ended
		}
		if f.code != c.code {
			t.Errorf("%v: got the answer %d, want %d", c.request, f.code, c.code)
		}
		v, ok := errors.AsType[*Violation](err)
		if ok != (c.rule != "") || ok && v.Rule != c.rule {
			t.Errorf("%v: got %v, want rule %q", c.request, err, c.rule)
		}
		if r, ok := errors.AsType[*Refusal](err); c.code > 0 && (!ok || r.Code != c.code) {
			t.Errorf("%v: got %v, want a refusal with %d", c.request, err, c.code)
		}
	}
}
