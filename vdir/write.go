package vdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"russet/internal/durable"
	"russet/internal/vobject"
	"russet/merge"
)

// perm are the permissions of files that are made here: they hold what is private.
const perm = 0o600

// Create writes a new file, whose name is made of the UID and is the same each time.
// Where a file of that name holds another record, the next name is taken; one that
// holds the same record is merge.ErrChanged. Nothing is ever replaced.
func (f *Folder) Create(ctx context.Context, uid string, body []byte) (merge.Ref, error) {
	if err := f.ready(ctx, body); err != nil {
		return merge.Ref{}, fmt.Errorf("create an item: %w", err)
	}
	for n := range 2 {
		name := f.nameOf(uid, n)
		err := durable.CreateFile(f.root, name, body, perm)
		if err == nil {
			return merge.Ref{Href: name, ETag: etagOf(body)}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return merge.Ref{}, fmt.Errorf("create an item: %w", classed(err))
		}
		if f.holds(name, uid) {
			break
		}
	}
	return merge.Ref{}, fmt.Errorf("create an item: %w", merge.ErrChanged)
}

// holds reports whether a record of that UID is in a file.
func (f *Folder) holds(name, uid string) bool {
	data, _, err := f.read(name, vobject.MaxSize)
	return err == nil && vobject.HasUID(data, uid)
}

// ready says whether a file can be written.
func (f *Folder) ready(ctx context.Context, body []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(body) > vobject.MaxSize {
		return fmt.Errorf("%w: it has %d bytes, more than %d", merge.ErrRefused, len(body), vobject.MaxSize)
	}
	_, err := f.id()
	return err
}

// Update replaces a file whose content is what ref says. It looks right before the
// new one takes its place: what another program writes between the two is lost, as
// no system has a replacing that looks by itself.
func (f *Folder) Update(ctx context.Context, ref merge.Ref, body []byte) (merge.Ref, error) {
	if err := f.ready(ctx, body); err != nil {
		return merge.Ref{}, fmt.Errorf("update an item: %w", err)
	}
	info, err := f.unchanged(ref)
	if err == nil {
		err = durable.WriteFile(f.root, ref.Href, body, info.Mode().Perm())
	}
	if err != nil {
		return merge.Ref{}, fmt.Errorf("update an item: %w", gone(err))
	}
	return merge.Ref{Href: ref.Href, ETag: etagOf(body)}, nil
}

// Delete removes a file whose content is what ref says.
func (f *Folder) Delete(ctx context.Context, ref merge.Ref) error {
	if err := f.ready(ctx, nil); err != nil {
		return fmt.Errorf("delete an item: %w", err)
	}
	_, err := f.unchanged(ref)
	if err == nil {
		err = f.root.Remove(ref.Href)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncFolder(f.root, ".")
	}
	if err != nil {
		return fmt.Errorf("delete an item: %w", gone(err))
	}
	return nil
}

// gone classes an error of writing to an item: one that is not there any more was
// changed.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFile) {
		return merge.ErrChanged
	}
	return classed(err)
}

// unchanged returns what the system says of the file of ref, if it still is as ref
// says, else merge.ErrChanged.
func (f *Folder) unchanged(ref merge.Ref) (fs.FileInfo, error) {
	if !f.isItem(ref.Href) {
		return nil, fmt.Errorf("%w: no name of an item of this folder", merge.ErrRefused)
	}
	data, info, err := f.read(ref.Href, vobject.MaxSize)
	if err == nil && etagOf(data) != ref.ETag {
		err = merge.ErrChanged
	}
	return info, err
}
