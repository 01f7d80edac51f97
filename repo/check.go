package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// CheckOptions say how far a check goes: the zero value checks everything but the contents of packs.
type CheckOptions struct {
	// Read is which packs are read and opened as a whole.
	Read Subset
	// MaxAge, if not 0, has those packs read that were not verified for that
	// long before Now, by Verified; a share, a part or a size in Read is one of
	// these.
	MaxAge time.Duration
	// Verified, if not nil, is told of every pack that is read, as of the time Now.
	Verified *Verified
	Now      time.Time
	// Save, if not nil, is called about once a minute while packs are read, when
	// Verified has changed.
	Save     func()
	Progress *Progress
	// Report, if not nil, is called for each problem as it is found, never
	// concurrently.
	Report func(Problem)
}

// CheckResult is what a check saw. Sizes are bytes.
type CheckResult struct {
	IndexFiles, Packs, Blobs, Snapshots, Trees int
	PackBytes                                  int64
	PacksRead                                  int
	PacksRecent                                int // not read, as they were verified within CheckOptions.MaxAge
	BytesRead                                  int64
	Unreferenced                               int // packs that no index names
	UnreferencedBytes                          int64

	Notes    int // problems that are no damage
	Errors   int // problems that are
	Affected int // files and folders that the damage costs
}

// Check looks at everything in the repository, in the order in which one thing
// refers to another: config, keys and locks; index files; packs, by their
// sizes; snapshots and all their trees; last the packs that opt.Read chooses,
// whole: their names, their headers, and every blob in them. What looks damaged
// is read a second time before it is believed. For what is lost the files and
// folders of the owner that need it are named.
//
// The error wraps ErrDamaged when damage was found, and says so otherwise when
// something could not be read. A place that was waited for in vain ends it. Hold an exclusive lock: what others write
// meanwhile looks like damage. The index need not be loaded, and is not changed.
func (r *Repository) Check(ctx context.Context, opt CheckOptions) (CheckResult, error) {
	ctx = backend.WithoutCache(ctx)
	copied := *r
	copied.index = index.New()
	c := &checker{
		r: &copied, opt: opt,
		broken: map[chunk.ID]brokenPack{}, lost: map[index.Handle]error{},
	}
	err := whileAnswered(ctx, c.run)
	c.res.Blobs = copied.index.Len()
	if err != nil {
		return c.res, fmt.Errorf("check repository: %w", err)
	}
	if c.res.Errors == 0 {
		return c.res, nil
	}
	if c.damaged {
		err = ErrDamaged
	} else {
		err = c.first
	}
	return c.res, fmt.Errorf("check repository: %d problems: %w", c.res.Errors, err)
}

// checker is one run of Check.
type checker struct {
	r   *Repository // a copy, with the index that is checked
	opt CheckOptions

	present []packFile // packs of the right size
	unnamed []packFile // packs that no index names

	mu      sync.Mutex // guards all below, and is held while opt.Report runs
	res     CheckResult
	first   error // of the problems
	damaged bool
	broken  map[chunk.ID]brokenPack // packs to look into blob by blob
	lost    map[index.Handle]error  // what can be read nowhere, and why
	saved   time.Time               // when opt.Save was called
}

func (c *checker) run(ctx context.Context) error {
	if err := c.small(ctx); err != nil {
		return err
	}
	// Snapshots before the index: what is written meanwhile, by a program that
	// knows no locks, must not look incomplete.
	ids, err := c.r.listIDs(ctx, backend.Snapshot)
	if err != nil {
		return err
	}
	if err := c.indexes(ctx); err != nil {
		return err
	}
	if err := c.packs(ctx); err != nil {
		return err
	}
	if err := c.lostSnapshots(ctx, ids); err != nil {
		return err
	}
	snaps, err := c.snapshots(ctx, ids)
	if err != nil {
		return err
	}
	if err := c.trees(ctx, snaps); err != nil {
		return err
	}
	if err := c.readPacks(ctx, c.choose()); err != nil {
		return err
	}
	if err := c.examineBroken(ctx); err != nil {
		return err
	}
	if _, err := c.lookIntoUnnamed(ctx, c.unnamed); err != nil {
		return err
	}
	return c.locate(ctx, snaps)
}

// report counts a problem and passes it on.
func (c *checker) report(p Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.Kind.Note():
		c.res.Notes++
	case p.Kind.Consequence():
		c.res.Affected++
	default:
		c.res.Errors++
		if c.first == nil {
			c.first = p.Err
		}
		c.damaged = c.damaged || errors.Is(p.Err, ErrDamaged) || errors.Is(p.Err, fs.ErrNotExist) || backend.IsUnreadable(p.Err)
	}
	if c.opt.Report != nil {
		c.opt.Report(p)
	}
}

func (c *checker) lose(h index.Handle, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost[h] = err
}

func (c *checker) affected() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.res.Affected
}

func (c *checker) phase(name string, files int, bytes int64) {
	c.opt.Progress.begin(name, files, bytes)
}

func (c *checker) done(files int, bytes int64) { c.opt.Progress.Add(int64(files), bytes) }

// each calls do for the files of a kind, several at a time. What do returns is
// reported; a file that has vanished since it was listed is no problem.
func (c *checker) each(ctx context.Context, kind backend.Kind, bad ProblemKind, ids []chunk.ID, do func(context.Context, chunk.ID) error) error {
	c.phase("checking "+kind.String(), len(ids), 0)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.r.readers())
	for _, id := range ids {
		group.Go(func() error {
			err := do(ctx, id)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.done(1, 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				c.report(Problem{Kind: bad, File: backend.File{Kind: kind, Name: id.String()}, Err: err})
			}
			return nil
		})
	}
	return group.Wait()
}

// small checks the config, the keys, as far as that needs no password, and the
// locks.
func (c *checker) small(ctx context.Context) error {
	again := *c.r
	again.config = Config{}
	f := backend.File{Kind: backend.Config}
	sealed, err := loadAll(ctx, c.r.be, f, maxConfig)
	if err == nil {
		err = again.readConfig(sealed)
	}
	if err == nil && again.config != c.r.config {
		err = fmt.Errorf("%w: the config has changed", ErrDamaged)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.report(Problem{Kind: BadConfig, File: f, Err: err})
	}
	keys, err := c.r.listIDs(ctx, backend.Key)
	if err != nil {
		return err
	}
	if err := c.each(ctx, backend.Key, BadKey, keys, c.key); err != nil {
		return err
	}
	var locks []chunk.ID
	for info, err := range c.r.be.List(ctx, backend.Lock) {
		if err != nil {
			return err // which says what was listed
		}
		// An empty lock is what a full drive leaves; everybody ignores it.
		if id, err := chunk.ParseID(info.Name); err == nil && info.Size > 0 {
			locks = append(locks, id)
		}
	}
	return c.each(ctx, backend.Lock, BadLock, locks, func(ctx context.Context, id chunk.ID) error {
		_, err := c.r.loadLock(ctx, id)
		return err
	})
}

func (c *checker) key(ctx context.Context, id chunk.ID) error {
	data, err := loadAll(ctx, c.r.be, backend.File{Kind: backend.Key, Name: id.String()}, maxKeyFile)
	if err != nil {
		return err
	}
	if chunk.Sum(data) != id {
		return fmt.Errorf("%w: its bytes do not match its name", ErrDamaged)
	}
	var k keyFile
	if err := json.Unmarshal(data, &k); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if k.KDF != "scrypt" || len(k.Salt) != crypto.SaltSize || len(k.Data) <= crypto.Overhead {
		return fmt.Errorf("%w: it is no key", ErrDamaged)
	}
	return nil
}
