package phone

import "sync"

// fileLocks are the locks that hosts hold through the file service. They belong
// to open files and go with them.
type fileLocks struct {
	mu   sync.Mutex
	held map[string]map[*openFile]bool // by path: who holds a lock, and is it exclusive?
}

// take locks a file, and changes a lock that f holds already. It returns false
// where another open file, of whatever connection, is in the way.
func (k *fileLocks) take(f *openFile, exclusive bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for other, alone := range k.held[f.name] {
		if other != f && (alone || exclusive) {
			return false
		}
	}
	if k.held == nil {
		k.held = map[string]map[*openFile]bool{}
	}
	if k.held[f.name] == nil {
		k.held[f.name] = map[*openFile]bool{}
	}
	k.held[f.name][f] = exclusive
	return true
}

// free unlocks a file.
func (k *fileLocks) free(f *openFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held[f.name], f)
	if len(k.held[f.name]) == 0 {
		delete(k.held, f.name)
	}
}
