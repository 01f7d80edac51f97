package sim

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"russet/internal/durable"
	"russet/ios"
)

// Where a Folder keeps what it is.
const (
	filesFolder = "Files"      // Files/<domain>/<relative path>
	phoneFile   = "phone.json" // the Config, without what only a generated phone needs
)

// maxPhoneFile bounds phone.json, in bytes.
const maxPhoneFile = 64 << 10

// Folder is a phone whose contents lie as plain files below a directory, DIR/Files/<domain>/<relative path>, for a
// person or a test to edit. What a file system does not keep is made up: owners and protection classes follow the
// domain, the inode follows the path, and there are no extended attributes. As on a phone a file counts as changed when
// its time of modification has moved, in whole seconds. Files of other kinds than regular ones, folders and links are
// left out. It is safe for concurrent use as far as its files are.
type Folder struct {
	config Config
	root   *os.Root // of DIR/Files

	mu     sync.Mutex // guards what follows
	near   *os.Root   // the folder of the file that was opened last, or nil
	nearAt string     // its path
}

// OpenFolder opens the phone that lies in dir, an existing directory, or makes one there without any files, which is
// called as c says. A phone that is there keeps its own names. Close it after use.
func OpenFolder(dir string, c Config) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the phone's folder: %w", err)
	}
	defer root.Close()
	switch data, err := readBounded(root, phoneFile, maxPhoneFile); {
	case err == nil:
		c = Config{}
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, fmt.Errorf("read %s: %w", phoneFile, err)
		}
	case errors.Is(err, fs.ErrNotExist):
		data, err := json.MarshalIndent(c, "", "\t")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", phoneFile, err)
		}
		if err := durable.WriteFile(root, phoneFile, append(data, '\n'), 0o600); err != nil {
			return nil, fmt.Errorf("write %s: %w", phoneFile, err)
		}
	default:
		return nil, fmt.Errorf("read %s: %w", phoneFile, err)
	}
	if err := root.Mkdir(filesFolder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("open the phone's folder: %w", err)
	}
	files, err := root.OpenRoot(filesFolder)
	if err != nil {
		return nil, fmt.Errorf("open the phone's folder: %w", err)
	}
	return &Folder{config: c, root: files}, nil
}

// readBounded reads a whole file of at most limit bytes.
func readBounded(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New("it is too long")
	}
	return data, err
}

// Close gives the directory up.
func (p *Folder) Close() error {
	p.forget()
	return p.root.Close()
}

// Config returns what the phone is called. Its numbers say nothing about its files.
func (p *Folder) Config() Config { return p.config }

// Scan yields all files, folders and links, a folder before what it holds. A file that vanishes meanwhile is left out.
func (p *Folder) Scan(ctx context.Context) iter.Seq2[*File, error] {
	return func(yield func(*File, error) bool) {
		p.forget()
		defer p.forget()
		err := p.scan(ctx, p.root, "", "", func(f *File) bool { return yield(f, nil) })
		if err != nil && err != fs.SkipAll {
			yield(nil, fmt.Errorf("scan the phone's folder: %w", durable.WithoutPath(err)))
		}
	}
}

