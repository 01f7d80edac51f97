package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"russet/backend/backendtest"
	"russet/device/sim"
)

// storageSecret is the password of every server here. No verb prints it.
const storageSecret = "Tr0ub4dor-and-3"

// storageServer is a real server of one kind, as the scripts see it.
type storageServer struct {
	store string   // the address below which each script has a place of its own
	away  string   // the same where nobody listens; "" where there is no such thing
	env   []string // who we are there
	named string   // store with user and password in it; "" where an address holds none
}

// storageKinds starts the servers. Where one is not installed the test is skipped.
var storageKinds = map[string]func(t *testing.T) storageServer{
	"s3": func(t *testing.T) storageServer {
		s := backendtest.VersityGW(t, os.UserCacheDir)
		return storageServer{
			store: s.Address("bucket") + "/below",
			away:  "s3:http://127.0.0.1:1/bucket",
			env:   []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey},
		}
	},
	"rest": func(t *testing.T) storageServer {
		at := backendtest.RcloneServer{Remote: t.TempDir(), User: "ada", Password: storageSecret}.Start(t)
		return storageServer{
			store: "rest:" + strings.TrimSuffix(at, "/"),
			away:  "rest:http://127.0.0.1:1",
			env:   []string{"RESTIC_REST_USERNAME=ada", "RESTIC_REST_PASSWORD=" + storageSecret},
			named: "rest:" + strings.TrimSuffix(strings.Replace(at, "//", "//ada:"+storageSecret+"@", 1), "/"),
		}
	},
	"sftp": func(t *testing.T) storageServer { return sftpStorage(t) },
	"rclone": func(t *testing.T) storageServer {
		backendtest.Rclone(t)
		return storageServer{store: "rclone:" + t.TempDir(), env: []string{"RCLONE_CONFIG=" + filepath.Join(t.TempDir(), "none")}}
	},
}

// sftpStorage is sshd with more lines of its configuration.
func sftpStorage(t *testing.T, config ...string) storageServer {
	t.Helper()
	s := backendtest.StartSSHD(t, config...)
	home := t.TempDir()
	for from, to := range map[string]string{s.KeyFile: "id_ed25519", s.KnownHosts: "known_hosts"} {
		if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, filepath.Join(home, ".ssh", to)); err != nil {
			t.Fatal(err)
		}
	}
	at := s.Address(t.TempDir())
	return storageServer{
		store: at, away: strings.Replace(at, ":"+s.Port, ":1", 1),
		env: []string{"HOME=" + home, "SSH_AUTH_SOCK="},
	}
}

// TestStorageScripts runs the scenarios in testdata/storage over a server of each
// kind. They have the commands exits, which finds the server's password in what a
// command says, too, exec phone, plug, unplug and samebackup, the conditions s3, rest, rclone, sftp,
// away and tty, and the variables STORE (an address that is the script's own), AWAY,
// NAMED and TYPED (the password of rest).
func TestStorageScripts(t *testing.T) {
	t.Parallel()
	for kind, start := range storageKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && kind != "rest" {
				t.Skip("short: one kind of server is enough")
			}
			start(t).run(t, kind, "testdata/storage")
		})
	}
}

// run runs the scripts of a folder over the server.
func (s storageServer) run(t *testing.T, kind, folder string) {
	t.Helper()
	phones := new(simulations)
	testscript.Run(t, testscript.Params{
		Dir:                 folder,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": func(ts *testscript.TestScript, neg bool, args []string) { discreet(ts, neg, args, s.secrets()) }, "samebackup": sameBackup,
			"plug": phones.plug, "unplug": phones.unplug,
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "away":
				return s.away != "", nil
			case "tty":
				return runtime.GOOS == "linux" || runtime.GOOS == "darwin", nil
			}
			return name == kind, nil
		},
		Setup: func(env *testscript.Env) error {
			own := "/" + filepath.Base(env.WorkDir)
			env.Vars = append(env.Vars, s.env...)
			env.Setenv("STORE", s.store+own)
			env.Setenv("TYPED", storageSecret)
			env.Setenv("AWAY", s.away+own)
			env.Setenv("NAMED", s.named+own)
			for _, which := range []string{"", "FROM_", "TO_"} {
				env.Setenv("RUSSET_"+which+"PASSWORD", "secret")
			}
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("UDID", sim.Tiny().UDID)
			env.Setenv("USBMUXD_SOCKET_ADDRESS", "127.0.0.1:1") // nobody
			return nil
		},
	})
}

// secrets are what no verb may say.
func (s storageServer) secrets() []string {
	list := []string{storageSecret}
	for _, e := range s.env {
		if name, value, _ := strings.Cut(e, "="); strings.HasSuffix(name, "_SECRET_ACCESS_KEY") {
			list = append(list, value)
		}
	}
	return list
}

// discreet is exits for commands that know a secret.
func discreet(ts *testscript.TestScript, neg bool, args, secrets []string) {
	exits(ts, neg, args)
	for _, secret := range secrets {
		for _, stream := range []string{"stdout", "stderr"} {
			if strings.Contains(ts.ReadFile(stream), secret) {
				ts.Fatalf("%s holds a secret", stream)
			}
		}
	}
}
