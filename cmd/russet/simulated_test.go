package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"russet/crypto"
)

// simulation is the simulated phone that runs beside a script.
type simulation struct {
	stop context.CancelFunc
	done chan int // its exit code
}

// simulations are those of the scripts that run at once, by their work folders.
type simulations struct {
	mu  sync.Mutex
	all map[string]*simulation
}

func (s *simulations) swap(work string, next *simulation) (last *simulation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last = s.all[work]
	if s.all == nil {
		s.all = map[string]*simulation{}
	}
	s.all[work] = next
	return last
}

// end pulls the phone out, if there is one.
func (s *simulations) end(work string) {
	if last := s.swap(work, nil); last != nil {
		last.stop()
		<-last.done
	}
}

// plug is the script command `plug [FLAGS...]`: it runs `russet simulate` on
// the folder phone beside the script, in place of one that runs already, and
// sets USBMUXD_SOCKET_ADDRESS. What the phone tells lies in the file phone.log,
// anew each time.
func (s *simulations) plug(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("plug cannot fail")
	}
	work := ts.Getenv("WORK")
	s.end(work)
	log, err := os.Create(ts.MkAbs("phone.log"))
	ts.Check(err)
	pr, pw := io.Pipe()
	p := newProgram(ts.Getenv, strings.NewReader(""), pw, log)
	p.cost = func() crypto.Cost { return crypto.Cost{N: 16, R: 1, P: 1} }
	p.rounds = 10
	ctx, cancel := context.WithCancel(context.Background())
	next := &simulation{cancel, make(chan int, 1)}
	line := []string{"russet", "simulate", "--state", ts.MkAbs("phone"), "--content", "tiny", "--listen", "127.0.0.1:0"}
	for _, arg := range args {
		if strings.HasSuffix(arg, ".json") {
			arg = ts.MkAbs(arg)
		}
		line = append(line, arg)
	}
	go func() {
		code := p.report(p.dispatch(ctx, line))
		pw.Close()
		log.Close()
		next.done <- code
	}()
	r := bufio.NewReader(pr)
	first, err := r.ReadString('\n')
	if err != nil {
		ts.Fatalf("the phone does not listen: see phone.log")
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	_, address, _ := strings.Cut(strings.TrimSpace(first), "=")
	ts.Setenv("USBMUXD_SOCKET_ADDRESS", address)
	s.swap(work, next)
	ts.Defer(func() { s.end(work) })
}

// unplug is the script command of that name.
func (s *simulations) unplug(ts *testscript.TestScript, _ bool, _ []string) { s.end(ts.Getenv("WORK")) }
