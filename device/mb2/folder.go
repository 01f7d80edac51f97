package mb2

import (
	"context"
	"io"
	"time"
)

// Folder is what the host shows the phone: the folder that holds the folders
// of backups. Names are relative, slash-separated, without empty, "." and ".."
// elements and without NUL (fs.ValidPath, "." for the folder itself); the first
// element is a backup's, the UDID, and is part of every name.
//
// The calls come from one goroutine, one after the other. Errors that
// [StatusOf] knows are answered as what they are, others as StatusIO.
type Folder interface {
	// Mkdir makes one folder. Where there is one it returns fs.ErrExist.
	Mkdir(ctx context.Context, name string) error
	// List returns what is in a folder, in any order.
	List(ctx context.Context, name string) ([]Entry, error)
	// Open opens a file to be read from its beginning.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Create begins a file. It takes its name, in place of one that has it,
	// when it is committed. A Status.plist that was committed is on the disk,
	// and everything that came before it.
	Create(ctx context.Context, name string) (File, error)
	// Move renames a file or a folder. It replaces a file that has the name.
	Move(ctx context.Context, from, to string) error
	// Remove removes a file, or a folder with all that is in it.
	Remove(ctx context.Context, name string) error
	// Copy copies a file, or a folder with all that is in it.
	Copy(ctx context.Context, from, to string) error
	// Free returns how many bytes a phone may send.
	Free(ctx context.Context) (int64, error)
}

// Sourced is a Folder that wants to know where files lie on the phone, as far as
// the phone tells. That is any text; nothing may rely on it.
type Sourced interface {
	Folder
	// CreateFrom is Create, for a file that lies at source on the phone.
	CreateFrom(ctx context.Context, name, source string) (File, error)
}

// File is a file that is being received. It ends by one call to Commit or
// Abort.
type File interface {
	io.Writer // p is not kept
	// Commit says that the phone has sent the whole file.
	Commit() error
	// Abort drops what has come.
	Abort()
}

// Entry is a file or a folder in a listing.
type Entry struct {
	Name    string // the last element alone
	Size    int64  // in bytes, as the phone sent it
	Dir     bool
	ModTime time.Time // phones do not compare it
}
