package repo

import (
	"context"
	"fmt"
	"maps"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// indexes loads every index file into c.r.index.
func (c *checker) indexes(ctx context.Context) error {
	ids, err := c.r.listIDs(ctx, backend.Index)
	if err != nil {
		return err
	}
	c.res.IndexFiles = len(ids)
	readers := c.r.indexReaders()
	err = c.each(ctx, backend.Index, BadIndex, ids, func(ctx context.Context, id chunk.ID) error {
		x := readers.Get().(*indexReader)
		defer readers.Put(x)
		// What stands before a fault is taken: the more is known, the less
		// looks lost.
		return x.read(ctx, id, c.addPack)
	})
	if err != nil {
		return err
	}
	for _, id := range c.r.index.Conflicts() {
		err := fmt.Errorf("%w: index files describe it in different ways", ErrDamaged)
		c.report(Problem{Kind: IndexConflict, File: packName(id), Err: err})
	}
	return nil
}

func packName(id chunk.ID) backend.File {
	return backend.File{Kind: backend.Data, Name: id.String()}
}

// addPack takes what an index file says of a pack.
func (c *checker) addPack(p index.Pack) error {
	if c.r.index.HasPack(p.ID) {
		c.report(Problem{Kind: NoteDuplicate, File: packName(p.ID)})
	} else if c.r.config.Version >= 2 && mixed(p.Blobs) {
		c.report(Problem{Kind: NoteMixed, File: packName(p.ID)})
	}
	c.r.index.Add(p)
	return nil
}

func mixed(blobs []index.Blob) bool {
	for _, b := range blobs {
		if b.Type != blobs[0].Type {
			return true
		}
	}
	return false
}

// packs compares the packs that are there with those of the index.
func (c *checker) packs(ctx context.Context) error {
	want := maps.Collect(c.r.index.Packs())
	c.res.Packs = len(want)
	c.phase("checking packs", len(want), 0)
	for f, err := range c.r.packFiles(ctx) {
		if err != nil {
			return err
		}
		size, ok := want[f.id]
		if !ok {
			c.res.Unreferenced++
			c.unnamed = append(c.unnamed, f)
			c.res.UnreferencedBytes += f.size
			c.report(Problem{Kind: NoteUnreferenced, File: packName(f.id)})
			continue
		}
		delete(want, f.id)
		c.done(1, 0)
		c.res.PackBytes += f.size
		if f.size != size {
			err := fmt.Errorf("%w: it has %d bytes, and %d by the index", ErrDamaged, f.size, size)
			c.report(Problem{Kind: PackSize, File: packName(f.id), Err: err})
			c.broken[f.id] = brokenPack{resized, size, err}
			continue
		}
		c.present = append(c.present, f)
	}
	for id, size := range want {
		err := fmt.Errorf("%w: the file is gone", ErrDamaged)
		c.report(Problem{Kind: PackMissing, File: packName(id), Err: err})
		c.broken[id] = brokenPack{gone, size, err}
	}
	return nil
}
