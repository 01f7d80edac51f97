package offsite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"russet/backend"
	"russet/index"
	"russet/repo"
)

// DrillResult is what a drill read from the copy and compared.
type DrillResult struct {
	Snapshot *repo.Snapshot // of the copy; nil where it has none
	Files    int
	Bytes    int64 // of those
	// Alone counts blobs that the source has no longer, of which only the name was
	// compared.
	Alone int
}

// Drill restores a little from the copy: of the newest snapshot there the files right
// in the device's folder (the manifest is among them) and one more, which pick
// chooses: it returns a number from 0 to n-1. All that is read comes from no cache,
// and must be what the source has; the error wraps ErrBad where something is not. takeStock, which Verify
// does, comes first.
func (c *Copy) Drill(ctx context.Context, pick func(n int) int) (res DrillResult, err error) {
	for _, s := range slices.Backward(c.there) {
		if !isState(s) {
			res.Snapshot = s
			break
		}
	}
	if res.Snapshot == nil {
		return res, nil
	}
	err = c.drill(backend.WithoutCache(ctx), pick, &res)
	if errors.Is(err, repo.ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrBad, err)
	}
	if err != nil {
		err = fmt.Errorf("restore from the copy: %w", err)
	}
	return res, err
}

func (c *Copy) drill(ctx context.Context, pick func(n int) int, res *DrillResult) error {
	top, err := c.to.LoadTree(ctx, *res.Snapshot.Tree)
	if err != nil {
		return err
	}
	if len(top.Nodes) == 1 && top.Nodes[0].Subtree != nil { // the device's folder
		if top, err = c.to.LoadTree(ctx, *top.Nodes[0].Subtree); err != nil {
			return err
		}
	}
	for _, n := range top.Nodes {
		if err := c.compare(ctx, n, res); err != nil {
			return err
		}
	}
	top.Nodes = slices.DeleteFunc(top.Nodes, func(n *repo.Node) bool { return n.Type == repo.TypeFile })
	n, err := c.someFile(ctx, top, pick, 0)
	if n == nil || err != nil {
		return err
	}
	return c.compare(ctx, n, res)
}

// maxDrillDepth is above what phones nest; a hostile tree ends there.
const maxDrillDepth = 200

// someFile goes down by chance until it comes to a file with content; nil where there
// is none.
func (c *Copy) someFile(ctx context.Context, t *repo.Tree, pick func(n int) int, depth int) (*repo.Node, error) {
	nodes := slices.Clone(t.Nodes)
	for len(nodes) > 0 && depth < maxDrillDepth {
		i := pick(len(nodes))
		n := nodes[i]
		nodes = slices.Delete(nodes, i, i+1)
		switch {
		case n.Type == repo.TypeFile && len(n.Content) > 0:
			return n, nil
		case n.Type == repo.TypeDir && n.Subtree != nil:
			below, err := c.to.LoadTree(ctx, *n.Subtree)
			if err != nil {
				return nil, err
			}
			if n, err := c.someFile(ctx, below, pick, depth+1); n != nil || err != nil {
				return n, err
			}
		}
	}
	return nil, nil
}

// compare reads a file from the copy and from the source.
func (c *Copy) compare(ctx context.Context, n *repo.Node, res *DrillResult) error {
	if n.Type != repo.TypeFile {
		return nil
	}
	for _, id := range n.Content {
		h := index.Handle{ID: id, Type: index.Data}
		there, err := c.to.Load(ctx, h, nil)
		if err != nil {
			return err
		}
		res.Bytes += int64(len(there))
		if !c.from.Index().Has(h) {
			res.Alone++ // Load has compared it with its name
			continue
		}
		here, err := c.from.Load(ctx, h, nil)
		if err != nil {
			return fmt.Errorf("read the same from the repository: %w", err)
		}
		if !bytes.Equal(here, there) {
			return fmt.Errorf("%w: %v is another there than here", repo.ErrDamaged, h)
		}
	}
	res.Files++
	return nil
}
