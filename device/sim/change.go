package sim

import (
	"context"
	"fmt"
	"slices"
)

// Next lets a day pass: 1 % of the small files are changed in place (a few of them grow), some are touched without a
// change, deleted, moved and added, pictures are taken, and messages are written and read.
func (d *Device) Next(ctx context.Context) error {
	d.generation++
	r := newRandom(d.config.Seed, "changes", d.generation)
	var small []*File // what may change
	for _, f := range d.files {
		if f.content == noise || f.content == plistText {
			small = append(small, f)
		}
	}
	shuffle(r, small)
	take := func(perMyriad int) []*File {
		n := min(len(small), max(1, len(small)*perMyriad/10_000))
		taken := small[:n]
		small = small[n:]
		return taken
	}
	for _, f := range take(100) {
		d.changeInPlace(r, f)
	}
	for _, f := range take(5) {
		d.touch(r, f)
	}
	d.remove(take(10))
	d.move(take(5))
	for range 1 + d.config.SmallFiles/2000 {
		d.addSmallFile(r)
	}
	for range max(min(d.config.Photos, 1), d.config.Photos*18/1000) {
		d.addPhoto()
	}
	slices.SortFunc(d.files, compareFiles)
	d.touch(r, d.byPath[pathKey("HomeDomain", "Library/SMS/sms.db")])
	if err := d.messagesOfADay(ctx); err != nil {
		return fmt.Errorf("change messages database: %w", err)
	}
	return nil
}

// shuffle puts files into a random order.
func shuffle(r random, files []*File) {
	for i := len(files) - 1; i > 0; i-- {
		j := r.n(i + 1)
		files[i], files[j] = files[j], files[i]
	}
}

// touch moves the time of modification into the day before the present generation.
func (d *Device) touch(r random, f *File) {
	f.LastModified = d.Date().Unix() - int64(r.between(10, 86_000))
	f.LastStatusChange = f.LastModified
}

// changeInPlace replaces a part of f, and lets one file in four grow.
func (d *Device) changeInPlace(r random, f *File) {
	d.touch(r, f)
	if f.length > 0 {
		start := int64(r.n(int(f.length)))
		length := int64(r.between(1, int(max(64, f.length/8))))
		f.edits = append(f.edits, edit{start: start, end: min(f.length, start+length), generation: d.generation})
	}
	if f.length == 0 || r.oneIn(4) {
		f.length += int64(r.between(1, 500))
		f.Size = f.length
	}
}

// remove takes files away, and leaves their folders.
func (d *Device) remove(files []*File) {
	for _, f := range files {
		delete(d.byPath, pathKey(f.Domain, f.RelativePath))
	}
	d.files = slices.DeleteFunc(d.files, func(f *File) bool { return d.byPath[pathKey(f.Domain, f.RelativePath)] != f })
}

// move renames files in their folders. Their content stays, which is named by the first path.
func (d *Device) move(files []*File) {
	d.remove(files)
	for _, f := range files {
		f.RelativePath += fmt.Sprintf("-moved%d", d.generation)
		f.LastStatusChange = d.Date().Unix() - 5
		d.byPath[pathKey(f.Domain, f.RelativePath)] = f
	}
	d.files = append(d.files, files...)
}
