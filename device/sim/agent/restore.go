package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"russet/device/mb2"
	"russet/device/sim"
	"russet/internal/plist"
	"russet/ios"
)

// restoreOptions are the options of a request, with what phones take where they
// are missing.
type restoreOptions struct {
	dontCopy, removeOthers bool
	password               string
}

func (s *session) restoreOptions(m map[string]any) (restoreOptions, error) {
	all, _ := m["Options"].(map[string]any)
	o := restoreOptions{removeOthers: true}
	for name, v := range all {
		on, isBool := v.(bool)
		word, isText := v.(string)
		switch name {
		case "RestoreDontCopyBackup":
			o.dontCopy = on
		case "RemoveItemsNotRestored":
			o.removeOthers = on
		case "Password":
			o.password, isBool = word, isText
		case "RestoreShouldReboot", "RestorePreserveSettings", "RestoreSystemFiles", "RestorePreserveCameraRoll",
			"ShouldPerformSplitRestore":
		default:
			isBool = true // not known: not judged
		}
		if !isBool {
			return o, s.broken(RuleRequest, "the option %s is of another type", shown(name))
		}
	}
	return o, nil
}

// restoring is one run.
type restoring struct {
	s      *session
	source string
	keys   ios.ClassKeys
	into   *sim.Folder

	folders []*sim.File // put last, for their times
	broken  int         // files that did not come, or are damaged
}

// restore serves the request Restore. Contents that are a [*sim.Folder] are
// replaced; otherwise what came lies in the folder that Restored opens.
func (s *session) restore(ctx context.Context, m map[string]any) error {
	if target, _ := m["TargetIdentifier"].(string); target != s.p.contents.Config().UDID {
		return s.broken(RuleTarget, "a restore to another phone than this one")
	}
	source, err := s.source(m)
	if err != nil {
		return err
	}
	o, err := s.restoreOptions(m)
	if err != nil {
		return err
	}
	if err := s.phase(PhaseStart); err != nil {
		return err
	}
	r := &restoring{s: s, source: source}
	defer func() { _ = s.p.drop(workName, storedName) }()
	info, err := r.check(ctx, o)
	if err != nil {
		return err
	}
	if err := s.phase(PhaseSpace); err != nil { // where a script says that the phone is full
		return err
	}
	if !o.dontCopy {
		if err := s.copyBackup(source, info); err != nil {
			return err
		}
	}
	if err := s.phase(PhaseFiles); err != nil {
		return err
	}
	return r.files(ctx, o)
}

// check reads what stands on top of the backup, and returns Info.plist.
func (r *restoring) check(ctx context.Context, o restoreOptions) (info []byte, err error) {
	s := r.s
	props, err := s.properties(r.source, false)
	if err != nil {
		return nil, err
	}
	if props == nil {
		return nil, &Refusal{Code: codeNothing, Text: "No manifest"}
	}
	if err := r.openDatabase(ctx, props, o.password); err != nil {
		return nil, err
	}
	if err := s.phase(PhaseStatus); err != nil {
		return nil, err
	}
	h, err := s.readStatus(r.source)
	switch {
	case err != nil:
		return nil, err
	case h == nil || h.backupState != "new" || h.snapshotState != stateFinished:
		return nil, &Refusal{Code: codeNothing, Text: "Nothing to restore"}
	case h.version < 2.4 || h.version >= 4:
		return nil, &Refusal{Code: codeVersion, Text: "Unsupported version"}
	}
	info, code, err := s.downloadBytes(r.source + "/Info.plist")
	if err != nil || code == mb2.StatusNotFound {
		return nil, err
	}
	if err := readError(code); err != nil {
		return nil, err
	}
	var m map[string]any
	if plist.Unmarshal(info, &m) != nil {
		return nil, &Refusal{Code: codeCorrupt, Text: "Error reading Info.plist"}
	}
	version, _ := m["Product Version"].(string)
	if newer(version, s.p.contents.Config().Version) {
		return nil, &Refusal{Code: codeVersion, Text: "The backup is of a newer version"}
	}
	return info, nil
}

// newer compares versions of iOS by their numbers.
func newer(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		var m, n int
		if i < len(x) {
			m, _ = strconv.Atoi(x[i])
		}
		if i < len(y) {
			n, _ = strconv.Atoi(y[i])
		}
		if c := cmp.Compare(m, n); c != 0 {
			return c > 0
		}
	}
	return false
}

// openDatabase fetches the manifest and opens its encryption.
func (r *restoring) openDatabase(ctx context.Context, props *properties, password string) (err error) {
	var key *ios.Key
	if props.encrypted {
		if r.keys, err = unlock(ctx, props.bag, password); err != nil {
			return &Refusal{Code: codePassword, Text: "Invalid password when restoring encrypted backup"}
		}
		if len(props.key) > 0 {
			k, err := r.keys.Unwrap(props.key)
			if err != nil {
				return &Refusal{Code: codeCorrupt, Text: "Error reading manifest"}
			}
			key = &k
		}
	}
	code, _, err := r.s.fetchDatabase(r.source+"/"+databaseName, key)
	if err != nil {
		return err
	}
	if code != mb2.StatusOK {
		return &Refusal{Code: codeCorrupt, Text: "Error reading manifest"}
	}
	return nil
}

