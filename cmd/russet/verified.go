package main

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"russet/internal/durable"
	"russet/repo"
)

// verifiedFile is the file in the repository's spool that says when which pack
// was last read whole. It stays on the drive: a mirror has none of it.
type verifiedFile struct {
	p     *program
	r     *repo.Repository
	at    string // address
	dates *repo.Verified
}

// name is the file's. What was read in one place says nothing of a copy of the
// repository in another.
func (v *verifiedFile) name() string {
	if isRemote(v.at) {
		return "verified-" + localKey(v.at)
	}
	return "verified"
}

// readVerified reads the file of the repository at place. Without one no pack
// was verified.
func (p *program) readVerified(r *repo.Repository, place string) *verifiedFile {
	v := &verifiedFile{p: p, r: r, at: place, dates: repo.NewVerified()}
	dir, err := p.spoolFolder(place, r.ID().String(), "")
	if err != nil {
		return v
	}
	spool, err := os.OpenRoot(dir)
	if err != nil {
		return v
	}
	defer spool.Close()
	info, err := spool.Lstat(v.name())
	if err == nil && (!info.Mode().IsRegular() || info.Size() > repo.MaxVerified) {
		err = repo.ErrDamaged
	}
	var sealed []byte
	if err == nil {
		sealed, err = spool.ReadFile(v.name())
	}
	if err == nil {
		var dates *repo.Verified
		if dates, err = r.OpenVerified(sealed); err == nil {
			v.dates = dates
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.warn("when packs were verified cannot be read, so that all count as never verified: %v", durable.WithoutPath(err))
	}
	return v
}

// save writes the file, if a pack was ever verified.
func (v *verifiedFile) save() {
	if v.dates.Len() == 0 {
		return
	}
	dir, err := v.p.spoolFolder(v.at, v.r.ID().String(), "")
	var spool *os.Root
	if err == nil {
		spool, err = openSpool(dir)
	}
	if err == nil {
		defer spool.Close()
		err = durable.WriteFile(spool, v.name(), v.r.SealVerified(v.dates), 0o600)
	}
	if err != nil {
		v.p.warn("what was verified could not be noted, and will be read again: %v", durable.WithoutPath(err))
	}
}

// parseAge reads an age as people write it: 30d, 2w, 12h.
func parseAge(flag, text string) (time.Duration, error) {
	bad := usageError{flag + ": " + strconv.Quote(text) + " is no age; 30d is one"}
	if text == "" {
		return 0, bad
	}
	number, unit := text[:len(text)-1], time.Duration(0)
	switch text[len(text)-1] {
	case 'h':
		unit = time.Hour
	case 'd':
		unit = 24 * time.Hour
	case 'w':
		unit = 7 * 24 * time.Hour
	}
	const longest = 100 * 365 * 24 * time.Hour
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || unit == 0 || n <= 0 || time.Duration(n) > longest/unit || strings.HasPrefix(number, "+") {
		return 0, bad
	}
	return time.Duration(n) * unit, nil
}
