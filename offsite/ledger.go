package offsite

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"russet/chunk"
)

// Method says how it is known that a pack is what its name says.
type Method uint8

// The methods, as the ledger numbers them.
const (
	Unproven     Method = iota // it never was
	PutVerified                // the storage told its SHA-256 when it had been put there
	HeadSHA256                 // the storage told the SHA-256 that it has kept since then
	RemoteSHA256               // the storage read it and told its SHA-256
	Downloaded                 // it was read from there, and hashed here
)

// String gives the method as --json has it.
func (m Method) String() string {
	switch m {
	case Unproven:
		return "unproven"
	case PutVerified:
		return "put-verified"
	case HeadSHA256:
		return "head-sha256"
	case RemoteSHA256:
		return "remote-sha256"
	case Downloaded:
		return "downloaded"
	}
	return fmt.Sprintf("method %d", uint8(m))
}

// Result is what the last look at a pack gave.
type Result uint8

// The results, as the ledger numbers them.
const (
	Unknown Result = iota // nobody has looked yet
	Right                 // its bytes match its name
	Damaged               // they do not, or cannot be read
	Missing               // it is not there
)

// String says it in a word.
func (r Result) String() string {
	switch r {
	case Unknown:
		return "unknown"
	case Right:
		return "right"
	case Damaged:
		return "damaged"
	case Missing:
		return "missing"
	}
	return fmt.Sprintf("result %d", uint8(r))
}

// Entry is what is known of a pack of a copy. Times are in seconds since 1970, as of
// the beginning of the run that noted them; 0 is never.
type Entry struct {
	Size   int64  // bytes
	Put    uint32 // when a run first found it there
	Proven uint32 // when it was last right
	Method Method // of that
	Result Result // of the last look
}

// bad tells that the last look found nothing, or not what was put there.
func (e Entry) bad() bool { return e.Result == Damaged || e.Result == Missing }

// Ledger is what is known of the packs that a copy's index names.
type Ledger map[chunk.ID]Entry

// The ledger's file (docs/format.md, "Offsite copies"): the mark, whose digit is the
// version, and for each pack, sorted by its id, that and an entry, big endian.
const (
	ledgerMark = "russet ledger 1\n"
	entrySize  = len(chunk.ID{}) + 4 + 4 + 4 + 1 + 1
	// maxPacks is 16 TiB of packs of the usual size.
	maxPacks = 1 << 20
	maxFile  = 64 << 20 // bytes of any file of a state
)

func (l Ledger) encode() ([]byte, error) {
	if len(l) > maxPacks {
		return nil, fmt.Errorf("write ledger: %d packs are more than %d", len(l), maxPacks)
	}
	dst := append(make([]byte, 0, len(ledgerMark)+len(l)*entrySize), ledgerMark...)
	for _, id := range slices.SortedFunc(maps.Keys(l), chunk.ID.Compare) {
		e := l[id]
		dst = append(dst, id[:]...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(min(e.Size, 1<<32-1)))
		dst = binary.BigEndian.AppendUint32(dst, e.Put)
		dst = binary.BigEndian.AppendUint32(dst, e.Proven)
		dst = append(dst, byte(e.Method), byte(e.Result))
	}
	return dst, nil
}

// decodeLedger reads what encode wrote, or a stranger.
func decodeLedger(data []byte) (Ledger, error) {
	rest, ok := bytes.CutPrefix(data, []byte(ledgerMark))
	switch {
	case !ok:
		return nil, errors.New("it is no ledger of version 1")
	case len(rest)%entrySize != 0:
		return nil, errors.New("its last entry is cut short")
	case len(rest)/entrySize > maxPacks:
		return nil, fmt.Errorf("more than %d packs", maxPacks)
	}
	l := make(Ledger, len(rest)/entrySize)
	var last chunk.ID
	for n := 0; len(rest) > 0; n++ {
		var id chunk.ID
		copy(id[:], rest)
		if n > 0 && id.Compare(last) <= 0 {
			return nil, errors.New("its packs are not in order")
		}
		field := rest[len(id):entrySize]
		e := Entry{
			Size:   int64(binary.BigEndian.Uint32(field)),
			Put:    binary.BigEndian.Uint32(field[4:]),
			Proven: binary.BigEndian.Uint32(field[8:]),
			Method: Method(field[12]), Result: Result(field[13]),
		}
		if e.Method > Downloaded || e.Result > Missing {
			return nil, errors.New("an entry is of an unknown method or result")
		}
		l[id], last, rest = e, id, rest[entrySize:]
	}
	return l, nil
}

// seconds is a time as the ledger has it.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), 1<<32-1)) }

// moment is the opposite of seconds; zero for never.
func moment(s uint32) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// due returns all packs: those first that are not right as far as is known, then by
// their proofs, the oldest first. A proof to come is none: some clock was wrong. Of
// equals the id decides, so that runs read neighbours, and change one place of the
// ledger's file.
func (l Ledger) due(now time.Time) []chunk.ID {
	age := func(id chunk.ID) uint32 {
		if e := l[id]; e.Result == Right && e.Proven <= seconds(now) {
			return e.Proven
		}
		return 0
	}
	return slices.SortedFunc(maps.Keys(l), func(a, b chunk.ID) int {
		return cmp.Or(cmp.Compare(age(a), age(b)), a.Compare(b))
	})
}
