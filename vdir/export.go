package vdir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"russet/internal/durable"
	"russet/internal/vobject"
)

// exportList is the file in which an export remembers what it wrote.
const exportList = ".russet-export"

// maxList is the longest list of an export in bytes.
const maxList = 64 << 20

// Exported counts the files of an export.
type Exported struct {
	Written   int // new files
	Updated   int
	Unchanged int // not touched: they keep their times
	Removed   int // of records that are gone
	Kept      int // somebody else's, or changed by somebody since: left alone
}

// written is a file that an export wrote.
type written struct {
	Hash string `json:"hash"`          // the etag of what it holds
	Was  string `json:"was,omitempty"` // or of what it held, while an export is under way
}

// list is what is remembered of the exports into a folder.
type list struct {
	Version int                           `json:"version"` // 1
	Exports map[string]map[string]written `json:"exports"` // by their names; then by the names of files
}

// Export writes records into the folder, a file each, and brings an earlier export of
// that name up to date: files that are as they should be are not touched, and those
// whose record is gone are removed, if this export wrote them and nobody changed them
// since; unless records are not all that there are, of which nothing is known to be
// gone. Files that somebody changed are left alone. The name tells apart what is
// exported into one folder, as the contacts of two phones are. The folder needs no
// marker.
//
// Records are UIDs with bodies, which must not be used again. They are asked for twice,
// and must be the same both times. An export that is cut off is completed by the next one.
func (f *Folder) Export(ctx context.Context, name string, all bool, records iter.Seq2[string, []byte]) (Exported, error) {
	e, err := f.openExport(name)
	if err != nil {
		return Exported{}, fmt.Errorf("export: %w", classed(err))
	}
	for uid, body := range records {
		if err := ctx.Err(); err != nil {
			return Exported{}, fmt.Errorf("export: %w", err)
		}
		if err := e.plan(uid, etagOf(body)); err != nil {
			return Exported{}, fmt.Errorf("export: %w", classed(err))
		}
	}
	err = e.run(ctx, all, records)
	if err != nil {
		return e.done, fmt.Errorf("export: %w", classed(err))
	}
	return e.done, nil
}

// export is one under way.
type export struct {
	f     *Folder
	list  list
	saved []byte             // the list as it is on the drive
	mine  map[string]written // what this export wrote, last time and now
	taken map[string]bool    // names in lower case that records of this time have
	next  []planned
	mu    sync.Mutex // guards mine and done while files are written
	done  Exported
}

// planned is what is to be done with the file of a record.
type planned struct {
	name string
	hash string // of what is to be written; "" where nothing is
	was  string // of what is there; "" where nothing is
}

func (f *Folder) openExport(name string) (*export, error) {
	e := &export{f: f, taken: map[string]bool{}}
	data, _, err := f.read(exportList, maxList)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.list.Version = 1
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", exportList, err)
	default:
		if err := json.Unmarshal(data, &e.list); err != nil || e.list.Version != 1 {
			return nil, fmt.Errorf("read %s: no list of an export that this program knows", exportList)
		}
	}
	e.saved = data
	if e.list.Exports == nil {
		e.list.Exports = map[string]map[string]written{}
	}
	e.mine = map[string]written{}
	for file, w := range e.list.Exports[name] {
		if f.isItem(file) {
			e.mine[file] = w
		}
	}
	e.list.Exports[name] = e.mine
	return e, nil
}

// plan finds the file for a record of which the body has that hash.
func (e *export) plan(uid, hash string) error {
	for n := 0; ; n++ {
		name := e.f.nameOf(uid, n)
		if e.taken[strings.ToLower(name)] {
			continue // of another record
		}
		has, err := e.f.etag(name)
		there := err == nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoFile) {
			return err
		}
		w, mine := e.mine[name]
		if errors.Is(err, errNoFile) || there && !mine && has != hash {
			continue // somebody else's
		}
		e.taken[strings.ToLower(name)] = true
		e.next = append(e.next, planned{name: name})
		p := &e.next[len(e.next)-1]
		switch {
		case there && has == hash:
			e.done.Unchanged++
			if mine {
				e.mine[name] = written{Hash: hash}
			}
		case there && !w.has(has):
			e.done.Kept++
		case there:
			e.mine[name], p.hash, p.was = written{Hash: hash, Was: has}, hash, has
		default:
			e.mine[name], p.hash = written{Hash: hash}, hash
		}
		return nil
	}
}

// has reports whether a file with that etag is as an export wrote it.
func (w written) has(etag string) bool { return etag == w.Hash || etag == w.Was }

// run writes and removes what was planned. The list says first what each file may
// hold, so that one which is found later is known as ours, whenever this ends.
func (e *export) run(ctx context.Context, all bool, records iter.Seq2[string, []byte]) error {
	if err := e.save(); err != nil {
		return err
	}
	if err := e.writeAll(ctx, records); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(e.mine)) {
		if all && !e.taken[strings.ToLower(name)] {
			if err := e.remove(name); err != nil {
				return err
			}
		}
	}
	return e.save()
}

// writers is how many files are written at a time: a drive makes several durable in
// the time of one.
const writers = 8

// writeAll writes the files that were planned.
func (e *export) writeAll(ctx context.Context, records iter.Seq2[string, []byte]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	free := make(chan struct{}, writers)
	n := 0
	for _, body := range records {
		if ctx.Err() != nil {
			break
		}
		if n == len(e.next) || e.next[n].hash != "" && e.next[n].hash != etagOf(body) {
			panic("vdir: the records of an export are not the same twice")
		}
		if p := e.next[n]; p.hash != "" {
			free <- struct{}{}
			all.Go(func() {
				if err := e.write(p, body); err != nil {
					cancel(err)
				}
				<-free
			})
		}
		n++
	}
	all.Wait()
	return context.Cause(ctx)
}

// write writes a file, unless somebody changed it since it was planned.
func (e *export) write(p planned, body []byte) error {
	if len(body) > vobject.MaxSize {
		return fmt.Errorf("write %s: it has %d bytes, more than %d", p.name, len(body), vobject.MaxSize)
	}
	data, info, err := e.f.read(p.name, vobject.MaxSize)
	count := &e.done.Updated
	switch {
	case errors.Is(err, fs.ErrNotExist):
		count = &e.done.Written
		err = durable.CreateFile(e.f.root, p.name, body, perm)
	case err != nil:
	case etagOf(data) == p.was:
		err = durable.WriteFile(e.f.root, p.name, body, info.Mode().Perm())
	case etagOf(data) != p.hash:
		count = &e.done.Kept
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	*count++
	if count != &e.done.Kept {
		e.mine[p.name] = written{Hash: p.hash}
	}
	return nil
}

// remove removes the file of a record that is gone, if nobody changed it.
func (e *export) remove(name string) error {
	w := e.mine[name]
	has, err := e.f.etag(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil && !errors.Is(err, errNoFile):
		return err
	case err != nil || !w.has(has):
		e.done.Kept++
	default:
		if err := e.f.root.Remove(name); err != nil {
			return err
		}
		e.done.Removed++
	}
	delete(e.mine, name)
	return nil
}

// save writes the list, unless it is on the drive as it is.
func (e *export) save() error {
	data, err := json.Marshal(e.list)
	if err != nil {
		return err
	}
	if data = append(data, '\n'); slices.Equal(data, e.saved) {
		return nil
	}
	e.saved = data
	return durable.WriteFile(e.f.root, exportList, data, perm)
}
