package device

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"time"
)

// serviceTimeout is how long a small service may take for an answer, unless
// the context says otherwise. Phones that are busy take seconds.
const serviceTimeout = 30 * time.Second

// Names of notifications that a phone relays to a host which backs it up.
const (
	SyncCancelRequest  = "com.apple.itunes-client.syncCancelRequest" // its person tapped cancel
	SyncSuspendRequest = "com.apple.itunes-client.syncSuspendRequest"
	SyncResumeRequest  = "com.apple.itunes-client.syncResumeRequest"
	BackupChanged      = "com.apple.mobile.backup.domain_changed" // encryption was switched
	PasscodePresented  = "com.apple.LocalAuthentication.ui.presented"
	PasscodeDismissed  = "com.apple.LocalAuthentication.ui.dismissed"
)

// What a host posts around a sync.
const (
	syncWillStart   = "com.apple.itunes-mobdev.syncWillStart"
	syncLockRequest = "com.apple.itunes-mobdev.syncLockRequest"
	syncDidStart    = "com.apple.itunes-mobdev.syncDidStart"
	syncDidFinish   = "com.apple.itunes-mobdev.syncDidFinish"
)

// Notifications is the phone's notification_proxy: both ends post named events,
// and the phone relays those that are observed. One goroutine may receive while
// others observe and post.
type Notifications struct{ conn net.Conn }

// Notifications starts the service. The caller closes it.
func (p *Phone) Notifications(ctx context.Context) (*Notifications, error) {
	conn, err := p.Service(ctx, "com.apple.mobile.notification_proxy", false)
	if err != nil {
		return nil, err
	}
	return &Notifications{conn}, nil
}

// Observe asks for notifications by their names. The phone does not answer.
func (n *Notifications) Observe(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := send(ctx, n.conn, serviceTimeout, map[string]any{"Command": "ObserveNotification", "Name": name}); err != nil {
			return fmt.Errorf("observe notifications: %w", err)
		}
	}
	return nil
}

// Post tells the phone that something happened. It does not answer.
func (n *Notifications) Post(ctx context.Context, name string) error {
	if err := send(ctx, n.conn, serviceTimeout, map[string]any{"Command": "PostNotification", "Name": name}); err != nil {
		return fmt.Errorf("post a notification: %w", err)
	}
	return nil
}

// Received yields the names of what was observed, as it happens, until ctx ends
// or the phone hangs up; then the error.
func (n *Notifications) Received(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			m, err := receive(ctx, n.conn, 0)
			if err == nil && m.text("Command") == "ProxyDeath" {
				err = errors.New("the phone ends the service")
			}
			if err != nil {
				yield("", fmt.Errorf("receive notifications: %w", err))
				return
			}
			if name := m.text("Name"); m.text("Command") == "RelayNotification" && name != "" && !yield(name, nil) {
				return
			}
		}
	}
}

// Close ends the service.
func (n *Notifications) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if send(ctx, n.conn, 0, map[string]any{"Command": "Shutdown"}) == nil {
		cut(n.conn)
	}
	return nil
}
