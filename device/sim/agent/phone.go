package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"russet/device/sim"
	"russet/internal/durable"
)

// Contents is what a phone holds. [*sim.Device] and [*sim.Folder] are two.
type Contents interface {
	// Config gives the phone's identifier, names and versions.
	Config() sim.Config
	// Scan yields all files, folders and links, each once, in any order.
	Scan(ctx context.Context) iter.Seq2[*sim.File, error]
	// Open opens a regular file that Scan yielded, as it is sent.
	Open(f *sim.File) (io.ReadCloser, error)
}

// Options of a phone. The zero value is a phone on which all goes well.
type Options struct {
	Script     Script
	Now        func() time.Time  // the phone's clock; time.Now
	Random     io.Reader         // of keys and identifiers; crypto/rand
	Iterations int               // rounds that the backup password costs; 10 million, as on a real phone
	Notify     func(name string) // a notification was posted; called in Serve
	Event      func(Event)       // called in Serve
	Allow      []Rule            // rules that a host need not keep: they are not reported
}

// Phone is the backup service of one phone. It is safe for concurrent use; one
// session is served after the other.
type Phone struct {
	contents Contents
	root     *os.Root // of the state directory
	dir      string   // its path, for SQLite
	o        Options

	session chan struct{} // holds one token

	mu     sync.Mutex // guards what follows
	state  state
	script Script
}

// state is what outlasts a session. It lies in the state directory.
type state struct {
	Password    string // of backups; plain ones where it is empty
	CloudBackup bool
	Run         *cutRun   // a backup that was cut off while files were sent
	Last        *lastSent // the backup that was finished last
}

// cutRun is a backup that can be resumed. Its manifest lies in cachedName.
type cutRun struct {
	UUID string
	Bag  []byte // the keybag
}

// lastSent names what was sent with the last backup.
type lastSent struct {
	Date time.Time         // of its Status
	Sums map[string][]byte // SHA-256, by the names of files
}

// The files of the state directory.
const (
	stateName    = "agent.json"
	workName     = "Manifest.db"     // in plain, while a backup runs
	cachedName   = "Cached.db"       // the same of a backup that was cut off
	storedName   = "Manifest.stored" // as the host has it
	restoredName = "Restored"        // what was restored, where the contents take nothing
	maxState     = 16 << 20          // bytes of agent.json
)

// Open makes a phone of contents. What it remembers from one session to the
// next lies in dir, an existing folder that belongs to it alone. Close it after
// use.
func Open(dir string, contents Contents, o Options) (*Phone, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the phone's state: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	o.Iterations = cmp.Or(o.Iterations, 10_000_000)
	p := &Phone{contents: contents, root: root, dir: dir, o: o, session: make(chan struct{}, 1), script: o.Script}
	if err := p.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the phone's state: %w", err), root.Close())
	}
	return p, nil
}

func (p *Phone) load() error {
	f, err := p.root.Open(stateName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewDecoder(io.LimitReader(f, maxState)).Decode(&p.state)
}

// Close gives the state directory up.
func (p *Phone) Close() error { return p.root.Close() }

// SetScript replaces the script for sessions that begin from now on.
func (p *Phone) SetScript(s Script) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = s
}

// Encrypted says whether backups are encrypted: the phone has a backup
// password. It is WillEncrypt of com.apple.mobile.backup.
func (p *Phone) Encrypted() bool { return p.remembered().Password != "" }

// remembered returns the state.
func (p *Phone) remembered() state {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// remember changes the state and writes it down.
func (p *Phone) remember(change func(*state)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.state)
	data, err := json.Marshal(p.state)
	if err != nil {
		return fmt.Errorf("write the phone's state: %w", err)
	}
	if err := durable.WriteFile(p.root, stateName, data, 0o600); err != nil {
		return fmt.Errorf("write the phone's state: %w", err)
	}
	return nil
}

func (p *Phone) allows(r Rule) bool { return slices.Contains(p.o.Allow, r) }

func (p *Phone) path(name string) string { return filepath.Join(p.dir, name) }

// drop removes files of the state directory.
func (p *Phone) drop(names ...string) error {
	for _, name := range names {
		if err := p.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear the phone's state: %w", err)
		}
	}
	return nil
}

// random returns n random bytes.
func (p *Phone) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(p.o.Random, b); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return b, nil
}

// uuid returns a version 4 UUID in capitals, as Apple writes them.
func (p *Phone) uuid() (string, error) {
	b, err := p.random(16)
	if err != nil {
		return "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
