package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"russet/backend"
	"russet/capture"
	"russet/ios"
	"russet/merge"
	"russet/offsite"
	"russet/repo"
)

// TestExitCodesAreDocumented compares the advices with the manual's table.
func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	var documented []int
	for _, e := range exitCodes {
		documented = append(documented, e.code)
	}
	if !slices.IsSorted(documented) || len(slices.Compact(slices.Clone(documented))) != len(documented) {
		t.Errorf("the codes are not in order, or twice: %d", documented)
	}
	if slices.Contains(documented, 2) {
		t.Error("2 is what a Go program says that crashed")
	}
	for _, a := range slices.Concat(advices, storageAdvices, sealedAdvices) {
		if code := cmp.Or(a.code, codeError); !slices.Contains(documented, code) {
			t.Errorf("%v gives exit code %d, which the manual does not tell of", a.is, code)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		json bool
		code int
		want string
	}{
		{nil, false, 0, ""},
		{errors.New("read a\x1bb: gone"), false, 1, `russet: read a\x1bb: gone` + "\n"},
		{errors.Join(errors.New("one"), errors.New("two")), false, 1, "russet: one\nrusset: two\n"},
		{fmt.Errorf("store: %w", context.Canceled), false, 130, "russet: interrupted\n"},
		{errInterrupted, true, 130, `{"message_type":"exit_error","code":130,"message":"interrupted"}` + "\n"},
		{situation{syscall.ENOSPC, errPruneFull}, false, 23, "russet: no space left on device\n  russet prune --max-repack 0 deletes whole packs and copies nothing; nothing that was kept is lost\n"},
		{fmt.Errorf("%w: %w", repo.ErrDamaged, syscall.EIO), false, 22, "russet: repository is damaged: input/output error\n  " + readAgainHint + "  russet check tells what is damaged\n"},
		{fmt.Errorf("list snapshots: %w", syscall.EIO), false, 1, "russet: list snapshots: input/output error\n  the drive could not read that: connect it anew; " +
			"if that does not help, have the system repair its file system (fsck, First Aid, chkdsk) before anything else\n"},
		{fmt.Errorf("%w: %w", merge.ErrDenied, syscall.EROFS), false, 1, "russet: access denied: read-only file system\n  is the drive write-protected, or the folder somebody else's?\n"},
		{fmt.Errorf("%w: %w", merge.ErrDenied, errors.New("401")), false, 1, "russet: access denied: 401\n  is the user's name right, and the password? many servers want an app password\n"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, false, 1, "russet: dial tcp: connection refused\n" +
			"  is this computer on the network, and the address right? then run the same command again\n"},
		{atStorage(backend.ErrNoRepository), false, 10, "russet: no repository here\n  is the address right? russet init makes a new repository there\n"},
		{http.ErrSchemeMismatch, false, 1, fmt.Sprintf("russet: %v\n  is the port right? a server without TLS has http:// in its address, and passwords travel readable: "+
			"for a server in the same house only\n", http.ErrSchemeMismatch)},
		{fmt.Errorf("%w: %w", backend.ErrProgram, exec.ErrNotFound), false, 1, "russet: program does not start: executable file not found in $PATH\n" +
			"  install that program, or say where it is: -o rclone.program=PATH, -o sftp.command=...\n"},
		{
			errors.Join(remedied{offsite.ErrBad, "mend one"}, fmt.Errorf("b: %w", remedied{offsite.ErrBad, "mend two"})), false, 22,
			fmt.Sprintf("russet: %v\nrusset: b: %v\n  mend one\n  mend two\n", offsite.ErrBad, offsite.ErrBad),
		},
		{
			errors.Join(fmt.Errorf("a: %w", errNoPhonePassword), fmt.Errorf("b: %w", syscall.ENOSPC)), false, 23,
			fmt.Sprintf("russet: a: %v\nrusset: b: no space left on device\n  free some space there and run the same command again; nothing that was kept is lost\n", errNoPhonePassword),
		},
		{
			errors.Join(ios.ErrWrongPassword, errNoBackup), false, 21,
			fmt.Sprintf("russet: %v\nrusset: %v\n  run the same command again with the right --backup-password-file, or on a terminal\n", ios.ErrWrongPassword, errNoBackup),
		},
		{errNoRepositoryGiven, false, 1, "russet: no repository given\n  name it with -r, or set RUSSET_REPOSITORY\n"},
	} {
		var stderr bytes.Buffer
		p := newProgram(noEnv, nil, nil, &stderr)
		p.json = c.json
		code := p.report(c.err)
		if code != c.code || stderr.String() != c.want {
			t.Errorf("%v: got %d, %q, want %d, %q", c.err, code, stderr.String(), c.code, c.want)
		}
	}
}

// Where several things went wrong, the manual says which gives the code.
func TestCodeOfSeveral(t *testing.T) {
	t.Parallel()
	order := []error{context.Canceled, repo.ErrDamaged, capture.ErrUnfinished, errNoPhonePassword, errIncomplete, errNoBackup}
	for i, first := range order[:len(order)-1] {
		err := errors.Join(order[i+1], first)
		if got, want := adviceFor(err).code, adviceFor(first).code; got != want {
			t.Errorf("%v and %v give code %d, want %d", order[i+1], first, got, want)
		}
	}
}

// TestRunKnowsNoProcess runs the whole program on buffers.
func TestRunKnowsNoProcess(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"russet", "version"}, noEnv, strings.NewReader(""), &stdout, &stderr)
	if code != 0 || !strings.HasPrefix(stdout.String(), "russet ") || stderr.Len() > 0 {
		t.Errorf("got %d, %q, %q", code, stdout.String(), stderr.String())
	}
}
