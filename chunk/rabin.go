package chunk

// The numbers of restic's chunker (restic design document, "Chunker"); all are part of the format.
const (
	// MinSize is the smallest chunk in bytes, except for the last one of a file and for groups of database pages.
	MinSize = 512 << 10
	// MaxSize is the largest chunk in bytes.
	MaxSize = 8 << 20

	// windowSize is the number of bytes that the fingerprint looks back upon.
	windowSize = 64
	// cutBits is the number of low bits of the fingerprint that are clear where a chunk may end: 1 MiB on average.
	cutBits = 20
)

// The fingerprint of a window is its bytes, read as a polynomial, modulo the repository's polynomial: 53 bits. It is kept
// in the upper 53 bits of a word, so that the byte that leaves on a shift by eight is the word's own top byte; that index
// needs no mask, and the shift itself drops what the modulo table replaces.
const (
	align   = 64 - degree
	cutMask = (1<<cutBits - 1) << align
)

// laneSize is the length of each of the four stretches that are fingerprinted side by side. One fingerprint is a chain of
// dependent loads, which leaves a processor idle most of the time; four independent ones fill it. A longer stretch wastes
// less on the 64 bytes that each lane reads to warm up, a shorter one stays in the first-level cache.
const laneSize = 4 << 10

// rabin holds the tables for one polynomial.
type rabin struct {
	mod [256]uint64 // by the byte shifted out: its residue
	out [256]uint64 // by the byte that leaves the window: what it adds to the fingerprint after the shift
}

func newRabin(p Pol) rabin {
	var t rabin
	for i := range t.mod {
		t.mod[i] = mulX(uint64(i), degree, p) << align
		t.out[i] = mulX(uint64(i), 8*windowSize, p) << align
	}
	return t
}

// mulX returns v*x^n modulo p.
func mulX(v uint64, n int, p Pol) uint64 {
	for range n {
		v <<= 1
		if v>>degree != 0 {
			v ^= uint64(p)
		}
	}
	return v
}

// find looks for the smallest length n of b with from < n <= len(b) at which a chunk may end; at least 64 bytes must lie
// before from. It returns that length, or 0 and how far it has looked: to the end of b if b is all there will be, else
// only as far as whole blocks go, since they are so much faster than single bytes.
//
// What distinguishes this from a rolling hash that starts with the chunk: a legal end lies so far behind the beginning
// that its fingerprint depends on the last 64 bytes only, so one can start anywhere, and in several places at once.
func (t *rabin) find(b []byte, from int, all bool) (n, seen int) {
	d := t.warm(b[from-windowSize:])
	for len(b)-from >= 4*laneSize {
		if n, d = t.lanes((*block)(b[from-windowSize:]), d); n != 0 {
			return from + n, 0
		}
		from += 4 * laneSize
	}
	if !all {
		return 0, from
	}
	if n = t.roll(b[from-windowSize:], d); n != 0 {
		return from + n, 0
	}
	return 0, len(b)
}

// warm returns the fingerprint of a window.
func (t *rabin) warm(window []byte) uint64 {
	var d uint64
	for _, c := range window[:windowSize] {
		d = (d+uint64(c)<<(align-8))<<8 ^ t.mod[d>>56]
	}
	return d
}

// roll moves the window, which has the fingerprint d, from the beginning of b to its end, and returns after how many
// bytes a chunk may end, or 0.
func (t *rabin) roll(b []byte, d uint64) int {
	in := b[windowSize:]
	out := b[:len(in)]
	for i, c := range in {
		d = (d+uint64(c)<<(align-8))<<8 ^ t.mod[d>>56] ^ t.out[out[i]]
		if d&cutMask == 0 {
			return i + 1
		}
	}
	return 0
}

// block is the bytes of four lanes, one after the other, and the window before them.
type block = [windowSize + 4*laneSize]byte

// lanes does what roll does, for one block, and returns the fingerprint at its end too.
//
// The form of the step matters: a sum with eight times a byte is one instruction on amd64 and arm64, and the word's top
// byte needs no bounds check. The low bits of the word are clear, so the sum never carries.
func (t *rabin) lanes(b *block, d0 uint64) (int, uint64) {
	const l1, l2, l3 = laneSize, 2 * laneSize, 3 * laneSize
	var d1, d2, d3 uint64
	for i := range windowSize {
		d1 = (d1+uint64(b[i+l1])<<(align-8))<<8 ^ t.mod[d1>>56]
		d2 = (d2+uint64(b[i+l2])<<(align-8))<<8 ^ t.mod[d2>>56]
		d3 = (d3+uint64(b[i+l3])<<(align-8))<<8 ^ t.mod[d3>>56]
	}
	for i := range laneSize {
		d0 = (d0+uint64(b[i+windowSize])<<(align-8))<<8 ^ t.mod[d0>>56] ^ t.out[b[i]]
		d1 = (d1+uint64(b[i+l1+windowSize])<<(align-8))<<8 ^ t.mod[d1>>56] ^ t.out[b[i+l1]]
		d2 = (d2+uint64(b[i+l2+windowSize])<<(align-8))<<8 ^ t.mod[d2>>56] ^ t.out[b[i+l2]]
		d3 = (d3+uint64(b[i+l3+windowSize])<<(align-8))<<8 ^ t.mod[d3>>56] ^ t.out[b[i+l3]]
		if d0&cutMask == 0 || d1&cutMask == 0 || d2&cutMask == 0 || d3&cutMask == 0 {
			return t.first(b, i+1, [4]uint64{d0, d1, d2, d3}), 0
		}
	}
	return 0, d3
}

// first returns the first place of a hit when at least one lane has hit after done bytes of each. An earlier lane may
// still hit in its remainder, which lies before the hit that was seen.
func (t *rabin) first(b *block, done int, digests [4]uint64) int {
	for k, d := range digests {
		at := k*laneSize + done
		if d&cutMask == 0 {
			return at
		}
		if n := t.roll(b[at:(k+1)*laneSize+windowSize], d); n != 0 {
			return at + n
		}
	}
	panic("chunk: no lane has hit")
}
