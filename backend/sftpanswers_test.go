package backend

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"github.com/pkg/sftp"
)

// packet is one of the SFTP draft's.
func packet(kind byte, fields ...any) []byte {
	body := []byte{kind}
	for _, f := range fields {
		switch f := f.(type) {
		case uint32:
			body = binary.BigEndian.AppendUint32(body, f)
		case string:
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(f))), f...)
		}
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// The types of packets that a server has to tell apart.
const (
	packetInit, packetVersion          = 1, 2
	packetOpen, packetClose            = 3, 4
	packetRead, packetHandle           = 5, 102
	packetOpenFolder, packetReadFolder = 11, 12
	packetStatus                       = 101
)

// serveEndless is a server in whose folders there is always one more name, and whose files bring no bytes and have no end.
func serveEndless(conn net.Conn) {
	defer conn.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		asked := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, asked); err != nil {
			return
		}
		id := binary.BigEndian.Uint32(asked[1:])
		var answer []byte
		switch asked[0] {
		case packetInit:
			answer = packet(packetVersion, uint32(3))
		case packetOpen, packetOpenFolder:
			answer = packet(packetHandle, id, "handle")
		case packetRead:
			answer = packet(packetData, id, "")
		case packetReadFolder:
			answer = packet(packetNames, id, uint32(1), "name", "", uint32(0))
		default:
			answer = packet(packetStatus, id, uint32(0), "", "")
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// dialEndless connects to an endless server, of whose names 100 are read.
func dialEndless(t *testing.T) *sftpConn {
	t.Helper()
	here, there := net.Pipe()
	go serveEndless(there)
	answers := newSFTPAnswers(here)
	answers.most = 100
	client, err := sftp.NewClientPipe(answers, here)
	if err != nil {
		t.Fatal(err)
	}
	c := newSFTPConn(client, answers, nil, func() { _ = here.Close() }, func() {})
	t.Cleanup(c.end)
	return c
}

func TestSFTPEndless(t *testing.T) {
	t.Parallel()
	if _, err := (&sftpPlace{root: "/"}).readFolder(t.Context(), dialEndless(t), "/keys"); !errors.Is(err, errEndlessFolder) || IsTemporary(err) {
		t.Errorf("a folder: got %v, want %v for good", err, errEndlessFolder)
	}
	for _, size := range []int{10, sftpPiece + 1} {
		if _, err := dialEndless(t).load(t.Context(), "/config", 0, make([]byte, size)); !errors.Is(err, errNoData) || IsTemporary(err) {
			t.Errorf("%d bytes: got %v, want %v for good", size, err, errNoData)
		}
	}
}

// TestSFTPAnswers reads answers in pieces of all sizes: they pass as they are, and names are counted while folders are read.
func TestSFTPAnswers(t *testing.T) {
	t.Parallel()
	version := packet(packetVersion, uint32(3))
	names := packet(packetNames, uint32(1), uint32(2), "a", "", uint32(0), "b", "", uint32(0))
	data := packet(packetData, uint32(2), "some bytes")
	text := bytes.Join([][]byte{version, names, data, names, packet(packetStatus)}, nil)
	for _, c := range []struct {
		most int
		want error
	}{{4, nil}, {3, errEndlessFolder}} {
		for name, r := range map[string]io.Reader{"at once": bytes.NewReader(text), "byte by byte": iotest.OneByteReader(bytes.NewReader(text))} {
			a := newSFTPAnswers(r)
			a.most = c.most
			got, err := io.ReadAll(a)
			if !errors.Is(err, c.want) || err == nil && !bytes.Equal(got, text) {
				t.Errorf("%s, %d names: got %d bytes, %v, want %d bytes, %v", name, c.most, len(got), err, len(text), c.want)
			}
		}
	}
	a := newSFTPAnswers(bytes.NewReader(bytes.Repeat(names, 10)))
	a.most = 2
	for range 10 {
		end := a.folder()
		if _, err := io.ReadFull(a, make([]byte, len(names))); err != nil {
			t.Fatalf("one folder after the other: %v", err)
		}
		end()
	}
}

// FuzzSFTPAnswers passes on what comes, or a part of it.
func FuzzSFTPAnswers(f *testing.F) {
	f.Add(packet(packetNames, uint32(1), uint32(2), "a", ""))
	f.Add(packet(packetData, uint32(1), ""))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, packetNames, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := io.ReadAll(newSFTPAnswers(bytes.NewReader(text)))
		if err == nil && !bytes.Equal(got, text) || !bytes.HasPrefix(text, got) {
			t.Errorf("got %x, %v, want %x", got, err, text)
		}
	})
}
