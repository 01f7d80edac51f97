package backend

import (
	"context"
	"sync"
)

// A firstConfig saves a request: opening a place looks whether there is a Config, and the next thing that whoever opened it
// does is to load that. It gives what was loaded then, once.
type firstConfig struct {
	mu   sync.Mutex
	data []byte // nil when it was given
}

// usualConfig is far more than restic's and ours have, in bytes.
const usualConfig = 4096

// load loads the Config. Its error is that of the Load.
func (c *firstConfig) load(ctx context.Context, load loadFunc) error {
	buf := make([]byte, usualConfig)
	n, err := load(ctx, File{}, 0, buf)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < len(buf) {
		c.data = buf[:n]
	}
	return nil
}

// take gives what load has loaded to the first Load that asks for all of it.
func (c *firstConfig) take(f File, offset int64, dst []byte) (int, bool) {
	if f.Kind != Config || offset != 0 {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	data := c.data
	c.data = nil
	if data == nil || len(data) > len(dst) {
		return 0, false
	}
	return copy(dst, data), true
}
