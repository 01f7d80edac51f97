package phone

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGoIOS runs go-ios, which lives in a module of its own: testdata/goios.
func TestGoIOS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: builds go-ios")
	}
	tool := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = filepath.Join("testdata", "goios")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// Listing what it is made of fetches that, and compiles nothing.
	if out, err := tool("list", "-deps", "."); err != nil {
		t.Skipf("judge missing: go-ios: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join("testdata", "goios", "main.go")); err != nil { // or a changed judge would find a kept result
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "goios.exe")
	if out, err := tool("build", "-o", program, "."); err != nil {
		t.Fatalf("build go-ios: %v\n%s", err, out)
	}

	j := new(journal)
	var p *Phone
	p, _ = newPhone(t, t.TempDir(), Options{Observe: func(e Event) {
		j.add(e)
		if name, ok := strings.CutPrefix(e.Message, "ObserveNotification "); ok {
			p.Notify(name)
		}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "USBMUXD_SOCKET_ADDRESS="+serve(t, p))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, j)
	}
	j.clean(t)
}
