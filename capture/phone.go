package capture

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path"
	"time"

	"russet/chunk"
	"russet/device/mb2"
	"russet/internal/durable"
	"russet/ios"
	"russet/repo"
)

const (
	// maxInfo bounds the host's Info.plist, which may hold pictures of apps.
	maxInfo = 16 << 20
	// plenty is the free space of a place that does not tell.
	plenty = 1 << 50
)

// PhoneOptions of a run. The embedded Options serve as in Folder; Incomplete
// and Force mean nothing here.
type PhoneOptions struct {
	Options
	// Spool is the folder in which <UDID>/ holds what an interrupted run is
	// continued from, and <UDID>.listing saves the next run loading trees: spool/
	// beside the data of a repository in a folder.
	Spool *os.Root
	// Full shows an empty folder, so that the phone sends everything. A run
	// that was cut off is continued only if it was one.
	Full bool
	// Info is the Info.plist that the host gives; nil keeps the last version's.
	Info []byte
	// WillEncrypt is the phone's own word on whether it encrypts backups. Where
	// it is nil, they are taken to be as the last version's.
	WillEncrypt *bool
	// Answered, if not nil, is called by Commit once it is on the disk that the
	// phone has answered: from then on the run is finished without the phone.
	Answered func()
	// AssumeFree is what Free says, in bytes; 0 asks the repository's drive.
	AssumeFree int64

	// For tests: sizes of a segment of the spool, of what is drained between two
	// checkpoints, and of what comes between two; and prepareFiles. 0 are the real ones.
	segment, drain, checkpoint int64
	prepare                    int
}

// Phone is the folder that a phone writes its backup to and reads it from, an
// mb2.Folder. It lies nowhere but in the repository and, of an encrypted
// backup, in the spool until its manifest is there. Like an mb2.Folder it is for
// one goroutine.
type Phone struct {
	r    *repo.Repository
	udid string
	opt  PhoneOptions
	hash recordHasher
	now  func() time.Time

	history *history
	parent  *Version // what is built upon, or nil
	keys    func() (map[string]*ios.Key, error)
	why     string            // why the phone will send everything
	folders map[uint64]uint64 // the last version's trees, as treeBegin has them, by the hash of their path

	ctx     context.Context // of the run, for what outlives a call
	lock    *durable.Lock   // of what follows
	dir     *os.Root        // spool/<UDID>
	spool   *spool
	journal *journal
	begun   beginning

	w     *repo.Writer
	in    *intake
	slots *holdings

	overlay  overlay
	sums     map[uint32]chunk.ID // by slot: of manifests that came, which are too long to be read again for it
	ops      []operation         // not in the journal yet
	own      int                 // of them, those that are not the phone's
	since    time.Time           // the last checkpoint
	bytes    int64               // that came since
	beside   <-chan struct{}     // closed when a checkpoint is made that is made beside; nil once that is known
	spareOps []operation         // its operations, then memory for others
	file     *incoming           // being received
	prepared *preparation        // once the phone has said that it is complete, or nil
	answered time.Time
	resumed  bool
	dropped  string // why an earlier run was not continued
	closed   bool

	top      map[string]storedFile // for topFS
	manifest uint64                // its place in the spool
}

var _ mb2.Sourced = (*Phone)(nil)

// OpenPhone begins a run of a phone, or continues one that was cut off. r is
// locked and its index loaded; ctx is the lock's, and bounds the whole run. What
// an earlier run left to be done without the phone is done first, as by Drain.
func OpenPhone(ctx context.Context, r *repo.Repository, udid string, opt PhoneOptions) (*Phone, error) {
	if _, _, err := drain(ctx, r, udid, opt); err != nil && !errors.Is(err, errJournal) { // of which resume tells
		return nil, err
	}
	p, err := openPhone(ctx, r, udid, opt)
	if err != nil {
		return nil, fmt.Errorf("open phone's folder: %w", err)
	}
	if err := p.resume(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open phone's folder: %w", err), p.abandon())
	}
	if opt.Info != nil {
		if err := p.putInfo(); err != nil {
			return nil, errors.Join(fmt.Errorf("open phone's folder: %w", err), p.abandon())
		}
	}
	p.own = len(p.ops)
	return p, nil
}

