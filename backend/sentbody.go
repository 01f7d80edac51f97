package backend

import (
	"io"
	"sync"
)

// A sentBody lends the data of a Save to a transport, until that returns. A transport may go on reading after it has answered,
// and whoever saves may use the memory again by then.
type sentBody struct {
	data []byte

	mu    sync.Mutex
	ended bool
}

// reader reads from the start on. Closing it does nothing.
func (b *sentBody) reader() io.ReadCloser { return &sentReader{body: b} }

// end takes the data back. Reads fail from then on.
func (b *sentBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}

// A sentReader reads a sentBody once.
type sentReader struct {
	body *sentBody
	at   int
}

// Read implements io.Reader.
func (r *sentReader) Read(p []byte) (int, error) {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	if r.body.ended {
		return 0, io.ErrClosedPipe
	}
	n := copy(p, r.body.data[r.at:])
	if r.at += n; n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (r *sentReader) Close() error { return nil }
