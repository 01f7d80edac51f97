package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"russet/backend"
	"russet/chunk"
)

// MirrorPlace is where a mirror can lie: a backend that also keeps a mark, and
// takes files out without losing them. Folders, memories, SFTP and S3 are.
type MirrorPlace interface {
	backend.Backend
	// LoadMark gives what SaveMark saved last; fs.ErrNotExist where it never did.
	LoadMark(ctx context.Context) ([]byte, error)
	SaveMark(ctx context.Context, data []byte) error
	// SetAside takes a file out of the repository and keeps it under a day;
	// DropAside removes what was set aside on days before the given one.
	SetAside(ctx context.Context, f backend.File, day time.Time) error
	DropAside(ctx context.Context, before time.Time) (int, error)
}

// MirrorRefusal is the error of a place to which nothing is written, since it is
// not, or may not be, the mirror that is meant.
type MirrorRefusal uint8

// Why a place is refused.
const (
	NoMirror         MirrorRefusal = iota + 1 // there is none: perhaps the drive is not mounted
	NotEmpty                                  // a new one would lie where something else lies
	BadMark                                   // its mirror.json cannot be read
	OtherRepository                           // it is a mirror of another one
	WrittenElsewhere                          // it has files that no mirror run has put there
	ManyRemovals                              // the source has lost so much that it may be an accident
	BrokenSource                              // the source lacks what nothing of it can be read without
	OtherConfig                               // the source or the mirror has our files, and another config
)

// Error says it in words.
func (r MirrorRefusal) Error() string {
	switch r {
	case NoMirror:
		return "there is no mirror"
	case NotEmpty:
		return "something lies there already"
	case BadMark:
		return "its file mirror.json, which tells whose mirror it is, is damaged"
	case OtherRepository:
		return "it is the mirror of another repository"
	case WrittenElsewhere:
		return "it was written to by another program than mirror"
	case ManyRemovals:
		return "the source no longer has much of what the mirror has"
	case BrokenSource:
		return "the source has lost all its key files, its whole index, or all packs"
	case OtherConfig:
		return "its file config is damaged, or was replaced"
	}
	return fmt.Sprintf("refusal %d", uint8(r))
}

// MirrorOptions say how a mirror is kept.
type MirrorOptions struct {
	Now time.Time
	// Keep is how long what the source no longer has is kept aside; zero means
	// the constant mirrorKeep.
	Keep time.Duration
	// Many admits that more than a fifth of the packs are set aside, or more than
	// half of the snapshots.
	Many bool
}

// mirrorKeep is long enough to notice that a prune, or somebody, has removed what
// was wanted.
const mirrorKeep = 30 * 24 * time.Hour

// FileCount counts files. Bytes are those of all of them.
type FileCount struct {
	Files int
	Bytes int64
}

func (c *FileCount) add(size int64) {
	c.Files++
	c.Bytes += size
}

// MirrorPlan is what makes a mirror equal to its source. Nothing has happened
// yet.
type MirrorPlan struct {
	Copy    FileCount // what the mirror lacks, or has in another length
	Missing FileCount // those of Copy that it had after the last run: somebody has removed them there
	Aside   FileCount // what the source no longer has
	Packs   FileCount // those of Aside that are packs
	Refuse  bool      // Aside is so much that it is left, unless MirrorOptions.Many says otherwise

	from   backend.Backend
	to     MirrorPlace
	opt    MirrorOptions
	config []byte // nil where the mirror has it
	source fileList
	target fileList
	mark   mirrorMark
}

// fileList lists files and their sizes in bytes.
type fileList map[backend.File]int64

// mirrorKinds are the kinds of files that are mirrored, in the order in which
// they are listed: a snapshot that is listed has its index files among those
// listed after it, and they their packs. Locks are not.
func mirrorKinds() []backend.Kind {
	return []backend.Kind{backend.Key, backend.Snapshot, backend.Index, backend.Data}
}

