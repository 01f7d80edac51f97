package vobject_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"testing"

	"russet/internal/vobject"
)

// manyCards is 10,000 cards of a kilobyte and more.
func manyCards(b *testing.B) []byte {
	one, err := os.ReadFile("testdata/servers/sent/phone.vcf")
	if err != nil {
		b.Fatal(err)
	}
	return bytes.Repeat(one, 10_000)
}

func BenchmarkParse(b *testing.B) {
	data := manyCards(b)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := vobject.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCanonical(b *testing.B) {
	objects, err := vobject.Parse(manyCards(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, c := range objects {
			vobject.HashOf(vobject.Canonical(c))
		}
	}
}

// A photo of 400 kB: as long as it takes to read it, and no longer.
func BenchmarkPhoto(b *testing.B) {
	c := vobject.New("VCARD")
	c.Add(vobject.NewLine("PHOTO", base64.StdEncoding.EncodeToString(make([]byte, 400_000)), vobject.Param{Name: "ENCODING", Values: []string{"b"}}))
	data := c.Bytes()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		objects, err := vobject.Parse(data)
		if err != nil {
			b.Fatal(err)
		}
		vobject.Canonical(objects[0])
	}
}
