package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"github.com/zalando/go-keyring"

	"russet/backend"
	"russet/backend/backendtest"
)

func TestShown(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"/media/a:b@c":                       "/media/a:b@c",
		"rest:https://ada:pw@host:8000/a@b":  "rest:https://ada:***@host:8000/a@b",
		"rest:https://ada:p@w:x@host/":       "rest:https://ada:***@host/",
		"rest:https://ada:p/w@host/":         "rest:https://ada:***@host/",
		"rest:https://host:8000/path":        "rest:https://host:8000/path",
		"rest:ada:pw@host":                   "rest:ada:***@host",
		"https://ada:pw@host/":               "https://ada:***@host/",
		"sftp:ada@host:/path":                "sftp:ada@host:/path",
		"sftp://ada:pw@host:22//path":        "sftp://ada:***@host:22//path",
		"s3:https://key:secret@host/bucket":  "s3:https://key:***@host/bucket",
		"s3:s3.example.org/bucket":           "s3:s3.example.org/bucket",
		"rclone:remote:path":                 "rclone:remote:path",
		"rclone::webdav,user=x,pass=pw:path": "rclone::webdav,***:path",
		"rclone:remote,pass=pw:path":         "rclone:remote,***:path",
		"rclone::webdav,pass=pw":             "rclone::webdav,***",
		`rclone::b2,key="p:w",id=x`:          "rclone::b2,***",
		`rclone::b2,key='p:w`:                "rclone::b2,***",
		"rclone:/a,b:c":                      "rclone:/a,b:c",
		"rclone::local:/a,b":                 "rclone::local:/a,b",
		"rclone:":                            "rclone:",
		"rest:http+unix:///run/socket:/path": "rest:http+unix:///run/socket:/path",
	} {
		if got := shown(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestWithoutLogins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`unknown verb "rest:https://ada:p@w@host/"; did you mean it?`: `unknown verb "rest:https://ada:***@host/"; did you mean it?`,
		"open sftp://ada@host:22//a b: rest:http://:pw@h/x@y":         "open sftp://ada@host:22//a b: rest:http://:***@h/x@y",
		"at https://host:8000/a@b, and 3:4@5":                         "at https://host:8000/a@b, and 3:4@5",
		`unknown verb "rclone:nas,pass=pw:path"`:                      `unknown verb "rclone:nas,***`,
		`snapshot "rclone::b2,key=\"p w\":path": none`:                `snapshot "rclone::b2,***`,
		"at rclone::b2,key=pw:path and more":                          "at rclone::b2,*** and more",
		"at rclone::b2,***:path: it is full":                          "at rclone::b2,***:path: it is full",
	} {
		if got := withoutLogins(text); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzShown: no password of a form that servers understand is shown.
func FuzzShown(f *testing.F) {
	f.Add("rest:https://", "ada", "host/path")
	f.Add("sftp://", "a", "b")
	f.Add("https://", "", "")
	f.Fuzz(func(t *testing.T, scheme, user, rest string) {
		const password = "s3cret-pw"
		if !isRemote(scheme) || strings.ContainsAny(user, "/:@") || strings.Contains(scheme+user+rest, password) || !strings.HasSuffix(scheme, "://") {
			return // no address
		}
		if got := shown(scheme + user + ":" + password + "@" + rest); strings.Contains(got, password) {
			t.Errorf("%q %q %q: got %q", scheme, user, rest, got)
		}
	})
}

// TestStorageLogin: where a storage's user and password come from.
func TestStorageLogin(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("filed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	aws := map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
	for _, c := range []struct {
		address string
		flags   []string
		env     map[string]string
		names   placeNames
		want    string // user, password, token
	}{
		{"s3:host/bucket", nil, aws, ownNames, "key secret token"},
		{"s3:host/bucket", []string{"--storage-user=other", "--storage-password-file=" + file}, aws, ownNames, "other filed "},
		{"s3:host/bucket", []string{"--storage-user=other"}, aws, ownNames, "other  "},
		{"s3:host/bucket", nil, map[string]string{"RUSSET_STORAGE_USER": "key", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}, ownNames, "key secret "},
		{"s3:host/bucket", []string{"--storage-password-file=" + file}, map[string]string{"RUSSET_FROM_STORAGE_USER": "from", "RUSSET_FROM_STORAGE_PASSWORD": "pw"}, fromNames, "from pw "},
		{"rest:http://host/", nil, map[string]string{"RESTIC_REST_USERNAME": "ada", "RESTIC_REST_PASSWORD": "pw"}, ownNames, "ada pw "},
		{"rest:http://host/", nil, map[string]string{"RESTIC_REST_USERNAME": "ada", "RESTIC_REST_PASSWORD": "pw", "RUSSET_STORAGE_PASSWORD": "ours"}, ownNames, "ada ours "},
		{"rest:http://host/", nil, aws, ownNames, "  "},
	} {
		p := newProgram(func(name string) string { return c.env[name] }, strings.NewReader(""), nil, &bytes.Buffer{})
		err := inAction(t, p, c.flags, func(ctx *cli.Context) error {
			l, err := p.storageLogin(ctx, c.address, c.names)
			if err != nil {
				return err
			}
			if l.password.given() {
				l.text, err = l.password.read(t.Context(), p, "")
			}
			o := l.use(p, backend.Options{})
			got := l.user + " " + l.text + " " + l.token
			if c.address[:2] == "s3" && o.S3.AccessKey != l.user || got != c.want {
				t.Errorf("%s %q %q: got %q, want %q", c.address, c.flags, c.env, got, c.want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestLoginName(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"s3:https://host:9000/bucket/a/b":  "s3:https://host:9000/bucket",
		"s3:host/bucket":                   "s3:host/bucket",
		"rest:https://ada:pw@host:8000/a/": "rest:https://ada@host:8000",
		"sftp:ada@host:/a/b":               "sftp:ada@host",
	} {
		if got := (&login{address: address, scheme: strings.Split(address, ":")[0]}).name(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

// TestKeptLogin puts a server's password into a keyring, and needs it no more. The
// keyring is the whole process's: no other test may run beside it.
func TestKeptLogin(t *testing.T) {
	keyring.MockInit()
	at := "rest:" + backendtest.RcloneServer{Remote: t.TempDir(), User: "ada", Password: storageSecret}.Start(t)
	verb := func(env map[string]string, args ...string) (int, string) {
		var out bytes.Buffer
		code := run(context.Background(), append([]string{"russet"}, args...), func(name string) string { return env[name] }, strings.NewReader(""), &out, &out)
		return code, out.String()
	}
	if code, said := verb(nil, "validate-storage", at); code != codeStorageRefuses {
		t.Fatalf("without a password: got %d, %s", code, said)
	}
	known := map[string]string{"RUSSET_STORAGE_USER": "ada", "RUSSET_STORAGE_PASSWORD": storageSecret}
	if code, said := verb(known, "validate-storage", at, "--save-password"); code != 0 || strings.Contains(said, storageSecret) {
		t.Fatalf("with a password: got %d, %s", code, said)
	}
	if code, said := verb(nil, "validate-storage", at, "-q"); code != 0 || strings.Contains(said, storageSecret) {
		t.Errorf("with the keyring: got %d, %s", code, said)
	}
	keyring.MockInitWithError(errors.New("locked"))
	code, said := verb(known, "validate-storage", at, "--save-password")
	if code != codeError || !strings.Contains(said, "keyring does not take it") || !strings.Contains(said, "RUSSET_STORAGE_PASSWORD") || strings.Contains(said, storageSecret) {
		t.Errorf("with a keyring that takes nothing: got %d, %s", code, said)
	}
}
