package agent

import (
	"context"
	"crypto/sha1"
	"hash"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"russet/device/sim"
	"russet/ios"
)

// freeMargin is what a phone wants to be free beyond what it sends, and
// purgeMargin what it asks for beyond that.
const (
	freeMargin  = 128 << 20
	purgeMargin = 2 << 30
	purgeUrgent = 4
)

// all yields the phone's files and those that the script makes up.
func (b *backup) all(ctx context.Context) iter.Seq2[*sim.File, error] {
	return func(yield func(*sim.File, error) bool) {
		for f, err := range b.s.p.contents.Scan(ctx) {
			if !yield(f, err) || err != nil {
				return
			}
		}
		for _, a := range b.s.script.Add {
			f := sim.NewFile(a.Domain, ios.File{
				RelativePath: a.Path, Mode: 0o100644, UserID: 501, GroupID: 501, Size: a.Size, ProtectionClass: 3,
				LastModified: madeUpTime, LastStatusChange: madeUpTime, Birth: madeUpTime, Inode: madeUpTime,
			}, a.Size)
			if !yield(f, nil) {
				return
			}
		}
	}
}

// madeUpTime is when files that a script makes up were modified: in 2024.
const madeUpTime = 1_720_000_000

// open opens a regular file that all has yielded.
func (b *backup) open(f *sim.File) (io.ReadCloser, error) {
	for _, a := range b.s.script.Add {
		if a.Domain == f.Domain && a.Path == f.RelativePath {
			return io.NopCloser(io.LimitReader(zeros{}, a.Size)), nil
		}
	}
	return b.s.p.contents.Open(f)
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// storedSize is how many bytes a file takes in the backup.
func (b *backup) storedSize(f *sim.File) int64 {
	if b.keys == nil {
		return f.Length()
	}
	return ios.EncryptedSize(f.Length())
}

// scan finds what has changed, and brings all records but those of files that
// must be sent up to date.
func (b *backup) scan(ctx context.Context) (err error) {
	if err := b.s.phase(PhaseScan); err != nil {
		return err
	}
	if err := b.s.wait(ctx, time.Duration(b.s.script.Scan)); err != nil {
		return err
	}
	if b.m == nil {
		if err := b.s.p.drop(workName); err != nil {
			return err
		}
		if b.m, err = sim.OpenManifest(ctx, b.s.p.path(workName), true); err != nil {
			b.m = nil
			return err
		}
		// The names of all files are nobody else's business; some file systems have no permissions.
		_ = b.s.p.root.Chmod(workName, 0o600)
		if err := b.setPassword(ctx); err != nil {
			return err
		}
	}
	var cached *sim.Manifest
	if b.resumed != nil {
		if cached, err = sim.OpenManifest(ctx, b.s.p.path(cachedName), false); err != nil {
			b.resumed = nil // it is damaged: as if there were none
		} else {
			defer cached.Close()
		}
	}
	old, err := b.m.Known(ctx)
	if err != nil {
		return err
	}
	b.todo, b.again, b.sizes = map[string]bool{}, map[string]bool{}, map[string]int64{}
	b.total = b.s.script.Extra
	for f, err := range b.all(ctx) {
		if err != nil {
			return err
		}
		if err := b.examine(ctx, f, old, cached); err != nil {
			return err
		}
	}
	err = b.forget(ctx, maps.Keys(old))
	b.s.report.Removed = len(b.removed)
	return err
}

// forget takes files out of the manifest, to be removed on the host at the end.
func (b *backup) forget(ctx context.Context, ids iter.Seq[string]) error {
	removed, err := b.m.Remove(ctx, ids)
	b.removed = append(b.removed, removed...)
	return err
}

// setPassword adds what the manifest of an encrypted backup knows about the
// password.
func (b *backup) setPassword(ctx context.Context) error {
	if b.keys == nil {
		return nil
	}
	salt, err := b.s.p.random(20)
	if err != nil {
		return err
	}
	return b.m.SetPassword(ctx, b.s.p.remembered().Password, salt)
}

// examine decides about one file. What is left in old at the end is gone.
func (b *backup) examine(ctx context.Context, f *sim.File, old map[string]sim.Known, cached *sim.Manifest) error {
	id := ios.FileID(f.Domain, f.RelativePath)
	if f.RelativePath == "" {
		b.domains = append(b.domains, f.Domain)
	}
	was, known := old[id]
	delete(old, id)
	if known && was.Kind != f.Kind() {
		if err := b.forget(ctx, slices.Values([]string{id})); err != nil {
			return err
		}
		known = false
	}
	switch {
	case known && was.Modified == f.LastModified && f.Target == "": // a link may have been made anew within a second
		if f.Regular() {
			b.s.report.Kept++
		}
		return nil
	case !f.Regular():
		return b.m.Put(ctx, known, id, f, ios.MarshalFile(&f.File))
	}
	if _, there := b.resumed[id]; there {
		record, err := cached.Record(ctx, id)
		if err != nil {
			return err
		}
		var r ios.File
		if record != nil && ios.ParseFile(record, &r) == nil && r.LastModified == f.LastModified && r.Size == f.Size {
			b.moves = append(b.moves, id)
			b.s.report.Kept++
			return b.m.Put(ctx, known, id, f, record)
		}
	}
	b.todo[id] = known
	b.total += b.storedSize(f)
	return nil
}

// outgoing is a file of a batch.
type outgoing struct {
	f    *sim.File
	id   string
	twin bool // it is sent a second time because the script says so
}

// send sends the files, in batches.
func (b *backup) send(ctx context.Context) error {
	if err := b.writeStatus(stateUploading, 0); err != nil {
		return err
	}
	b.started = true
	if err := b.s.phase(PhaseFiles); err != nil {
		return err
	}
	if err := b.s.hostile(b.target); err != nil {
		return err
	}
	if err := b.pass(ctx, b.todo); err != nil {
		return err
	}
	if len(b.again) > 0 {
		again := b.again
		b.again = map[string]bool{}
		if err := b.pass(ctx, again); err != nil {
			return err
		}
	}
	if b.fatal {
		return &Refusal{Code: codeWrite, Text: "Multiple errors uploading files"}
	}
	// What is left has vanished since the scan.
	maps.DeleteFunc(b.todo, func(_ string, known bool) bool { return !known })
	return b.forget(ctx, maps.Keys(b.todo))
}

// pass sends the files whose ids are wanted.
func (b *backup) pass(ctx context.Context, wanted map[string]bool) error {
	if len(wanted) == 0 {
		return nil
	}
	var batch []outgoing
	for f, err := range b.all(ctx) {
		if err != nil {
			return err
		}
		if !f.Regular() {
			continue
		}
		id := ios.FileID(f.Domain, f.RelativePath)
		if _, ok := wanted[id]; !ok {
			continue
		}
		if batch = append(batch, outgoing{f: f, id: id}); len(batch) == b.s.script.Batch {
			if err := b.sendBatch(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return b.sendBatch(ctx, batch)
}

// sendBatch sends some files, and notes them in the manifest once the host has
// them.
func (b *backup) sendBatch(ctx context.Context, batch []outgoing) error {
	var size int64
	for _, o := range batch {
		size += b.storedSize(o.f)
	}
	b.done += size
	if err := b.s.beginUpload(b.target+"/"+snapshotName, b.percent(), size); err != nil {
		return err
	}
	records := make(map[string][]byte, len(batch))
	for i := 0; i < len(batch); i++ {
		o := batch[i]
		twice, err := b.sendFile(o, records)
		if err != nil {
			return err
		}
		if twice && !o.twin {
			batch = slices.Insert(slices.Clone(batch), i+1, outgoing{f: o.f, id: o.id, twin: true})
		}
	}
	a, err := b.s.endUpload()
	if err != nil {
		return err
	}
	if err := writeError(a.code); err != nil {
		return err
	}
	for _, o := range batch {
		record, ok := records[o.id]
		if !ok || o.twin {
			continue
		}
		known, first := b.todo[o.id]
		if err := b.m.Put(ctx, known || !first, o.id, o.f, record); err != nil {
			return err
		}
		if first {
			b.moves = append(b.moves, o.id)
			b.s.report.Sent++
		}
		delete(b.todo, o.id)
	}
	return nil
}

// sendFile sends one file, and adds its record to those of the batch. It says
// whether the file shall be sent once more.
func (b *backup) sendFile(o outgoing, records map[string][]byte) (twice bool, err error) {
	src, err := b.open(o.f)
	if err != nil {
		delete(b.todo, o.id) // what the phone cannot open it does not send
		return false, nil
	}
	defer src.Close()
	task := FileTask{}
	if !o.twin {
		b.s.sent++
		task = b.s.task(b.s.sent)
	}
	counted := &counter{r: src}
	var r io.Reader = counted
	record := o.f.File
	if b.keys != nil {
		var k ios.Key
		random, err := b.s.p.random(len(k))
		if err != nil {
			return false, err
		}
		copy(k[:], random)
		record.EncryptionKey = b.keys.Wrap(classOf(&record), k)
		r = ios.NewEncrypter(r, k)
	}
	var digest hash.Hash
	if ios.HasDigest(o.f.Domain) {
		digest = sha1.New()
		r = io.TeeReader(r, digest)
	}
	n, failed, err := b.s.uploadFile(b.devicePath(o), b.snapshotPath(o.id), r, task)
	if err != nil {
		return false, err
	}
	b.s.report.Bytes += n
	if failed {
		b.fatal = b.fatal || task.Fatal
		delete(b.todo, o.id) // the record of before stands, if there is one
		return false, nil
	}
	if digest != nil {
		record.Digest = digest.Sum(nil)
	}
	if counted.n != o.f.Length() {
		b.again[o.id] = true // it was changed while it was read
	}
	b.sizes[o.id] = n
	records[o.id] = ios.MarshalFile(&record)
	return task.Twice, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// classOf is the class under which a file's key is wrapped: keybags have keys
// for 1 to 4.
func classOf(f *ios.File) uint32 {
	if f.ProtectionClass < 1 || f.ProtectionClass > 4 {
		f.ProtectionClass = 4
	}
	return f.ProtectionClass
}

// task is what the script wants to happen to the n-th file.
func (s *session) task(n int) FileTask {
	for _, t := range s.script.Files {
		if t.N == n {
			return t
		}
	}
	return FileTask{}
}

// devicePath is the name that the phone gives a file, for a log.
func (b *backup) devicePath(o outgoing) string {
	if b.s.script.Behaviour.UnpackedPaths {
		return o.f.Domain + "/" + o.f.RelativePath
	}
	return "/.b/6/" + strings.ReplaceAll(o.f.RelativePath, "\x00", "")
}

// space asks the host whether all that will fit.
func (b *backup) space(context.Context) error {
	if err := b.s.phase(PhaseSpace); err != nil {
		return err
	}
	if b.s.report.DeviceLink < 300 {
		return nil
	}
	free, ok, err := b.s.free()
	if err != nil || !ok {
		return err
	}
	short := &Refusal{Code: codeHostFull, Text: "Insufficient free disk space on drive"}
	if need := b.total + freeMargin; free > need {
		return nil
	} else if b.s.report.DeviceLink < 400 {
		return short
	} else if a, err := b.s.order("DLMessagePurgeDiskSpace", "", need-free+purgeMargin, purgeUrgent); err != nil {
		return err
	} else if a.code != 0 {
		return short
	} else if free, ok, err = b.s.free(); err != nil || !ok {
		return err
	} else if free <= need {
		return short
	}
	return nil
}

// free asks for the free space. Where the host does not know, ok is false.
func (s *session) free() (n int64, ok bool, err error) {
	a, err := s.order("DLMessageGetFreeDiskSpace", "")
	if err != nil || a.code != 0 {
		return 0, false, err
	}
	switch v := a.value.(type) {
	case int64:
		n = v
	case uint64:
		n = int64(min(v, 1<<62))
	default:
		_ = s.broken(RuleSpace, "free space is %T", a.value)
		return 0, false, nil
	}
	if n < 0 {
		_ = s.broken(RuleSpace, "free space is negative")
		return 0, false, nil
	}
	return n, true, nil
}
