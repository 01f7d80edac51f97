package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"russet/backend"
)

func TestSetOptions(t *testing.T) {
	t.Parallel()
	var o backend.Options
	err := setOptions(&o, []string{
		"s3.storage-class=STANDARD_IA", "s3.region=eu-1", "s3.bucket-lookup=dns", "s3.list-objects-v1=true", "S3.Connections = 7",
		"s3.lock-mode=governance", "s3.lock-days=30", "sftp.command=ssh -p 2222 nas -s sftp", "sftp.args=-p 22 -i 'a b'", "sftp.connections=3",
		"rest.connections=2", "rclone.program=/opt/rclone", "rclone.args=serve restic --stdio", "rclone.timeout=30s", "rclone.connections=9",
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := o.S3; s.StorageClass != "STANDARD_IA" || s.Region != "eu-1" || s.BucketLookup != "dns" || !s.ListObjectsV1 || s.Connections != 7 ||
		s.LockMode != "governance" || s.LockPeriod != 30*24*time.Hour {
		t.Errorf("s3: got %+v", s)
	}
	if s := o.SFTP; len(s.Command) != 6 || !slices.Equal(s.Args, []string{"-p", "22", "-i", "a b"}) || s.Connections != 3 {
		t.Errorf("sftp: got %q, %q, %d", s.Command, s.Args, s.Connections)
	}
	if r := o.Rclone; o.REST.Connections != 2 || r.Program != "/opt/rclone" || len(r.Args) != 3 || r.Timeout != 30*time.Second || r.Connections != 9 {
		t.Errorf("rest and rclone: got %+v, %+v", o.REST, r)
	}
	for _, bad := range []string{
		"s3.class=x", "s3.region", "s3.bucket-lookup=maybe", "s3.list-objects-v1=perhaps", "s3.connections=0", "s3.connections=1001", "s3.lock-mode=forever",
		"s3.lock-mode=governance", "s3.lock-days=3", "s3.lock-days=-1", "sftp.command='", "rclone.timeout=0s", "rclone.timeout=soon", "",
	} {
		err := setOptions(new(backend.Options), []string{bad})
		if _, ok := errors.AsType[usageError](err); !ok {
			t.Errorf("-o %q: got %v, want a mistake in the arguments", bad, err)
		}
	}
	if err := setOptions(&o, []string{"sftp.conections=3"}); err == nil || !strings.HasSuffix(err.Error(), "; did you mean sftp.connections?") {
		t.Errorf("a misspelt key: got %v", err)
	}
	err = setOptions(&o, []string{"s3.clas=x"})
	for _, option := range storageOptions {
		if err == nil || !strings.Contains(err.Error(), option.key) {
			t.Errorf("an unknown key: %v does not list %s", err, option.key)
		}
	}
}

// TestReadStorage: what flags say, and what the environment says in their place.
func TestReadStorage(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"RESTIC_CACERT": "theirs.pem", "RUSSET_CACERT": "ours.pem", "RESTIC_CACHE_DIR": "there", "HOME": "home", "USERPROFILE": "home",
		"AWS_PROFILE": "work", "AWS_REGION": "eu-1", "AWS_DEFAULT_REGION": "eu-2", "SSH_AUTH_SOCK": "agent",
	}
	var stderr bytes.Buffer
	p := newProgram(func(name string) string { return env[name] }, strings.NewReader(""), nil, &stderr)
	flags := []string{"--limit-upload", "10", "--limit-download=20", "-o", "s3.region=eu-3", "--no-cache"}
	if err := inAction(t, p, flags, func(*cli.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	s, o := p.storage, p.storage.options
	if s.caCert != "ours.pem" || s.local != "there" || !s.noCache || o.Network.Upload != 10<<10 || o.Network.Download != 20<<10 {
		t.Errorf("got %+v", s)
	}
	if o.S3.Region != "eu-3" || o.S3.Profile != "work" || o.S3.CredentialsFile != filepath.Join("home", ".aws", "credentials") {
		t.Errorf("got %+v", o.S3)
	}
	if o.SFTP.AgentSocket != "agent" || o.SFTP.Home != "home" || !slices.Contains(o.SFTP.KnownHosts, filepath.Join("home", ".ssh", "known_hosts")) {
		t.Errorf("got %+v", o.SFTP)
	}
	o.Network.Warn(fmt.Errorf("save data/%s: the connection is lost", strings.Repeat("0123abcd", 8)), 7500*time.Millisecond)
	if got, want := stderr.String(), "russet: save data/0123abcd: the connection is lost; trying again in 8 s\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := p.remoteOptions(); err == nil || !strings.Contains(err.Error(), "--cacert") {
		t.Errorf("a file of certificates that is not there: got %v", err)
	}
	err := inAction(t, p, []string{"--limit-upload=-1"}, func(*cli.Context) error { return nil })
	if _, ok := errors.AsType[usageError](err); !ok {
		t.Errorf("a limit below nothing: got %v", err)
	}
}

func TestUsualCache(t *testing.T) {
	t.Parallel()
	env := map[string]string{"HOME": "home", "LocalAppData": "local"}
	for system, want := range map[string]string{
		"darwin": "home/Library/Caches/russet", "windows": "local/russet", "linux": "home/.cache/russet",
	} {
		if got := filepath.ToSlash(usualCache(system, func(name string) string { return env[name] })); got != want {
			t.Errorf("%s: got %q, want %q", system, got, want)
		}
	}
	xdg := func(name string) string { return map[string]string{"HOME": "home", "XDG_CACHE_HOME": "xdg"}[name] }
	if got, want := filepath.ToSlash(usualCache("linux", xdg)), "xdg/russet"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := usualCache("linux", noEnv); got != "" {
		t.Errorf("without variables: got %q, want nothing", got)
	}
}

// TestCompleteOptions: a shell offers the keys of -o.
func TestCompleteOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"-o s3.lock-", "s3.lock-mode= s3.lock-days="},
		{"snapshots --option rclone.p", "rclone.program="},
		{"snapshots --option=rest.", "--option=rest.connections="},
	} {
		words := strings.Fields("russet " + c.args)
		words[len(words)-1] = completionFlag + words[len(words)-1]
		var out, stderr bytes.Buffer
		if code := run(t.Context(), words, noEnv, strings.NewReader(""), &out, &stderr); code != 0 {
			t.Fatalf("%s: got %d, %s", c.args, code, &stderr)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			text, _, _ := strings.Cut(line, "\t")
			got = append(got, text)
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.args, got, c.want)
		}
	}
}

// TestCertificates: a server is trusted by --cacert, and by nothing else.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, append(bytes.Repeat([]byte("# a bundle is long\n"), 10000), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env   map[string]string
		flags []string
		code  int
	}{
		{nil, nil, codeStorageRefuses},
		{nil, []string{"--cacert", file}, codeNoRepository},
		{map[string]string{"RESTIC_CACERT": file}, nil, codeNoRepository},
	} {
		args := append([]string{"russet", "snapshots", "-r", "rest:" + s.URL}, c.flags...)
		var stderr bytes.Buffer
		if code := run(t.Context(), args, func(name string) string { return c.env[name] }, strings.NewReader(""), io.Discard, &stderr); code != c.code {
			t.Errorf("%q %q: got %d, %s, want %d", c.env, c.flags, code, &stderr, c.code)
		}
	}
}
