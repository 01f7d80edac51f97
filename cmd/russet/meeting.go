package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"russet/device"
)

// meeting is what a phone tells of itself while the repository is opened, which takes
// about as long. What needs a person, or goes wrong, is left to be asked again.
type meeting struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when what follows is set

	ph    *device.Phone // nil where nothing came of it
	facts *device.Facts
	info  []byte // the computer's own part of the backup
	at    time.Time
}

// meetingLasts is how long what was learned holds: who types a password may change the
// phone's settings meanwhile.
const meetingLasts = 10 * time.Second

// meet begins to ask the first of the phones, if there is one.
func meet(ctx context.Context, m *device.Mux, phones []device.Device) *meeting {
	ctx, cancel := context.WithCancel(ctx)
	t := &meeting{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		if len(phones) > 0 {
			t.ask(ctx, m, phones[0].UDID)
		}
	}()
	return t
}

func (t *meeting) ask(ctx context.Context, m *device.Mux, udid string) {
	ph, err := m.Open(ctx, udid)
	if err != nil {
		return
	}
	f, err := ph.Facts(ctx)
	if err != nil || !f.HasSession {
		return
	}
	if info, err := backupInfo(ctx, ph); err == nil {
		t.ph, t.facts, t.info, t.at = ph, f, info, time.Now()
	}
}

// end gives up what is still going on.
func (t *meeting) end() {
	t.cancel()
	<-t.done
}

// take waits for what the phone has told; ph is nil where that is nothing, or not this
// phone's, or too old. Nobody need have met.
func (t *meeting) take(ctx context.Context, d device.Device) (ph *device.Phone, f *device.Facts, info []byte) {
	if t == nil {
		return nil, nil, nil
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		return nil, nil, nil
	}
	if t.ph == nil || t.ph.UDID() != d.UDID || time.Since(t.at) > meetingLasts {
		return nil, nil, nil
	}
	return t.ph, t.facts, t.info
}

// backupInfo makes the computer's own part of the backup.
func backupInfo(ctx context.Context, ph *device.Phone) ([]byte, error) {
	var guid [16]byte
	_, _ = rand.Read(guid[:]) // never fails
	return ph.BackupInfo(ctx, time.Now(), fmt.Sprintf("%X", guid), true)
}
