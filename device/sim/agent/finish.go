package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"russet/device/mb2"
	"russet/device/sim"
	"russet/internal/plist"
	"russet/ios"
)

// folders makes the folders of a backup. Those that exist do not matter.
func (b *backup) folders(context.Context) error {
	if err := b.s.phase(PhaseFolders); err != nil {
		return err
	}
	paths := []string{b.target}
	for i := range 256 {
		paths = append(paths, b.target+"/"+shard(i))
	}
	paths = append(paths, b.target+"/"+snapshotName)
	for i := range 256 {
		paths = append(paths, b.target+"/"+snapshotName+"/"+shard(i))
	}
	for _, path := range paths {
		a, err := b.s.order("DLMessageCreateDirectory", path, path, map[string]any{}, 0.0)
		if err != nil {
			return err
		}
		if a.code == mb2.StatusExists {
			continue
		}
		if err := writeError(a.code); err != nil {
			return err
		}
	}
	return nil
}

// manifests sends the two manifests, which come last.
func (b *backup) manifests(context.Context) error {
	if err := b.s.phase(PhaseManifests); err != nil {
		return err
	}
	m := b.m
	if err := m.Commit(); err != nil {
		return err
	}
	props := sim.Properties(b.s.p.contents.Config(), b.s.p.o.Now(), slices.Sorted(slices.Values(b.domains)))
	props["IsEncrypted"], props["BackupKeyBag"] = b.keys != nil, b.bag
	props["WasPasscodeSet"] = b.s.script.HasPasscode
	if b.keys != nil {
		random, err := b.s.p.random(len(b.manifestKey))
		if err != nil {
			return err
		}
		copy(b.manifestKey[:], random)
		props["ManifestKey"] = b.keys.Wrap(4, b.manifestKey)
	}
	data, err := plist.Marshal(props, plist.Binary)
	if err != nil {
		return err
	}
	err = b.sendManifests(data)
	// A run that is cut here has the database as it was.
	m, openErr := sim.OpenManifest(context.Background(), b.s.p.path(workName), false)
	b.m = m
	return errors.Join(err, openErr)
}

func (b *backup) sendManifests(data []byte) error {
	b.sent(manifestName, data)
	below := b.target + "/" + snapshotName + "/"
	if err := b.s.uploadBytes(manifestName, below+manifestName, data, b.percent()); err != nil {
		return err
	}
	f, err := os.Open(b.s.p.path(workName))
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if b.keys != nil {
		r = ios.NewEncrypter(r, b.manifestKey)
	}
	sum := sha256.New()
	r = io.TeeReader(r, sum)
	if err := b.s.beginUpload(below+databaseName, b.percent(), 0); err != nil {
		return err
	}
	if _, _, err := b.s.uploadFile("/var/.backup/"+databaseName, below+databaseName, r, FileTask{}); err != nil {
		return err
	}
	a, err := b.s.endUpload()
	if err != nil {
		return err
	}
	b.sums[databaseName] = sum.Sum(nil)
	return writeError(a.code)
}

// move moves what is in Snapshot to its place.
func (b *backup) move(context.Context) error {
	if err := b.writeStatus(stateMoving, 91); err != nil {
		return err
	}
	if err := b.s.phase(PhaseMoving); err != nil {
		return err
	}
	return b.moveAll(b.moves, manifestName, databaseName)
}

// moveAll moves ids in batches, then files on top.
func (b *backup) moveAll(ids []string, top ...string) error {
	for batch := range slices.Chunk(ids, b.s.script.Batch) {
		names := make(map[string]string, len(batch))
		for _, id := range batch {
			names[b.snapshotPath(id)] = b.idPath(id)
		}
		if err := b.moveItems(names, 92); err != nil {
			return err
		}
	}
	for _, name := range top {
		from, to := b.target+"/"+snapshotName+"/"+name, b.target+"/"+name
		if err := b.moveItems(map[string]string{from: to}, 93); err != nil {
			return err
		}
	}
	return nil
}

// remove removes what is no part of the backup any more.
func (b *backup) remove(ctx context.Context) error {
	if err := b.writeStatus(stateRemoving, 94); err != nil {
		return err
	}
	if err := b.s.phase(PhaseRemoving); err != nil {
		return err
	}
	if b.full && b.stale {
		strays, err := b.strays(ctx)
		if err != nil {
			return err
		}
		b.removed = append(b.removed, strays...)
	}
	return b.removeAll()
}

