package main

import (
	"os/exec"
	"testing"
)

// TestQuoteWord has a shell read what the sheet says is to be typed.
func TestQuoteWord(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("not here: a shell: ", err)
	}
	for _, name := range []string{
		"/media/drive/repo", "/my repo", "/Jo's $HOME", "/a\"b", "/`date`", "/Jo's", "/a|b", "/a>b", "/[ab]", "/{a,b}", "/a;b&c", "/wow! it's",
	} {
		cmd := exec.CommandContext(t.Context(), shell, "-c", "printf %s "+quoteWord(name))
		cmd.Dir = t.TempDir() // a name that is quoted wrongly may make a file
		got, err := cmd.CombinedOutput()
		if err != nil || string(got) != name {
			t.Errorf("%s: the shell reads %q, %v, want %q", quoteWord(name), got, err, name)
		}
	}
	if got, want := quoteWord(`D:\my repo`), `"D:\my repo"`; got != want {
		t.Errorf("got %s, want %s, as Windows has it", got, want)
	}
}
