package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// replay rebuilds the run that the journal holds. It returns why it is given up
// where it is not continued; there may be none.
func (p *Phone) replay(ctx context.Context) (why string, err error) {
	begun := false
	err = p.journal.read(func(op operation) error {
		if op.verb == verbBegin {
			if begun {
				return errJournal
			}
			begun = true
			return p.again(ctx, op.begin)
		}
		if !begun {
			return errJournal
		}
		return p.redo(op)
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, errJournal), errors.Is(err, errGone):
		return err.Error(), nil
	case err != nil:
		return "", fmt.Errorf("continue the run that was cut off: %w", err)
	}
	p.spool.run = p.journal.run
	if why, err = p.pruneLost(); err != nil || why != "" {
		return why, err
	}
	p.resumed = true
	return "", nil
}

// errGone: something that the run needs is not there.
var errGone = errors.New("it cannot be gone on with")

// again takes up what the run was begun with.
func (p *Phone) again(ctx context.Context, b beginning) error {
	if b.repository != p.r.ID() || b.udid != p.udid {
		return fmt.Errorf("%w: it belongs to another repository or device", errGone)
	}
	p.begun, p.parent = b, nil
	if b.parent != nil {
		parent, err := p.history.newest(ctx, func(v *Version) bool { return v.usable() && *v.Snapshot.Tree == *b.parent })
		if err != nil {
			return err
		}
		p.parent = parent
		if p.parent == nil {
			if err := p.history.unread(*b.parent); err != nil {
				return err
			}
			return fmt.Errorf("%w: the version that it was built upon is not in the repository any more", errGone)
		}
	}
	switch {
	case b.full:
		p.why = "it was asked for"
	case p.parent == nil:
		p.why = p.history.whyNoParent()
	default:
		return p.showParent(ctx)
	}
	return nil
}

// redo applies an operation of the journal. One that finds nothing is passed
// over: what the last version cannot give back any more is not shown.
func (p *Phone) redo(op operation) error {
	if op.verb == verbAnswered {
		p.answered = op.at
		return nil
	}
	if op.verb == verbPut {
		op.file.slot = p.slots.add(op.held)
	}
	err := p.apply(&op)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%w: %w", errJournal, err)
}

// apply changes the overlay.
func (p *Phone) apply(op *operation) error {
	switch op.verb {
	case verbMkdir:
		if _, err := p.overlay.mkdirAll(op.a); err != nil {
			return err
		}
		return nil
	case verbPut:
		return p.overlay.put(op.a, op.file)
	case verbMove:
		return p.overlay.move(op.a, op.b)
	case verbRemove:
		return p.overlay.remove(op.a)
	case verbCopy:
		return p.overlay.copy(op.a, op.b)
	}
	return fmt.Errorf("operation %d: %w", op.verb, errJournal)
}

// pruneLost takes files out of the overlay whose bytes cannot be had: the phone
// sends them again. Where the spool lacks something the run is given up.
func (p *Phone) pruneLost() (why string, err error) {
	found, err := p.spool.segments()
	if err != nil {
		return "", err
	}
	for n := range found {
		p.spool.segment = max(p.spool.segment, n) // what is written next begins a new one
	}
	p.overlay.root.walk("", func(_ string, b *branch) {
		b.each(func(name string, f storedFile) {
			switch f.place {
			case placeReceived, placeOpened:
				if !hasAll(p.r, p.slots.at(f.slot).ids) {
					b.drop(name)
					p.overlay.count--
				}
			case placeSpool:
				if f.ref > math.MaxInt64 || !p.spool.holds(found, f.ref, f.size) {
					why = errGone.Error() + ": spooled files are missing"
				}
			}
		})
	})
	return why, nil
}
