package capture

import (
	"cmp"
	"context"

	"russet/ios"
)

// prepareFiles bounds the files of the phone's folder from which a snapshot is made while the
// folder is still listed: both take memory, and those of the largest phones too much
// for a small computer.
const prepareFiles = 200_000

// preparation is a snapshot that is made while the phone reads back what it has sent: that
// takes a phone seconds, in which the computer has little to do.
type preparation struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when made is set
	made   *made         // nil where nothing came of it, and Commit has to do all
}

// prepareIfFinished begins a preparation where a Status of the phone says that the backup is
// complete. What the phone has sent must be durable.
func (p *Phone) prepareIfFinished(status []byte) {
	if p.begun.spooled || p.overlay.count > cmp.Or(p.opt.prepare, prepareFiles) { // the spool is for one goroutine
		return
	}
	if s, err := ios.ParseStatus(status); err != nil || !s.Finished() {
		return
	}
	p.in.stop() // and gives its memory to what follows
	p.w.DropBuffers()
	p.spareOps = nil
	ctx, cancel := context.WithCancel(p.ctx)
	pr := &preparation{cancel: cancel, done: make(chan struct{})}
	p.prepared = pr
	go func() {
		defer close(pr.done)
		pr.made = p.makeBeside(ctx)
	}()
}

// makeBeside stores the snapshot but for its own file, and returns nil where that fails or has to
// wait: whoever tries it again tells why. It reads the overlay, and changes nothing of what
// the goroutine of the phone uses.
func (p *Phone) makeBeside(ctx context.Context) *made {
	top := p.topFiles()
	for _, f := range top {
		if f.place != placeReceived && f.place != placeMemory {
			return nil
		}
	}
	if b, err := ios.Open(topFS{ctx, p, top}); err != nil || b.Encrypted() {
		return nil
	}
	// A writer of its own: one whose drive is full saves nothing any more, not
	// even that the phone has answered.
	m := &made{c: &run{phone: p, opt: p.opt.Options, w: p.r.NewWriter(ctx)}}
	m.c.opt.Progress = nil // the phone's is shown
	err := m.fill(ctx, p)
	if err != nil || m.c.unreadable || m.c.sum.Unreadable > 0 { // the drive may be well again by then
		m.close()
		return nil
	}
	m.c.opt.Progress = p.opt.Progress
	return m
}

// close gives up what was not committed.
func (m *made) close() {
	if m != nil && m.c.w != m.c.phone.w {
		_ = m.c.w.Close() // garbage, whatever became of it
	}
}

// takePrepared waits for what was prepared; nil is nothing.
func (p *Phone) takePrepared(ctx context.Context) (*made, error) {
	pr := p.prepared
	if pr == nil {
		return nil, nil
	}
	if p.opt.Progress != nil {
		p.opt.Progress.SetPhase("reading the backup's manifest")
	}
	select {
	case <-pr.done:
		return pr.made, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// unprepare gives up what was prepared: the phone goes on, or the run ends.
func (p *Phone) unprepare() {
	pr := p.prepared
	if pr == nil {
		return
	}
	pr.cancel()
	<-pr.done
	pr.made.close()
	p.prepared = nil
}
