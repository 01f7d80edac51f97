// Package sim is a phone made of software: what it holds, how that changes from one day to the next, and the backup
// folder that Finder or iTunes would have written of it.
//
//	d, err := sim.New(ctx, sim.Demo(), scratchDir)
//	report, err := d.WriteBackup(ctx, dir, sim.Options{Password: "secret", Iterations: 1000})
//	err = d.Next(ctx) // a day passes
//	report, err = d.WriteBackup(ctx, dir, sim.Options{Password: "secret", Iterations: 1000}) // incremental
//
// Everything is made from a seed and a base time: equal arguments give equal bytes, on every platform, and no clock is
// read. Contents are made while they are read and never kept, so that a phone of many gigabytes costs little memory;
// only its databases lie in a scratch folder. The phone's rules are those of a real one: a file whose time of
// modification has not moved is not sent again and keeps its stored bytes, its key and its manifest record; a changed
// one gets a new key; the keybag lasts as long as the chain of incremental backups; the ManifestKey is new every time.
package sim

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"time"

	"russet/ios"
)

// Secret is a word in the phone's private content (message texts, a file's name and text), and nowhere else: no program
// may print it unless it is asked for that content.
const Secret = "Quillfeather"

// Config describes a phone. A zero number means none; strings must not be empty.
type Config struct {
	UDID        string
	Name        string
	ProductType string // as "iPhone14,5"
	Version     string // of iOS, as "18.1"
	Build       string // of iOS, as "22B83"
	Serial      string

	Seed uint64    // of all content and of all keys
	Base time.Time // of generation 0; every later one is a day younger

	SmallFiles int   // files in app containers and preferences
	SmallSize  int64 // bytes at most of each of them; 0 for sizes as on phones, 15 KB on average
	Photos     int   // pictures of 2 to 3 MB
	Videos     int   // of one size
	VideoSize  int64 // bytes of each video
	Messages   int   // rows of the messages database
}

// Demo is a small phone: about 300 files and 30 MB.
func Demo() Config {
	return Config{
		UDID: "00008110-00065D1E3A92801E", Name: "Demo’s iPhone", ProductType: "iPhone14,5",
		Version: "18.1", Build: "22B83", Serial: "DX3RUSSET001",
		Seed: 1, Base: time.Date(2025, 3, 1, 8, 0, 0, 0, time.UTC),
		SmallFiles: 270, Photos: 8, Videos: 1, VideoSize: 4 << 20, Messages: 6_000,
	}
}

// Tiny is a phone for tests: about 150 files and 4 MB, with everything that is rare on a phone.
func Tiny() Config {
	c := Demo()
	c.UDID, c.Name, c.Serial, c.Seed = "00008020-000D4C3A0E83002E", "Tiny iPhone", "DX3RUSSET003", 3
	c.SmallFiles, c.Photos, c.Videos, c.VideoSize, c.Messages = 100, 1, 1, 300_000, 400
	return c
}

// Bench is a phone to measure with: 60,000 files and 2 GB.
func Bench() Config {
	c := Demo()
	c.UDID, c.Name, c.Serial, c.Seed = "00008120-001C25D40C82601E", "Bench iPhone", "DX3RUSSET002", 2
	c.SmallFiles, c.Photos, c.Videos, c.VideoSize, c.Messages = 59_680, 280, 4, 96<<20, 200_000
	return c
}

// Many is a phone to measure what the number of files costs: 300,000 files of some 200 bytes.
func Many() Config {
	c := Demo()
	c.UDID, c.Name, c.Serial, c.Seed = "00008130-000E6D221A7B401E", "Many files", "DX3RUSSET004", 4
	c.SmallFiles, c.SmallSize, c.Photos, c.Videos, c.Messages = 300_000, 256, 1, 0, 1_000
	return c
}

// File is a file, folder or link of the phone.
type File struct {
	Domain string
	// File is the manifest record, without what only a backup gives it: EncryptionKey and Digest. Its Size is what the
	// phone claims, which differs from Length for databases: those are sent as a compacted copy.
	ios.File

	length  int64
	content content
	seed    string // names its bytes; they stay when it is moved
	literal []byte
	edits   []edit
}

// Length returns how many bytes Open gives.
func (f *File) Length() int64 { return f.length }

// Regular says whether f has bytes, which Open gives; the others are folders and links.
func (f *File) Regular() bool { return f.content != noContent }

// Kind returns what the manifest has as the flags of f: ios.RegularFile, ios.Directory or ios.Symlink.
func (f *File) Kind() int64 {
	switch {
	case f.Regular():
		return ios.RegularFile
	case f.Mode&modeType == modeLink:
		return ios.Symlink
	}
	return ios.Directory
}

// NewFile makes a File, whose bytes the caller knows, of a manifest record. Where the record is that of a regular file,
// length is how many bytes it has as the phone sends it.
func NewFile(domain string, record ios.File, length int64) *File {
	f := &File{Domain: domain, File: record}
	if record.Mode&modeType == modeRegular {
		f.content, f.length = foreign, length
	}
	return f
}

// Device is a phone. Methods that change it (Next) exclude all others.
type Device struct {
	config     Config
	scratch    string
	corpus     []byte
	generation int
	nextInode  uint64
	nextPhoto  int              // pictures and videos are numbered together
	nextRow    int              // of the messages database
	files      []*File          // ordered by domain and path
	byPath     map[string]*File // by domain, a zero byte, and path
}

// New makes a phone in its generation 0. It keeps its databases in the folder scratch, which must exist, belongs to it
// alone, and is the caller's to remove.
func New(ctx context.Context, c Config, scratch string) (*Device, error) {
	d := &Device{
		config: c, scratch: scratch, corpus: newCorpus(c.Seed),
		nextInode: 12_884_902_000, nextPhoto: 1, nextRow: 1, byPath: make(map[string]*File),
	}
	d.populate()
	if err := d.createMessages(ctx); err != nil {
		return nil, fmt.Errorf("make messages database: %w", err)
	}
	return d, nil
}

// Config returns what New was given.
func (d *Device) Config() Config { return d.config }

// Generation returns how often Next was called.
func (d *Device) Generation() int { return d.generation }

// Date returns the moment of the present generation's backup.
func (d *Device) Date() time.Time { return d.dateOf(d.generation) }

func (d *Device) dateOf(generation int) time.Time {
	return d.config.Base.Add(time.Duration(generation) * 24 * time.Hour).UTC()
}

// Files yields all files, folders and links, ordered by domain and path. They are the device's own: not to be changed.
func (d *Device) Files() iter.Seq[*File] {
	return func(yield func(*File) bool) {
		for _, f := range d.files {
			if !yield(f) {
				return
			}
		}
	}
}

// Scan yields what Files yields, as [Folder.Scan] does.
func (d *Device) Scan(ctx context.Context) iter.Seq2[*File, error] {
	return func(yield func(*File, error) bool) {
		for _, f := range d.files {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (d *Device) messagesPath() string { return filepath.Join(d.scratch, "sms.db") }
