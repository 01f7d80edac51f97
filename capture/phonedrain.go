package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"russet/internal/durable"
	"russet/repo"
)

// ErrNeedsPassword says that a run can only be finished with the phone's backup
// password.
var ErrNeedsPassword = errors.New("the phone's backup password is needed again")

// Drain finishes a run whose phone has answered, and whose snapshot is missing.
// It returns nil where there is none. The conditions are those of OpenPhone. A
// run that no later try could finish is given up, with an error; one whose
// journal is damaged is left for OpenPhone, which begins anew.
func Drain(ctx context.Context, r *repo.Repository, udid string, opt PhoneOptions) (*Result, error) {
	res, why, err := drain(ctx, r, udid, opt)
	if err == nil && why != "" {
		err = fmt.Errorf("drain spool: the run was given up: %s", why)
	}
	return res, err
}

func drain(ctx context.Context, r *repo.Repository, udid string, opt PhoneOptions) (res *Result, why string, err error) {
	if err := legalDevice(udid); err != nil {
		return nil, "", fmt.Errorf("drain spool: %w", err)
	}
	if _, err := opt.Spool.Lstat(path.Join(udid, journalName)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil
		}
		return nil, "", fmt.Errorf("drain spool: %w", durable.WithoutPath(err))
	}
	p, err := openPhone(ctx, r, udid, opt)
	if err != nil {
		return nil, "", fmt.Errorf("drain spool: %w", err)
	}
	if answered, err := p.hasAnswered(); err != nil {
		return nil, "", errors.Join(fmt.Errorf("drain spool: %w", err), p.abandon())
	} else if !answered {
		return nil, "", p.abandon()
	}
	p.fresh()
	if why, err = p.replay(ctx); err != nil {
		return nil, "", errors.Join(fmt.Errorf("drain spool: %w", err), p.abandon())
	}
	if !p.resumed {
		return nil, why, errors.Join(p.clearSpool(), p.abandon())
	}
	res, err = p.finish(ctx)
	return res, "", err
}

// hasAnswered looks only for what the journal says of the phone's answer.
func (p *Phone) hasAnswered() (answered bool, err error) {
	err = p.journal.read(func(op operation) error {
		answered = answered || op.verb == verbAnswered
		return nil
	})
	return answered, err
}

// drain stores what the repository does not have yet, in order of arrival, and
// removes the spool's segments behind it.
func (c *run) drain(ctx context.Context, jobs []job, sealed []*sealedFile) ([]*sealedFile, error) {
	c.folder.stored.keep(jobs)
	var err error
	if c.topNodes, err = c.storeTop(ctx, c.meta); err != nil {
		return nil, fmt.Errorf("read phone's files: %w", err)
	}
	c.setPhase("reading what the phone sent")
	slices.SortFunc(jobs, func(a, b job) int { return cmp.Compare(a.stored().arrival(), b.stored().arrival()) })
	for len(jobs) > 0 {
		n, bytes := 0, int64(0)
		for n < len(jobs) && n < drainFiles && (n == 0 || bytes+jobs[n].size() <= cmp.Or(c.phone.opt.drain, drainBytes)) {
			bytes += jobs[n].size()
			n++
		}
		more, err := c.readJobs(ctx, jobs[:n])
		if err != nil {
			return nil, fmt.Errorf("read phone's files: %w", err)
		}
		sealed = append(sealed, more...)
		if c.phone.begun.spooled {
			if err := c.phone.drained(c, jobs[:n], more, jobs[n:]); err != nil {
				return nil, fmt.Errorf("read phone's files: %w", err)
			}
		}
		jobs = jobs[n:]
	}
	sortSealed(sealed)
	return sealed, nil
}

// drainBytes and drainFiles are what is drained between two checkpoints.
const (
	drainBytes = 256 << 20
	drainFiles = 1 << 14
)

func (j job) stored() storedFile {
	if j.e != nil {
		return j.e.stored
	}
	return j.s.stored
}

// arrival orders files as they lie in the spool; others come first.
func (f storedFile) arrival() uint64 {
	if f.place == placeSpool {
		return f.ref
	}
	return 0
}

// drained notes in the journal what became of spooled files, and removes the
// segments that neither the files left nor the manifest need.
func (p *Phone) drained(c *run, done []job, sealed []*sealedFile, left []job) error {
	note := func(id fileID, st storedFile, got content, where place) {
		if st.place != placeSpool {
			return
		}
		name := path.Join(p.udid, storedPath(id.String(), c.b.Flat()))
		if got.ids == nil {
			p.ops = append(p.ops, operation{verb: verbRemove, a: name})
			return
		}
		f := storedFile{size: st.size, modified: st.modified, place: where}
		f.slot = p.slots.add(held{ids: got.ids})
		p.ops = append(p.ops, operation{verb: verbPut, a: name, file: f})
	}
	for _, j := range done {
		switch {
		case j.s != nil:
			note(j.s.id, j.s.stored, j.s.content, placeReceived)
		case j.e.found && c.decrypts(j.e):
			note(j.e.id, j.e.stored, c.contentOf(j.e), placeOpened)
		case j.e.found:
			note(j.e.id, j.e.stored, c.contentOf(j.e), placeReceived)
		default: // not readable; or among sealed, which puts it back
			note(j.e.id, j.e.stored, content{}, placeReceived)
		}
	}
	for _, s := range sealed {
		note(s.id, s.stored, s.content, placeReceived)
	}
	if err := p.checkpoint(); err != nil {
		return err
	}
	low := p.manifest
	for _, j := range left {
		if st := j.stored(); st.place == placeSpool {
			low = min(low, st.ref)
			break // they are in order
		}
	}
	return p.spool.removeBelow(low)
}
