package index

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"russet/chunk"
)

// The structs that encoding/json is given, as restic's design document
// describes an index.
type (
	refIndex struct {
		Packs []refPack `json:"packs"`
	}
	refPack struct {
		ID    chunk.ID  `json:"id"`
		Blobs []refBlob `json:"blobs"`
	}
	refBlob struct {
		ID        chunk.ID `json:"id"`
		Type      BlobType `json:"type"`
		Offset    uint32   `json:"offset"`
		Length    uint32   `json:"length"`
		RawLength uint32   `json:"uncompressed_length,omitempty"`
	}
)

// UnmarshalText is for tests alone: Decode reads types faster.
func (t *BlobType) UnmarshalText(text []byte) error {
	switch string(text) {
	case "data":
		*t = Data
	case "tree":
		*t = Tree
	default:
		return errType
	}
	return nil
}

func (r refIndex) packs() []Pack {
	var packs []Pack
	for _, p := range r.Packs {
		pack := Pack{ID: p.ID}
		for _, b := range p.Blobs {
			pack.Blobs = append(pack.Blobs, Blob{Handle{b.ID, b.Type}, b.Offset, b.Length, b.RawLength})
		}
		packs = append(packs, pack)
	}
	return packs
}

func newRef(packs []Pack) refIndex {
	r := refIndex{Packs: []refPack{}}
	for _, p := range packs {
		pack := refPack{ID: p.ID, Blobs: []refBlob{}}
		for _, b := range p.Blobs {
			pack.Blobs = append(pack.Blobs, refBlob{b.ID, b.Type, b.Offset, b.Length, b.RawLength})
		}
		r.Packs = append(r.Packs, pack)
	}
	return r
}

func decodeAll(data []byte) ([]Pack, error) {
	var packs []Pack
	var d Decoder
	err := d.Decode(bytes.NewReader(data), func(p Pack) error {
		p.Blobs = slices.Clone(p.Blobs)
		if len(p.Blobs) == 0 {
			p.Blobs = nil
		}
		packs = append(packs, p)
		return nil
	})
	return packs, err
}

