package capture

import (
	"fmt"
	"time"
)

const (
	// checkpointBytes and checkpointAge say when what has come is made durable.
	checkpointBytes = 64 << 20
	checkpointAge   = 10 * time.Second
	// checkpointOps bounds the operations that wait for it.
	checkpointOps = 1 << 15
)

// checkpointIfDue makes a checkpoint where enough has come since the last one.
func (p *Phone) checkpointIfDue() error {
	if p.bytes < p.opt.checkpoint && len(p.ops) < checkpointOps && p.now().Sub(p.since) < checkpointAge {
		return nil
	}
	if p.begun.spooled { // the spool is for one goroutine
		return p.checkpoint()
	}
	return p.checkpointBeside()
}

// checkpoint makes all that the phone has done so far durable: first the bytes,
// last the journal that names them.
func (p *Phone) checkpoint() error {
	if err := p.checkpointed(); err != nil {
		return err
	}
	err := p.makeDurable(p.ops, p.in.settle)
	clear(p.ops)
	p.ops, p.bytes, p.since = p.ops[:0], 0, p.now()
	return err
}

// checkpointBeside does what checkpoint does while the phone goes on: a drive takes as
// long to confirm as a phone to send megabytes.
func (p *Phone) checkpointBeside() error {
	if err := p.checkpointed(); err != nil {
		return err
	}
	ops, settle, done := p.ops, p.in.turn(), make(chan struct{})
	p.ops, p.spareOps = p.spareOps[:0], ops
	p.bytes, p.since, p.beside = 0, p.now(), done
	go func() {
		defer close(done)
		_ = p.makeDurable(ops, settle) // whose error is the session's
		clear(ops)
	}()
	return nil
}

// checkpointed waits for the last checkpointBeside.
func (p *Phone) checkpointed() error {
	if p.beside != nil {
		<-p.beside
		p.beside = nil
	}
	return p.in.failure()
}

// makeDurable makes operations durable, once settle has waited for the bytes that they
// name. Its error ends the session.
func (p *Phone) makeDurable(ops []operation, settle func() error) error {
	if err := settle(); err != nil {
		return err
	}
	err := p.w.Checkpoint()
	if err == nil {
		err = p.spool.sync()
	}
	if err == nil {
		var b []byte
		for i := range ops {
			if ops[i].verb == verbPut {
				ops[i].held = p.slots.at(ops[i].file.slot)
			}
			b = ops[i].append(b)
		}
		err = p.journal.append(b)
	}
	if err != nil {
		p.in.fail(fmt.Errorf("make durable: %w", err))
		return p.in.failure()
	}
	return nil
}
