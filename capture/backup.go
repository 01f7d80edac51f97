package capture

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"sync"
	"time"

	"russet/chunk"
	"russet/ios"
	"russet/repo"
)

// What a person can act on.
var (
	// ErrUnfinished: the backup's own state says that it was cut off.
	ErrUnfinished = errors.New("the backup is unfinished")
	// ErrMoving: the folder changed while it was read, several times over.
	ErrMoving = errors.New("the folder is being written by another program")
)

// attempts is how often a folder that changes under our hands is read.
const attempts = 3

// Ask is what is known when a phone's backup password is wanted.
type Ask struct {
	UDID, DeviceName string
	Keybag           string // its UUID in hex
	Wrong            bool   // the last answer was wrong
}

// Options of a capture. The zero value is a capture without a password.
type Options struct {
	// Password answers with a phone's backup password, and false when none is
	// known: then everything is kept sealed. It is asked again while the
	// answer is wrong. nil: none is known.
	Password func(ctx context.Context, a Ask) (string, bool, error)
	// Incomplete takes a backup that is not finished, too.
	Incomplete bool
	// Force reads every file, whatever the last version says, and what is
	// stored of it: what does not come back whole is stored again.
	Force bool
	// Keys caches class keys by keybag over several captures; may be nil.
	Keys map[string]ios.ClassKeys
	// Progress is kept up to date; may be nil.
	Progress *repo.Progress

	Username, ProgramVersion string
	Now                      func() time.Time // of the summary; nil leaves it out
}

// Folder keeps the backup folder root as a snapshot of r, whose index is
// loaded and which is locked; ctx is the lock's. name is the folder's own,
// for backups that do not say whose they are.
func Folder(ctx context.Context, r *repo.Repository, root *os.Root, name string, opt Options) (*Result, error) {
	for range attempts {
		res, err := folderOnce(ctx, r, root, name, opt)
		if !errors.Is(err, errMoved) {
			return res, err
		}
	}
	return nil, fmt.Errorf("capture folder: %w", ErrMoving)
}

// errMoved: Status or a manifest changed during the capture.
var errMoved = errors.New("the backup changed while it was read")

func folderOnce(ctx context.Context, r *repo.Repository, root *os.Root, name string, opt Options) (*Result, error) {
	c := &run{r: r, root: root, fsys: root.FS(), opt: opt, hash: recordHasher{maphash.MakeSeed()}}
	if opt.Now != nil {
		c.start = opt.Now()
	}
	if err := c.open(ctx, name); err != nil {
		return nil, err
	}
	if kept, err := c.alreadyKept(ctx); err != nil || kept != nil {
		return kept, err
	}
	defer func() { c.folder.close() }()
	if err := c.unlockAndList(ctx); err != nil {
		return nil, err
	}
	if err := c.survey(ctx); err != nil {
		return nil, err
	}
	return c.store(ctx)
}

// unlockAndList lists the folder while keys are derived: that takes a core's
// seconds, and no more than one core.
func (c *run) unlockAndList(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listed := make(chan error, 1)
	go func() {
		var err error
		c.folder, err = listFolder(ctx, c.root, c.b.Flat())
		listed <- err
	}()
	if err := c.unlock(ctx); err != nil {
		cancel()
		<-listed
		return err
	}
	c.setPhase("listing the folder")
	return <-listed
}

// run is one capture of one folder.
type run struct {
	r     *repo.Repository
	root  *os.Root // of a folder
	phone *Phone   // or what came from a phone
	fsys  fs.FS    // the files on top, as received
	opt   Options
	start time.Time
	// answered is when a phone said that its backup is complete; zero for a folder.
	answered time.Time
	hash     recordHasher

	b       *ios.Backup
	udid    string
	top     []received
	history *history
	parent  *Version // what is built upon, or nil

	keybag      string // UUID in hex
	keys        ios.ClassKeys
	manifestKey *ios.Key // nil where the manifest came in plain
	sealed      bool     // encrypted, and the password is not known
	unreadable  bool     // the manifest cannot be read

	folder   *folder
	records  *records
	dir      *dir
	w        *repo.Writer
	meta     *Metadata
	topNodes []*repo.Node

	changes [changes]int // how files differ from the parent's

	mu  sync.Mutex // guards sum while several goroutines run
	sum Summary
}

// open reads the plists and finds earlier versions.
func (c *run) open(ctx context.Context, name string) error {
	var err error
	if c.b, err = ios.Open(c.fsys); err != nil {
		return fmt.Errorf("open backup folder: %w", err)
	}
	if !c.b.Finished() && !c.opt.Incomplete {
		state := c.b.Status.SnapshotState
		if state == "" {
			state = "unknown"
		}
		return fmt.Errorf("open backup folder: its state is %q: %w", safeText(state), ErrUnfinished)
	}
	if c.udid = c.b.UDID(); c.udid == "" {
		c.udid = name
	}
	c.udid = safeName(c.udid, "unknown")
	c.setPhase("reading the backup's manifest")
	if c.top, err = readTop(c.fsys); err != nil {
		return fmt.Errorf("open backup folder: %w", err)
	}
	if c.history, err = readHistory(ctx, c.r, c.udid); err != nil {
		return fmt.Errorf("look for earlier versions: %w", err)
	}
	if c.parent, err = c.history.newest(ctx, (*Version).usable); err != nil {
		return fmt.Errorf("look for earlier versions: %w", err)
	}
	return nil
}

