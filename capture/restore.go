package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"russet/chunk"
	"russet/ios"
	"russet/repo"
)

// ErrUnknownVersion says that a snapshot was written by a later Russet, and gives its
// files only.
var ErrUnknownVersion = errors.New("the snapshot's layout is of a later version")

// stored is one file of the backup folder, as it is to be written back.
type stored struct {
	path    string // in the backup folder
	content []chunk.ID
	modTime time.Time
	key     *ios.Key // encrypted under it
	link    string   // of a symlink
}

// folderFiles lists all files of the backup folder but those on top.
func (v *Version) folderFiles(ctx context.Context) ([]stored, error) {
	if v.lost != nil {
		return nil, fmt.Errorf("restore folder: %w", v.lost)
	}
	if !v.Metadata.known() {
		return nil, fmt.Errorf("restore folder: %w", ErrUnknownVersion)
	}
	keys, err := v.fileKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("restore folder: %w", err)
	}
	var files []stored
	err = v.walk(ctx, nameFiles, func(p string, n *repo.Node) error {
		if n.Type != repo.TypeFile {
			return nil
		}
		domain, rel, _ := strings.Cut(p, "/")
		id := ios.FileID(domain, rel)
		key, encrypted := keys[id]
		if encrypted && key == nil {
			return fmt.Errorf("restore folder: %w: the key of a file does not open", repo.ErrDamaged)
		}
		files = append(files, stored{
			path:    storedPath(id, v.Metadata.Flat),
			content: n.Content, modTime: n.AccessTime, key: key,
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = v.walk(ctx, nameSealed, func(p string, n *repo.Node) error {
		if n.Type != repo.TypeFile {
			return nil
		}
		name := path.Base(p)
		if _, ok := parseFileID(name); !ok {
			return fmt.Errorf("restore folder: %w: %s holds what is no stored file", repo.ErrDamaged, nameSealed)
		}
		files = append(files, stored{path: storedPath(name, v.Metadata.Flat), content: n.Content, modTime: n.ModTime})
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = v.walk(ctx, nameOther, func(p string, n *repo.Node) error {
		switch n.Type {
		case repo.TypeFile:
			files = append(files, stored{path: p, content: n.Content, modTime: n.ModTime})
		case repo.TypeSymlink:
			files = append(files, stored{path: p, link: n.LinkTarget})
		}
		return nil
	})
	return files, err
}

// walk visits what lies below one of the three folders, with legal names only.
func (v *Version) walk(ctx context.Context, name string, visit func(p string, n *repo.Node) error) error {
	return v.walkWhole(ctx, name, nil, visit)
}

// walkWhole is walk that leaves out the folders whose list of names is damaged,
// and tells lost of them; nil is told nothing, and the walk ends.
func (v *Version) walkWhole(ctx context.Context, name string, lost func(p string, err error), visit func(p string, n *repo.Node) error) error {
	tree := v.subtree(name)
	if tree == nil {
		return nil
	}
	return v.r.Walk(ctx, *tree, func(p string, n *repo.Node, err error) error {
		if err != nil && lost != nil && ctx.Err() == nil && errors.Is(err, repo.ErrDamaged) {
			lost(p, err)
			return nil
		}
		if err == nil {
			err = n.CheckName()
		}
		if err != nil {
			return fmt.Errorf("read %s of snapshot: %w", name, err)
		}
		return visit(p, n)
	})
}

// fileKeys maps file ids to the keys of their stored form: none for a plain
// backup, and nil for a key that does not open, as that of a sealed file.
func (v *Version) fileKeys(ctx context.Context) (map[string]*ios.Key, error) {
	if v.Metadata.Keybag == nil {
		return nil, nil
	}
	class, err := v.Metadata.Keybag.classKeys()
	if err != nil {
		return nil, err
	}
	recs, done, err := v.records(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	keys := map[string]*ios.Key{}
	for rec, err := range recs {
		if skippable(err) {
			continue
		}
		err = cmp.Or(err, ctx.Err())
		if err != nil {
			return nil, err
		}
		var f ios.File
		if rec.Flags != flagFile || rec.Parse(&f) != nil || len(f.EncryptionKey) == 0 {
			continue
		}
		var key *ios.Key
		if k, err := class.Unwrap(f.EncryptionKey); err == nil {
			key = &k
		}
		keys[strings.Clone(rec.FileID)] = key
	}
	return keys, nil
}

// manifestKey is the key under which the manifest came, nil for one in plain.
func (v *Version) manifestKey(ctx context.Context) (*ios.Key, error) {
	if v.Metadata.Manifest != ManifestDecrypted || v.Metadata.Keybag == nil {
		return nil, nil
	}
	b, err := ios.Open(v.FS(ctx))
	if err != nil {
		return nil, err
	}
	class, err := v.Metadata.Keybag.classKeys()
	if err != nil {
		return nil, err
	}
	key, ok, err := b.ManifestKey(class)
	if err != nil || !ok {
		return nil, errors.Join(err, errors.New("the manifest's key does not open"))
	}
	return &key, nil
}

// Restored is what a restore wrote.
type Restored struct {
	Files int   // with those that were there
	Bytes int64 // plaintext
	Left  int   // of Files: were there already, with the very content
	// Failed are the files that could not be had, by their path in the target.
	Failed []string
	// Original: every file of the folder is the one that was captured.
	Original bool
}

// RestoreOptions of a restore. The zero value restores everything in silence.
type RestoreOptions struct {
	Progress *repo.Progress
	// Select, if not nil, chooses files by domain/relative path; a folder for
	// which it is false is not entered. RestoreFolder has no use for it.
	Select func(p string, dir bool) bool
	// Failed, if not nil, is told of each file that could not be had.
	Failed func(p string, err error)
}

func (o *RestoreOptions) setPhase(phase string) {
	if o.Progress != nil {
		o.Progress.SetPhase(phase)
	}
}

// partial is added to the name of a folder that is not complete yet.
const partial = ".russet-partial"

// RestoreFolder writes the backup folder as it was captured to target/<UDID>,
// which must not exist. It appears under that name when it is complete.
func (v *Version) RestoreFolder(ctx context.Context, target *os.Root, opt RestoreOptions) (*Restored, error) {
	name := v.UDID
	if _, err := target.Lstat(name); err == nil {
		return nil, fmt.Errorf("restore folder %s: %w", name, fs.ErrExist)
	}
	opt.setPhase("reading the list of files")
	files, err := v.folderFiles(ctx)
	if err != nil {
		return nil, err
	}
	temp := name + partial
	if err := target.RemoveAll(temp); err != nil {
		return nil, fmt.Errorf("restore folder: %w", err)
	}
	if err := target.Mkdir(temp, 0o755); err != nil {
		return nil, fmt.Errorf("restore folder: %w", err)
	}
	root, err := target.OpenRoot(temp)
	if err != nil {
		return nil, fmt.Errorf("restore folder: %w", err)
	}
	res, err := v.fill(ctx, root, files, opt)
	if cerr := root.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("restore folder: %w", err)
	}
	if err := target.Rename(temp, name); err != nil {
		return nil, fmt.Errorf("restore folder: %w", err)
	}
	return res, nil
}

func (v *Version) fill(ctx context.Context, root *os.Root, files []stored, opt RestoreOptions) (*Restored, error) {
	res := &Restored{Original: !v.Edited}
	opt.setPhase("making folders")
	if err := makeFolders(ctx, root, files, v.Metadata.EmptyFolders); err != nil {
		return nil, err
	}
	var outs []repo.Output
	for i := range files {
		f := &files[i]
		if f.link != "" {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := root.Symlink(f.link, f.path); err != nil {
				return nil, err
			}
			continue
		}
		outs = append(outs, f.output())
	}
	if err := v.write(ctx, root, outs, res, opt, nil); err != nil {
		return nil, err
	}
	// The top files come last: without Status.plist no program takes the
	// folder for a backup.
	for _, name := range topNames() {
		if err := v.writeTop(ctx, root, name, res); err != nil {
			return nil, err
		}
	}
	return res, nil
}

func (f *stored) output() repo.Output {
	out := repo.Output{Path: f.path, Content: f.content, ModTime: f.modTime, AccessTime: f.modTime, Mode: 0o644}
	if f.key != nil {
		out.Filter = func() repo.Filter { return ios.NewStreamEncrypter(*f.key) }
	}
	return out
}

// write writes files. Without left, root has yet to get its name. With left, files
// that exist do not end it: what is there with the very content is told to left,
// anything else is a failure.
func (v *Version) write(ctx context.Context, root *os.Root, outs []repo.Output, res *Restored, opt RestoreOptions, left func(string)) error {
	if opt.Progress != nil {
		opt.Progress.SetTotal(int64(len(outs)), v.size(outs))
		opt.Progress.SetPhase("writing files")
	}
	before := len(res.Failed)
	err := v.r.WriteFiles(ctx, root, outs, repo.OutputOptions{
		Progress: opt.Progress, Left: left, Unfinished: left == nil,
		Failed: func(p string, err error) error {
			if !errors.Is(err, repo.ErrDamaged) && (left == nil || !errors.Is(err, fs.ErrExist)) {
				return err // the target's drive: the next file would fare no better
			}
			res.Failed = append(res.Failed, p)
			res.Original = false
			if opt.Failed != nil {
				opt.Failed(p, err)
			}
			return nil
		},
	})
	lost := map[string]bool{}
	for _, p := range res.Failed[before:] {
		lost[p] = true
	}
	for i := range outs {
		if !lost[outs[i].Path] {
			res.Files++
			res.Bytes += v.r.ContentSize(outs[i].Content)
		}
	}
	return err
}

// size is the plaintext length of all outputs, as far as the index knows them.
func (v *Version) size(outs []repo.Output) int64 {
	var sum int64
	for i := range outs {
		sum += v.r.ContentSize(outs[i].Content)
	}
	return sum
}

// writeTop writes a plist or the manifest, and compares it with what was
// received.
func (v *Version) writeTop(ctx context.Context, root *os.Root, name string, res *Restored) error {
	n := v.tree.Find(name)
	if n == nil || n.Type != repo.TypeFile {
		return nil
	}
	var key *ios.Key
	if name == ios.DatabaseName {
		var err error
		if key, err = v.manifestKey(ctx); err != nil {
			return fmt.Errorf("encrypt manifest: %w", err)
		}
	}
	f := stored{path: name, content: n.Content, modTime: n.ModTime, key: key}
	if top := v.Metadata.top(name); top != nil {
		f.modTime = top.ModTime
	}
	if err := v.r.WriteFiles(ctx, root, []repo.Output{f.output()}, repo.OutputOptions{Unfinished: true}); err != nil {
		return err
	}
	res.Files++
	got, err := hashFile(root.FS(), name)
	if err != nil {
		return err
	}
	if top := v.Metadata.top(name); top == nil || top.SHA256 != got.sum || top.Size != got.size {
		res.Original = false
	}
	return nil
}

// makeFolders makes the folders of files, and the empty ones.
func makeFolders(ctx context.Context, root *os.Root, files []stored, empty []pathText) error {
	made := map[string]bool{".": true}
	mkdir := func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		return root.MkdirAll(dir, 0o755)
	}
	for i := range files {
		if err := mkdir(path.Dir(files[i].path)); err != nil {
			return err
		}
	}
	for _, dir := range empty {
		if err := mkdir(path.Clean(string(dir))); err != nil {
			return err
		}
	}
	return nil
}
