package phone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"slices"
	"sync"

	"russet/device"
	"russet/internal/plist"
)

// Muxer lists phones to programs and connects to them, as usbmuxd does. It also
// keeps the pair records of its computer.
type Muxer struct {
	root *os.Root
	dir  string // within root
	own  bool   // root is to be closed

	mu       sync.Mutex // guards what follows
	buid     string
	lines    []*line
	last     int // device id that was given last
	watchers map[*watcher]struct{}
}

// What programs can cost a muxer.
const (
	maxClients = 256       // connections at once
	maxRecord  = 256 << 10 // bytes of a pair record
	maxRecords = 1024
	buidFile   = "SystemConfiguration.plist"
)

// NewMuxer opens a muxer that keeps its pair records in a directory, which is
// made if there is none.
func NewMuxer(dir string) (*Muxer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the muxer's records: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the muxer's records: %w", err)
	}
	m, err := newMuxer(root, ".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	m.own = true
	return m, nil
}

func newMuxer(root *os.Root, dir string) (*Muxer, error) {
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the muxer's records: %w", err)
	}
	m := &Muxer{root: root, dir: dir, watchers: map[*watcher]struct{}{}}
	var config struct{ SystemBUID string }
	data, err := readState(root, m.file(buidFile))
	switch {
	case err == nil:
		err = plist.Unmarshal(data, &config)
	case errors.Is(err, fs.ErrNotExist):
		config.SystemBUID = device.NewUUID()
		if data, err = plist.Marshal(config, plist.XML); err == nil {
			err = writeState(root, m.file(buidFile), data)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the muxer's records: %w", err)
	}
	m.buid = config.SystemBUID
	return m, nil
}

func (m *Muxer) file(name string) string { return path.Join(m.dir, name) }

// Close lets go of the records. The muxer must not be served any more.
func (m *Muxer) Close() error {
	if !m.own {
		return nil
	}
	return m.root.Close()
}

// Add attaches a phone: by cable and, where its options say so, by network,
// too. For the latter it listens at once, which may fail.
func (m *Muxer) Add(p *Phone) error {
	var added []*line
	if !p.opts.NoCable {
		added = append(added, &line{p: p})
	}
	if addr := p.opts.Network; addr.IsValid() {
		l, err := net.Listen("tcp", net.JoinHostPort(addr.String(), fmt.Sprint(device.LockdownPort)))
		if err != nil {
			return fmt.Errorf("attach the phone by network: %w", err)
		}
		added = append(added, &line{p: p, network: true, listener: l})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range added {
		m.last++
		l.id = m.last
		l.active, l.waiting = map[*context.CancelFunc]struct{}{}, map[uint16]talk{}
		m.lines = append(m.lines, l)
		m.tell(muxEvent{attached, l})
	}
	return nil
}

// Remove detaches a phone. Its connections end.
func (m *Muxer) Remove(p *Phone) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = slices.DeleteFunc(m.lines, func(l *line) bool {
		if l.p != p {
			return false
		}
		l.cut()
		m.tell(muxEvent{detached, l})
		return true
	})
}

// Serve answers programs at the listeners until ctx ends, which is no error.
// It closes the listeners, and those of phones that are reached by network,
// and returns when all connections have ended.
func (m *Muxer) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var g sync.WaitGroup
	defer g.Wait()
	defer cancel()
	room := make(chan struct{}, maxClients)
	failed := make(chan error, 1)
	spawn := func(f func(context.Context)) { g.Go(func() { f(ctx) }) }
	serve := func(l net.Listener, handle talk) {
		spawn(func(ctx context.Context) {
			if err := accept(ctx, spawn, l, room, handle); err != nil {
				select {
				case failed <- err:
				default: // another was first
				}
			}
		})
	}
	for _, l := range listeners {
		serve(l, func(ctx context.Context, conn net.Conn) { m.client(ctx, spawn, conn) })
	}
	served := map[*line]bool{}
	w := m.watch()
	defer func() { m.unwatch(w) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("serve the muxer: %w", err)
		case e, ok := <-w.events:
			if !ok { // we fell behind: look again
				w = m.watch()
				continue
			}
			l := e.line
			if e.kind != attached || !l.network || served[l] {
				continue
			}
			served[l] = true
			serve(l.listener, func(ctx context.Context, conn net.Conn) {
				l.run(ctx, conn, func(ctx context.Context) { l.lockdown(ctx, spawn, conn) })
			})
		}
	}
}

// spawner runs a function in a goroutine for which Serve waits, under the
// context of Serve.
type spawner func(func(context.Context))

// accept gives every connection to handle until ctx or the listener ends, which
// is no error.
func accept(ctx context.Context, spawn spawner, l net.Listener, room chan struct{}, handle talk) error {
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case room <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		spawn(func(ctx context.Context) {
			defer func() { <-room }()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			handle(ctx, conn)
		})
	}
}
