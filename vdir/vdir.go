// Package vdir is one side of a sync: a folder of .vcf or .ics files, one record
// each, as vdirsyncer, khard and khal keep them (the vdir format); and an export of
// records into such a folder.
//
//	f, err := vdir.Open(dir, vdir.VCards)
//	id, err := f.Init(newID)       // once: marks the folder
//	listing, err := f.List(ctx, "")
//	items, err := f.Get(ctx, hrefs)
//	ref, err := f.Create(ctx, uid, body)
//
// An href is the name of a file. An etag is the SHA-256 of what is in it, so that an
// edit is noticed whatever the file's times say, and a touch is none. Files with
// other endings, whose name begins with a dot, that somebody is still writing, and
// folders are not looked at.
//
// The marker, a file .russet-sync, says that this is the folder and not the place
// where a drive should be mounted: without it nothing is listed.
//
// Errors wrap those of package merge. They name a file of the folder only where a
// person must do something about that file.
package vdir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"russet/internal/durable"
	"russet/internal/vobject"
	"russet/merge"
)

// Kind says what a folder holds: it is the ending of its files.
type Kind string

// The kinds.
const (
	VCards     Kind = ".vcf" // contacts
	ICalendars Kind = ".ics" // events, or reminders
)

// marker is the file that makes a folder one side of a sync. It holds the folder's
// id and a line end.
const marker = ".russet-sync"

// maxID is the longest id in bytes.
const maxID = 200

// Folder is a folder of files, one record each. Its methods are called one at a time.
type Folder struct {
	root *os.Root
	kind Kind
	buf  []byte // of etag
}

// Open opens a folder that exists; where none does, the error is merge.ErrMissing.
func Open(dir string, kind Kind) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", classed(err))
	}
	return &Folder{root, kind, make([]byte, 64<<10)}, nil
}

// Close gives the folder back. It must not be used afterwards.
func (f *Folder) Close() error { return f.root.Close() }

// classed wraps an error of the operating system in the one of package merge that says
// what it means for the folder, and takes the path off.
func classed(err error) error {
	is := error(nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		is = merge.ErrMissing
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		is = merge.ErrDenied
	default:
		return durable.WithoutPath(err)
	}
	return fmt.Errorf("%w: %w", is, durable.WithoutPath(err))
}

// Init marks the folder, and returns its id: the one given, or the one that it has
// already. An id is printable ASCII without blanks.
func (f *Folder) Init(id string) (string, error) {
	if !validID(id) {
		panic("vdir: an id that is none")
	}
	err := durable.CreateFile(f.root, marker, []byte(id+"\n"), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return f.id()
	}
	if err != nil {
		return "", fmt.Errorf("mark the folder: %w", classed(err))
	}
	return id, nil
}

func validID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Identity returns the folder's id. A folder without one is merge.ErrMissing: the
// place of a drive that is not mounted looks like an empty folder.
func (f *Folder) Identity(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return f.id()
}

func (f *Folder) id() (string, error) {
	data, _, err := f.read(marker, maxID+2)
	if err != nil {
		return "", fmt.Errorf("read the folder's %s: %w", marker, classed(err))
	}
	id := strings.TrimSpace(string(data))
	if !validID(id) {
		return "", fmt.Errorf("read the folder's %s: it holds no id", marker)
	}
	return id, nil
}

// List lists all files of the folder's kind, by name; the token is not used.
func (f *Folder) List(ctx context.Context, _ string) (merge.Listing, error) {
	if _, err := f.id(); err != nil {
		return merge.Listing{}, fmt.Errorf("list: %w", err)
	}
	names, err := f.names()
	if err != nil {
		return merge.Listing{}, fmt.Errorf("list: %w", classed(err))
	}
	var l merge.Listing
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return merge.Listing{}, fmt.Errorf("list: %w", err)
		}
		tag, err := f.etag(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFile):
		case err != nil:
			return merge.Listing{}, fmt.Errorf("list: read %s: %w", name, classed(err))
		default:
			l.Refs = append(l.Refs, merge.Ref{Href: name, ETag: tag})
		}
	}
	return l, nil
}

// names returns the names of items, sorted.
func (f *Folder) names() ([]string, error) {
	d, err := f.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(all, func(name string) bool { return !f.isItem(name) })
	slices.Sort(names)
	return names, nil
}

// Get reads files. Of one that is longer than vobject.MaxSize it returns the beginning,
// a byte more than vobject.Parse takes: it is an item that cannot be read, and others
// can. What has another name than an item of the folder is merge.ErrRefused.
func (f *Folder) Get(ctx context.Context, hrefs []string) ([]merge.Item, error) {
	items := make([]merge.Item, len(hrefs))
	gone := false
	for i, name := range hrefs {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read items: %w", err)
		}
		if !f.isItem(name) {
			return nil, fmt.Errorf("read an item: %w: no name of an item of this folder", merge.ErrRefused)
		}
		body, info, err := f.read(name, vobject.MaxSize)
		switch {
		case errors.Is(err, errTooLong):
			items[i] = merge.Item{Ref: merge.Ref{Href: name, ETag: longTag(info)}, Body: body}
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFile):
			items[i], gone = merge.Item{Ref: merge.Ref{Href: name}, Gone: true}, true
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", name, classed(err))
		default:
			items[i] = merge.Item{Ref: merge.Ref{Href: name, ETag: etagOf(body)}, Body: body}
		}
	}
	if gone { // or is all of it?
		if _, err := f.id(); err != nil {
			return nil, fmt.Errorf("read items: %w", err)
		}
	}
	return items, nil
}

// Errors of what is found under a name.
var (
	errNoFile  = errors.New("no file")
	errTooLong = errors.New("it is too long")
)

// open opens a file. A link is followed within the folder.
func (f *Folder) open(name string) (*os.File, fs.FileInfo, error) {
	info, err := f.root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile // before it is opened: a pipe would wait
	}
	if err != nil {
		return nil, nil, err
	}
	file, err := f.root.Open(name)
	return file, info, err
}

// read reads a file of at most limit bytes. Of one that is longer it returns a byte more,
// with an error that is errTooLong and merge.ErrRefused.
func (f *Folder) read(name string, limit int64) ([]byte, fs.FileInfo, error) {
	file, info, err := f.open(name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: %w: more than %d bytes", merge.ErrRefused, errTooLong, limit)
	}
	return data, info, err
}

// etag returns the etag of a file; of one that is too long it says only when it was
// changed.
func (f *Folder) etag(name string) (string, error) {
	file, info, err := f.open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if info.Size() > vobject.MaxSize {
		return longTag(info), nil
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(h, io.LimitReader(file, vobject.MaxSize+1), f.buf); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func longTag(info fs.FileInfo) string {
	return fmt.Sprintf("long-%d-%d", info.Size(), info.ModTime().UnixNano())
}

func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
