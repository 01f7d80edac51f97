package sim

import (
	"bytes"
	"io"
	"os"
)

// content says what the bytes of a file are made of.
type content uint8

const (
	noContent  content = iota // a folder or a link
	noise                     // incompressible: pictures, caches, ciphertext of apps
	plistText                 // compressible
	photo                     // noise that begins as a HEIC file does
	video                     // noise that begins as a MOV file does
	literal                   // File.literal
	messagesDB                // the messages database, which lies in the scratch folder
	foreign                   // bytes that whoever made the File knows
)

// edit replaces a part of a file in place.
type edit struct {
	start, end int64
	generation int // which names the new bytes
}

// Open returns the plaintext of a regular file as the phone sends it, to be read once from its start. It is the file
// of the device's present generation: for files that were returned by Files before a call of Next the result is
// undefined. Open is safe for concurrent use with itself and Files.
func (d *Device) Open(f *File) (io.ReadCloser, error) {
	var src io.Reader
	switch f.content {
	case messagesDB:
		return os.Open(d.messagesPath())
	case literal:
		src = bytes.NewReader(f.literal)
	case plistText:
		src = d.source(f, -1)
	case photo:
		src = io.MultiReader(bytes.NewReader([]byte("\x00\x00\x00\x24ftypheic\x00\x00\x00\x00mif1heicMiPr")), d.source(f, -1))
	case video:
		src = io.MultiReader(bytes.NewReader([]byte("\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ")), d.source(f, -1))
	default:
		src = d.source(f, -1)
	}
	if len(f.edits) > 0 {
		src = d.edited(f, src)
	}
	return io.NopCloser(io.LimitReader(src, f.length)), nil
}

// source returns the endless bytes of which generation of f is cut.
func (d *Device) source(f *File, generation int) io.Reader {
	r := newRandom(d.config.Seed, "content", f.seed, generation)
	if f.content == plistText {
		return &text{r: r, corpus: d.corpus}
	}
	return r
}

func (d *Device) edited(f *File, src io.Reader) io.Reader {
	e := &editedReader{src: src}
	for _, c := range f.edits {
		e.edits = append(e.edits, openEdit{c.start, c.end, d.source(f, c.generation)})
	}
	return e
}

// editedReader lays edits over a source, the later ones over the earlier.
type editedReader struct {
	src   io.Reader
	edits []openEdit
	off   int64
}

type openEdit struct {
	start, end int64
	src        io.Reader
}

// Read implements io.Reader.
func (e *editedReader) Read(p []byte) (int, error) {
	n, err := e.src.Read(p)
	for _, c := range e.edits {
		from, to := max(c.start, e.off), min(c.end, e.off+int64(n))
		if from < to {
			_, _ = io.ReadFull(c.src, p[from-e.off:to-e.off]) // endless
		}
	}
	e.off += int64(n)
	return n, err
}
