package chunk

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestSum(t *testing.T) {
	t.Parallel()
	// The example of FIPS 180-2.
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := Sum([]byte("abc")).String(); got != want {
		t.Errorf("Sum(abc) = %s, want %s", got, want)
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	want := Sum([]byte("abc"))
	if got, err := ParseID(want.String()); err != nil || got != want {
		t.Errorf("ParseID(%q) = %v, %v", want.String(), got, err)
	}
	digits := strings.Repeat("0123456789abcdef", 4)
	if got, err := ParseID(digits); err != nil || got.String() != digits {
		t.Errorf("ParseID(%q) = %v, %v", digits, got, err)
	}
	for _, bad := range []string{
		"", digits[1:], digits + "0", strings.ToUpper(digits), digits[:63] + "g", "/" + digits[1:], ":" + digits[1:],
		"`" + digits[1:], digits[:62] + "é", "0x" + digits[2:], " " + digits[1:], digits[:63] + "\x00",
	} {
		if got, err := ParseID(bad); err == nil || !got.IsZero() {
			t.Errorf("ParseID(%q) = %v, %v, want an error", bad, got, err)
		}
	}
}

func TestIDText(t *testing.T) {
	t.Parallel()
	type file struct {
		Content []ID
		Sizes   map[ID]int
	}
	a, b := Sum([]byte("a")), Sum([]byte("b"))
	want := file{[]ID{b, a, {}}, map[ID]int{a: 1}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got file
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Content, want.Content) || got.Sizes[a] != 1 {
		t.Errorf("%s became %v", text, got)
	}
	if err := a.UnmarshalText([]byte("no")); err == nil || a != Sum([]byte("a")) {
		t.Errorf("UnmarshalText(no) = %v, and left %v", err, a)
	}
	if got := string(a.AppendHex([]byte("x"))); got != "x"+a.String() {
		t.Errorf("AppendHex = %s", got)
	}
}

func TestIDOrder(t *testing.T) {
	t.Parallel()
	low, high := ID{31: 1}, ID{0: 0xa0}
	if low.Compare(high) >= 0 || high.Compare(low) <= 0 || low.Compare(low) != 0 {
		t.Error("Compare does not order by bytes")
	}
	if !(ID{}).IsZero() || low.IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestPol(t *testing.T) {
	t.Parallel()
	p, err := ParsePol("3da3358b4dc173")
	if err != nil || p != testPol || p.String() != "3da3358b4dc173" {
		t.Errorf("ParsePol = %v, %v", p, err)
	}
	for _, bad := range []string{
		"", "x", "0", "1", "-3da3358b4dc173", "0x3da3358b4dc173", "3da3358b4dc172", // even: divisible by x
		"3da3358b4dc171", // an even number of terms: divisible by x+1
		"2000000000000b", "7da3358b4dc173", "1da3358b4dc173", "ffffffffffffffff", "13da3358b4dc17300",
	} {
		if p, err := ParsePol(bad); err == nil {
			t.Errorf("ParsePol(%q) = %v, want an error", bad, p)
		}
	}
	if _, err := NewCutter(testPol - 1); err == nil {
		t.Error("NewCutter takes a reducible polynomial")
	}
	a, errA := RandomPol()
	b, errB := RandomPol()
	if errA != nil || errB != nil || a == b {
		t.Fatalf("RandomPol = %v, %v, then %v, %v", a, errA, b, errB)
	}
	if got, err := ParsePol(a.String()); err != nil || got != a {
		t.Errorf("ParsePol(%v) = %v, %v", a, got, err)
	}
}
