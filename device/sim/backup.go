package sim

import (
	"cmp"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"russet/ios"
)

// Options of WriteBackup.
type Options struct {
	Password   string // of the encrypted backup; a plain one when empty
	Iterations int    // rounds that the password costs; 0 means 10 million, as on a real phone
	Folder     string // name of the folder in the directory; the UDID when empty
	Full       bool   // send everything again, under a new keybag, where an incremental backup would do
}

// Report says what WriteBackup did.
type Report struct {
	Folder  string // its path
	Full    bool   // everything was sent, under a new keybag
	Sent    int    // files written
	Kept    int    // files that were there and have not changed
	Removed int    // files that the phone does not have any more
	Bytes   int64  // written to files, as stored
}

// String returns a line for people.
func (r Report) String() string {
	kind := "incremental"
	if r.Full {
		kind = "full"
	}
	return fmt.Sprintf("%s backup in %s: %d files sent (%d bytes), %d kept, %d removed", kind, r.Folder, r.Sent, r.Bytes,
		r.Kept, r.Removed)
}

// WriteBackup writes the backup of the present generation into dir, as a phone and its computer do. Where the folder
// holds a finished backup of the device under the same password, only what changed is written (and never into an
// existing file, so that a copy made of hard links stays as it was); anything else that it holds is replaced. A run
// that ends with an error leaves a backup that is not finished.
func (d *Device) WriteBackup(ctx context.Context, dir string, o Options) (Report, error) {
	o.Iterations = cmp.Or(o.Iterations, 10_000_000)
	folder := filepath.Join(dir, cmp.Or(o.Folder, d.config.UDID))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return Report{}, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return Report{}, err
	}
	defer root.Close()
	w := &writer{d: d, options: o, root: root, report: Report{Folder: folder}, buf: make([]byte, 256<<10)}
	if err := w.run(ctx); err != nil {
		return w.report, fmt.Errorf("write backup: %w", err)
	}
	return w.report, nil
}

// writer is one run of WriteBackup.
type writer struct {
	d       *Device
	options Options
	root    *os.Root
	report  Report
	bag     []byte        // the BackupKeyBag
	bagUUID [16]byte      // names the chain of incremental backups
	keys    ios.ClassKeys // nil in a plain backup
	buf     []byte        // to copy with
	small   []byte        // the stored form of a small file
}

func (w *writer) encrypted() bool { return w.options.Password != "" }

func (w *writer) run(ctx context.Context) error {
	resumed, err := w.resume(ctx)
	if err != nil {
		return err
	}
	if !resumed {
		if err := w.startOver(); err != nil {
			return err
		}
	}
	w.report.Full = !resumed
	if err := w.writeStatus("uploading"); err != nil {
		return err
	}
	m, err := OpenManifest(ctx, w.manifestPath(), !resumed)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := w.writeFiles(ctx, m); err != nil {
		return err
	}
	if w.encrypted() && !resumed {
		if err := m.SetPassword(ctx, w.options.Password, newRandom(w.d.config.Seed, "salt", w.bagUUID).bytes(20)); err != nil {
			return err
		}
	}
	if err := m.Commit(); err != nil {
		return err
	}
	manifestKey := ios.Key(derive(w.d.config.Seed, "manifest key", w.bagUUID[:], w.d.generation))
	if err := w.storeManifest(ctx, manifestKey); err != nil {
		return err
	}
	if err := w.writePlists(manifestKey); err != nil {
		return err
	}
	return w.writeStatus("finished")
}

// manifestPath is where the manifest is worked on, in plain: not in the backup, where an encrypted one is only stored.
func (w *writer) manifestPath() string { return filepath.Join(w.d.scratch, "Manifest.db") }

// resume prepares an incremental backup: it takes over the keybag and the manifest. It says no where a phone makes a
// full one.
func (w *writer) resume(ctx context.Context) (bool, error) {
	if w.options.Full {
		return false, nil
	}
	b, err := ios.Open(w.root.FS())
	if err != nil || !b.Finished() || b.UDID() != w.d.config.UDID || b.Encrypted() != w.encrypted() {
		return false, nil
	}
	kb, err := b.Keybag()
	if err != nil {
		return false, nil
	}
	w.bag, w.bagUUID = b.Properties.BackupKeyBag, kb.UUID
	stored, err := w.root.Open("Manifest.db")
	if err != nil {
		return false, err
	}
	defer stored.Close()
	var src io.Reader = stored
	if w.encrypted() {
		if w.keys, err = kb.Unlock(ctx, w.options.Password); errors.Is(err, ios.ErrWrongPassword) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		k, err := w.keys.Unwrap(b.Properties.ManifestKey)
		if err != nil {
			return false, err
		}
		src = ios.NewDecrypter(stored, k)
	}
	dst, err := os.Create(w.manifestPath())
	if err != nil {
		return false, err
	}
	_, err = io.CopyBuffer(onlyWriter{dst}, src, w.buf)
	return err == nil, errors.Join(err, dst.Close())
}

