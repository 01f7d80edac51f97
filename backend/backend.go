// Package backend keeps the files of a repository: named, never changed, sealed before they come here.
//
//	b, err := backend.Create(ctx, "/media/drive/repo") // once
//	b, err := backend.Open(ctx, "/media/drive/repo")
//	err = b.Save(ctx, backend.File{Kind: backend.Data, Name: id.String()}, sealed)
//	n, err := b.Load(ctx, backend.File{Kind: backend.Data, Name: id.String()}, 0, dst)
//
// A [Backend] promises four things, which package backendtest checks: a file that Save has returned nil for is there,
// whole, after a power cut; a name is never seen with a part of its bytes; a file that is removed, other than a pack,
// stays removed; names come from a hostile place and never reach a path unless they are 64 hex digits. It knows nothing of
// what the files hold, and does not compare names with hashes: a damaged file comes back as it is.
//
// The layout of folders is the one of the restic design document, "Repository Layout".
package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strconv"
	"time"
)

// ErrNoRepository says that there is no repository at an address: nothing there, or a folder without the file "config".
var ErrNoRepository = errors.New("no repository here")

// A Backend is a place for files. All methods may be called concurrently. Errors do not hold the address of the place, nor
// credentials. The error of what the place or its credentials do not allow (a server that only appends, a locked object)
// wraps fs.ErrPermission; what may pass by itself satisfies [IsTemporary].
type Backend interface {
	// Save stores data under a name, atomically and durably: when it returns nil the file survives a power cut, when it
	// returns an error the file is absent, or there as a whole. A file that exists with the same bytes is a success.
	// A Config that exists is never replaced: the error wraps fs.ErrExist. An error for want of space satisfies [IsFull].
	// The data is not kept after the return.
	Save(ctx context.Context, f File, data []byte) error

	// Load fills dst with the bytes of a file from offset on and returns how many they are. Fewer than len(dst) without
	// an error means that the file ends there; an offset at or behind the end gives 0. The error of an absent file wraps
	// fs.ErrNotExist.
	Load(ctx context.Context, f File, offset int64, dst []byte) (int, error)

	// List yields the files of one kind, in any order, with their sizes; what has no proper name is left out. For Config
	// it yields one Info with an empty name, or none. The first error ends it. The loop may save and remove files;
	// whether it still meets those is not defined.
	List(ctx context.Context, k Kind) iter.Seq2[Info, error]

	// Remove removes a file. When it returns nil, the file stays away after a power cut, unless it is a pack (a pack that
	// comes back is garbage for the next prune). The error of an absent file wraps fs.ErrNotExist, or, where its kind
	// cannot be removed at all, fs.ErrPermission if the place can tell.
	Remove(ctx context.Context, f File) error
}

// A Kind says what a file is for.
type Kind uint8

// The kinds of files, as in the restic design document.
const (
	Config   Kind = iota // the one file that makes a folder a repository
	Key                  // the master key, sealed with a password
	Lock                 // somebody works here
	Snapshot             // one version of something
	Index                // which blob lies in which pack
	Data                 // a pack: sealed blobs
)

// kindNames are the folders of the restic design document.
var kindNames = [...]string{Config: "config", Key: "keys", Lock: "locks", Snapshot: "snapshots", Index: "index", Data: "data"}

// String gives the name of the folder that holds the files of this kind, and "config" for Config.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// A File names a file: for Config the Name is empty, for all other kinds it is the SHA-256 of the file's bytes as 64
// lower-case hex digits.
type File struct {
	Kind Kind
	Name string
}

// String gives the file's path in the restic layout without the subfolder of packs, for use in errors.
func (f File) String() string {
	if f.Kind == Config && f.Name == "" {
		return f.Kind.String()
	}
	if !isName(f.Name) {
		return f.Kind.String() + "/" + strconv.QuoteToASCII(f.Name[:min(len(f.Name), nameSize)])
	}
	return f.Kind.String() + "/" + f.Name
}

// Validate says whether f can name a file at all; the error wraps fs.ErrInvalid. Every method of a Backend calls it
// before anything else.
func (f File) Validate() error {
	if f.Kind == Config && f.Name == "" || Config < f.Kind && f.Kind <= Data && isName(f.Name) {
		return nil
	}
	return fmt.Errorf("name %s: %w", f, fs.ErrInvalid)
}

// Info describes a file that is there. Size is in bytes; ModTime is by the clock of the place, and zero where the place
// tells none.
type Info struct {
	Name    string
	Size    int64
	ModTime time.Time
}

// nameSize is the length of a SHA-256 in hex.
const nameSize = 64

func isName(s string) bool {
	if len(s) != nameSize {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// admit is what every operation begins with.
func admit(ctx context.Context, f File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.Validate()
}