// name makes an id out of a number.
func name(n int) chunk.ID {
	return chunk.Sum(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func TestDecodeDocumented(t *testing.T) {
	t.Parallel()
	// Section "Indexing" of restic's design document.
	const document = `{
  "supersedes": ["ed54ae36197f4745ebc4b54d10e0f623eaaaedd03013eb7ae90df881b7781452"],
  "packs": [
    {
      "id": "73d04e6125cf3c28a299cc2f3cca3b78ceac396e4fcf9575e34536b26782413c",
      "blobs": [
        {"id": "3ec79977ef0cf5de7b08cd12b874cd0f62bbaf7f07f3497a5b1bbcc8cb39b1ce", "type": "data", "offset": 0, "length": 38, "uncompressed_length": 56},
        {"id": "9ccb846e60d90d4eb915848add7aa7ea1e4bbabfc60e573db9f7bfb2789afbae", "type": "tree", "offset": 38, "length": 112, "uncompressed_length": 12},
        {"id": "d3dc577b4ffd38cc4b32122cabf8655a0223ed22edfd93b353dc0c3f2b0fdf66", "type": "data", "offset": 150, "length": 123, "packer": {"a": [null]}}
      ],
      "time": "2026-01-02T03:04:05Z", "size": 12
    }
  ],
  "packs_to_delete": [{"id": "no"}]
}`
	packs, err := decodeAll([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	id := func(s string) chunk.ID {
		parsed, err := chunk.ParseID(s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	want := []Pack{{ID: id("73d04e6125cf3c28a299cc2f3cca3b78ceac396e4fcf9575e34536b26782413c"), Blobs: []Blob{
		{Handle{id("3ec79977ef0cf5de7b08cd12b874cd0f62bbaf7f07f3497a5b1bbcc8cb39b1ce"), Data}, 0, 38, 56},
		{Handle{id("9ccb846e60d90d4eb915848add7aa7ea1e4bbabfc60e573db9f7bfb2789afbae"), Tree}, 38, 112, 12},
		{Handle{id("d3dc577b4ffd38cc4b32122cabf8655a0223ed22edfd93b353dc0c3f2b0fdf66"), Data}, 150, 123, 0},
	}}}
	if !reflect.DeepEqual(packs, want) {
		t.Errorf("got %v, want %v", packs, want)
	}
	if got := want[0].Blobs[0].Size(); got != 56 {
		t.Errorf("size of a compressed blob: %d", got)
	}
	if got := want[0].Blobs[2].Size(); got != 123-32 {
		t.Errorf("size of a raw blob: %d", got)
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	packs := []Pack{
		{ID: name(1), Blobs: []Blob{{Handle{name(2), Data}, 0, 32, 0}, {Handle{name(3), Tree}, 32, 90, 200}}},
		{ID: name(4), Blobs: []Blob{{Handle{name(2), Tree}, math.MaxUint32 - 99, 99, math.MaxUint32}}},
	}
	for n := range len(packs) + 1 {
		want, err := json.Marshal(newRef(packs[:n]))
		if err != nil {
			t.Fatal(err)
		}
		got := Append([]byte("x"), packs[:n])
		if string(got) != "x"+string(want)+"\n" {
			t.Errorf("got %s, want %s", got, want)
		}
		back, err := decodeAll(got[1:])
		if err != nil || !reflect.DeepEqual(back, append([]Pack(nil), packs[:n]...)) {
			t.Errorf("decoded as %v, %v", back, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	id := name(1).String()
	blob := `{"id":"` + id + `","type":"data","offset":1,"length":40}`
	pack := `{"id":"` + id + `","blobs":[` + blob + `]}`
	good := `{"packs":[` + pack + `]}`
	if _, err := decodeAll([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "[]", "null", good + "x", good[:len(good)-1], `{"packs":{}}`, `{"packs":[null]}`, `{"packs":[1]}`,
		strings.Replace(good, blob, "null", 1),
		strings.Replace(good, `"length":40`, `"length":31`, 1),
		strings.Replace(good, `"length":40`, `"length":-40`, 1),
		strings.Replace(good, `"length":40`, `"length":4294967296`, 1),
		strings.Replace(good, `"length":40`, `"length":4294967295`, 1), // ends beyond 4 GiB
		strings.Replace(good, `"length":40`, `"length":40.5`, 1),
		strings.Replace(good, `"length":40`, `"length":40,"length":41`, 1),
		strings.Replace(good, `,"length":40`, ``, 1),
		strings.Replace(good, `"offset":1,`, ``, 1),
		strings.Replace(good, `"type":"data",`, ``, 1),
		strings.Replace(good, `"type":"data"`, `"type":"blob"`, 1),
		strings.Replace(good, `"type":"data"`, `"type":0`, 1),
		strings.Replace(good, id, id[1:], 1),
		strings.Replace(good, id, strings.ToUpper(id), 1),
		strings.ReplaceAll(good, `"id":"`+id+`",`, ``),
		strings.Replace(good, `[`+pack, `[{"blobs":[]},`+pack, 1),
		`{"packs":[` + `{"id":"` + id + `","blobs":[` + strings.Repeat(blob+",", maxPackBlobs) + blob + `]}]}`,
	} {
		if _, err := decodeAll([]byte(text)); err == nil {
			t.Errorf("accepted %.300s", text)
		} else if strings.Contains(err.Error(), id[:8]) {
			t.Errorf("error shows content: %v", err)
		}
	}
	for _, text := range []string{
		"{}", `{"packs":null}`, " {} \n", `{"packs":[]}`, `{"packs_to_delete":[` + pack + `]}`,
	} {
		if packs, err := decodeAll([]byte(text)); err != nil || len(packs) != 0 {
			t.Errorf("%s: got %v, %v", text, packs, err)
		}
	}
	if packs, err := decodeAll([]byte(`{"packs":[{"blobs":null,"id":"` + id + `"}]}`)); err != nil || len(packs) != 1 {
		t.Errorf("pack without blobs: got %v, %v", packs, err)
	}
}

func TestDecodeStops(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	data := Append(nil, []Pack{{ID: name(1)}, {ID: name(2)}, {ID: name(3)}})
	n := 0
	err := new(Decoder).Decode(bytes.NewReader(data), func(Pack) error {
		if n++; n == 2 {
			return stop
		}
		return nil
	})
	if err != stop || n != 2 {
		t.Errorf("got %v after %d packs", err, n)
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprint(Data, Tree, BlobType(7)); got != "data tree BlobType(7)" {
		t.Errorf("got %s", got)
	}
	if _, err := BlobType(7).MarshalText(); err == nil {
		t.Error("marshals an unknown type")
	}
	if got := (Handle{name(1), Tree}).String(); got != "tree/"+name(1).String()[:8] {
		t.Errorf("got %s", got)
	}
}

// packsOf makes possible packs out of any bytes.
func packsOf(data []byte) []Pack {
	var packs []Pack
	for len(data) >= 14 {
		if data[0]&3 == 0 || len(packs) == 0 {
			packs = append(packs, Pack{ID: chunk.Sum(data)})
		}
		p := &packs[len(packs)-1]
		length := max(binary.BigEndian.Uint32(data[1:]), sealOverhead)
		p.Blobs = append(p.Blobs, Blob{
			Handle:    Handle{chunk.Sum(data[1:]), BlobType(data[0] >> 7)},
			Offset:    min(binary.BigEndian.Uint32(data[5:]), math.MaxUint32-length),
			Length:    length,
			RawLength: binary.BigEndian.Uint32(data[9:]) >> (data[13] & 31),
		})
		data = data[14:]
	}
	return packs
}

// FuzzAppend makes packs out of bytes and compares with encoding/json.
func FuzzAppend(f *testing.F) {
	f.Add([]byte("some pack and its blobs, and another one of them"))
	f.Add(bytes.Repeat([]byte{0xff, 0, 0x20, 1}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		packs := packsOf(data)
		got := Append(nil, packs)
		want, err := json.Marshal(newRef(packs))
		if err != nil || string(got) != string(want)+"\n" {
			t.Fatalf("got %s, want %s, %v", got, want, err)
		}
		back, err := decodeAll(got)
		if err != nil || !reflect.DeepEqual(back, packs) {
			t.Fatalf("%s decoded as %v, %v", got, back, err)
		}
	})
}

// FuzzDecode reads any bytes. What is accepted, encoding/json must read the
// same way.
func FuzzDecode(f *testing.F) {
	f.Add(Append(nil, []Pack{{ID: name(1), Blobs: []Blob{{Handle{name(2), Tree}, 0, 40, 9}}}, {ID: name(3)}}))
	f.Add([]byte(`{"supersedes":[],"packs":[{"time":1,"id":"` + name(1).String() + `","blobs":null}]}`))
	f.Add([]byte(`{"packs":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		packs, err := decodeAll(data)
		if err != nil || foldedKey(data) {
			return
		}
		var ref refIndex
		if err := json.Unmarshal(data, &ref); err != nil {
			t.Fatalf("%s: encoding/json: %v", data, err)
		}
		want := ref.packs()
		if !reflect.DeepEqual(packs, want) {
			t.Fatalf("%s: got %v, want %v", data, packs, want)
		}
	})
}

// foldedKey reports whether there may be a key that only encoding/json takes,
// which ignores case, or one of the first level that is there twice.
func foldedKey(data []byte) bool {
	lower := bytes.ToLower(data)
	return !bytes.Equal(lower, data) || bytes.ContainsAny(data, "\\ſK") || bytes.Count(data, []byte(`"packs"`)) > 1
}