// legalDevice tells whether a name can be a device's and a folder's.
func legalDevice(udid string) error {
	if _, ok := UDID(&repo.Snapshot{Paths: []string{"/" + udid}}); !ok || safeName(udid, "") != udid {
		return fmt.Errorf("name of the device: %w", fs.ErrInvalid)
	}
	return nil
}

// openPhone makes a Phone that shows nothing yet.
func openPhone(ctx context.Context, r *repo.Repository, udid string, opt PhoneOptions) (*Phone, error) {
	if err := legalDevice(udid); err != nil {
		return nil, err
	}
	p := &Phone{ctx: ctx, r: r, udid: udid, opt: opt, hash: recordHasher{maphash.MakeSeed()}, now: opt.Now, slots: new(holdings), sums: map[uint32]chunk.ID{}}
	if p.now == nil {
		p.now = time.Now
	}
	var err error
	if p.history, err = readHistory(ctx, r, udid); err != nil {
		return nil, fmt.Errorf("look for earlier versions: %w", err)
	}
	if p.lock, err = durable.TryLock(opt.Spool, udid+".lock"); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if err := durable.Mkdir(opt.Spool, udid, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, errors.Join(err, p.lock.Close())
	}
	if p.dir, err = opt.Spool.OpenRoot(udid); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", durable.WithoutPath(err)), p.lock.Close())
	}
	p.fresh()
	p.w = r.NewWriter(ctx)
	p.in = newIntake(p.w, r.Cutter(), p.slots)
	p.since = p.now()
	if p.opt.checkpoint == 0 {
		p.opt.checkpoint = checkpointBytes
	}
	return p, nil
}

// fresh is the state in which a run begins.
func (p *Phone) fresh() {
	key := p.r.Key()
	run := newRun()
	p.journal = &journal{frameSeal: frameSeal{key: key, run: run}, root: p.dir}
	p.spool = &spool{root: p.dir, key: key, run: run, limit: segmentSize}
	if p.opt.segment > 0 {
		p.spool.limit = p.opt.segment
	}
	p.overlay = overlay{root: newBranch()}
	p.ops, p.answered, p.folders, p.keys, p.why = nil, time.Time{}, nil, nil, ""
}

// begin shows the last version, or nothing, and notes what the run builds on.
func (p *Phone) begin(ctx context.Context) error {
	p.fresh()
	var err error
	if p.parent, err = p.history.newest(ctx, (*Version).usable); err != nil {
		return err
	}
	if p.parent == nil {
		p.why = p.history.whyNoParent()
	}
	b := beginning{repository: p.r.ID(), udid: p.udid, full: p.opt.Full}
	if p.opt.Full {
		p.why = "it was asked for"
	}
	if p.parent != nil {
		b.parent = p.parent.Snapshot.Tree
		if p.opt.WillEncrypt == nil {
			b.spooled = p.parent.Snapshot.HasTag(TagEncrypted)
		}
	}
	if p.opt.WillEncrypt != nil {
		b.spooled = *p.opt.WillEncrypt
	}
	p.begun = b
	p.ops = append(p.ops, operation{verb: verbBegin, begin: b})
	if p.parent == nil || b.full {
		return nil
	}
	return p.showParent(ctx)
}

// showParent shows the version that the run is built upon.
func (p *Phone) showParent(ctx context.Context) error {
	if err := p.show(ctx, p.parent); err != nil || p.why != "" {
		return err
	}
	p.why = whySwitched(p.parent, p.begun.spooled)
	return nil
}

// whySwitched says what becomes of the next backup where encryption was
// switched on or off: phones do not mix the two.
func whySwitched(last *Version, encrypts bool) string {
	switch {
	case last.Snapshot.HasTag(TagEncrypted) == encrypts:
		return ""
	case encrypts:
		return "the phone encrypts its backups now, and did not before"
	}
	return "the phone does not encrypt its backups any more"
}