// copyBackup has the host copy the backup, which a host declines with
// RestoreDontCopyBackup.
func (s *session) copyBackup(source string, info []byte) error {
	if _, err := s.list(source, 0); err != nil {
		return err
	}
	if _, _, err := s.free(); err != nil {
		return err
	}
	to := source + "-" + s.p.o.Now().UTC().Format("20060102-150405")
	a, err := s.order("DLMessageCopyItem", source, source, to, map[string]any{}, 0.0, int64(0))
	if err != nil {
		return err
	}
	if err := writeError(a.code); err != nil {
		return err
	}
	if info == nil {
		return nil
	}
	return s.uploadBytes("Info.plist", to+"/Info.plist", info, 0)
}

// files reads all files of the manifest, in its order and in batches.
func (r *restoring) files(ctx context.Context, o restoreOptions) (err error) {
	into, done, err := r.s.p.destination()
	if err != nil {
		return err
	}
	defer done()
	r.into = into
	f, err := os.Open(r.s.p.path(workName))
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	m, err := ios.OpenManifest(f, size)
	if err != nil {
		return &Refusal{Code: codeCorrupt, Text: "Error reading manifest"}
	}
	defer m.Close()
	if o.removeOthers {
		if err := into.Clear(); err != nil {
			return err
		}
	}
	var batch []*sim.File
	for rec, err := range m.Records(ctx) {
		if err != nil {
			return &Refusal{Code: codeCorrupt, Text: "Error reading manifest"}
		}
		if batch, err = r.record(rec, batch); err != nil {
			return err
		}
		if len(batch) == r.s.script.Batch {
			if err := r.fetch(batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	if err := r.fetch(batch); err != nil {
		return err
	}
	slices.SortFunc(r.folders, func(a, b *sim.File) int { return len(b.RelativePath) - len(a.RelativePath) })
	for _, f := range r.folders { // what lies deeper comes first
		r.put(f, nil)
	}
	if r.broken > 0 {
		return &Refusal{Code: codeCorrupt, Text: "Multiple errors downloading files"}
	}
	return nil
}

// record adds a regular file to a batch, and puts a link into the phone.
func (r *restoring) record(rec ios.Record, batch []*sim.File) ([]*sim.File, error) {
	var f ios.File
	if rec.Parse(&f) != nil || rec.FileID != ios.FileID(rec.Domain, rec.RelativePath) {
		return nil, &Refusal{Code: codeCorrupt, Text: "Error reading manifest"}
	}
	f.RelativePath = rec.RelativePath
	file := sim.NewFile(rec.Domain, f, f.Size)
	switch {
	case rec.Flags != file.Kind(): // a host may have made the manifest up
		r.broken++
	case file.Regular():
		return append(batch, file), nil
	case rec.Flags == ios.Directory:
		r.folders = append(r.folders, file)
	default:
		r.put(file, nil)
	}
	return batch, nil
}

// put puts a file into the phone, and counts what became of it.
func (r *restoring) put(f *sim.File, src io.Reader) {
	switch err := r.into.Put(f, src); {
	case err != nil:
		r.broken++
	case f.Regular():
		r.s.report.Restored++
	}
}

// fetch reads a batch of files.
func (r *restoring) fetch(batch []*sim.File) error {
	if len(batch) == 0 {
		return nil
	}
	paths := make([]string, len(batch))
	for i, f := range batch {
		id := ios.FileID(f.Domain, f.RelativePath)
		paths[i] = r.source + "/" + id[:2] + "/" + id
	}
	states, err := r.s.download(paths, 0, func(i int) (sink, error) { return r.newSink(batch[i]) })
	if err != nil {
		return err
	}
	for _, code := range states {
		if code != mb2.StatusOK {
			r.broken++
		}
	}
	return nil
}

// restoredSink takes one file as stored, and puts it into the phone at its end.
type restoredSink struct {
	*fileSink

	r   *restoring
	f   *sim.File
	sum hash.Hash
}

func (r *restoring) newSink(f *sim.File) (sink, error) {
	k, err := r.s.newFileSink(storedName)
	if err != nil {
		return nil, err
	}
	return &restoredSink{fileSink: k, r: r, f: f, sum: sha1.New()}, nil
}

// Write implements io.Writer.
func (k *restoredSink) Write(p []byte) (int, error) {
	k.sum.Write(p)
	return k.fileSink.Write(p)
}

// Close judges the file and puts it into the phone.
func (k *restoredSink) Close() error {
	if err := k.fileSink.Close(); err != nil {
		return err
	}
	if k.f.Digest != nil && !bytes.Equal(k.f.Digest, k.sum.Sum(nil)) {
		k.r.broken++
		return nil
	}
	src, err := k.r.s.p.root.Open(storedName)
	if err != nil {
		return err
	}
	defer src.Close()
	if k.r.keys == nil {
		k.r.put(k.f, src)
		return nil
	}
	key, err := k.r.keys.Unwrap(k.f.EncryptionKey)
	if err != nil {
		k.r.broken++
		return nil
	}
	k.r.put(k.f, ios.NewDecrypter(src, key))
	return nil
}

// destination is where a restore puts files. The folder is given up by done.
func (p *Phone) destination() (into *sim.Folder, done func(), err error) {
	if c, ok := p.contents.(*sim.Folder); ok {
		return c, func() {}, nil
	}
	into, err = p.Restored()
	if err != nil {
		return nil, nil, err
	}
	return into, func() { _ = into.Close() }, nil
}

// Restored opens what was restored to a phone whose contents cannot be
// replaced. The caller closes it.
func (p *Phone) Restored() (*sim.Folder, error) {
	if err := p.root.Mkdir(restoredName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("open what was restored: %w", err)
	}
	return sim.OpenFolder(filepath.Join(p.dir, restoredName), p.contents.Config())
}
