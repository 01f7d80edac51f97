package backend

import "context"

// A treeSaver is a Backend that keeps packs of trees apart from those of data: they are read at every run, and belong
// neither in cold storage nor only at the far end of a slow line.
type treeSaver interface {
	SaveTrees(ctx context.Context, f File, data []byte) error
}

// A treeLoader is a Backend that fetches packs of trees in another way than those of data.
type treeLoader interface {
	LoadTrees(ctx context.Context, f File, offset int64, dst []byte) (int, error)
}

// SaveTrees is b.Save for a pack that holds trees.
func SaveTrees(ctx context.Context, b Backend, f File, data []byte) error {
	if s, ok := b.(treeSaver); ok {
		return s.SaveTrees(ctx, f, data)
	}
	return b.Save(ctx, f, data)
}

// LoadTrees is b.Load for a pack that holds trees.
func LoadTrees(ctx context.Context, b Backend, f File, offset int64, dst []byte) (int, error) {
	if l, ok := b.(treeLoader); ok {
		return l.LoadTrees(ctx, f, offset, dst)
	}
	return b.Load(ctx, f, offset, dst)
}
