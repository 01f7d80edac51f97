package capture

import (
	"context"
	"errors"
	"os"

	"russet/repo"
)

// alreadyKept returns a result when a version holds just this backup, whole.
// What is sealed is captured again as soon as its password can be asked for.
func (c *run) alreadyKept(ctx context.Context) (*Result, error) {
	if c.opt.Force || !c.b.Finished() {
		return nil, nil
	}
	for v, err := range c.history.versions(ctx) {
		if err != nil {
			return nil, err
		}
		if !v.usable() || !sameState(c.top, v.received()) || v.sealed() && c.opt.Password != nil {
			continue
		}
		healed, err := c.missingFound(v)
		if err != nil {
			return nil, err
		}
		if healed {
			continue
		}
		whole, err := allStored(ctx, c.r, v)
		if err != nil {
			return nil, err
		}
		if whole {
			return &Result{Snapshot: v.Snapshot, UDID: v.UDID, DeviceName: c.b.DeviceName(), Kept: true, Sealed: v.sealed()}, nil
		}
	}
	return nil, nil
}

// sealed tells whether nothing of v can be looked into. Its tag may be gone:
// restic changes tags.
func (v *Version) sealed() bool {
	trees := v.Metadata.Trees
	return trees.Files == nil && trees.Sealed != nil && !v.Snapshot.HasTag(TagUnreadable)
}

// missingFound tells whether the folder now has a file that v lacks.
func (c *run) missingFound(v *Version) (bool, error) {
	for _, name := range v.Metadata.Missing {
		if _, ok := parseFileID(name); !ok {
			continue
		}
		_, err := c.root.Lstat(storedPath(name, c.b.Flat()))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}

// allStored tells whether the index has every blob of a version. Trees are
// loaded, which proves them; data is only looked up.
func allStored(ctx context.Context, r *repo.Repository, v *Version) (bool, error) {
	errGap := errors.New("a blob is missing")
	err := r.WalkOnce(ctx, *v.Snapshot.Tree, func(n *repo.Node, err error) error {
		if err != nil {
			return err
		}
		if !hasAll(r, n.Content) {
			return errGap
		}
		return nil
	})
	if err == nil {
		return true, nil
	}
	if errors.Is(err, errGap) || errors.Is(err, repo.ErrDamaged) {
		return false, nil
	}
	return false, err
}