// startOver empties the folder for a full backup and makes a keybag.
func (w *writer) startOver() error {
	entries, err := fs.ReadDir(w.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.root.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	for i := range 256 {
		if err := w.root.Mkdir(fmt.Sprintf("%02x", i), 0o755); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(w.manifestPath()); err != nil {
		return err
	}
	seed := w.d.config.Seed
	password := w.options.Password
	iterations := w.options.Iterations
	if !w.encrypted() { // a plain backup has a keybag, too, which nobody's password opens
		password, iterations = newRandom(seed, "device password").uuid(), 1
	}
	r := newRandom(seed, "keybag", w.d.generation, w.options.Password)
	bag, keys, err := ios.NewKeybag(r, password, iterations)
	if err != nil {
		return err
	}
	kb, err := ios.ParseKeybag(bag)
	if err != nil {
		return err
	}
	w.bag, w.bagUUID = bag, kb.UUID
	if w.encrypted() {
		w.keys = keys
	}
	return nil
}

// writeFiles brings the folder's files and the manifest to the present generation.
func (w *writer) writeFiles(ctx context.Context, m *Manifest) error {
	old, err := m.Known(ctx)
	if err != nil {
		return err
	}
	for f := range w.d.Files() {
		if err := ctx.Err(); err != nil {
			return err
		}
		id := ios.FileID(f.Domain, f.RelativePath)
		was, known := old[id]
		delete(old, id)
		if known && was.Kind != f.Kind() {
			if err := w.remove(ctx, m, slices.Values([]string{id})); err != nil {
				return err
			}
			known = false
		}
		if known && was.Modified == f.LastModified {
			if f.Regular() {
				w.report.Kept++
			}
			continue
		}
		record := f.File
		if f.Regular() {
			if err := w.sendFile(f, id, &record); err != nil {
				return fmt.Errorf("send %s: %w", id, err)
			}
		}
		if err := m.Put(ctx, known, id, f, ios.MarshalFile(&record)); err != nil {
			return err
		}
	}
	return w.remove(ctx, m, maps.Keys(old))
}

// remove takes files out of the manifest, and what is stored of them out of the folder.
func (w *writer) remove(ctx context.Context, m *Manifest, ids iter.Seq[string]) error {
	removed, err := m.Remove(ctx, ids)
	for _, id := range removed {
		if err := w.root.Remove(blobPath(id)); err != nil {
			return err
		}
	}
	w.report.Removed += len(removed)
	return err
}

func blobPath(id string) string { return id[:2] + "/" + id }

// sendFile writes the stored form of f and completes its record.
func (w *writer) sendFile(f *File, id string, record *ios.File) error {
	src, err := w.d.Open(f)
	if err != nil {
		return err
	}
	defer src.Close()
	var key *ios.Key
	if w.encrypted() {
		k := ios.Key(derive(w.d.config.Seed, "file key", w.bagUUID[:], w.d.generation, id))
		record.EncryptionKey = w.keys.Wrap(f.ProtectionClass, k)
		key = &k
	}
	var digest hash.Hash
	if ios.HasDigest(f.Domain) {
		digest = sha1.New()
	}
	n, err := w.store(blobPath(id), src, f.length, key, digest)
	if err != nil {
		return err
	}
	if digest != nil {
		record.Digest = digest.Sum(nil)
	}
	w.report.Sent++
	w.report.Bytes += n
	// Files arrive one after the other.
	arrival := w.d.Date().Add(time.Duration(w.report.Sent) * 3 * time.Millisecond)
	return w.root.Chtimes(blobPath(id), arrival, arrival)
}

// store writes a new file of the backup in place of the one that was there. It returns the length that it stored.
func (w *writer) store(name string, src io.Reader, length int64, key *ios.Key, digest hash.Hash) (int64, error) {
	const flags = os.O_CREATE | os.O_EXCL | os.O_WRONLY
	f, err := w.root.OpenFile(name, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if err := w.root.Remove(name); err != nil {
			return 0, err
		}
		f, err = w.root.OpenFile(name, flags, 0o644)
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var dst io.Writer = onlyWriter{f}
	if digest != nil {
		dst = io.MultiWriter(f, digest)
	}
	var n int64
	if length <= int64(len(w.buf)) {
		n, err = w.storeSmall(dst, src, w.buf[:length], key)
	} else {
		if key != nil {
			src = ios.NewEncrypter(src, *key)
		}
		n, err = io.CopyBuffer(dst, src, w.buf)
	}
	return n, cmp.Or(err, f.Close())
}

// storeSmall stores a file that fits into buf in one piece.
func (w *writer) storeSmall(dst io.Writer, src io.Reader, buf []byte, key *ios.Key) (int64, error) {
	if _, err := io.ReadFull(src, buf); err != nil {
		return 0, err
	}
	if key != nil {
		w.small = ios.Encrypt(w.small[:0], buf, *key)
		buf = w.small
	}
	n, err := dst.Write(buf)
	return int64(n), err
}

// onlyWriter hides all other methods of a file, so that io.CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }

// storeManifest writes the manifest into the backup.
func (w *writer) storeManifest(ctx context.Context, k ios.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	src, err := os.Open(w.manifestPath())
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	key := &k
	if !w.encrypted() {
		key = nil
	}
	if _, err := w.store("Manifest.db", src, info.Size(), key, nil); err != nil {
		return err
	}
	if err := w.root.Chtimes("Manifest.db", w.d.Date(), w.d.Date()); err != nil {
		return err
	}
	return os.Remove(w.manifestPath())
}
