package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"

	"russet/crypto"
	"russet/offsite"
)

// TestTwinPassword keeps a twin's password in a keyring made of software: it is not
// asked for then, and is gone with the copy.
func TestTwinPassword(t *testing.T) {
	keyring.MockInit() // of the whole process: not in parallel
	dir := t.TempDir()
	file := filepath.Join(dir, "two.txt")
	if err := os.WriteFile(file, []byte("secret two"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		return map[string]string{"RUSSET_REPOSITORY": filepath.Join(dir, "one"), "RUSSET_PASSWORD": "secret one"}[name]
	}
	run := func(args ...string) (int, string) {
		t.Helper()
		var out bytes.Buffer
		p := newProgram(env, strings.NewReader(""), &out, &out)
		p.cost = func() crypto.Cost { return crypto.Cost{N: 16, R: 1, P: 1} }
		return p.report(p.dispatch(t.Context(), append([]string{"russet"}, args...))), out.String()
	}
	two := filepath.Join(dir, "two")
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"init"}},
		{0, []string{"offsite", "add", "cloud", "--to", two, "--to-password-file", file, "--save-password"}},
		{0, []string{"offsite", "run"}},
		{0, []string{"offsite", "verify", "--drill"}},
		{0, []string{"offsite", "remove", "cloud"}},
		{1, []string{"offsite", "add", "cloud", "--to", two}},
		{0, []string{"offsite", "add", "cloud", "--to", two, "--to-password-file", file}},
		{1, []string{"offsite", "run"}},
		{0, []string{"offsite", "run", "--to-password-file", file, "--save-password"}},
		{0, []string{"offsite", "run"}},
	} {
		code, out := run(c.args...)
		if code != c.code || strings.Contains(out, "secret") {
			t.Fatalf("%q: code %d, want %d: %s", c.args, code, c.code, out)
		}
	}
}

// TestCopyLine: a password that another program put into a copy's address is not
// shown.
func TestCopyLine(t *testing.T) {
	t.Parallel()
	config := offsite.Config{Name: "cloud", Kind: offsite.Twin, Address: "rclone:nas,pass=s3cret:phones"}
	if got, want := copyLine(&config), "cloud: twin at rclone:nas,***:phones"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