// unlock finds or asks for the keys of an encrypted backup.
func (c *run) unlock(ctx context.Context) error {
	if !c.b.Encrypted() {
		return nil
	}
	kb, err := c.b.Keybag()
	if err != nil {
		c.sealed, c.unreadable = true, true
		return nil
	}
	c.keybag = hex.EncodeToString(kb.UUID[:])
	if c.keys, err = c.knownKeys(ctx); err != nil {
		return err
	}
	if c.keys == nil {
		if c.keys, err = c.ask(ctx, kb); err != nil {
			return err
		}
	}
	if c.keys == nil {
		c.sealed = true
		return nil
	}
	if c.opt.Keys != nil {
		c.opt.Keys[c.keybag] = c.keys
	}
	key, ok, err := c.b.ManifestKey(c.keys)
	if err != nil || ok && c.b.Flat() { // which no phone encrypts
		c.sealed, c.unreadable = true, true
		return nil
	}
	if ok {
		c.manifestKey = &key
	}
	return nil
}

// knownKeys are those of this process or of an earlier version.
func (c *run) knownKeys(ctx context.Context) (ios.ClassKeys, error) {
	if k := c.opt.Keys[c.keybag]; k != nil && c.opens(k) {
		return k, nil
	}
	for v, err := range c.history.versions(ctx) {
		if err != nil {
			return nil, err
		}
		if k := v.keys(c.keybag); k != nil && c.opens(k) {
			return k, nil
		}
	}
	return nil, nil
}

// opens tells whether the keys open the manifest: an earlier version's keybag
// may claim any UUID.
func (c *run) opens(keys ios.ClassKeys) bool {
	_, _, err := c.b.ManifestKey(keys)
	return err == nil
}

func (c *run) ask(ctx context.Context, kb *ios.Keybag) (ios.ClassKeys, error) {
	if c.opt.Password == nil {
		return nil, nil
	}
	a := Ask{UDID: c.udid, DeviceName: c.b.DeviceName(), Keybag: c.keybag}
	for {
		password, ok, err := c.opt.Password(ctx, a)
		if err != nil || !ok {
			return nil, err
		}
		c.setPhase("deriving the backup's keys")
		keys, err := kb.Unlock(ctx, password)
		if err == nil {
			return fileClasses(keys), nil
		}
		if !errors.Is(err, ios.ErrWrongPassword) {
			return nil, fmt.Errorf("unlock backup: %w", err)
		}
		a.Wrong = true
	}
}

// survey reads the manifest and joins it with the folder.
func (c *run) survey(ctx context.Context) error {
	c.setPhase("reading the backup's manifest")
	c.records = new(records)
	if !c.sealed {
		if err := c.readManifest(ctx); err != nil {
			return err
		}
	}
	var clashes []*entry
	c.dir, clashes = plan(c.records.entries)
	c.records.sealed = append(c.records.sealed, clashes...)
	var short names
	c.dir.shorten(&short)
	c.records.names = names{}
	c.match()
	return nil
}

// readManifest reads the records; a manifest that does not read makes the
// whole backup one that is kept as received.
func (c *run) readManifest(ctx context.Context) error {
	recs, done, err := openRecords(ctx, c.fsys, c.manifestKey, c.b.Flat())
	if err == nil {
		defer done()
		c.records, err = readRecords(ctx, recs, c.hash, c.unsent())
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.manifestUnreadable(err) {
		c.records, c.sealed, c.unreadable, c.manifestKey = new(records), true, true, nil
		return nil
	}
	return fmt.Errorf("read manifest: %w", err)
}

// manifestUnreadable tells a manifest that says nothing from a drive that
// fails.
func (c *run) manifestUnreadable(err error) bool {
	return errors.Is(err, ios.ErrUnreadable) || errors.Is(err, ios.ErrPadding) || errors.Is(err, os.ErrNotExist)
}

// match joins the manifest's records with the files that lie in the folder.
func (c *run) match() {
	for _, e := range c.records.entries {
		if e.flag != flagFile {
			continue
		}
		e.stored, e.found = c.folder.stored.get(e.id)
	}
	for _, e := range c.records.sealed {
		e.stored, e.found = c.folder.stored.get(e.id)
	}
}

// setPhase says what is being done.
func (c *run) setPhase(phase string) {
	if c.opt.Progress != nil {
		c.opt.Progress.SetPhase(phase)
	}
}

// content is what a stored file became: its blobs and their total length.
type content struct {
	ids  []chunk.ID
	size int64
}
