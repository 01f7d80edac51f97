package backend

import "context"

// A treeSaver is a Backend that keeps packs of trees, and others that every run reads, apart from those of data: they belong
// neither in cold storage nor only at the far end of a slow line.
type treeSaver interface {
	SaveTrees(ctx context.Context, f File, data []byte) error
}

// A treeLoader is a Backend that fetches packs of trees, and others that every run reads, in another way than those of data.
type treeLoader interface {
	LoadTrees(ctx context.Context, f File, offset int64, dst []byte) (int, error)
}

// A nearLoader is a Backend that may have packs of data at hand.
type nearLoader interface {
	LoadNear(ctx context.Context, f File, offset int64, dst []byte) (int, error)
}

// SaveTrees is b.Save for a pack that holds trees, or data that every run reads.
func SaveTrees(ctx context.Context, b Backend, f File, data []byte) error {
	if s, ok := b.(treeSaver); ok {
		return s.SaveTrees(ctx, f, data)
	}
	return b.Save(ctx, f, data)
}

// LoadTrees is b.Load for a pack of which much is going to be read, as of those that hold trees.
func LoadTrees(ctx context.Context, b Backend, f File, offset int64, dst []byte) (int, error) {
	if l, ok := b.(treeLoader); ok {
		return l.LoadTrees(ctx, f, offset, dst)
	}
	return b.Load(ctx, f, offset, dst)
}

// LoadNear is b.Load for a pack of data of which little is read, if perhaps by every run.
func LoadNear(ctx context.Context, b Backend, f File, offset int64, dst []byte) (int, error) {
	if l, ok := b.(nearLoader); ok {
		return l.LoadNear(ctx, f, offset, dst)
	}
	return b.Load(ctx, f, offset, dst)
}
