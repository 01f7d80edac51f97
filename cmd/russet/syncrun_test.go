package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"russet/merge"
	"russet/reconcile"
)

// TestFailedWrites: what was not done is told with the results, and the complaints,
// which end up in logs, name nobody.
func TestFailedWrites(t *testing.T) {
	t.Parallel()
	var out, complaints bytes.Buffer
	p := newProgram(func(string) string { return "" }, strings.NewReader(""), &out, &complaints)
	op := reconcile.Op{Where: merge.Target, Action: merge.Create, Key: "k", Title: "Ada\x1b[1m"}
	err := p.showRun(&reconcile.Plan{Name: "cards", Kind: reconcile.KindSync}, &reconcile.Result{
		Run: 3, Done: []reconcile.Op{op}, Failed: []reconcile.Failure{{Op: op, Err: errors.New("no space")}},
	})
	if code := p.report(err); code != codeIncomplete {
		t.Errorf("got exit code %d, want %d", code, codeIncomplete)
	}
	want := "failed  create  target  Ada" + visible("\x1b[1m") + ": no space\nrun 3: 1 write done\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := complaints.String(); strings.Contains(got, "Ada") || !strings.Contains(got, "1 write not done") {
		t.Errorf("complaints are %q", got)
	}
}

// TestContentLines: a record that waits is shown line by line, its picture only begun.
func TestContentLines(t *testing.T) {
	t.Parallel()
	text := "BEGIN:VCARD\r\nNOTE:a\x1b\r\n b\r\nPHOTO:" + strings.Repeat("x\r\n ", 1000) + "\r\nEND:VCARD\r\n"
	want := "  BEGIN:VCARD\n  NOTE:a" + visible("\x1b") + "b\n  PHOTO:" + strings.Repeat("x", longestLine-6) + "... and 606 bytes more\n  END:VCARD\n"
	if got := contentLines(text); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