// count is how many files of a kind there are.
func (l fileList) count(kind backend.Kind) (n int) {
	for f := range l {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

func listFiles(ctx context.Context, be backend.Backend, kinds ...backend.Kind) (fileList, error) {
	all := fileList{}
	for _, k := range kinds {
		for info, err := range be.List(ctx, k) {
			if err != nil {
				return nil, err
			}
			all[backend.File{Kind: k, Name: info.Name}] = info.Size
		}
	}
	return all, nil
}

// InitMirror marks an empty place as the future mirror of a repository.
func InitMirror(ctx context.Context, from backend.Backend, to MirrorPlace, now time.Time) error {
	config, err := readConfigFile(ctx, from)
	if err != nil {
		return fmt.Errorf("make mirror: %w", err)
	}
	there, err := listFiles(ctx, to, append(mirrorKinds(), backend.Config)...)
	if err != nil {
		return fmt.Errorf("make mirror: %w", err)
	}
	mark, err := loadMark(ctx, to)
	switch {
	case err == nil && mark.Config == chunk.Sum(config):
		return nil // a first run that was cut off
	case err == nil:
		return fmt.Errorf("make mirror: %w", OtherRepository)
	case !errors.Is(err, NoMirror):
		return fmt.Errorf("make mirror: %w", err)
	case len(there) > 0:
		return fmt.Errorf("make mirror: %w", NotEmpty)
	}
	if err := saveMark(ctx, to, mirrorMark{Config: chunk.Sum(config), Updated: now}); err != nil {
		return fmt.Errorf("make mirror: %w", err)
	}
	return nil
}

// PlanMirror finds out what a mirror lacks, and what it has that its source does
// not. It needs no password, and no lock: a lock is sealed. The error is a
// MirrorRefusal where the place is not the mirror of that source, or was written
// to by others: a copy is either written to by a mirror, or by anybody else.
func PlanMirror(ctx context.Context, from backend.Backend, to MirrorPlace, opt MirrorOptions) (*MirrorPlan, error) {
	if opt.Keep <= 0 {
		opt.Keep = mirrorKeep
	}
	p := &MirrorPlan{from: from, to: to, opt: opt}
	if err := p.read(ctx); err != nil {
		return nil, fmt.Errorf("plan mirror: %w", err)
	}
	foreign := 0
	for f, size := range p.target {
		if _, ok := p.source[f]; ok {
			continue
		}
		if !p.mark.has(f) {
			foreign++
			continue
		}
		p.Aside.add(size)
		if f.Kind == backend.Data {
			p.Packs.add(size)
		}
	}
	if foreign > 0 {
		return nil, fmt.Errorf("plan mirror: %w: %d files are neither in the source nor from an earlier run", WrittenElsewhere, foreign)
	}
	for f, size := range p.source {
		if there, ok := p.target[f]; !ok || there != size {
			p.Copy.add(size)
			if !ok && p.mark.lay(f) {
				p.Missing.add(size)
			}
		}
	}
	p.Refuse = !opt.Many && p.many()
	return p, nil
}

// many tells whether so much would be set aside that it may be an accident.
// Snapshots are counted and not compared by name: a tag gives each a new one.
func (p *MirrorPlan) many() bool {
	const least = 4 // packs: of a tiny repository a prune leaves little
	return p.Packs.Files > least && 5*p.Packs.Files > p.target.count(backend.Data) ||
		2*p.source.count(backend.Snapshot) < p.target.count(backend.Snapshot)
}

// broken tells whether the source lacks what makes it a repository. A new one has
// no index yet, and a mirror of that has none to lose; snapshots lead to packs.
func (p *MirrorPlan) broken() bool {
	return p.source.count(backend.Key) == 0 || p.source.count(backend.Index) == 0 && p.target.count(backend.Index) > 0 &&
		p.source.count(backend.Data)+p.source.count(backend.Snapshot) > 0 ||
		p.source.count(backend.Data) == 0 && p.source.count(backend.Snapshot) > 0
}

// read fills in what the plan is made from.
func (p *MirrorPlan) read(ctx context.Context) (err error) {
	if p.mark, err = loadMark(ctx, p.to); err != nil {
		return err
	}
	if p.config, err = readConfigFile(ctx, p.from); err != nil {
		return err
	}
	if chunk.Sum(p.config) != p.mark.Config {
		return fmt.Errorf("the source: %w", p.mark.strange(ctx, p.from))
	}
	there, err := readConfigFile(ctx, p.to)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first run has not come so far
	case err != nil:
		return err
	case chunk.Sum(there) != p.mark.Config:
		return fmt.Errorf("the mirror: %w", p.mark.strange(ctx, p.to))
	default:
		p.config = nil
	}
	if p.target, err = listFiles(ctx, p.to, mirrorKinds()...); err != nil {
		return err
	}
	for range 2 { // a file that was replaced while it was listed may be in no list
		if p.source, err = listFiles(ctx, p.from, mirrorKinds()...); err != nil || !p.broken() {
			return err
		}
	}
	return BrokenSource
}

// readConfigFile reads the one file whose name does not tell whether it was read
// well: twice.
func readConfigFile(ctx context.Context, be backend.Backend) ([]byte, error) {
	one, err := loadAll(ctx, be, backend.File{Kind: backend.Config}, maxConfig)
	if err != nil {
		return nil, err
	}
	other, err := loadAll(ctx, be, backend.File{Kind: backend.Config}, maxConfig)
	if err != nil {
		return nil, err
	}
	if string(one) != string(other) {
		return nil, fmt.Errorf("load config: %w: it was read in two ways", ErrDamaged)
	}
	return one, nil
}

// String tells what would be done, in a few lines.
func (p *MirrorPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "copy       %6d files, %s\n", p.Copy.Files, sizeText(p.Copy.Bytes))
	if p.Missing.Files > 0 {
		fmt.Fprintf(&b, "of these   %6d files, %s, had been there: somebody has removed them\n", p.Missing.Files, sizeText(p.Missing.Bytes))
	}
	switch {
	case p.Refuse:
		fmt.Fprintf(&b, "leave      %6d files, %s, that the source no longer has: they are too many\n", p.Aside.Files, sizeText(p.Aside.Bytes))
	case p.Aside.Files > 0:
		fmt.Fprintf(&b, "set aside  %6d files, %s, that the source no longer has, for %d days\n", p.Aside.Files, sizeText(p.Aside.Bytes),
			int(p.opt.Keep.Hours()/24))
	}
	return b.String()
}
