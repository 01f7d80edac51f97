package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"russet/backend"
	"russet/chunk"
	"russet/index"
	"russet/internal/durable"
)

// HealPlan is what of the content that snapshots miss stands in files that
// somebody still has: restored before, or copied from a phone.
type HealPlan struct {
	Missing int   // blobs of files that snapshots need and the repository lacks
	Found   int   // of these, blobs that the files hold
	Bytes   int64 // of those
	Files   int   // that were read
	Unread  int   // that could not be

	r        *Repository
	progress *Progress
	files    fs.FS
	in       map[string]map[chunk.ID]bool // what is taken from which file
}

// Empty tells whether there is nothing to do.
func (p *HealPlan) Empty() bool { return p.Found == 0 }

// String gives the plan in a few lines.
func (p *HealPlan) String() string {
	var b strings.Builder
	if p.Missing == 0 {
		b.WriteString("no snapshot misses any content of files: there is nothing to do\n")
		return b.String()
	}
	fmt.Fprintf(&b, "snapshots miss %d blobs of files; %d files hold %d of them\n", p.Missing, len(p.in), p.Found)
	if p.Unread > 0 {
		fmt.Fprintf(&b, "%d files could not be read\n", p.Unread)
	}
	if p.Found > 0 {
		fmt.Fprintf(&b, "write   %s of content that was lost\n", sizeText(p.Bytes))
	}
	return b.String()
}

// PlanHeal reads all files of a folder, cuts them as a backup does, and looks
// whether any piece is content that snapshots miss. What their names are does not
// matter. It changes nothing but the loaded index.
//
// Hold a lock from before the plan to after Apply. progress may be nil.
func (r *Repository) PlanHeal(ctx context.Context, files fs.FS, progress *Progress) (*HealPlan, error) {
	p := &HealPlan{r: r, progress: progress, files: files, in: map[string]map[chunk.ID]bool{}}
	if err := p.plan(ctx); err != nil {
		return nil, fmt.Errorf("plan healing: %w", err)
	}
	return p, nil
}

func (p *HealPlan) plan(ctx context.Context) error {
	missing, err := p.r.missingContent(ctx)
	if err != nil {
		return err
	}
	if p.Missing = len(missing); p.Missing == 0 {
		return nil
	}
	p.progress.begin("reading files", 0, 0)
	return fs.WalkDir(p.files, ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && name == "." {
			return durable.WithoutPath(err)
		}
		if err != nil {
			p.Unread++
			return nil // the next one may be readable
		}
		if !d.Type().IsRegular() {
			return nil
		}
		took := map[chunk.ID]bool{}
		err = p.pieces(ctx, name, func(id chunk.ID, piece []byte) error {
			p.progress.Add(0, int64(len(piece)))
			if missing[id] {
				delete(missing, id)
				took[id] = true
				p.Found++
				p.Bytes += int64(len(piece))
			}
			return nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			p.Files++
		} else {
			p.Unread++ // what was found in it before the fault can be found again
		}
		if len(took) > 0 {
			p.in[name] = took
		}
		return nil
	})
}

// missingContent are the blobs of files that a snapshot leads to and no pack
// holds. What lies in lost folders is not known.
func (r *Repository) missingContent(ctx context.Context) (map[chunk.ID]bool, error) {
	ids, err := r.listIDs(ctx, backend.Snapshot)
	if err != nil {
		return nil, err
	}
	if err := r.LoadIndex(ctx); err != nil {
		return nil, err
	}
	if _, err := r.DropLost(ctx); err != nil {
		return nil, err
	}
	c := &checker{r: r, lost: map[index.Handle]error{}}
	m := &mender{r: r, c: c, done: map[chunk.ID]mended{}, trees: map[chunk.ID][]byte{}}
	for _, id := range ids {
		s, err := r.LoadSnapshot(ctx, id)
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err == nil {
			_, err = m.tree(ctx, *s.Tree, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	missing := map[chunk.ID]bool{}
	for h := range c.lost {
		if h.Type == index.Data {
			missing[h.ID] = true
		}
	}
	return missing, nil
}

// pieces cuts a file as a backup does, until do returns fs.SkipAll.
func (p *HealPlan) pieces(ctx context.Context, name string, do func(id chunk.ID, piece []byte) error) (err error) {
	f, err := p.files.Open(name)
	if err != nil {
		return fmt.Errorf("open file: %w", durable.WithoutPath(err))
	}
	defer func() { err = cmp.Or(err, durable.WithoutPath(f.Close())) }()
	s := p.r.Cutter().NewSplitter()
	s.Reset(f)
	for {
		piece, err := s.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read file: %w", durable.WithoutPath(err))
		}
		err = do(chunk.Sum(piece), piece)
		if err == fs.SkipAll {
			break
		}
		if err != nil {
			return err
		}
	}
	p.progress.Add(1, 0)
	return nil
}

// Apply reads the files again that hold something, and stores what was lost. It
// returns how many blobs that were; snapshots that needed them have them again.
func (p *HealPlan) Apply(ctx context.Context) (int, error) {
	if p.Empty() {
		return 0, nil
	}
	stored, err := p.apply(ctx)
	if err != nil {
		return stored, fmt.Errorf("heal: %w", err)
	}
	return stored, nil
}

func (p *HealPlan) apply(ctx context.Context) (int, error) {
	p.progress.begin("storing again", len(p.in), p.Bytes)
	w := p.r.NewWriter(ctx)
	w.proof = p.r.readBack
	defer w.Close()
	stored := 0
	for _, name := range slices.Sorted(maps.Keys(p.in)) {
		left := maps.Clone(p.in[name])
		err := p.pieces(ctx, name, func(id chunk.ID, piece []byte) error {
			if !left[id] {
				return nil
			}
			saved, err := w.Save(ctx, index.Data, piece)
			if err != nil {
				return err
			}
			if saved.New {
				stored++
			}
			p.progress.Add(0, int64(len(piece)))
			if delete(left, id); len(left) == 0 {
				return fs.SkipAll // what comes behind may be what could not be read
			}
			return nil
		})
		if err != nil {
			return stored, err
		}
	}
	if err := w.Flush(ctx); err != nil {
		return stored, err
	}
	if stored < p.Found {
		return stored, fmt.Errorf("%d of %d blobs were stored: files have changed since the plan was made", stored, p.Found)
	}
	return stored, nil
}
