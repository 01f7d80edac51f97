package phone

import "sync"

// fileLocks are the locks that hosts hold through the file service. They belong
// to open files and go with them.
type fileLocks struct {
	mu   sync.Mutex
	held map[string]map[*openFile]bool // by path: who holds it, and alone?
}
type openFile struct{}
