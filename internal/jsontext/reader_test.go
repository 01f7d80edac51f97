package jsontext

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func scanReader(src io.Reader) *Scanner {
	var s Scanner
	s.ResetReader(src)
	return &s
}

// A text of several windows, of strings, numbers and keys of every length, is
// read as encoding/json reads it, wherever its tokens come to lie.
func TestWindows(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("[")
	for i := 0; text.Len() < 4*window; i++ {
		key := strings.Repeat("key", i%100)
		if i%3 == 0 {
			key += `\u00e9`
		}
		text.WriteString(`{"` + key + `"` + strings.Repeat(" ", i%7) + `:[12345678901234567890,"` + strings.Repeat("vé", i%97) + `",true,null]} ,`)
	}
	text.WriteString(`"` + strings.Repeat("x", maxToken-2) + `"` + strings.Repeat("\n", 2*window) + "]")
	var want any
	d := json.NewDecoder(strings.NewReader(text.String()))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	want = booleans(want)
	var s Scanner
	for shift := range 60 {
		src := io.MultiReader(strings.NewReader(strings.Repeat(" ", shift*11)), strings.NewReader(text.String()))
		if shift%2 == 1 {
			src = iotest.HalfReader(iotest.DataErrReader(src))
		}
		s.ResetReader(src)
		got := booleans(read(&s))
		if err := s.End(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("shifted by %d: not the same, %v", 11*shift, err)
		}
	}
}

// What is cut short, or broken, is never taken for whole.
func TestReaderErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, err := range []error{broken, io.ErrUnexpectedEOF} {
		for _, text := range []string{"", "[", "[1", "[1]", "[1] ", `["a`, strings.Repeat(" ", window) + "[]"} {
			s := scanReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(err)))
			s.Skip()
			if got := s.End(); !errors.Is(got, err) {
				t.Errorf("%.9q: got %v, want %v", text, got, err)
			}
		}
	}
	s := scanReader(io.MultiReader(strings.NewReader("[1,2,"), iotest.ErrReader(broken)))
	n := 0
	for s.Array(); s.More(); n++ {
		s.Uint(9)
	}
	if n != 3 || !errors.Is(s.Err(), broken) {
		t.Errorf("%d values were read before %v", n, s.Err())
	}
	long := strings.Repeat("1", window+1)
	for _, text := range []string{long, `"` + long + `"`, "[" + long + "]", `{"` + long + `":1}`, `["` + long, "[" + strings.Repeat(" ", window) + "x", "[] " + long} {
		s := scanReader(strings.NewReader(text))
		s.Skip()
		if err := s.End(); err == nil || len(err.Error()) > 200 {
			t.Errorf("%.9q and more: accepted, or %v", text, err)
		}
	}
	s = scanReader(strings.NewReader("[" + strings.Repeat("[1],", window) + "1]"))
	if got := s.Raw(); got != nil || s.End() == nil {
		t.Errorf("a value of %d bytes is given although it is not there any more", len(got))
	}
	s = scanReader(strings.NewReader(strings.Repeat(" ", window-4) + `{"a":[1,2]}`))
	if got := s.Raw(); string(got) != `{"a":[1,2]}` || s.End() != nil {
		t.Errorf("got %q, %v", got, s.Err())
	}
	s = scanReader(strings.NewReader(strings.Repeat(" ", 2*window) + "x"))
	if s.Skip(); s.Err() == nil || !strings.Contains(s.Err().Error(), "offset 262144:") {
		t.Errorf("the place is wrong: %v", s.Err())
	}
}
