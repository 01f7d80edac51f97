package backend_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"russet/backend"
	"russet/internal/durable"
)

// The types of the SFTP draft's packets between which others come.
const (
	packetOpen     = 3
	packetLstat    = 7
	packetExtended = 200
)

// A cutIn is what another program does in the folder just before the server gets a packet of a type that names something.
// nil is the connection, which is lost.
type cutIn struct {
	kind  byte
	names string
	do    func(folder string) error
}

// serveCutIns is OpenSSH's server, with others who come in between, one after the other. done counts them.
func serveCutIns(t *testing.T, folder string, cutIns []cutIn) (s sshServer, done *atomic.Int64) {
	t.Helper()
	command := sftpServer(t).SFTP.Command
	done = new(atomic.Int64)
	return startServer(t, &ssh.ServerConfig{NoClientAuth: true}, func(channel ssh.Channel) {
		server := exec.Command(command[0], command[1:]...)
		server.Stdin = &tapped{ReadWriteCloser: channel, seen: func(packet []byte) {
			if int(done.Load()) == len(cutIns) {
				return
			}
			next := cutIns[done.Load()]
			if packet[0] != next.kind || !bytes.Contains(packet, []byte(next.names)) {
				return
			}
			done.Add(1)
			if next.do == nil {
				_ = channel.Close()
			} else if err := next.do(folder); err != nil {
				t.Error(err)
			}
		}}
		server.Stdout = channel
		_ = server.Run()
	}), done
}

func take(name string) func(folder string) error {
	return func(folder string) error { return os.WriteFile(filepath.Join(folder, name), []byte("other"), 0o600) }
}

func free(name string) func(folder string) error {
	return func(folder string) error { return os.Remove(filepath.Join(folder, name)) }
}

// TestSFTPMirrorRace has others come between the steps of one who asks for a lock. He is told that they have it, or has it
// himself.
func TestSFTPMirrorRace(t *testing.T) {
	t.Parallel()
	const lock, heir = "mirror.lock", "mirror.lock-tmp-heir"
	type ages map[string]time.Duration // of what others have made before
	for name, c := range map[string]struct {
		there  ages
		cutIns []cutIn
		want   error
	}{
		"given back":              {ages{lock: 0}, []cutIn{{packetLstat, lock, free(lock)}}, nil},
		"given back and taken":    {ages{lock: 0}, []cutIn{{packetLstat, lock, free(lock)}, {packetOpen, lock, take(lock)}}, durable.ErrInUse},
		"an heir":                 {ages{lock: time.Hour, heir: 0}, nil, durable.ErrInUse},
		"an heir who died":        {ages{lock: time.Hour, heir: time.Hour}, nil, nil},
		"an heir comes":           {ages{lock: time.Hour}, []cutIn{{packetOpen, heir, take(heir)}}, durable.ErrInUse},
		"an heir gives up":        {ages{lock: time.Hour, heir: 0}, []cutIn{{packetLstat, heir, free(heir)}}, nil},
		"an heir is faster":       {ages{lock: time.Hour}, []cutIn{{packetOpen, heir, take(lock)}}, durable.ErrInUse},
		"an heir thinks him dead": {ages{lock: time.Hour}, []cutIn{{packetExtended, "posix-rename", free(heir)}}, durable.ErrInUse},
		"the connection is lost":  {ages{lock: time.Hour}, []cutIn{{packetOpen, heir, take("note")}, {packetLstat, lock, nil}}, nil},
		"an answer is lost":       {ages{lock: time.Hour}, []cutIn{{packetExtended, "posix-rename", nil}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := aRepository(t)
			for name, age := range c.there {
				if err := errors.Join(take(name)(folder), os.Chtimes(filepath.Join(folder, name), time.Time{}, time.Now().Add(-age))); err != nil {
					t.Fatal(err)
				}
			}
			s, done := serveCutIns(t, folder, c.cutIns)
			b, err := backend.Open(t.Context(), "sftp:"+s.address+folder, s.options)
			if err != nil {
				t.Fatal(err)
			}
			closeLater(t, b)
			_, release, err := b.(markedPlace).Occupy(t.Context())
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if n := int(done.Load()); n != len(c.cutIns) {
				t.Errorf("%d came in between, want %d", n, len(c.cutIns))
			}
			if holder, err := os.ReadFile(filepath.Join(folder, lock)); err != nil || (string(holder) == "other") != (c.want != nil) {
				t.Errorf("the lock: got %q, %v", holder, err)
			}
			if holder, err := os.ReadFile(filepath.Join(folder, heir)); !errors.Is(err, fs.ErrNotExist) && string(holder) != "other" {
				t.Errorf("his own file stays: got %q, %v", holder, err)
			}
			if release != nil {
				release()
			}
		})
	}
}

// A grudging server has a config, and makes no file and says not why.
type grudging struct{}

func (grudging) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if name := path.Base(r.Filepath); name == "config" {
		return folders{name}, nil
	}
	return nil, fs.ErrNotExist
}

func (grudging) Filewrite(*sftp.Request) (io.WriterAt, error) { return nil, sftp.ErrSSHFxFailure }

// TestSFTPMirrorRefused asks for a lock where nothing may be written: nobody else has it.
func TestSFTPMirrorRefused(t *testing.T) {
	t.Parallel()
	occupy := func(address string, o backend.Options) error {
		b, err := backend.Open(t.Context(), address, o)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		_, _, err = b.(markedPlace).Occupy(t.Context())
		return err
	}
	if err := occupy("sftp:host:"+aRepository(t), sftpServer(t, "-R")); !errors.Is(err, fs.ErrPermission) || errors.Is(err, durable.ErrInUse) {
		t.Errorf("read only: got %v, want %v", err, fs.ErrPermission)
	}
	s := startServer(t, &ssh.ServerConfig{NoClientAuth: true}, func(channel ssh.Channel) {
		handlers := sftp.InMemHandler()
		handlers.FileList, handlers.FilePut = grudging{}, grudging{}
		_ = sftp.NewRequestServer(channel, handlers).Serve()
	})
	if err := occupy("sftp:"+s.address+"/repo", s.options); err == nil || !strings.Contains(err.Error(), "not why") || backend.IsTemporary(err) {
		t.Errorf("for no reason: got %v, want that it went wrong, for good", err)
	}
}
