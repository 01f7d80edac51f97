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

func (w *Writer) enqueue(p *pack) error {
	w.mu.Lock()
	w.flying++
	w.mu.Unlock()
	select {
	case w.queue <- p:
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
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
		w.reclaim(p)
		w.land()
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
func (w *Writer) land() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.flying--; w.flying == 0 && w.landed != nil {
		close(w.landed)
		w.landed = nil
	}
}