// strays lists the ids on the host that the manifest does not have.
func (b *backup) strays(ctx context.Context) ([]string, error) {
	var found []string
	for i := range 256 {
		wanted, err := b.m.Stored(ctx, shard(i))
		if err != nil {
			return nil, err
		}
		there, err := b.s.list(b.target+"/"+shard(i), 95)
		if err != nil {
			return nil, err
		}
		for _, id := range wanted {
			delete(there, id)
		}
		for _, id := range slices.Sorted(maps.Keys(there)) {
			if isID(id) && strings.HasPrefix(id, shard(i)) {
				found = append(found, id)
			}
		}
	}
	return found, nil
}

// removeAll removes ids in batches, then what older phones left, and Snapshot.
func (b *backup) removeAll() error {
	for batch := range slices.Chunk(b.removed, b.s.script.Batch) {
		paths := make([]string, len(batch))
		for i, id := range batch {
			paths[i] = b.idPath(id)
		}
		if err := b.removeItems(paths, 96); err != nil {
			return err
		}
	}
	legacy := []string{b.target + "/Manifest.mbdb", b.target + "/Manifest.mbdx"}
	if err := b.removeItems(legacy, 97); err != nil {
		return err
	}
	return b.removeItems([]string{b.target + "/" + snapshotName}, 97)
}

// finish says that the backup is complete.
func (b *backup) finish(context.Context) error {
	if err := b.writeStatus(stateFinished, 98); err != nil {
		return err
	}
	b.backupState, b.started = "new", false
	if err := b.s.phase(PhaseFinished); err != nil {
		return err
	}
	if b.moved != "" {
		return b.removeItems([]string{b.moved}, 98)
	}
	return nil
}

// verifyNew reads back what was written, and compares the listings with the
// manifest.
func (b *backup) verifyNew(ctx context.Context) error {
	if err := b.s.phase(PhaseVerify); err != nil {
		return err
	}
	corrupt := &Refusal{Code: codeCorrupt, Text: "Manifest references files not in backup"}
	if !b.s.script.Behaviour.NoReadBack {
		for _, name := range []string{statusName, manifestName, databaseName} {
			same, err := b.readBack(name)
			if err != nil {
				return err
			}
			if !same {
				return corrupt
			}
		}
	}
	ok, err := b.verify(ctx, b.sizes)
	if err != nil {
		return err
	}
	if !ok {
		return corrupt
	}
	return nil
}

// readBack reads a file on top and compares it with what was sent.
func (b *backup) readBack(name string) (bool, error) {
	k := &sumSink{sum: sha256.New()}
	code, err := b.s.downloadOne(b.target+"/"+name, 99, k)
	if err != nil {
		return false, err
	}
	if err := readError(code); err != nil {
		_ = b.s.broken(RuleContent, "%s is not there when it is read back", name)
		return false, nil
	}
	if !bytes.Equal(k.sum.Sum(nil), b.sums[name]) {
		_ = b.s.broken(RuleContent, "%s is not what was sent when it is read back", name)
		return false, nil
	}
	return true, nil
}

// sumSink keeps the sum of a file alone.
type sumSink struct{ sum hash.Hash }

func (k *sumSink) Write(p []byte) (int, error) { return k.sum.Write(p) }
func (k *sumSink) Close() error                { return nil }
func (k *sumSink) Abort()                      {}

// verifyOld compares the listings of the backup that is there with its
// manifest, and says what is wrong.
func (b *backup) verifyOld(ctx context.Context) (reason string, err error) {
	if b.s.script.Behaviour.NoVerify {
		return "", nil
	}
	h, err := b.s.readStatus(b.target)
	if err != nil {
		return "", err
	}
	if h == nil || h.uuid != b.uuid {
		_ = b.s.broken(RuleContent, "%s changes while it is read", statusName)
		return "the Status changed", nil
	}
	ok, err := b.verify(ctx, nil)
	if err != nil {
		return "", err
	}
	if !ok {
		return "the listing lacks files of the manifest", nil
	}
	return "", nil
}

// verify wants every file of the manifest in the listings. Sizes are those
// that are known.
func (b *backup) verify(ctx context.Context, sizes map[string]int64) (bool, error) {
	top, err := b.s.list(b.target, 99)
	if err != nil {
		return false, err
	}
	ok := true
	for _, name := range []string{manifestName, databaseName, statusName} {
		if e, there := top[name]; !there || e.folder() {
			_ = b.s.broken(RuleListing, "%s is not listed", name)
			ok = false
		}
	}
	for i := range 256 {
		wanted, err := b.m.Stored(ctx, shard(i))
		if err != nil {
			return false, err
		}
		e, there := top[shard(i)]
		if !there || !e.folder() {
			if len(wanted) > 0 || !there {
				_ = b.s.broken(RuleListing, "the folder %s is not listed as one", shard(i))
				ok = ok && len(wanted) == 0
			}
			continue
		}
		l, err := b.s.list(b.target+"/"+shard(i), 99)
		if err != nil {
			return false, err
		}
		if !b.compare(l, wanted, sizes) {
			ok = false
		}
	}
	return ok, nil
}

