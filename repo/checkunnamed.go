package repo

import (
	"context"
	"fmt"
	"slices"

	"russet/index"
)

// unnamedPacks lists the packs that the loaded index does not name.
func (r *Repository) unnamedPacks(ctx context.Context) ([]packFile, error) {
	var packs []packFile
	for f, err := range r.packFiles(ctx) {
		if err != nil {
			return nil, err
		}
		if !r.index.HasPack(f.id) {
			packs = append(packs, f)
		}
	}
	return packs, nil
}

// lookIntoUnnamed reports those of the packs, which no index names, that hold
// something of what is lost and can be read: it is the index that is lost then.
// It returns how many there are.
func (c *checker) lookIntoUnnamed(ctx context.Context, packs []packFile) (found int, err error) {
	if len(c.lost) == 0 || len(packs) == 0 {
		return 0, nil
	}
	c.phase("looking into packs that no index names", len(packs), 0)
	reader := newPackReader(c)
	for _, f := range packs {
		holds := reader.holdsLost(ctx, f)
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		c.done(1, 0)
		if holds {
			found++
			err := fmt.Errorf("%w: it holds content that is missing, and no index names it", ErrDamaged)
			c.report(Problem{Kind: PackUnnamed, File: packName(f.id), Err: err})
		}
	}
	return found, nil
}

// holdsLost tells whether something of what is lost can be read from a pack. That
// is not so of one that a repair of packs has left aside: it saved what can be
// read of it.
func (p *packReader) holdsLost(ctx context.Context, f packFile) bool {
	blobs, start, err := p.readHeader(ctx, f)
	if err != nil || end(blobs) != start {
		return false
	}
	return slices.ContainsFunc(blobs, func(b index.Blob) bool {
		return p.c.lost[b.Handle] != nil && p.blob(ctx, f.id, f.size, b) == nil
	})
}

// refuseUnnamed is the error of a repair that would give up what is only not
// found, as no index names the pack that holds it. packs are those that no index
// names.
func (c *checker) refuseUnnamed(ctx context.Context, packs []packFile) error {
	found, err := c.lookIntoUnnamed(ctx, packs)
	if err == nil && found > 0 {
		err = fmt.Errorf("%w: %d packs that no index names hold content that is missing: the index must be repaired first", ErrDamaged, found)
	}
	return err
}
