package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"russet/device/mb2"
	"russet/device/sim"
	"russet/ios"
)

// backup is one run.
type backup struct {
	s      *session
	target string // the folder on the host: the phone's identifier
	force  bool

	full        bool
	stale       bool   // the folder may hold files of an older backup, in a full run
	moved       string // where an old folder was moved to, to be removed at the end
	uuid        string
	date        time.Time // of the Status that was found, then of the one that was sent last
	backupState string    // as in the Status that was found
	bag         []byte
	keys        ios.ClassKeys // nil in a plain backup
	manifestKey ios.Key

	started bool          // files are being sent: a run that is cut can be resumed
	m       *sim.Manifest // being written; nil before and after
	resumed listing       // ids in Snapshot that an earlier run has sent

	todo    map[string]bool // ids whose bytes must be sent; true where the manifest has them already
	again   map[string]bool // ids that changed while they were read
	total   int64           // bytes to send
	done    int64
	moves   []string         // ids that are in Snapshot
	removed []string         // ids to be removed
	sizes   map[string]int64 // of what this run has sent, as stored
	fatal   bool             // a file failed that must not
	domains []string

	sums map[string][]byte // of the files on top that were sent
}

// backup serves the request Backup.
func (s *session) backup(ctx context.Context, m map[string]any) error {
	target, _ := m["TargetIdentifier"].(string)
	if target != s.p.contents.Config().UDID {
		return s.broken(RuleTarget, "a backup of another phone than this one")
	}
	options, _ := m["Options"].(map[string]any)
	force, _ := options["ForceFullBackup"].(bool)
	b := &backup{s: s, target: target, force: force, sums: make(map[string][]byte)}
	err := b.run(ctx)
	s.report.Full = b.full
	return errors.Join(err, b.end(err))
}

