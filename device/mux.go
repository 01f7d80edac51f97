package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrNoMux says that no usbmuxd answers at the address.
	ErrNoMux = errors.New("no usbmuxd answers")
	// ErrNoDevice says that the muxer does not list the phone.
	ErrNoDevice = errors.New("the phone is not connected")
	// ErrOtherPhone says that what answers holds another key than the phone
	// that was paired: another phone, or a stranger in between.
	ErrOtherPhone = errors.New("the phone does not hold the key that it was paired with")
)

// muxTimeout is how long a muxer may take for an answer. libusbmuxd waits 5 s;
// a muxer that connects over Wi-Fi takes longer.
const muxTimeout = 10 * time.Second

// Mux is the address of a usbmuxd. Each call dials it anew, so that a muxer
// may be restarted between calls; all may be made at once.
type Mux struct {
	network, address string
	dial             func(ctx context.Context, network, address string) (net.Conn, error)
}

// OpenMux reads the address of a muxer, in all the forms that clients take in
// USBMUXD_SOCKET_ADDRESS: UNIX:/path, unix:///path, /path, host:port and
// [host]:port. Without one it is the system's usual. Nothing is dialed yet.
func OpenMux(address string) (*Mux, error) {
	network, address, err := muxAddress(address, runtime.GOOS)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return &Mux{network: network, address: address, dial: d.DialContext}, nil
}

func muxAddress(s, system string) (network, address string, err error) {
	scheme, path, _ := strings.Cut(s, ":")
	switch {
	case s == "" && system == "windows":
		return "tcp", "127.0.0.1:27015", nil
	case s == "":
		return "unix", "/var/run/usbmuxd", nil
	case s[0] == '/':
		path = s
	case !strings.EqualFold(scheme, "unix"):
		_, port, err := net.SplitHostPort(s)
		if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 {
			return "", "", fmt.Errorf("read the muxer's address %q: neither UNIX:/path nor host:port", s)
		}
		return "tcp", s, nil
	}
	for strings.HasPrefix(path, "//") {
		path = path[1:]
	}
	if path == "" || path == "/" {
		return "", "", fmt.Errorf("read the muxer's address %q: it names no socket", s)
	}
	return "unix", path, nil
}

// Error says what the muxer answered.
func (r MuxResult) Error() string {
	switch r {
	case MuxBadCommand:
		return "the muxer does not know the request"
	case MuxBadDevice:
		return "the muxer has no such device or pair record"
	case MuxRefused:
		return "the phone refuses the connection"
	case MuxBadVersion:
		return "the muxer speaks another version of its protocol"
	}
	return fmt.Sprintf("the muxer answered %d", int(r))
}

// muxRequest is every request to a muxer.
type muxRequest struct {
	MessageType         string
	ClientVersionString string
	ProgName            string
	Version             int    `plist:"kLibUSBMuxVersion"`
	DeviceID            int    `plist:",omitempty"`
	PortNumber          int    `plist:",omitempty"`
	PairRecordID        string `plist:",omitempty"`
	PairRecordData      []byte `plist:",omitempty"`
}

// connect dials the muxer.
func (m *Mux) connect(ctx context.Context) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, muxTimeout)
	defer cancel()
	conn, err := m.dial(limited, m.network, m.address)
	if err == nil {
		return conn, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("reach usbmuxd: %w", cause)
	}
	return nil, fmt.Errorf("reach usbmuxd: %w: %w", ErrNoMux, err)
}

// exchange sends one request and reads its answer, which is no refusal.
func (r muxRequest) exchange(ctx context.Context, conn net.Conn) (dict, error) {
	const tag = 1
	r.ClientVersionString, r.ProgName, r.Version = label, label, 3
	var answer dict
	err := within(ctx, conn, conn.SetDeadline, muxTimeout, func() error {
		if err := WriteMux(conn, tag, r); err != nil {
			return err
		}
		got, err := ReadMux(conn, &answer)
		if err == nil && got != tag {
			err = errors.New("usbmuxd answers another request")
		}
		return unexpected(err)
	})
	if err != nil {
		return nil, err
	}
	n, ok := answer.number("Number")
	switch {
	case ok && n != int64(MuxOK):
		return nil, MuxResult(n)
	case !ok && answer.text("MessageType") == "Result":
		return nil, errors.New("usbmuxd answers without a number")
	}
	return answer, nil
}

// ask dials, asks once, and hangs up.
func (m *Mux) ask(ctx context.Context, r muxRequest) (dict, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return r.exchange(ctx, conn)
}

// BUID returns the name by which phones know this computer.
func (m *Mux) BUID(ctx context.Context) (string, error) {
	answer, err := m.ask(ctx, muxRequest{MessageType: "ReadBUID"})
	if err != nil {
		return "", fmt.Errorf("ask for this computer's name: %w", err)
	}
	id := answer.text("BUID")
	if id == "" {
		return "", errors.New("ask for this computer's name: usbmuxd has none")
	}
	return id, nil
}

// unexpected makes an end where an answer was due the error that it is.
func unexpected(err error) error {
	if err == io.EOF {
		return fmt.Errorf("the other side hung up: %w", io.ErrUnexpectedEOF)
	}
	return err
}