// whyNoParent says why there is no version to build upon.
func (h *history) whyNoParent() string {
	if len(h.snapshots) > 0 {
		return "no earlier version of this device is complete, whole and unedited"
	}
	return "this is the first version of this device"
}

// resume continues the run that the spool holds, or begins one.
func (p *Phone) resume(ctx context.Context) error {
	why, err := p.replay(ctx)
	if err != nil {
		return err
	}
	if p.resumed && p.opt.Full && !p.begun.full {
		p.resumed, why = false, "a full backup was asked for"
	}
	if p.resumed {
		return nil
	}
	p.dropped = why
	if err := p.clearSpool(); err != nil {
		return err
	}
	return p.begin(ctx)
}

// putInfo puts the host's Info.plist where it belongs.
func (p *Phone) putInfo() error {
	if len(p.opt.Info) > maxInfo {
		return fmt.Errorf("keep Info.plist of %d bytes: %w", len(p.opt.Info), fs.ErrInvalid)
	}
	made := operation{verb: verbMkdir, a: p.udid}
	if err := p.apply(&made); err != nil {
		return err
	}
	p.ops = append(p.ops, made)
	f := storedFile{size: int64(len(p.opt.Info)), modified: stampOf(p.now()), place: placeMemory}
	f.slot = p.slots.add(held{data: p.opt.Info})
	op := operation{verb: verbPut, a: path.Join(p.udid, ios.InfoName), file: f}
	if err := p.apply(&op); err != nil {
		return err
	}
	p.ops = append(p.ops, op)
	return nil
}

// Why says why the phone is going to send everything; empty when it need not.
func (p *Phone) Why() string { return p.why }

// Resumed says whether a run that was cut off is continued, and if one was
// given up instead, why.
func (p *Phone) Resumed() (bool, string) { return p.resumed, p.dropped }

// Close ends a run that is not complete. What was made durable is kept, and
// the next OpenPhone goes on from there.
func (p *Phone) Close() error {
	if p.closed {
		return nil
	}
	if p.file != nil {
		p.file.Abort()
	}
	p.unprepare()
	var err error
	if p.in.settle() == nil && p.answered.IsZero() && p.touched() {
		err = p.checkpoint()
	}
	return errors.Join(err, p.abandon())
}

// touched tells whether there is anything to continue from.
func (p *Phone) touched() bool { return p.beside != nil || p.journal.f != nil || len(p.ops) > p.own }

// abandon closes everything and keeps what is on the disk.
func (p *Phone) abandon() error {
	p.closed = true
	p.unprepare()
	_ = p.checkpointed() // whatever became of it
	p.in.stop()
	p.ops = nil
	_ = p.w.Close() // what it did not write is not in the journal
	err := errors.Join(p.spool.close(), p.journal.close(), p.dir.Close())
	_ = p.opt.Spool.Remove(p.udid) // refused while there is something
	return errors.Join(err, p.lock.Close())
}

// Drop ends a run and forgets it. The last version is what the phone sees next.
func (p *Phone) Drop() error {
	if p.closed {
		return nil
	}
	if p.file != nil {
		p.file.Abort()
	}
	p.unprepare()
	_ = p.checkpointed() // whatever became of it
	err := errors.Join(p.spool.close(), p.journal.close(), p.clearSpool())
	return errors.Join(err, p.abandon())
}

// clearSpool removes the journal first, without which the segments mean
// nothing.
func (p *Phone) clearSpool() error {
	if err := p.dir.Remove(journalName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove journal: %w", durable.WithoutPath(err))
	}
	if err := durable.SyncFolder(p.dir, "."); err != nil {
		return err
	}
	found, err := p.spool.segments()
	if err != nil {
		return err
	}
	for n := range found {
		if err := p.dir.Remove(segmentName(n)); err != nil {
			return fmt.Errorf("remove segment of spool: %w", durable.WithoutPath(err))
		}
	}
	return nil
}
