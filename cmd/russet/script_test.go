package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"russet/crypto"
	"russet/device/sim"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"russet": cheapMain, "phone": phoneMain, "judge": judgeMain, "records": recordsMain})
}

// cheapMain is main with keys that cost next to nothing: scripts derive one
// for each command.
func cheapMain() {
	p := newProgram(os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	p.cost = func() crypto.Cost { return crypto.Cost{N: 16, R: 1, P: 1} }
	p.patience = patience{100 * time.Millisecond, 2 * time.Second}
	p.retry = time.Second
	os.Exit(p.report(p.dispatch(context.Background(), os.Args)))
}

// phoneMain is the command of scripts that writes the backup of a simulated
// phone, as Finder would:
//
//	phone FOLDER DAY [PASSWORD]
//
// The same folder given again for a later day gets an incremental backup. PHONE
// is demo for a larger phone, whose backup takes a second to keep.
func phoneMain() {
	if err := writePhone(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "phone:", err)
		os.Exit(1)
	}
}

func writePhone(args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errors.New("usage: phone FOLDER DAY [PASSWORD]")
	}
	day, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "phone")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	ctx := context.Background()
	config := sim.Tiny()
	if os.Getenv("PHONE") == "demo" {
		config = sim.Demo()
	}
	d, err := sim.New(ctx, config, scratch)
	for range day {
		if err == nil {
			err = d.Next(ctx)
		}
	}
	if err == nil {
		err = os.MkdirAll(args[0], 0o755)
	}
	if err != nil {
		return err
	}
	_, err = d.WriteBackup(ctx, args[0], sim.Options{Password: strings.Join(args[2:], ""), Iterations: 10})
	return err
}

// sampleFolder holds real backups, which are no part of the project. Scripts
// that want them ask for [samples].
const sampleFolder = "../../../shared/samples/backups"

// TestScript runs the scenarios in testdata/script, one a file, each named
// verb_case.txtar. Beside testscript's own commands they have
//
//	exits CODE COMMAND ARGS...   run a command that must end with that exit code
//	exec phone FOLDER DAY [PASSWORD]   see phoneMain
//	exec records FOLDER NUMBER [STEP...]   see recordsMain
//	plug [FLAGS...], unplug            a simulated phone beside the script, see simulations
//	davserver, davedit PROPERTY VALUE NUMBER, davitems FILE, davrequests FILE   a server of contacts, see servers
//	[!] samebackup [-noinfo] ONE OTHER [PASSWORD]   see sameBackup
//	[!] sametree ONE OTHER       see sameTree
//	exec judge PROGRAM ARGS...   run a program by others, which may not end by itself: see judgeMain
//
// and the variables SAMPLES, ESC (the byte), SECRET (what stands in the
// simulated phone's content and nowhere else), UDID (that phone's), NETWORK (an
// address for it without a cable) and PYMOBILEDEVICE3 (the program).
func TestScript(t *testing.T) {
	t.Parallel()
	samples, err := filepath.Abs(sampleFolder)
	if err != nil {
		t.Fatal(err)
	}
	phones, davs := new(simulations), new(servers)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "plug": phones.plug, "unplug": phones.unplug, "samebackup": sameBackup, "sametree": sameTree,
			"davserver": davs.start, "davedit": davs.edit, "davitems": davs.items, "davrequests": davs.requests,
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "samples":
				_, err := os.Stat(samples)
				return err == nil, nil
			case "pymobiledevice3":
				return findPymobiledevice3() != "", nil
			case "tty":
				return runtime.GOOS == "linux" || runtime.GOOS == "darwin", nil
			}
			return false, errors.New("unknown condition " + name)
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("SAMPLES", samples)
			env.Setenv("ESC", "\x1b")
			env.Setenv("SECRET", sim.Secret)
			env.Setenv("UDID", sim.Tiny().UDID)
			env.Setenv("NETWORK", netip.AddrFrom4([4]byte{127, byte(os.Getpid() >> 8), byte(os.Getpid()), 99}).String())
			env.Setenv("PYMOBILEDEVICE3", findPymobiledevice3())
			env.Setenv("USBMUXD_SOCKET_ADDRESS", "127.0.0.1:1") // nobody: this computer's own phones are left alone
			return nil
		},
	})
}

// exits is the command of that name.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
