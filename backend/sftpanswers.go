package backend

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// The types of the SFTP draft's packets that a server could go on with for ever.
const (
	packetData  = 103
	packetNames = 104
)

// packetHead is how much of a packet is looked at: its length, its type, the number of the request, and how long data are, or
// how many names there are.
const packetHead = 13

var (
	errEndlessFolder = errors.New("the server lists more files than there can be")
	errNoData        = errors.New("the server answers with no data, and does not say that the file has ended")
)

// sftpAnswers is what a server sends. It fails where package sftp would read on without an end: at answers that bring nothing,
// and at folders in which there is always one more name. It is read by one at a time.
type sftpAnswers struct {
	r    io.Reader
	head []byte // what has come of the head of a packet
	skip int64  // bytes of a packet that are not looked at
	most int    // names in folders that are read together

	mu      sync.Mutex
	reading int // folders that are being read
	names   int // that came since none was
}

func newSFTPAnswers(r io.Reader) *sftpAnswers {
	return &sftpAnswers{r: r, head: make([]byte, 0, packetHead), most: maxListed}
}

// folder counts a folder that is being read until end is called.
func (a *sftpAnswers) folder() (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reading == 0 {
		a.names = 0
	}
	a.reading++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.reading--
	}
}

// Read implements io.Reader.
func (a *sftpAnswers) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if a.skip > 0 {
			some := min(a.skip, int64(len(rest)))
			a.skip -= some
			rest = rest[some:]
			continue
		}
		a.head = append(a.head, rest[0])
		rest = rest[1:]
		if len(a.head) < 4 {
			continue
		}
		size := 4 + int64(binary.BigEndian.Uint32(a.head))
		if int64(len(a.head)) < min(size, packetHead) {
			continue
		}
		if err := a.judge(); err != nil {
			return 0, err
		}
		a.head, a.skip = a.head[:0], size-int64(len(a.head))
	}
	return n, err
}

// judge looks at the head of a packet. One that has no more than that is package sftp's to refuse.
func (a *sftpAnswers) judge() error {
	if len(a.head) < packetHead {
		return nil
	}
	count := binary.BigEndian.Uint32(a.head[packetHead-4:])
	switch a.head[4] {
	case packetData:
		if count == 0 {
			return errNoData
		}
	case packetNames:
		a.mu.Lock()
		defer a.mu.Unlock()
		if count == 0 { // it costs the server as much
			count = 1
		}
		if a.names += int(min(count, maxListed+1)); a.names > a.most {
			return errEndlessFolder
		}
	}
	return nil
}
