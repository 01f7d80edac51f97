package mb2

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errStopped = errors.New("somebody pressed a key")

// cancelled runs a backup whose context ends a minute after it began, with the
// phone led by script, and checks that it ends within a second, that the
// connection is closed, and that no file is left open.
func cancelled(t *testing.T, f *memFolder, script func(*phone)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f.t = t
		host, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer far.Close()
			script(&phone{t, far})
		}()
		ctx, cancel := context.WithCancelCause(t.Context())
		var end time.Time
		time.AfterFunc(time.Minute, func() { end = time.Now(); cancel(errStopped) })
		s, err := Start(ctx, host, Options{})
		if err == nil {
			err = s.Backup(ctx, f, udid, false)
		}
		if !errors.Is(err, errStopped) || errors.Is(err, ErrDisconnected) {
			t.Errorf("got %v, want the cause", err)
		}
		if took := time.Since(end); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if _, err := host.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v: the connection is open", err)
		}
		if f.open != 0 {
			t.Errorf("%d files were begun and not ended", f.open)
		}
		if s != nil {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		<-done
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	u := udid + "/"
	for name, script := range map[string]func(*phone){
		"before the version": func(p *phone) { p.farewell() },
		"before it is ready": func(p *phone) {
			p.say("DLMessageVersionExchange", uint64(300), uint64(0))
			p.hear("DLMessageVersionExchange")
			p.farewell()
		},
		"waiting for the passcode": func(p *phone) { p.request(); p.farewell() },
		"preparing": func(p *phone) {
			p.request()
			p.download(u + "Status.plist")
			p.status()
			p.farewell()
		},
		"between two files": func(p *phone) {
			p.request()
			p.say("DLMessageUploadFiles", map[string]any{}, 1.0, uint64(0))
			p.file(u+"a", "content", []byte{byte(CodeEnd)})
			p.farewell()
		},
		"within a unit": func(p *phone) {
			p.request()
			p.say("DLMessageUploadFiles", map[string]any{}, 1.0, uint64(0))
			p.raw(AppendUnit(AppendUnit(nil, []byte("/path")), []byte(u+"a")))
			p.raw([]byte{0, 0, 0, 99, byte(CodeData), 'x'})
			p.farewell()
		},
		"the phone closes first": func(p *phone) {
			p.request()
			p.hear(disconnect)
		},
		"removing": func(p *phone) {
			p.request()
			p.say("DLMessageRemoveItems", []any{u + "a"})
			p.status()
			p.farewell()
		},
		"verifying": func(p *phone) {
			p.request()
			p.upload(99, u+"Status.plist", "finished")
			p.status()
			p.download(u + "Status.plist")
			p.status()
			p.farewell()
		},
		"before the status": func(p *phone) {
			p.request()
			p.upload(1, u+"a", "content")
			p.hear("DLMessageStatusResponse")
			p.say("DLMessagePing", "busy")
			p.farewell()
		},
		"moving": func(p *phone) {
			p.request()
			p.say("DLMessageMoveItems", map[string]any{u + "a": u + "b"})
			p.status()
			p.farewell()
		},
	} {
		t.Run(name, func(t *testing.T) { cancelled(t, newFolder(t), script) })
	}
}

// A phone that is busy sending hears of it when it has finished what it sends,
// and that is dropped.
func TestCancelWhileReceiving(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	cancelled(t, f, func(p *phone) {
		p.request()
		p.say("DLMessageUploadFiles", map[string]any{}, 1.0, uint64(0))
		p.raw(AppendUnit(AppendUnit(nil, []byte("/path")), []byte(udid+"/a")))
		begin := time.Now()
		for time.Since(begin) < time.Minute+farewell/2 {
			time.Sleep(time.Second / 10)
			p.raw(AppendUnit(nil, []byte{byte(CodeData), 'x'}))
		}
		if late := f.wrote.Sub(begin); late > time.Minute+time.Second/10 {
			t.Errorf("content was stored until %v", late)
		}
		p.farewell()
	})
}

// A phone that does not read is left without a farewell.
func TestCancelWhileSending(t *testing.T) {
	t.Parallel()
	f := newFolder(t, udid+"/big", strings.Repeat("x", 1<<20))
	cancelled(t, f, func(p *phone) {
		p.request()
		p.say("DLMessageDownloadFiles", []any{udid + "/big"})
		_, err := ReadUnit(p.conn, nil, MaxName)
		p.must(err)
		time.Sleep(time.Hour)
	})
}

// A unit that is being written when the end comes is finished: what follows it
// is the farewell.
func TestCancelFinishesTheUnit(t *testing.T) {
	t.Parallel()
	f := newFolder(t, udid+"/big", strings.Repeat("x", 1<<20))
	cancelled(t, f, func(p *phone) {
		p.request()
		p.say("DLMessageDownloadFiles", []any{udid + "/big"})
		_, err := ReadUnit(p.conn, nil, MaxName)
		p.must(err)
		time.Sleep(time.Minute + farewell/2)
		for {
			unit, err := ReadUnit(p.conn, nil, DataSize+1)
			p.must(err)
			if unit[0] == byte(CodeData) {
				continue
			}
			name, _, err := ReadMessage(strings.NewReader(string(AppendUnit(nil, unit))))
			if err != nil || name != disconnect {
				t.Errorf("got %q, %v behind the last unit", name, err)
			}
			if _, err := p.conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("got %v behind the farewell, want io.EOF", err)
			}
			return
		}
	})
}

// What the folder is doing gets to know, and what it answers then is told to
// nobody.
func TestCancelInTheFolder(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.enter = func(ctx context.Context, _ string) { <-ctx.Done() }
	cancelled(t, f, func(p *phone) {
		p.request()
		p.say("DLContentsOfDirectory", udid)
		p.farewell()
	})
}

// An answer that is there already counts.
func TestCancelAfterTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := newFolder(t)
		err := converse(t, Options{}, func(p *phone) {
			p.request()
			p.respond(0)
			p.farewell()
		}, func(_ context.Context, s *Session) error {
			defer cancel()
			return s.Backup(ctx, f, udid, false)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A phone may be silent for longer than any patience.
func TestNoTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := converse(t, Options{}, func(p *phone) {
			p.request()
			time.Sleep(240 * time.Hour)
			p.upload(1, udid+"/a", "x")
			p.status()
			time.Sleep(240 * time.Hour)
			p.respond(0)
			p.farewell()
		}, backup(newFolder(t)))
		if err != nil {
			t.Error(err)
		}
	})
}

// Close waits no longer than a second for a phone that does not read.
func TestCloseOfADeafPhone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_ = converse(t, Options{}, func(p *phone) {
			p.greet(300)
			time.Sleep(time.Hour)
		}, func(_ context.Context, s *Session) error {
			begin := time.Now()
			err := s.Close()
			if took := time.Since(begin); took > time.Second {
				t.Errorf("it took %v", took)
			}
			return err
		})
	})
}
