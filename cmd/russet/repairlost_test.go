package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"russet/repo"
)

// slowReader is a program that reads what is written to it, and takes its time
// over a summary.
type slowReader struct{ recorder }

func (r *slowReader) Write(b []byte) (int, error) {
	n, err := r.recorder.Write(b)
	if bytes.Contains(b, []byte(`"summary"`)) {
		time.Sleep(5 * jsonInterval)
	}
	return n, err
}

// nothingPlanned is a plan of nothing.
type nothingPlanned struct{}

func (nothingPlanned) String() string { return "" }
func (nothingPlanned) Empty() bool    { return true }

// TestSummaryIsLast reads the lines of a repair that takes a while: no progress
// comes after the summary.
func TestSummaryIsLast(t *testing.T) {
	t.Parallel()
	var out slowReader
	synctest.Test(t, func(t *testing.T) {
		counted := new(repo.Progress)
		counted.SetPhase("repair")
		p := &program{json: true, stdout: &out, console: newConsole(io.Discard)}
		err := p.showAndApply(counted, false, func(func(repo.Problem)) (planned, any, error) {
			return nothingPlanned{}, healPlanMessage{MessageType: "plan"}, nil
		}, func() (any, string, error) {
			time.Sleep(jsonInterval * 3 / 2)
			return healMessage{MessageType: "summary"}, "", nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	var kinds []string
	for _, line := range out.writes {
		kind, _, _ := strings.Cut(strings.TrimPrefix(line, `{"message_type":"`), `"`)
		kinds = append(kinds, kind)
	}
	if want := []string{"plan", "status", "summary"}; !slices.Equal(kinds, want) {
		t.Errorf("got %q, want %q", kinds, want)
	}
}
