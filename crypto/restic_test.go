package crypto

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keyFile is what of a restic key file matters here (restic design document, "Keys, Encryption and MAC").
type keyFile struct {
	KDF  string `json:"kdf"`
	N    int    `json:"N"`
	R    int    `json:"r"`
	P    int    `json:"p"`
	Salt []byte `json:"salt"`
	Data []byte `json:"data"`
}

// restic runs the installed restic on a repository, or skips the test where there is none.
func restic(t *testing.T, repo, password string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("restic")
	if err != nil {
		t.Skip("judge missing: restic")
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--no-cache", "-r", repo}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("restic %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// masterKey opens the only key file of a repository.
func masterKey(t *testing.T, repo, password string) (*Key, string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(repo, "keys", "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("key files: %v, %v", names, err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var file keyFile
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	user, err := Derive(password, file.Salt, Cost{file.N, file.R, file.P})
	if err != nil {
		t.Fatal(err)
	}
	plaintext, err := user.Open(nil, file.Data)
	if err != nil {
		t.Fatal(err)
	}
	master := parseKey(t, string(plaintext))
	if again, err := json.Marshal(master); err != nil || string(again) != string(plaintext) {
		t.Errorf("the JSON of restic's master key differs from ours: %v", err)
	}
	return master, names[0]
}

func TestRestic(t *testing.T) {
	t.Parallel()
	repo := filepath.Join(t.TempDir(), "repo")
	const password, other = "correct horse", "battery stäple"
	restic(t, repo, password, "init")

	// We read what restic wrote.
	master, keyPath := masterKey(t, repo, password)
	configPath := filepath.Join(repo, "config")
	sealed, err := os.ReadFile(configPath)
	if err != nil {
		t.Fatal(err)
	}
	config, err := master.Open(nil, sealed)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Version int    `json:"version"`
		ID      string `json:"id"`
	}
	if err := json.Unmarshal(config, &v); err != nil || v.Version != 2 || len(v.ID) != 64 {
		t.Errorf("config is %s, %v", config, err)
	}

	// restic reads what we write: the same master key under another password, and a config sealed by us.
	salt := []byte(strings.Repeat("salt", SaltSize/4))
	cost := DefaultCost()
	user, err := Derive(other, salt, cost)
	if err != nil {
		t.Fatal(err)
	}
	plaintext, err := json.Marshal(master)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(keyFile{"scrypt", cost.N, cost.R, cost.P, salt, user.Seal(nil, plaintext)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(keyPath); err != nil {
		t.Fatal(err)
	}
	name := sha256.Sum256(text)
	write(t, filepath.Join(repo, "keys", hex.EncodeToString(name[:])), text)
	if err := os.Remove(configPath); err != nil {
		t.Fatal(err)
	}
	write(t, configPath, master.Seal(nil, config))
	if got := restic(t, repo, other, "cat", "config"); !strings.Contains(got, v.ID) {
		t.Errorf("restic cat config says %s, want the id %s", got, v.ID)
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
