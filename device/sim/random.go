package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// random is the only source of chance. What it gives depends on the seed and the name alone, and its integers are made
// here, without floating point, so that they are the same on every platform and with every release of Go.
type random struct{ *rand.ChaCha8 }

// newRandom returns the source of a name below a seed: independent for every name.
func newRandom(seed uint64, name ...any) random {
	return random{rand.NewChaCha8(derive(seed, name...))}
}

// derive returns 32 bytes that depend on all arguments, each of which prints unlike its neighbours.
func derive(seed uint64, name ...any) [32]byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 128), seed)
	for _, n := range name {
		switch n := n.(type) {
		case string:
			b = append(b, n...)
		case []byte:
			b = append(b, n...)
		default:
			b = fmt.Append(b, n)
		}
		b = append(b, 0)
	}
	return sha256.Sum256(b)
}

// n returns a number from 0 to limit-1.
func (r random) n(limit int) int {
	hi, _ := bits.Mul64(r.Uint64(), uint64(limit))
	return int(hi)
}

// between returns a number from low to high, both included.
func (r random) between(low, high int) int { return low + r.n(high-low+1) }

// oneIn says yes once in n times.
func (r random) oneIn(n int) bool { return r.n(n) == 0 }

// bytes returns n random bytes.
func (r random) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = r.Read(b) // which never fails
	return b
}

func pick[T any](r random, from []T) T { return from[r.n(len(from))] }

// uuid returns a version 4 UUID in capitals, as Apple writes them.
func (r random) uuid() string {
	b := r.bytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// logNormal returns a size that is distributed as those of the small files in app containers are: half are below 3 KB,
// and the mean is five times that. Powers of two are drawn as straight lines between them, which costs 6 % of accuracy
// and keeps floating point out.
func (r random) logNormal() int64 {
	const one = 1 << 16
	var z int // normal, deviation 1, in 1/65536: twelve uniform numbers added
	for range 3 {
		for v := r.Uint64(); v != 0; v >>= 16 {
			z += int(v & (one - 1))
		}
	}
	z -= 6 * one
	exponent := 11*one + one/2 + z*26/10 // 2^11.5 = 2,900 bytes; deviation 1.8 in natural logarithms
	if exponent < 0 {
		return 1
	}
	size := int64(one+exponent%one) << (exponent / one) >> 16
	return min(size, 4<<20)
}

// text is made of a corpus of property list pieces, so that it compresses like the text files of a phone: about 4 to 1.
type text struct {
	r      random
	corpus []byte
	piece  []byte // what is left of the current one
}

// Read implements io.Reader; it never ends.
func (t *text) Read(p []byte) (int, error) {
	for done := 0; done < len(p); {
		if len(t.piece) == 0 {
			start := t.r.n(len(t.corpus) - 4096)
			t.piece = t.corpus[start:][:t.r.between(100, 2000)]
		}
		n := copy(p[done:], t.piece)
		t.piece, done = t.piece[n:], done+n
	}
	return len(p), nil
}

// newCorpus writes 1 MiB of property list.
func newCorpus(seed uint64) []byte {
	r := newRandom(seed, "corpus")
	b := make([]byte, 0, 1<<20+256)
	for len(b) < 1<<20 {
		b = append(b, "\t<key>"...)
		b = append(b, pick(r, words)...)
		b = append(b, pick(r, words)...)
		b = append(b, "</key>\n\t"...)
		switch r.n(4) {
		case 0:
			b = fmt.Appendf(b, "<integer>%d</integer>\n", r.n(1_000_000))
		case 1:
			b = fmt.Appendf(b, "<string>%s</string>\n", r.uuid())
		case 2:
			b = fmt.Appendf(b, "<real>%d.%06d</real>\n", 600_000_000+r.n(200_000_000), r.n(1_000_000))
		default:
			b = append(b, "<string>"...)
			b = append(b, sentence(r)...)
			b = append(b, "</string>\n"...)
		}
	}
	return b[:1<<20]
}

// sentence returns some words.
func sentence(r random) string {
	b := make([]byte, 0, 128)
	for i := range r.between(2, 18) {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, pick(r, words)...)
	}
	return string(append(b, '.'))
}

// words are what sentences and names are made of.
var words = []string{
	"about", "account", "after", "again", "album", "amber", "animal", "answer", "apple", "april", "autumn", "away",
	"baker", "basket", "beach", "before", "bicycle", "bird", "boat", "bread", "breakfast", "bridge", "brother", "cache",
	"call", "candle", "castle", "chair", "cheese", "church", "cinema", "cloud", "coffee", "collar", "corner", "country",
	"date", "dinner", "doctor", "door", "dream", "early", "earth", "east", "evening", "family", "father", "favourite",
	"field", "finger", "flower", "folder", "forest", "friday", "friend", "garden", "glass", "grandma", "green", "ground",
	"happy", "harbour", "heart", "holiday", "home", "horse", "hotel", "house", "identifier", "index", "island", "jacket",
	"kitchen", "lake", "later", "letter", "light", "little", "lunch", "market", "message", "milk", "monday", "money",
	"morning", "mother", "mountain", "music", "name", "newspaper", "night", "north", "number", "office", "often", "orange",
	"paper", "party", "pencil", "people", "photo", "picture", "place", "please", "pocket", "quiet", "rain", "reading",
	"recent", "red", "river", "school", "season", "share", "shoes", "sister", "snow", "spoon", "spring", "station",
	"street", "sugar", "summer", "sunday", "table", "thanks", "ticket", "time", "today", "tomorrow", "tower", "train",
	"travel", "tree", "update", "version", "village", "visit", "walk", "water", "weather", "week", "window", "winter",
	"wonder", "yellow", "yesterday", "young", "schön", "été", "mañana", "niño", "Grüße", "über", "naïve", "今日は", "ありがとう",
	"спасибо", "привет", "😀", "👍", "❤️",
}
