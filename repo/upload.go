package repo

import (
	"context"

	"russet/backend"
)

// uploads is how many packs are on their way to a drive: with one more being
// filled, processor and drive are both kept busy.
const uploads = 2

// uploads is how many packs are on their way at once. Each takes its 17 MB.
func (r *Repository) uploads() int { return max(uploads, r.connections) }

func (w *Writer) emptyPack() *pack {
	select {
	case p := <-w.free:
		p.buf, p.blobs = p.buf[:0], nil
		return p
	default:
		return new(pack)
	}
}

// DropBuffers gives the memory of empty packs back, some 100 MB after a long
// run: for who has little left to save, and needs it for something else.
func (w *Writer) DropBuffers() {
	for {
		select {
		case <-w.free:
		default:
			return
		}
	}
}

// flight counts the packs that were handed on between two checkpoints.
type flight struct {
	n      int           // that have not landed
	landed chan struct{} // closed when n becomes 0, if not nil
}

// depart counts a pack that is going to be handed on. It is called with w.mu held.
func (w *Writer) depart(p *pack) {
	p.flight = w.flight
	p.flight.n++
}

// enqueue hands on packs that have departed; nil is none.
func (w *Writer) enqueue(packs ...*pack) error {
	for _, p := range packs {
		if p == nil {
			continue
		}
		select {
		case w.queue <- p:
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	}
	return nil
}

// upload makes packs durable until the queue is closed.
func (w *Writer) upload() error {
	for {
		var p *pack
		select {
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		case q, ok := <-w.queue:
			if !ok {
				return nil
			}
			p = q
		}
		done, err := p.finish(w.r.key)
		if err != nil {
			return err
		}
		f := backend.File{Kind: backend.Data, Name: done.ID.String()}
		save := w.r.be.Save
		if p.lane != dataLane {
			save = w.saveNear
		}
		if err := save(w.ctx, f, p.buf); err != nil {
			return err // which names the file
		}
		if w.proof != nil {
			if err := w.proof(w.ctx, packFile{done.ID, int64(len(p.buf))}); err != nil {
				return err
			}
		}
		if err := w.packSaved(done); err != nil {
			return err
		}
		on := p.flight
		w.reclaim(p)
		w.land(on)
	}
}

func (w *Writer) saveNear(ctx context.Context, f backend.File, data []byte) error {
	return backend.SaveTrees(ctx, w.r.be, f, data)
}

// reclaim keeps an empty pack's buffer for the next one.
func (w *Writer) reclaim(p *pack) {
	select {
	case w.free <- p:
	default:
	}
}

// land counts a pack that is durable and was considered for an index file.
func (w *Writer) land(f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.n--; f.n == 0 && f.landed != nil {
		close(f.landed)
	}
}

// ended waits until all packs of a flight that no more are added to have landed.
func (w *Writer) ended(f *flight) error {
	w.mu.Lock()
	landed := make(chan struct{})
	if f.landed = landed; f.n == 0 {
		close(landed)
	}
	w.mu.Unlock()
	select {
	case <-landed:
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}
