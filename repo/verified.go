package repo

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"russet/chunk"
)

// Verified says when packs were last read as a whole and found to be right. It
// is no part of the repository: what was true of one drive is not true of its
// mirror. It is safe for concurrent use. Use NewVerified or OpenVerified.
type Verified struct {
	mu    sync.Mutex
	times map[chunk.ID]int64 // seconds since 1970
}

// NewVerified knows of no pack.
func NewVerified() *Verified { return &Verified{times: map[chunk.ID]int64{}} }

// The sealed file of a Verified (docs/format.md, "Dates of verification"): the
// mark, then for each pack its id and a time, in seconds since 1970, big endian.
const (
	verifiedMark = "russet verified 1\n"
	// MaxVerified bounds the file in bytes: more than a million packs.
	MaxVerified  = 64 << 20
	verifiedSize = len(chunk.ID{}) + 8
)

// OpenVerified reads what SealVerified wrote. The error wraps ErrDamaged.
func (r *Repository) OpenVerified(sealed []byte) (*Verified, error) {
	if len(sealed) > MaxVerified {
		return nil, fmt.Errorf("read dates of verification: %w: %d bytes are too many", ErrDamaged, len(sealed))
	}
	plain, err := r.key.Open(nil, sealed)
	if err == nil {
		var v *Verified
		if v, err = decodeVerified(plain); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("read dates of verification: %w: %w", ErrDamaged, err)
}

func decodeVerified(plain []byte) (*Verified, error) {
	rest, ok := bytes.CutPrefix(plain, []byte(verifiedMark))
	if !ok || len(rest)%verifiedSize != 0 {
		return nil, errors.New("it is not a list of dates")
	}
	v := NewVerified()
	for ; len(rest) > 0; rest = rest[verifiedSize:] {
		var id chunk.ID
		n := copy(id[:], rest)
		v.times[id] = int64(binary.BigEndian.Uint64(rest[n:]))
	}
	return v, nil
}

// SealVerified gives the bytes of a file that OpenVerified reads.
func (r *Repository) SealVerified(v *Verified) []byte {
	return r.key.Seal(nil, v.append(nil))
}

func (v *Verified) append(dst []byte) []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	dst = append(dst, verifiedMark...)
	for _, id := range slices.SortedFunc(maps.Keys(v.times), chunk.ID.Compare) {
		dst = append(dst, id[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.times[id]))
	}
	return dst
}

// Len is of how many packs a time is known.
func (v *Verified) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.times)
}

// set notes that a pack was verified, or that it is not right.
func (v *Verified) set(id chunk.ID, at time.Time, right bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if right {
		v.times[id] = at.Unix()
	} else {
		delete(v.times, id)
	}
}

// retain forgets all packs but those.
func (v *Verified) retain(packs []packFile) {
	v.mu.Lock()
	defer v.mu.Unlock()
	kept := make(map[chunk.ID]int64, len(packs))
	for _, p := range packs {
		if at, ok := v.times[p.id]; ok {
			kept[p.id] = at
		}
	}
	v.times = kept
}

// due returns the packs that were not verified within age before now, those
// first that were verified longest ago. A time to come is none: some clock was wrong.
func (v *Verified) due(packs []packFile, now time.Time, age time.Duration) []packFile {
	v.mu.Lock()
	defer v.mu.Unlock()
	since := now.Add(-age).Unix()
	var due []packFile
	for _, p := range packs {
		if at, ok := v.times[p.id]; !ok || at < since || at > now.Unix() {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b packFile) int {
		return cmp.Or(cmp.Compare(v.times[a.id], v.times[b.id]), a.id.Compare(b.id))
	})
	return due
}