func (b *backup) run(ctx context.Context) error {
	if err := b.s.phase(PhaseStart); err != nil {
		return err
	}
	if err := b.s.passcode(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{
		b.decide, b.scan, b.space, b.folders, b.send, b.manifests, b.move, b.remove, b.finish, b.verifyNew,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return b.s.p.remember(func(st *state) {
		st.Run, st.Last = nil, &lastSent{Date: b.date, Sums: b.sums}
	})
}

// end leaves behind what a run that was cut needs, and nothing else. A failure
// on the phone's side drops that, as phones do.
func (b *backup) end(err error) error {
	p := b.s.p
	_, refused := errors.AsType[*Refusal](err)
	if err == nil || refused {
		if b.m != nil {
			b.m.Close()
		}
		dropped := p.drop(workName, cachedName, storedName)
		if p.remembered().Run == nil {
			return dropped
		}
		return errors.Join(dropped, p.remember(func(st *state) { st.Run = nil }))
	}
	if b.m == nil || !b.started {
		if b.m != nil {
			b.m.Close()
		}
		return p.drop(workName, storedName)
	}
	if err := b.m.Commit(); err != nil {
		return err
	}
	if err := p.drop(cachedName, storedName); err != nil {
		return err
	}
	if err := p.root.Rename(workName, cachedName); err != nil {
		return err
	}
	return p.remember(func(st *state) { st.Run = &cutRun{UUID: b.uuid, Bag: b.bag} })
}

// passcode waits for a person.
func (s *session) passcode(ctx context.Context) error {
	if !s.script.HasPasscode {
		return nil
	}
	s.notify("com.apple.LocalAuthentication.ui.presented")
	after, timeout := s.script.PasscodeAfter, s.script.PasscodeTimeout
	if err := s.wait(ctx, time.Duration(min(after, timeout))); err != nil {
		return err
	}
	s.notify("com.apple.LocalAuthentication.ui.dismissed")
	if after > timeout {
		return &Refusal{Code: codeLocked, Text: "Device locked"}
	}
	return nil
}

// decide chooses between a full and an incremental backup.
func (b *backup) decide(ctx context.Context) error {
	if err := b.s.phase(PhaseStatus); err != nil {
		return err
	}
	h, err := b.s.readStatus(b.target)
	if err != nil {
		return err
	}
	switch {
	case h == nil:
		b.backupState = "empty"
		return b.startOver("")
	case b.force && b.s.script.Behaviour.HonourForce:
		return b.startOver("")
	case h.version < 2.4 || h.version >= 4:
		return b.startOver("the Status has a version that is not supported")
	case h.version < 3.3:
		return b.moveAway()
	}
	b.uuid, b.date, b.backupState, b.full = h.uuid, h.date, h.backupState, h.full
	switch h.snapshotState {
	case stateUploading:
		return b.resume(ctx)
	case stateMoving:
		if err := b.resumeMoving(); err != nil {
			return err
		}
		fallthrough
	case stateRemoving:
		if err := b.resumeRemoving(ctx); err != nil {
			return err
		}
		b.full = false
	case stateFinished:
	default:
		return &Refusal{Code: codeCorrupt, Text: "Error reading status"}
	}
	if b.full { // no phone finishes with such a Status: hosts write it, to have a full backup made
		return b.startOver("the Status asks for a full backup")
	}
	return b.incremental(ctx)
}

// startOver makes this a full backup, under a new keybag. A reason is reported.
func (b *backup) startOver(reason string) (err error) {
	b.full, b.stale = true, b.backupState != "empty"
	b.s.report.Fallback = reason
	b.resumed = nil
	if b.m != nil {
		b.m.Close()
		b.m = nil
	}
	if b.uuid, err = b.s.p.uuid(); err != nil {
		return err
	}
	password := b.s.p.remembered().Password
	b.keys, b.bag, err = b.s.p.newKeybag(password)
	return err
}

// newKeybag makes a keybag. A plain backup has one, too, which nobody's
// password opens.
func (p *Phone) newKeybag(password string) (ios.ClassKeys, []byte, error) {
	if password == "" {
		secret, err := p.uuid()
		if err != nil {
			return nil, nil, err
		}
		bag, _, err := ios.NewKeybag(p.o.Random, secret, 1)
		return nil, bag, err
	}
	bag, keys, err := ios.NewKeybag(p.o.Random, password, p.o.Iterations)
	return keys, bag, err
}

// moveAway renames a folder of before iOS 9.3, which is removed at the end.
func (b *backup) moveAway() error {
	b.moved = b.target + "-" + b.s.p.o.Now().UTC().Format("20060102-150405")
	if err := b.moveItems(map[string]string{b.target: b.moved}, 0); err != nil {
		return err
	}
	b.backupState = "empty"
	return b.startOver("the Status has an old version")
}

// incremental takes the manifests of the host over. Where they do not fit to
// the phone or to the folder, this becomes a full backup.
func (b *backup) incremental(ctx context.Context) error {
	props, err := b.s.properties(b.target, true)
	if err != nil {
		return err
	}
	if err := b.s.compareLast(b.date, manifestName, props.data); err != nil {
		return err
	}
	reason, err := b.takeOver(ctx, props)
	if err == nil && reason == "" {
		reason, err = b.verifyOld(ctx)
	}
	if err != nil {
		return err
	}
	if reason != "" {
		return b.startOver(reason)
	}
	return nil
}

// takeOver opens the manifest of the host, or says why it cannot.
func (b *backup) takeOver(ctx context.Context, props *properties) (reason string, err error) {
	password := b.s.p.remembered().Password
	if props.encrypted != (password != "") {
		return "the phone's encryption was switched", nil
	}
	if len(props.bag) == 0 {
		return "the manifest has no keybag", nil
	}
	var keys ios.ClassKeys
	var key *ios.Key
	if props.encrypted {
		if keys, err = unlock(ctx, props.bag, password); errors.Is(err, ios.ErrWrongPassword) {
			return "the password was changed", nil
		} else if err != nil {
			return "the keybag is damaged", ctx.Err()
		}
		k, err := keys.Unwrap(props.key)
		if err != nil {
			return "the manifest's key is damaged", nil
		}
		key = &k
	}
	code, sum, err := b.s.fetchDatabase(b.target+"/"+databaseName, key)
	if err != nil {
		return "", err
	}
	if code != mb2.StatusOK {
		return "the manifest cannot be read", nil
	}
	if sum != nil {
		if err := b.s.compareSum(b.date, databaseName, sum); err != nil {
			return "", err
		}
	}
	b.m, err = sim.OpenManifest(ctx, b.s.p.path(workName), false)
	if err != nil {
		b.m = nil
		return "the manifest is damaged", ctx.Err()
	}
	b.bag, b.keys = props.bag, keys
	return "", nil
}

func unlock(ctx context.Context, bag []byte, password string) (ios.ClassKeys, error) {
	kb, err := ios.ParseKeybag(bag)
	if err != nil {
		return nil, err
	}
	return kb.Unlock(ctx, password)
}

// compareLast wants a file on top of the host's backup to be what was sent.
func (s *session) compareLast(date time.Time, name string, data []byte) error {
	sum := sha256.Sum256(data)
	return s.compareSum(date, name, sum[:])
}

func (s *session) compareSum(date time.Time, name string, sum []byte) error {
	last := s.p.remembered().Last
	if last == nil || !last.Date.Equal(date) || last.Sums[name] == nil || slices.Equal(last.Sums[name], sum) {
		return nil
	}
	_ = s.broken(RuleContent, "%s is not what the phone has sent last", name)
	return nil
}

// sent notes what a file on top of the backup holds.
func (b *backup) sent(name string, data []byte) {
	sum := sha256.Sum256(data)
	b.sums[name] = sum[:]
}

// resume goes on with a run that was cut while files were sent. Files that are
// in Snapshot, and have not changed since, are not sent again.
func (b *backup) resume(ctx context.Context) error {
	run := b.s.p.remembered().Run
	if b.s.script.Behaviour.DropCache || run != nil && run.UUID != b.uuid {
		run = nil
	}
	if _, err := os.Stat(b.s.p.path(cachedName)); err != nil {
		run = nil
	}
	if !b.full {
		if err := b.incremental(ctx); err != nil {
			return err
		}
		if b.full { // it fell back
			run = nil
		}
	} else if run == nil {
		return b.startOver("")
	}
	if run == nil {
		return nil
	}
	if b.full {
		password := b.s.p.remembered().Password
		b.bag, b.keys, b.stale = run.Bag, nil, true
		if password != "" {
			keys, err := unlock(ctx, run.Bag, password)
			if err != nil {
				return b.startOver("the password was changed")
			}
			b.keys = keys
		}
	}
	ids, err := b.inSnapshot()
	if err != nil {
		return err
	}
	b.resumed, b.s.report.Resumed = ids, true
	return nil
}

// inSnapshot lists the ids in Snapshot.
func (b *backup) inSnapshot() (listing, error) {
	top, err := b.s.list(b.target+"/"+snapshotName, 0)
	if err != nil {
		return nil, err
	}
	ids := make(listing)
	for name, e := range top {
		if !e.folder() {
			continue
		}
		below, err := b.s.list(b.target+"/"+snapshotName+"/"+name, 0)
		if err != nil {
			return nil, err
		}
		for id, e := range below {
			if isID(id) && strings.HasPrefix(id, name) && !e.folder() {
				ids[id] = e
			}
		}
	}
	return ids, nil
}

// moveItems renames files of the host.
func (b *backup) moveItems(names map[string]string, percent float64) error {
	order := "DLMessageMoveItems"
	if b.s.script.Behaviour.OldSpelling {
		order = "DLMessageMoveFiles"
	}
	a, err := b.s.order(order, "", names, map[string]any{}, percent)
	if err != nil {
		return err
	}
	return writeError(a.code)
}

// removeItems removes files of the host. Those that are not there do not matter.
func (b *backup) removeItems(names []string, percent float64) error {
	order := "DLMessageRemoveItems"
	if b.s.script.Behaviour.OldSpelling {
		order = "DLMessageRemoveFiles"
	}
	a, err := b.s.order(order, "", names, map[string]any{}, percent)
	if err != nil {
		return err
	}
	switch {
	case a.code == mb2.StatusNotFound:
		return nil
	case a.code == mb2.StatusMulti:
		for _, code := range a.failed {
			if code != mb2.StatusNotFound {
				return writeError(code)
			}
		}
		return nil
	}
	return writeError(a.code)
}

func (b *backup) idPath(id string) string { return b.target + "/" + id[:2] + "/" + id }

func (b *backup) snapshotPath(id string) string {
	return b.target + "/" + snapshotName + "/" + id[:2] + "/" + id
}

// percent is how far the run is when so many bytes have been sent.
func (b *backup) percent() float64 {
	const files = 90 // the rest is what follows the files
	if b.total <= 0 {
		return files
	}
	return min(files, float64(b.done)*files/float64(b.total))
}
