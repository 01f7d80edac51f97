package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"russet/chunk"
)

// What this computer remembers of places elsewhere, so that less is asked there. Each is a small file, and all of it can be
// lost at any time.
const (
	rememberedKey   = "key"   // the id of the key that opened the repository last
	rememberedPacks = "packs" // the file's time is when the packs were last listed
)

// lookForPacks is how often a backup lists the packs of a repository elsewhere, to store again what was lost there: a
// large one has many thousands.
const lookForPacks = 7 * 24 * time.Hour

// remembers is the file in which something of a place is remembered, or "".
func (p *program) remembers(address, what string) string {
	if p.storage.noCache || p.storage.local == "" || !isRemote(address) {
		return ""
	}
	return filepath.Join(p.storage.local, "places", localKey(address)+"-"+what)
}

// recallKey is the key that opened a repository last, or zero.
func (p *program) recallKey(address string) chunk.ID {
	text, err := os.ReadFile(p.remembers(address, rememberedKey))
	if err != nil {
		return chunk.ID{}
	}
	id, _ := chunk.ParseID(strings.TrimSpace(string(text))) // none, if it is none
	return id
}

// recallPacks is when the packs of a repository were last listed, or zero.
func (p *program) recallPacks(address string) time.Time {
	info, err := os.Stat(p.remembers(address, rememberedPacks))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// remember writes down what is to be recalled. Where that fails more is asked the
// next time.
func (p *program) remember(address, what, text string) {
	name := p.remembers(address, what)
	if name == "" {
		return
	}
	if old, err := os.ReadFile(name); err == nil && string(old) == text && what != rememberedPacks {
		return
	}
	if os.MkdirAll(filepath.Dir(name), 0o700) == nil {
		_ = os.WriteFile(name, []byte(text), 0o600)
	}
}
