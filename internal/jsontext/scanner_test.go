package jsontext

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func scan(text string) *Scanner {
	var s Scanner
	s.Reset([]byte(text))
	return &s
}

// read builds the values that encoding/json builds, with the scanner.
func read(s *Scanner) any {
	switch s.next() {
	case '{':
		object := map[string]any{}
		for s.Object(); s.More(); {
			key := string(s.Key())
			object[key] = read(s)
		}
		return object
	case '[':
		array := []any{}
		for s.Array(); s.More(); {
			array = append(array, read(s))
		}
		return array
	case '"':
		return string(s.Text())
	case 'n':
		s.Null()
		return nil
	}
	return json.Number(s.Raw())
}

func depth(text []byte) int {
	d, deepest := 0, 0
	for _, c := range text {
		switch c {
		case '[', '{':
			d++
			deepest = max(deepest, d)
		case ']', '}':
			d--
		}
	}
	return deepest
}

func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"packs":[{"id":"00ff","n":12}]}` + "\n",
		` [1, -0.5e+3 ,true,false,null , "a\u00e9\ud83d\ude00\ud83d\n\/", {} , [ ] ] `,
		`[01]`, `[1.]`, `[-]`, `[1e]`, `[truf]`, `[1,]`, `{"a":1,}`, `{"a"}`, `[`, `"\x"`, `"\u12g4"`, `"` + "\x01" + `"`,
		`"` + "\xff\xe2\x80\xa8\xed\xa0\x80" + `"`, `""x`, ``, `nul`, `[}`, `{]`, strings.Repeat("[", 70) + strings.Repeat("]", 70),
		`{"a":[{"b":[]},{}],"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if depth(data) > MaxDepth {
			t.Skip("encoding/json goes deeper")
		}
		skip := scan(string(data))
		skip.Skip()
		if got, want := skip.End() == nil, json.Valid(data); got != want {
			t.Fatalf("valid: got %v (%v), want %v", got, skip.Err(), want)
		}
		pulled := scanReader(iotest.HalfReader(bytes.NewReader(data)))
		pulled.Skip()
		if err := pulled.End(); (err == nil) != (skip.Err() == nil) && len(data) <= maxToken {
			t.Fatalf("from a reader: got %v, want %v", err, skip.Err())
		}
		if skip.Err() != nil {
			return
		}
		s := scan(string(data))
		got := read(s)
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
		var want any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(booleans(got))
		b, _ := json.Marshal(booleans(want))
		if !bytes.Equal(a, b) {
			t.Fatalf("got %s, want %s", a, b)
		}
	})
}

// booleans makes literals comparable with numbers, as read does.
func booleans(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = booleans(v[key])
		}
	case []any:
		for i := range v {
			v[i] = booleans(v[i])
		}
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return string(v)
	}
	return v
}

func FuzzAppendString(f *testing.F) {
	var all strings.Builder
	for c := range 256 {
		all.WriteByte(byte(c))
	}
	f.Add(all.String())
	f.Add("é \u2028\u2029\ufffd\u00ad\ufeff\U0001fae0 \xed\xa0\x80 \xf0\x9f")
	f.Fuzz(func(t *testing.T, text string) {
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		got := AppendString(nil, text)
		if !bytes.Equal(got, want) {
			t.Fatalf("%q: got %s, want %s", text, got, want)
		}
		s := scan(string(got))
		back := s.Text()
		plain := s.Plain()
		if err := s.End(); err != nil || string(back) != strings.ToValidUTF8(text, "\ufffd") && string(back) != string([]rune(text)) {
			t.Fatalf("%q comes back as %q, %v", text, back, err)
		}
		if plain != (PlainLen(text) == len(text)) {
			t.Fatalf("%q: plain is %v", text, plain)
		}
	})
}

