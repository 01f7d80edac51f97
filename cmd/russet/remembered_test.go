package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"russet/chunk"
)

// What is remembered of a place elsewhere comes back, in files that do not say where that is or how one gets in.
func TestRemembered(t *testing.T) {
	t.Parallel()
	const elsewhere = "rest:http://me:secretword@secrethost/x/"
	p := &program{storage: storage{local: t.TempDir()}}
	if !p.recallKey(elsewhere).IsZero() || !p.recallPacks(elsewhere).IsZero() {
		t.Error("something is recalled that nobody remembered")
	}
	id := chunk.Sum([]byte("key"))
	p.remember(elsewhere, rememberedKey, id.String())
	p.remember(elsewhere, rememberedPacks, "")
	if got := p.recallKey(elsewhere); got != id {
		t.Errorf("got key %v, want %v", got, id)
	}
	if ago := time.Since(p.recallPacks(elsewhere)); ago > time.Hour {
		t.Errorf("the packs were listed %v ago, want now", ago)
	}
	if !p.recallKey("rest:http://otherhost/x/").IsZero() {
		t.Error("another place has the same key")
	}
	names, err := filepath.Glob(filepath.Join(p.storage.local, "*", "*"))
	if err != nil || len(names) != 2 {
		t.Fatalf("there are %d files, want 2", len(names))
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || strings.Contains(name+string(text), "secret") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if err := os.WriteFile(name, []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !p.recallKey(elsewhere).IsZero() {
		t.Error("garbage is taken for a key")
	}
	none := &program{storage: storage{local: p.storage.local, noCache: true}}
	none.remember("rest:http://third/", rememberedKey, id.String())
	p.remember("/a/drive", rememberedKey, id.String())
	if names, _ = filepath.Glob(filepath.Join(p.storage.local, "*", "*")); len(names) != 2 {
		t.Errorf("there are %d files, want 2", len(names))
	}
}
