package records

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"path"
	"slices"

	"russet/internal/vobject"
)

const (
	// maxPicture is the length in bytes of a picture that goes into a card: those
	// that iOS makes are smaller, and servers refuse larger ones.
	maxPicture = 4 << 20
	// maxPictures is the length of all pictures of an address book together: a
	// set lies in memory.
	maxPictures = 512 << 20
)

// picture is a person's.
type picture struct {
	data []byte
	full bool
}

// format returns the type of a picture as vCards name it, or "".
func (p picture) format() string {
	switch {
	case bytes.HasPrefix(p.data, []byte("\xff\xd8\xff")):
		return "JPEG"
	case bytes.HasPrefix(p.data, []byte("\x89PNG\r\n\x1a\n")):
		return "PNG"
	case bytes.HasPrefix(p.data, []byte("GIF8")):
		return "GIF"
	}
	return ""
}

// readPictures gives people their pictures, which lie in a database beside the
// address book. Where it cannot be read the set is not complete.
func (b *addressBook) readPictures(ctx context.Context) error {
	images, err := openStore(ctx, b.s.fsys, path.Join(path.Dir(b.s.path), path.Base(picturesPath)))
	if errors.Is(err, fs.ErrNotExist) {
		b.unread = with(b.unread, "PHOTO") // perhaps it is not in this backup
		return nil
	}
	if err == nil {
		defer images.Close()
		images.set = b.s.set
		b.s.set.Stores = append(b.s.set.Stores, images.path)
		err = b.readPictureTables(ctx, images)
	}
	if err != nil && ctx.Err() == nil {
		b.s.missing(0, "the pictures cannot be read: %v", err)
		return nil
	}
	return err
}

func (b *addressBook) readPictureTables(ctx context.Context, images *store) error {
	if !images.schema.has("ABThumbnailImage", "record_id", "data") && !images.schema.has("ABFullSizeImage", "record_id", "data") {
		return errors.Join(ErrUnknownLayout, errors.New(images.schema.String()))
	}
	var total int
	for _, table := range []string{"ABFullSizeImage", "ABThumbnailImage"} {
		for r, err := range images.rows(ctx, table, "record_id", "data") {
			if err != nil {
				return err
			}
			owner, _ := r.integer("record_id")
			p := b.byRow[owner]
			found := picture{data: r.bytes("data"), full: table == "ABFullSizeImage"}
			switch {
			case r.bad("record_id"):
				b.unread = with(b.unread, "PHOTO")
			case p != nil && r.bad():
				p.unread = with(p.unread, "PHOTO")
			case p == nil || len(found.data) == 0 || p.picture.full:
			case found.format() == "" || len(found.data) > maxPicture || total+len(found.data) > maxPictures:
				p.badPicture = true
			case len(found.data) > len(p.picture.data):
				total += len(found.data) - len(p.picture.data)
				p.picture = found
			}
		}
	}
	return nil
}

// noteRemote tells of the pictures that are on a server only.
func (b *addressBook) noteRemote() {
	n := 0
	for _, p := range b.people {
		if p.text["ImageURI"] != "" && p.picture.data == nil && !p.badPicture {
			n++
		}
	}
	if n > 0 {
		b.s.note(0, "the pictures of %d contacts are on a server only, not in the backup", n)
	}
}

func (w *card) photo() {
	format := w.p.picture.format()
	switch {
	case format != "":
		if w.p.picture.full { // a thumbnail may stand for one that could not be read
			w.p.unread = slices.DeleteFunc(w.p.unread, func(name string) bool { return name == "PHOTO" })
		}
		w.add("PHOTO", base64.StdEncoding.EncodeToString(w.p.picture.data),
			vobject.Param{Name: "ENCODING", Values: []string{"b"}}, vobject.Param{Name: "TYPE", Values: []string{format}})
		return
	case w.p.badPicture:
		w.s.lost(w.p.row, "the picture is too large, or of no known format")
	case w.p.text["ImageURI"] == "": // there is none
		return
	}
	w.unread("PHOTO")
}
