package repo

import (
	"context"
	"fmt"

	"russet/backend"
	"russet/index"
)

// OpenMirror opens the mirror of the repository that lies in be: it has the same
// keys, so no password is asked for. The error wraps OtherConfig where the
// repository's key does not open the config there, and OtherRepository where that
// is another's. Keys are not compared: the mirror's own may be older.
func (r *Repository) OpenMirror(ctx context.Context, be backend.Backend) (*Repository, error) {
	sealed, err := loadAll(ctx, be, backend.File{Kind: backend.Config}, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("open mirror: %w", err)
	}
	m := *r
	m.place, m.be, m.index, m.config = be, be, index.New(), Config{}
	if err := m.readConfig(sealed); err != nil {
		return nil, fmt.Errorf("open mirror: %w: %w", OtherConfig, err)
	}
	if m.config != r.config {
		return nil, fmt.Errorf("open mirror: %w", OtherRepository)
	}
	return &m, nil
}
