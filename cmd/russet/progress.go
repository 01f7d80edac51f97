package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// progress is how far a long run has come. A total of 0 is not known yet.
type progress struct {
	Phase                 string // what is being done: "store"
	FilesDone, FilesTotal int64
	BytesDone, BytesTotal int64
	Current               string  // the file or thing at hand, as it is named
	Part                  float64 // of 1, where somebody else counts: a phone
}

// String is the whole state for people and tests, without rate and time.
func (g progress) String() string { return g.words().String() }

// fraction says how much is done, of 1; ok is false while totals are unknown.
func (g progress) fraction() (f float64, ok bool) {
	switch {
	case g.Part > 0:
		f = g.Part
	case g.BytesTotal > 0:
		f = float64(g.BytesDone) / float64(g.BytesTotal)
	case g.FilesTotal > 0:
		f = float64(g.FilesDone) / float64(g.FilesTotal)
	default:
		return 0, false
	}
	return min(f, 1), true
}

// words are the parts of a progress line; what is not known is empty.
type words struct{ percent, files, bytes, rate, left, phase, current string }

// String joins what is there, in the order in which it is shown.
func (w words) String() string {
	doing := strings.TrimSuffix(w.phase+": "+w.current, ": ")
	parts := []string{w.percent, w.files, w.bytes, w.rate, w.left, doing}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "  ")
}

func (g progress) words() words {
	var w words
	if f, ok := g.fraction(); ok {
		w.percent = fmt.Sprintf("%3d %%", int(100*f))
	}
	if g.FilesDone > 0 || g.FilesTotal > 0 {
		w.files = share(count(g.FilesDone), count(g.FilesTotal), g.FilesTotal) + " files"
	}
	if g.BytesDone > 0 || g.BytesTotal > 0 {
		w.bytes = share(size(g.BytesDone), size(g.BytesTotal), g.BytesTotal)
	}
	return w
}

// share is "done/total", or "done" while the total is unknown.
func share(done, total string, known int64) string {
	if known == 0 {
		return done
	}
	return done + "/" + total
}

// How often progress is shown: on a terminal as often as an eye can follow, in
// a log so that it can be read afterwards, to a program often enough for its
// own display.
const (
	terminalInterval = 100 * time.Millisecond
	logInterval      = 10 * time.Second
	jsonInterval     = time.Second
)

// rateWindow is the time over which the rate is taken.
const rateWindow = 15 * time.Second

// statusMessage is progress as a line of JSON, under restic's names.
type statusMessage struct {
	MessageType      string   `json:"message_type" doc:"\"status\""`
	Phase            string   `json:"phase" doc:"what is being done"`
	SecondsElapsed   int64    `json:"seconds_elapsed" doc:"since the verb began"`
	SecondsRemaining int64    `json:"seconds_remaining,omitempty" doc:"guessed from the rate; absent while unknown"`
	PercentDone      float64  `json:"percent_done" doc:"0 to 1"`
	TotalFiles       int64    `json:"total_files,omitempty" doc:"absent while unknown"`
	FilesDone        int64    `json:"files_done,omitempty" doc:""`
	TotalBytes       int64    `json:"total_bytes,omitempty" doc:"absent while unknown"`
	BytesDone        int64    `json:"bytes_done,omitempty" doc:""`
	CurrentFiles     []string `json:"current_files,omitempty" doc:"what is at hand"`
}

// reporter shows progress until it is stopped: a status line on a terminal, a
// line every ten seconds in a log, JSON lines, or nothing. All but stop is its
// own goroutine's.
type reporter struct {
	p     *program
	read  func() progress
	start time.Time
	stopc chan struct{}
	wg    sync.WaitGroup

	phase   string
	samples []sample // of the phase, oldest first, at most rateWindow old
}

// sample is a state at a time, for the rate.
type sample struct {
	at           time.Time
	files, bytes int64
}

// startProgress shows what read says, which may be called at any time. The
// caller stops the reporter before it prints a result.
func (p *program) startProgress(read func() progress) *reporter {
	r := &reporter{p: p, read: read, start: time.Now(), stopc: make(chan struct{})}
	every, draw := logInterval, r.log
	switch {
	case p.quiet:
		return r
	case p.json:
		every, draw = jsonInterval, r.emit
	case p.console.terminal:
		every, draw = terminalInterval, r.draw
	}
	r.wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-r.stopc:
				return
			case now := <-tick.C:
				if g := r.read(); g != (progress{}) {
					draw(now, g)
				}
			}
		}
	})
	return r
}

// stop ends the display; on a terminal the line is gone afterwards. It may be
// called twice.
func (r *reporter) stop() {
	select {
	case <-r.stopc:
	default:
		close(r.stopc)
	}
	r.wg.Wait()
	r.p.console.clear()
}

// pace returns the rate in bytes a second and the time left, both 0 while
// unknown.
func (r *reporter) pace(now time.Time, g progress) (rate float64, left time.Duration) {
	if g.Phase != r.phase {
		r.phase, r.samples = g.Phase, nil
	}
	r.samples = append(r.samples, sample{now, g.FilesDone, g.BytesDone})
	for len(r.samples) > 2 && now.Sub(r.samples[0].at) > rateWindow {
		r.samples = r.samples[1:]
	}
	first := r.samples[0]
	took := now.Sub(first.at).Seconds()
	if took <= 0 {
		return 0, 0
	}
	rate = float64(g.BytesDone-first.bytes) / took
	todo, pace := float64(g.BytesTotal-g.BytesDone), rate
	if g.BytesTotal == 0 {
		todo, pace = float64(g.FilesTotal-g.FilesDone), float64(g.FilesDone-first.files)/took
	}
	const longest = 1000 * time.Hour // beyond which a guess is none
	if seconds := todo / pace; todo > 0 && pace > 0 && seconds < longest.Seconds() {
		left = time.Duration(seconds * float64(time.Second))
	}
	return max(rate, 0), left
}

// line is a state in words, of which those that people miss least are left out
// where the width does not hold all; 0 holds all.
func (r *reporter) line(now time.Time, g progress, width int) string {
	rate, left := r.pace(now, g)
	said := g.words()
	if rate > 0 {
		said.rate = size(int64(rate)) + "/s"
	}
	if left > 0 {
		said.left = duration(left) + " left"
	}
	said.phase, said.current = g.Phase, visible(g.Current)
	line := said.String()
	for _, least := range []*string{&said.current, &said.files, &said.rate, &said.bytes, &said.phase} {
		if width <= 0 || columns(line) <= width {
			break
		}
		*least = ""
		if fewer := said.String(); fewer != "" {
			line = fewer
		}
	}
	return line
}

func (r *reporter) draw(now time.Time, g progress) {
	r.p.console.show(r.line(now, g, r.p.console.width()-1)) // which leaves the last column free, as show does
}

func (r *reporter) log(now time.Time, g progress) {
	r.p.console.print("russet: " + duration(now.Sub(r.start)) + "  " + r.line(now, g, 0))
}

func (r *reporter) emit(now time.Time, g progress) {
	_, left := r.pace(now, g)
	f, _ := g.fraction()
	m := statusMessage{
		MessageType: "status", Phase: g.Phase,
		SecondsElapsed: int64(now.Sub(r.start).Seconds()), SecondsRemaining: int64(left.Seconds()),
		PercentDone: f, TotalFiles: g.FilesTotal, FilesDone: g.FilesDone,
		TotalBytes: g.BytesTotal, BytesDone: g.BytesDone,
	}
	if g.Current != "" {
		m.CurrentFiles = []string{g.Current}
	}
	_ = r.p.emit(m) // the result will fail on the same stream, and say so
}