// scan yields what lies in a folder of a domain, which is open as dir; without a domain, the domains. Its error is
// fs.SkipAll where yield wants no more.
func (p *Folder) scan(ctx context.Context, dir *os.Root, domain, relative string, yield func(*File) bool) error {
	entries, err := readFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		domain, relative := domain, path.Join(relative, e.Name())
		if domain == "" {
			if !e.IsDir() {
				continue // beside the domains: nothing of the phone's
			}
			domain, relative = e.Name(), ""
		}
		f, err := record(dir, domain, relative, e)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		if !yield(f) {
			return fs.SkipAll
		}
		if !e.IsDir() {
			continue
		}
		sub, err := dir.OpenRoot(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = p.scan(ctx, sub, domain, relative, yield)
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// readFolder lists what lies in a folder, by name.
func readFolder(dir *os.Root) ([]fs.DirEntry, error) {
	d, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// record makes the record of a file in dir; nil where it has none.
func record(dir *os.Root, domain, relative string, e fs.DirEntry) (*File, error) {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	own := ownerOf(domain)
	sum := sha1.Sum([]byte(pathKey(domain, relative)))
	f := &File{Domain: domain, File: ios.File{
		RelativePath: relative, UserID: own.user, GroupID: own.group,
		Inode:        uint64(binary.BigEndian.Uint32(sum[:])) + 1<<33,
		LastModified: info.ModTime().Unix(), LastStatusChange: info.ModTime().Unix(), Birth: info.ModTime().Unix(),
	}}
	perm := uint32(info.Mode().Perm())
	switch info.Mode().Type() {
	case fs.ModeDir:
		f.Mode = modeFolder | perm
	case fs.ModeSymlink:
		f.Mode = modeLink | 0o755
		if f.Target, err = dir.Readlink(e.Name()); err != nil {
			return nil, err
		}
		f.Size = int64(len(f.Target))
	case 0:
		f.Mode, f.ProtectionClass = modeRegular|perm, 3
		f.Size, f.length, f.content = info.Size(), info.Size(), foreign
	default:
		return nil, nil
	}
	return f, nil
}

// Open opens a regular file that Scan yielded.
func (p *Folder) Open(f *File) (io.ReadCloser, error) {
	file, err := p.open(f.Domain, f.RelativePath)
	if err != nil {
		return nil, fmt.Errorf("open a file: %w", durable.WithoutPath(err))
	}
	return file, nil
}

// open opens a file. Its folder stays open for the next one, which often lies beside it: each folder on the way costs a
// system call.
func (p *Folder) open(domain, relative string) (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := path.Join(domain, relative)
	if at := path.Dir(name); p.near == nil || p.nearAt != at {
		near, err := p.root.OpenRoot(at)
		if err != nil {
			return nil, err
		}
		p.leave()
		p.near, p.nearAt = near, at
	}
	return p.near.Open(path.Base(name))
}

// forget closes the folder that open keeps: it may have been replaced.
func (p *Folder) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
}

// leave is called with p.mu held.
func (p *Folder) leave() {
	if p.near != nil {
		p.near.Close()
		p.near = nil
	}
}

// Clear removes everything that the phone holds.
func (p *Folder) Clear() error {
	p.forget()
	entries, err := fs.ReadDir(p.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("clear the phone's folder: %w", err)
	}
	for _, e := range entries {
		if err := p.root.RemoveAll(e.Name()); err != nil {
			return fmt.Errorf("clear the phone's folder: %w", durable.WithoutPath(err))
		}
	}
	return nil
}

// Put puts one file, folder or link into the phone, in place of a file or link that has its name, with folders above it that are
// missing. The bytes of a regular file are read from r. Folders whose time matters must be put after what they hold.
// The owner of the process may read and write all of it, whatever its mode on the phone: or nobody but root could back
// the phone up.
func (p *Folder) Put(f *File, r io.Reader) error {
	if !putable(f) {
		return errors.New("put a file: its name or kind is none of a phone's")
	}
	p.forget()
	name := path.Join(f.Domain, f.RelativePath)
	if err := p.put(f, name, r); err != nil {
		return fmt.Errorf("put a file: %w", durable.WithoutPath(err))
	}
	return nil
}

// putable says whether a name, which a stranger chose, can be one of a file below a folder.
func putable(f *File) bool {
	if f.Domain == "" || strings.ContainsAny(f.Domain, "/\x00") || strings.Contains(f.RelativePath, "\x00") ||
		!fs.ValidPath(f.Domain) || f.Domain == "." {
		return false
	}
	if f.RelativePath == "" {
		return f.Mode&modeType == modeFolder
	}
	return fs.ValidPath(f.RelativePath) && f.RelativePath != "."
}

func (p *Folder) put(f *File, name string, r io.Reader) error {
	if err := p.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	own := fs.FileMode(0o600)
	switch f.Mode & modeType {
	case modeLink:
		_ = p.root.Remove(name) // an error shows in what follows
		return p.root.Symlink(f.Target, name)
	case modeFolder:
		own = 0o700
		if err := p.root.MkdirAll(name, own); err != nil {
			return err
		}
	case modeRegular:
		if err := p.write(name, r); err != nil {
			return err
		}
	default:
		return errors.New("its kind is none of a phone's")
	}
	if err := p.root.Chmod(name, fs.FileMode(f.Mode&0o777)|own); err != nil {
		return err
	}
	modified := time.Unix(f.LastModified, 0)
	return p.root.Chtimes(name, modified, modified)
}

// write writes a new file in place of one that was there.
func (p *Folder) write(name string, r io.Reader) error {
	if err := p.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := p.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// Fill puts the files of a generated phone into the folder.
func (p *Folder) Fill(ctx context.Context, d *Device) error {
	var folders []*File
	for f := range d.Files() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.Mode&modeType == modeFolder {
			folders = append(folders, f)
			continue
		}
		r := io.NopCloser(strings.NewReader(""))
		if f.Regular() {
			var err error
			if r, err = d.Open(f); err != nil {
				return err
			}
		}
		err := p.Put(f, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	for i := len(folders) - 1; i >= 0; i-- { // what lies deeper comes first
		if err := p.Put(folders[i], nil); err != nil {
			return err
		}
	}
	return nil
}
