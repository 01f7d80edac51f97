package device

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// maxInterval bounds what a phone calls its heartbeat's interval. It is ten
// seconds.
const maxInterval = 10 * time.Minute

// Heartbeat answers the phone's heartbeat until ctx ends, the phone hangs up or
// goes to sleep. A phone that is reached over Wi-Fi wants that, or it ends all
// connections. It never returns nil.
func (p *Phone) Heartbeat(ctx context.Context) error {
	conn, err := p.Service(ctx, "com.apple.mobile.heartbeat", false)
	if err != nil {
		return err
	}
	defer cut(conn)
	limit := maxInterval
	for {
		m, err := receive(ctx, conn, limit)
		switch {
		case err != nil:
		case m.text("Command") == "SleepyTime":
			err = errors.New("the phone goes to sleep")
		case m.text("Command") == "Marco":
			// Two beats that do not come are a phone that is gone.
			if n, ok := m.number("Interval"); ok && n > 0 && n < int64(maxInterval/time.Second) {
				limit = min(2*time.Duration(n)*time.Second+serviceTimeout, maxInterval)
			}
			err = send(ctx, conn, serviceTimeout, map[string]any{"Command": "Polo"})
		}
		if err != nil {
			return fmt.Errorf("answer the phone's heartbeat: %w", err)
		}
	}
}