// compare looks for files in the listing of one folder.
func (b *backup) compare(l listing, wanted []string, sizes map[string]int64) bool {
	ok := true
	for _, id := range wanted {
		e, there := l[id]
		size, known := sizes[id]
		switch {
		case there && !e.folder() && (!known || size == e.size || b.s.script.Behaviour.IgnoreSizes):
			continue
		case there && !e.folder():
			_ = b.s.broken(RuleSize, "a file of %d bytes is listed with %d", size, e.size)
		case known && size == 0:
			_ = b.s.broken(RuleEmpty, "a file without bytes is not listed")
		default:
			_ = b.s.broken(RuleListing, "a file of the manifest is not listed")
		}
		ok = false
	}
	return ok
}

// resumeMoving moves what a run that was cut has left in Snapshot.
func (b *backup) resumeMoving() error {
	ids, err := b.inSnapshot()
	if err != nil {
		return err
	}
	top, err := b.s.list(b.target+"/"+snapshotName, 0)
	if err != nil {
		return err
	}
	var left []string
	for _, name := range []string{manifestName, databaseName} {
		if _, there := top[name]; there {
			left = append(left, name)
		}
	}
	b.s.report.Resumed = true
	return b.moveAll(slices.Sorted(maps.Keys(ids)), left...)
}

// resumeRemoving removes what a run that was cut has left to be removed, and
// ends that run.
func (b *backup) resumeRemoving(ctx context.Context) error {
	b.s.report.Resumed = true
	if err := b.s.p.remember(func(st *state) { st.Run = nil }); err != nil {
		return err
	}
	props, err := b.s.properties(b.target, true)
	if err != nil {
		return err
	}
	reason, err := b.takeOver(ctx, props)
	if err != nil {
		return err
	}
	if reason == "" {
		if b.removed, err = b.strays(ctx); err != nil {
			return err
		}
		b.m.Close()
		b.m = nil
		if err := b.removeAll(); err != nil {
			return err
		}
		b.removed = nil
	}
	return b.writeStatus(stateFinished, 0)
}

// hostile sends the orders with bad names that the script has.
func (s *session) hostile(target string) error {
	for _, h := range s.script.Hostile {
		if h.Length > 0 {
			return s.hostileLength(h)
		}
		code, err := s.hostileOrder(target, h)
		if err != nil {
			return err
		}
		if code == mb2.StatusOK {
			_ = s.broken(RuleEscape, "%s with a name that leads out of the backup is answered as done", h.Order)
		}
	}
	return nil
}

func (s *session) hostileOrder(target string, h Hostile) (mb2.Status, error) {
	none := map[string]any{}
	var a answer
	var err error
	switch h.Order {
	case "upload":
		if err := s.beginUpload(h.Name, 0, 1); err != nil {
			return 0, err
		}
		if _, _, err := s.uploadFile("/.b/6/hostile", h.Name, strings.NewReader("x"), FileTask{}); err != nil {
			return 0, err
		}
		a, err = s.endUpload()
	case "download":
		return s.downloadOne(h.Name, 0, discard{})
	case "mkdir":
		a, err = s.order("DLMessageCreateDirectory", h.Name, h.Name, none, 0.0)
	case "list":
		a, err = s.order("DLContentsOfDirectory", h.Name, h.Name, none, 0.0)
	case "remove":
		a, err = s.order("DLMessageRemoveItems", h.Name, []string{h.Name}, none, 0.0)
	case "move":
		a, err = s.order("DLMessageMoveItems", h.Name, map[string]string{target + "/" + statusName: h.Name}, none, 0.0)
	case "copy":
		a, err = s.order("DLMessageCopyItem", h.Name, target+"/"+statusName, h.Name, none, 0.0, int64(0))
	}
	return a.code, err
}

// hostileLength announces a name of any length. A host ends the connection, and
// answers nothing.
func (s *session) hostileLength(h Hostile) error {
	if err := s.beginUpload(h.Name, 0, 1); err != nil {
		return err
	}
	head := []byte{byte(h.Length >> 24), byte(h.Length >> 16), byte(h.Length >> 8), byte(h.Length)}
	if _, err := s.w.Write(append(head, h.Name...)); err != nil {
		return err
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, _, err := s.read(); err != nil {
		return err
	}
	return s.broken(RuleEscape, "a name of %d bytes is answered", h.Length)
}
