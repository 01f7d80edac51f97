package capture

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"time"

	"russet/chunk"
)

// topFiles are the files on top of the phone's folder.
func (p *Phone) topFiles() map[string]storedFile {
	top := map[string]storedFile{}
	if b := p.overlay.root.dirs[p.udid]; b != nil {
		for name, f := range b.files {
			if slices.Contains(topNames(), name) {
				top[name] = f
			}
		}
	}
	return top
}

// prepareTop makes the files on top such that they can be read at any place,
// and finds out where the spool must be kept to have the manifest.
func (p *Phone) prepareTop(ctx context.Context) error {
	p.top = p.topFiles()
	p.manifest = math.MaxUint64
	for name, f := range p.top {
		if f.place == placeOpened { // the last version's manifest: the phone has sent none
			var err error
			if f, err = p.spoolAgain(ctx, name, f); err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			p.top[name] = f
		}
		if f.place == placeSpool {
			p.manifest = min(p.manifest, f.ref)
		}
	}
	return nil
}

// spoolAgain puts a file's bytes as received into the spool.
func (p *Phone) spoolAgain(ctx context.Context, name string, f storedFile) (storedFile, error) {
	src, err := p.reader(ctx, name, f)
	if err != nil {
		return f, err
	}
	defer src.Close()
	p.spool.begin()
	if _, err := io.Copy(spoolWriter{p.spool}, src); err != nil {
		return f, err
	}
	f.place = placeSpool
	if f.ref, err = p.spool.end(); err != nil {
		return f, err
	}
	return f, p.spool.flush()
}

type spoolWriter struct{ s *spool }

// Write implements io.Writer.
func (w spoolWriter) Write(b []byte) (int, error) { return len(b), w.s.write(b) }

// topReceived is the content of a file on top that lies in the repository as it
// was received.
func (p *Phone) topReceived(name string) (content, bool) {
	f, ok := p.top[name]
	if !ok || f.place != placeReceived {
		return content{}, false
	}
	return content{p.slots.at(f.slot).ids, f.size}, true
}

// topFS shows the files on top to package ios.
type topFS struct {
	ctx   context.Context // an fs.FS has none
	p     *Phone
	files map[string]storedFile
}

// Open implements fs.FS.
func (t topFS) Open(name string) (fs.File, error) {
	f, ok := t.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	opened := &topFile{name: name, stored: f}
	opened.sum, opened.summed = t.p.sums[f.slot]
	var at io.ReaderAt
	h := t.p.slots.at(f.slot)
	switch f.place {
	case placeMemory:
		at = bytes.NewReader(h.data)
	case placeSpool:
		s := t.p.spool.open(f.ref, f.size)
		at, opened.closer = s, s
	case placeReceived:
		r, err := t.p.r.NewFileReader(t.ctx, h.ids)
		if err != nil {
			return nil, err
		}
		at = r
	default:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	opened.SectionReader = io.NewSectionReader(at, 0, f.size)
	return opened, nil
}

// Stat implements fs.StatFS.
func (t topFS) Stat(name string) (fs.FileInfo, error) {
	f, ok := t.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return topInfo{name, f}, nil
}

// topFile is an open file on top; it can be read at any place.
type topFile struct {
	*io.SectionReader
	closer io.Closer
	name   string
	stored storedFile
	sum    chunk.ID // of its bytes as received
	summed bool     // sum is known
}

// Stat implements fs.File.
func (f *topFile) Stat() (fs.FileInfo, error) { return topInfo{f.name, f.stored}, nil }

// Close implements fs.File.
func (f *topFile) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

type topInfo struct {
	name   string
	stored storedFile
}

func (i topInfo) Name() string       { return i.name }
func (i topInfo) Size() int64        { return i.stored.size }
func (i topInfo) Mode() fs.FileMode  { return modeFile }
func (i topInfo) ModTime() time.Time { return i.stored.modified.time() }
func (i topInfo) IsDir() bool        { return false }
func (i topInfo) Sys() any           { return nil }