func TestUint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		limit uint64
		want  uint64
		ok    bool
	}{
		{"0", 0, 0, true},
		{"1", 0, 0, false},
		{"7", 6, 0, false},
		{"255", 255, 255, true},
		{"256", 255, 0, false},
		{"260", 255, 0, false},
		{"2550", 255, 0, false},
		{"4294967295", math.MaxUint32, math.MaxUint32, true},
		{"4294967296", math.MaxUint32, 0, false},
		{"18446744073709551615", math.MaxUint64, math.MaxUint64, true},
		{"18446744073709551616", math.MaxUint64, 0, false},
		{"18446744073709551620", math.MaxUint64, 0, false},
		{"99999999999999999999999", math.MaxUint64, 0, false},
		{"00", 9, 0, false},
		{"01", 9, 0, false},
		{"-0", 9, 0, false},
		{"1.0", 9, 0, false},
		{"1e0", 9, 0, false},
		{`"1"`, 9, 0, false},
		{"", 9, 0, false},
	} {
		s := scan(c.text)
		got := s.Uint(c.limit)
		err := s.End()
		if (err == nil) != c.ok || err == nil && got != c.want {
			t.Errorf("%s up to %d: got %d, %v", c.text, c.limit, got, err)
		}
	}
}

func TestHexAndBase64(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{`"00ff7a"`, true},
		{`"00fF7a"`, false},
		{`"00ff7"`, false},
		{`"00ff7a0"`, false},
		{`"00f\u0037a"`, false},
		{`"00ff7g"`, false},
		{`null`, false},
		{`"00ff7a`, false},
	} {
		s := scan(c.text)
		var got [3]byte
		s.Hex(got[:])
		if err := s.End(); (err == nil) != c.ok || err == nil && got != [3]byte{0, 0xff, 0x7a} {
			t.Errorf("hex %s: got %x, %v", c.text, got, err)
		}
	}
	for _, text := range []string{`""`, `"AA=="`, `"AB=="`, `"AAAA"`, `"AA\nAA"`, `"AA"`, `"A"`, `"AA=="x`, `"____"`, `7`} {
		s := scan(text)
		got := s.Base64()
		err := s.End()
		var want []byte
		wantErr := json.Unmarshal([]byte(text), &want)
		if (err == nil) != (wantErr == nil) || err == nil && (got == nil || !bytes.Equal(got, want)) {
			t.Errorf("base64 %s: got %x, %v; want %x, %v", text, got, err, want, wantErr)
		}
	}
}

func TestErrorsStick(t *testing.T) {
	t.Parallel()
	s := scan(`{"a":x,"b":1}`)
	n := 0
	for s.Object(); s.More(); n++ {
		s.Key()
		s.Uint(9)
	}
	first := s.Err()
	if first == nil || n != 1 || s.More() || s.Null() || s.Text() != nil || s.Raw() != nil || s.Base64() != nil {
		t.Fatalf("goes on after %v in round %d", first, n)
	}
	s.Fail(io.ErrUnexpectedEOF)
	if s.Err() != first || s.End() != first {
		t.Fatalf("error turned into %v", s.Err())
	}
	if s = scan("[]"); s.More() || s.Err() == nil {
		t.Fatal("More outside of a container")
	}
	s = scan("[1 2]")
	for s.Array(); s.More(); { // a value that nobody reads ends the loop
	}
	if s.Err() == nil {
		t.Fatal("a forgotten value was not noticed")
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		depth int
		ok    bool
	}{{MaxDepth, true}, {MaxDepth + 1, false}, {1 << 20, false}} {
		s := scan(strings.Repeat("[", c.depth) + strings.Repeat("]", c.depth))
		s.Skip()
		if err := s.End(); (err == nil) != c.ok {
			t.Errorf("depth %d: %v", c.depth, err)
		}
	}
	s := scan(`[[{}],{"a":[{}]},1]`)
	s.Skip()
	if err := s.End(); err != nil {
		t.Error(err)
	}
}

func TestSpacedAndToken(t *testing.T) {
	t.Parallel()
	s := scan(`{"a":"b\u0008","c":12}`)
	for s.Object(); s.More(); {
		if string(s.Key()) == "a" {
			s.Text()
			if got := string(s.Token()); got != `"b\u0008"` {
				t.Errorf("token %s", got)
			}
		} else {
			s.Uint(20)
			if got := string(s.Token()); got != "12" {
				t.Errorf("token %s", got)
			}
		}
	}
	if s.End() != nil || s.Spaced() {
		t.Errorf("error %v, spaced %v", s.Err(), s.Spaced())
	}
	for _, text := range []string{` {"a":1}`, `{ "a":1}`, `{"a" :1}`, `{"a": 1}`, `{"a":1 }`, "[1\t,2]", "[1,\n2]", "[1]\r"} {
		s := scan(text)
		s.Skip()
		if s.End() != nil || !s.Spaced() {
			t.Errorf("%q: error %v, spaced %v", text, s.Err(), s.Spaced())
		}
	}
}
