package device

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
)

// AFC is the phone's file service. Its root is the folder Media of the phone,
// with photos, books, recordings; or an app's documents. Paths begin with a
// slash. The errors of the phone are [AFCError], which are also the errors of
// package fs where it has the same; no error holds a path. One request is on
// its way at a time, for at most half a minute unless the context's own
// deadline says otherwise; when its context ends, the connection is closed.
type AFC struct {
	mu     sync.Mutex // guards what follows, for a request and its answer
	conn   net.Conn
	number uint64
}

// The bounds of what a phone answers.
const (
	maxPath    = 4096
	maxNames   = 1 << 18
	afcBlock   = 1 << 20 // bytes that are read or written at a time
	maxInfoKey = 64
)

// AFC opens the folder Media of the phone.
func (p *Phone) AFC(ctx context.Context) (*AFC, error) {
	conn, err := p.Service(ctx, "com.apple.afc", false)
	if err != nil {
		return nil, err
	}
	return &AFC{conn: conn}, nil
}

// Documents opens what an app shares: its folder /Documents. Apps that do not
// share files are refused.
func (p *Phone) Documents(ctx context.Context, bundle string) (*AFC, error) {
	conn, err := p.Service(ctx, "com.apple.mobile.house_arrest", false)
	if err != nil {
		return nil, err
	}
	answer, err := call(ctx, conn, serviceTimeout, map[string]any{"Command": "VendDocuments", "Identifier": bundle})
	if err == nil && answer.text("Status") != "Complete" {
		err = ServiceError(answer.text("Error"))
	}
	if err != nil {
		cut(conn)
		return nil, fmt.Errorf("open an app's documents: %w", err)
	}
	return &AFC{conn: conn}, nil
}

// Close hangs up. Open files are closed and locks are released by that.
func (a *AFC) Close() error {
	cut(a.conn)
	return nil
}

// ask sends a request and returns what the answer, which must be of kind want,
// holds.
func (a *AFC) ask(ctx context.Context, want, op AFCOp, params, data []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.number++
	var answer *AFCPacket
	err := within(ctx, a.conn, a.conn.SetDeadline, serviceTimeout, func() error {
		err := WriteAFC(a.conn, &AFCPacket{Number: a.number, Op: op, Params: params, Data: data})
		if err != nil {
			return err
		}
		answer, err = ReadAFC(a.conn)
		if err == nil && answer.Number != a.number {
			err = errors.New("the phone answers another request")
		}
		return unexpected(err)
	})
	if err != nil {
		return nil, err
	}
	return answer.holds(want)
}

// holds returns what an answer holds.
func (p *AFCPacket) holds(want AFCOp) ([]byte, error) {
	content := p.Data
	if len(p.Params) > 0 {
		content = append(p.Params, p.Data...)
	}
	if p.Op == AFCStatus {
		if len(content) < 8 {
			return nil, errors.New("the phone answers without a code")
		}
		if code := AFCError(binary.LittleEndian.Uint64(content)); code != AFCOK {
			return nil, code
		}
	}
	if p.Op != want {
		return nil, errors.New("the phone answers with another packet")
	}
	return content, nil
}

// Is makes the phone's codes the errors of package fs.
func (e AFCError) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e == AFCNotFound
	case fs.ErrExist:
		return e == AFCExists || e == AFCNotEmpty
	case fs.ErrPermission:
		return e == AFCDenied
	case fs.ErrInvalid:
		return e == AFCInvalid
	}
	return false
}

// params are numbers and paths as requests carry them.
func params(paths []string, numbers ...uint64) ([]byte, error) {
	var b []byte
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	for _, p := range paths {
		if p == "" || len(p) > maxPath || strings.IndexByte(p, 0) >= 0 {
			return nil, fs.ErrInvalid
		}
		b = append(append(b, p...), 0)
	}
	return b, nil
}

// do is a request that is answered by success alone.
func (a *AFC) do(ctx context.Context, what string, op AFCOp, paths []string, numbers ...uint64) error {
	b, err := params(paths, numbers...)
	if err == nil {
		_, err = a.ask(ctx, AFCStatus, op, b, nil)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ReadDir returns the names in a folder, sorted. Names that could not be opened
// by their path are left out.
func (a *AFC) ReadDir(ctx context.Context, dir string) ([]string, error) {
	b, err := params([]string{dir})
	if err == nil {
		b, err = a.ask(ctx, AFCData, AFCReadDir, b, nil)
	}
	var names []string
	if err == nil {
		names, err = parseNames(b)
	}
	if err != nil {
		return nil, fmt.Errorf("list a folder of the phone: %w", err)
	}
	return names, nil
}

func parseNames(b []byte) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(string(b), "\x00") {
		if name == "" || name == "." || name == ".." || len(name) > 255 || strings.Contains(name, "/") {
			continue
		}
		if len(names) == maxNames {
			return nil, fmt.Errorf("it holds more than %d files", maxNames)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Stat describes a file; links are not followed. Its Sys is the target of a
// link, a string.
func (a *AFC) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	b, err := params([]string{name})
	if err == nil {
		b, err = a.ask(ctx, AFCData, AFCFileInfo, b, nil)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = parseInfo(path.Base(name), b)
	}
	if err != nil {
		return nil, fmt.Errorf("describe a file of the phone: %w", err)
	}
	return info, nil
}

// MkdirAll makes a folder and what is missing above it.
func (a *AFC) MkdirAll(ctx context.Context, dir string) error {
	return a.do(ctx, "make a folder on the phone", AFCMakeDir, []string{dir})
}

// Remove removes a file, or a folder that is empty.
func (a *AFC) Remove(ctx context.Context, name string) error {
	return a.do(ctx, "remove a file of the phone", AFCRemovePath, []string{name})
}

// RemoveAll removes a folder with all that it holds.
func (a *AFC) RemoveAll(ctx context.Context, name string) error {
	return a.do(ctx, "remove a folder of the phone", AFCRemoveAll, []string{name})
}

// Rename moves a file or folder.
func (a *AFC) Rename(ctx context.Context, from, to string) error {
	return a.do(ctx, "rename a file of the phone", AFCRenamePath, []string{from, to})
}
