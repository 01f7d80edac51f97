package main

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder keeps what was written, one entry a call. It is read by the test
// while a reporter writes.
type recorder struct {
	mu     sync.Mutex
	writes []string
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, string(b))
	return len(b), nil
}

// during runs a function for a program whose stderr is a terminal or not, and
// returns what came out.
func during(t *testing.T, p *program, terminal bool, run func(update func(progress))) (stdout string, stderr []string) {
	t.Helper()
	var out bytes.Buffer
	rec := &recorder{}
	p.stdout, p.console = &out, newConsole(rec)
	p.console.terminal, p.console.width = terminal, func() int { return 60 }
	synctest.Test(t, func(*testing.T) {
		var mu sync.Mutex
		var latest progress
		r := p.startProgress(func() progress {
			mu.Lock()
			defer mu.Unlock()
			return latest
		})
		run(func(g progress) {
			mu.Lock()
			defer mu.Unlock()
			latest = g
		})
		r.stop()
		r.stop()
	})
	return out.String(), rec.writes
}

// copying reports 1 MiB a second of 100 MiB, ten times a second, between the
// ticks of the reporter.
func copying(seconds int) func(update func(progress)) {
	return func(update func(progress)) {
		time.Sleep(50 * time.Millisecond)
		for i := range int64(seconds * 10) {
			update(progress{
				Phase: "store", FilesDone: i, FilesTotal: 1000, BytesDone: i << 20 / 10, BytesTotal: 100 << 20,
				Current: "HomeDomain/a\x1b[2J",
			})
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	stdout, writes := during(t, &program{}, true, copying(20))
	if stdout != "" {
		t.Errorf("stdout got %q, want nothing", stdout)
	}
	if len(writes) < 150 || len(writes) > 201 {
		t.Errorf("%d redraws in 20 s, want at most ten a second, and nearly that", len(writes))
	}
	for _, w := range writes {
		if n := columns(strings.Trim(w, "\r")); n > 59 {
			t.Errorf("a status of %d columns on a terminal of 60: %q", n, w)
		}
		if strings.Contains(w, "\n") || strings.Contains(w, "\x1b") {
			t.Errorf("a status with a newline or an escape: %q", w)
		}
	}
	last := writes[len(writes)-2]
	if want := "\r 19 %  19.9 MiB/100.0 MiB  1.0 MiB/s  1:20 left  store\r"; last != want {
		t.Errorf("the last status is %q, want %q", last, want)
	}
	if end := writes[len(writes)-1]; strings.Trim(end, "\r ") != "" || len(end) < 40 {
		t.Errorf("the status is not cleared at the end: %q", end)
	}
}

func TestProgressInLog(t *testing.T) {
	t.Parallel()
	_, writes := during(t, &program{}, false, copying(25))
	want := []string{
		`russet: 0:10    9 %  99/1,000 files  9.9 MiB/100.0 MiB  store: HomeDomain/a\x1b[2J` + "\n",
		`russet: 0:20   19 %  199/1,000 files  19.9 MiB/100.0 MiB  1.0 MiB/s  1:20 left  store: HomeDomain/a\x1b[2J` + "\n",
	}
	if !slices.Equal(writes, want) {
		t.Errorf("got\n%q\nwant\n%q", writes, want)
	}
}

func TestProgressAsJSON(t *testing.T) {
	t.Parallel()
	stdout, stderr := during(t, &program{json: true}, true, copying(3))
	if len(stderr) != 0 {
		t.Errorf("stderr got %q, want nothing", stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) < 2 || len(lines) > 3 {
		t.Fatalf("%d lines in 3 s, want one a second: %q", len(lines), lines)
	}
	for _, l := range lines {
		if !strings.HasPrefix(l, `{"message_type":"status","phase":"store","seconds_elapsed":`) ||
			!strings.HasSuffix(l, `"current_files":["HomeDomain/a\u001b[2J"]}`) {
			t.Errorf("got %s", l)
		}
	}
}

func TestProgressQuiet(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		for _, json := range []bool{true, false} {
			stdout, stderr := during(t, &program{quiet: true, json: json}, terminal, copying(30))
			if stdout != "" || len(stderr) != 0 {
				t.Errorf("terminal %t, json %t: got %q and %q, want nothing", terminal, json, stdout, stderr)
			}
		}
	}
}

// TestProgressMakesRoom prints a line while a status is shown.
func TestProgressMakesRoom(t *testing.T) {
	t.Parallel()
	p := &program{}
	_, writes := during(t, p, true, func(update func(progress)) {
		update(progress{Phase: "store", FilesDone: 1})
		time.Sleep(150 * time.Millisecond)
		p.warn("a note")
		time.Sleep(100 * time.Millisecond)
		p.console.hold(true)
		time.Sleep(time.Second) // nothing is drawn over a question
		p.console.hold(false)
	})
	const status = "1 files  store"
	want := []string{
		"\r" + status + "\r", "\r" + strings.Repeat(" ", len(status)) + "\r",
		"russet: a note\n", "\r" + status + "\r", "\r" + strings.Repeat(" ", len(status)) + "\r",
	}
	if got := strings.Join(writes, ""); got != strings.Join(want, "") {
		t.Errorf("got %q, want %q", got, strings.Join(want, ""))
	}
}

func TestProgressString(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		g    progress
		want string
	}{
		{progress{}, ""},
		{progress{FilesDone: 3}, "3 files"},
		{progress{FilesDone: 3, FilesTotal: 4}, " 75 %  3/4 files"},
		{progress{BytesDone: 5 << 20, BytesTotal: 4 << 20}, "100 %  5.0 MiB/4.0 MiB"}, // a file grew
	} {
		if got := c.g.String(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.g, got, c.want)
		}
	}
}

// TestProgressFits: on a narrow terminal the time that is left is seen, not cut.
func TestProgressFits(t *testing.T) {
	t.Parallel()
	g := progress{Phase: "store", FilesDone: 9, FilesTotal: 90, BytesDone: 10 << 20, BytesTotal: 100 << 20, Current: "name"}
	start := time.Unix(0, 0)
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, " 10 %  9/90 files  10.0 MiB/100.0 MiB  1.0 MiB/s  1:30 left  store: name"},
		{69, " 10 %  9/90 files  10.0 MiB/100.0 MiB  1.0 MiB/s  1:30 left  store"},
		{54, " 10 %  10.0 MiB/100.0 MiB  1.0 MiB/s  1:30 left  store"},
		{53, " 10 %  10.0 MiB/100.0 MiB  1:30 left  store"},
		{39, " 10 %  1:30 left  store"},
		{16, " 10 %  1:30 left"},
		{3, " 10 %  1:30 left"}, // show cuts it
	} {
		r := &reporter{phase: g.Phase, samples: []sample{{at: start}}}
		if got := r.line(start.Add(10*time.Second), g, c.width); got != c.want {
			t.Errorf("in %d columns: got %q, want %q", c.width, got, c.want)
		}
	}
	r := &reporter{}
	if got, want := r.line(start, progress{Phase: "listing the folder"}, 9), "listing the folder"; got != want {
		t.Errorf("a phase alone: got %q, want %q", got, want)
	}
}
