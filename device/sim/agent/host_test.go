package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strings"

	"russet/device/mb2"
)

// host is the reference host: a folder. Its fields break it.
type host struct {
	root *tree
	conn net.Conn

	version  int   // of DeviceLink, 300 unless set
	free     int64 // 1 TiB unless set
	unit     int   // of downloads, 32 KiB unless set
	noHello  bool
	noBye    bool
	noStatus string // the order that is not answered
	lenient  bool   // a name that is too long is answered as done
	stopAll  bool   // after the first failure within a download the rest is left out

	answer  func(order string, args []any) []any                   // in place of the usual one, unless nil
	listing func(path string, names map[string]any) map[string]any // what is listed
	sends   func(path string) string                               // the name under which a file is sent
	serves  func(path string, data []byte) []byte                  // what is served
	stores  func(path string, data []byte) []byte                  // what is stored

	orders  []string // all that came
	uploads []string // host paths of files
	failed  int      // files that the phone ended with an error
}

func newHost() *host {
	return &host{root: newTree(), version: 300, free: 1 << 40, unit: mb2.DataSize}
}

// final is the final answer of a phone.
type final struct {
	code int
	text string
	m    map[string]any
}

// run makes one request over conn and returns the final answer.
func (h *host) run(conn net.Conn, request map[string]any) (final, error) {
	h.conn, h.orders, h.uploads, h.failed = conn, nil, nil, 0
	defer conn.Close()
	if err := h.greet(); err != nil {
		return final{}, err
	}
	if err := mb2.WriteMessage(conn, msgProcess, request); err != nil {
		return final{}, err
	}
	for {
		name, args, err := mb2.ReadMessage(conn)
		if err != nil {
			return final{}, err
		}
		if name == msgProcess {
			m := args[0].(map[string]any)
			code, _ := mb2.Integer(m["ErrorCode"])
			text, _ := m["ErrorDescription"].(string)
			if !h.noBye {
				err = mb2.WriteMessage(conn, msgDisconnect, mb2.Text)
			}
			return final{int(code), text, m}, err
		}
		if err := h.serve(name, args); err != nil {
			return final{}, err
		}
	}
}

func (h *host) greet() error {
	if name, _, err := mb2.ReadMessage(h.conn); err != nil || name != msgVersion {
		return fmt.Errorf("version exchange: %s, %w", name, err)
	}
	if err := mb2.WriteMessage(h.conn, msgVersion, "DLVersionsOk", h.version); err != nil {
		return err
	}
	if name, _, err := mb2.ReadMessage(h.conn); err != nil || name != msgReady {
		return fmt.Errorf("ready: %s, %w", name, err)
	}
	if h.noHello {
		return nil
	}
	hello := map[string]any{"MessageName": "Hello", "SupportedProtocolVersions": []float64{2.0, 2.1}}
	if err := mb2.WriteMessage(h.conn, msgProcess, hello); err != nil {
		return err
	}
	_, args, err := mb2.ReadMessage(h.conn)
	if err != nil {
		return err
	}
	if m, _ := args[0].(map[string]any); m["ProtocolVersion"] != 2.1 {
		return fmt.Errorf("hello: %v", args)
	}
	return nil
}

// serve carries out one order and answers it.
func (h *host) serve(name string, args []any) error {
	h.orders = append(h.orders, name)
	answer, err := h.carryOut(name, args)
	if err != nil {
		return err
	}
	if h.answer != nil {
		if other := h.answer(name, args); other != nil {
			answer = other
		}
	}
	if h.noStatus == name {
		return mb2.WriteMessage(h.conn, msgProcess, map[string]any{"MessageName": "Noise"})
	}
	return mb2.WriteMessage(h.conn, msgStatus, answer...)
}

// valid says whether a name is one below the phone's own folder.
func valid(name string) bool { return fs.ValidPath(name) && strings.HasPrefix(name, small().UDID) }

func ok(value any) []any { return []any{0, mb2.Text, value} }

func status(err error) []any { return []any{int64(mb2.StatusOf(err)), "failure", map[string]any{}} }

func result(err error) []any {
	if err != nil {
		return status(err)
	}
	return ok(map[string]any{})
}

func (h *host) carryOut(name string, args []any) ([]any, error) {
	if strings.HasSuffix(name, "Files") || strings.HasSuffix(name, "Items") || len(args) == 0 {
	} else if p, isPath := args[0].(string); isPath && !valid(p) {
		return status(fs.ErrInvalid), nil
	}
	switch name {
	case "DLMessageCreateDirectory":
		return result(h.root.mkdir(args[0].(string))), nil
	case "DLContentsOfDirectory":
		return h.list(args[0].(string)), nil
	case "DLMessageGetFreeDiskSpace":
		return ok(h.free), nil
	case "DLMessagePurgeDiskSpace":
		return ok(int64(0)), nil
	case "DLMessageMoveItems", "DLMessageMoveFiles":
		return h.multi(args[0].(map[string]any), h.root.move), nil
	case "DLMessageRemoveItems", "DLMessageRemoveFiles":
		names := map[string]any{}
		for _, p := range args[0].([]any) {
			names[p.(string)] = p
		}
		return h.multi(names, func(p, _ string) error { return h.root.remove(p) }), nil
	case "DLMessageCopyItem":
		return result(h.copyItem(args[0].(string), args[1].(string))), nil
	case "DLMessageUploadFiles":
		return h.receive()
	case "DLMessageDownloadFiles":
		return h.sendAll(args[0].([]any))
	}
	return []any{-1, "unknown", map[string]any{}}, nil
}

func (h *host) multi(names map[string]any, do func(from, to string) error) []any {
	details := map[string]any{}
	for from, to := range names {
		err := error(fs.ErrInvalid)
		if valid(from) && valid(to.(string)) {
			err = do(from, to.(string))
		}
		if err != nil {
			details[from] = map[string]any{"DLFileErrorString": "failure", "DLFileErrorCode": int64(mb2.StatusOf(err))}
		}
	}
	if len(details) > 0 {
		return []any{int64(mb2.StatusMulti), "Multi status", details}
	}
	return ok(map[string]any{})
}

func (h *host) copyItem(from, to string) error {
	src, err := h.root.at(from)
	if err != nil {
		return err
	}
	p, err := h.root.parent(to)
	if err != nil {
		return err
	}
	p.dir[path.Base(to)] = src.clone()
	return nil
}

func (h *host) list(dir string) []any {
	f, err := h.root.at(dir)
	if err != nil {
		return status(err)
	}
	names := map[string]any{}
	for name, e := range f.dir {
		kind := "DLFileTypeRegular"
		if e.dir != nil {
			kind = "DLFileTypeDirectory"
		}
		names[name] = map[string]any{"DLFileType": kind, "DLFileSize": len(e.data), "DLFileModificationDate": treeTime()}
	}
	if h.listing != nil {
		names = h.listing(dir, names)
	}
	return ok(names)
}

// receive reads the files of an upload.
func (h *host) receive() ([]any, error) {
	var failure error
	for {
		device, err := mb2.ReadUnit(h.conn, nil, mb2.MaxName)
		if h.lenient && errors.Is(err, mb2.ErrDesync) {
			_, err = io.ReadFull(h.conn, make([]byte, 1)) // what there is of the name
			return ok(map[string]any{}), err
		}
		if err != nil || len(device) == 0 {
			return result(failure), err
		}
		name, err := mb2.ReadUnit(h.conn, nil, mb2.MaxName)
		if err != nil {
			return nil, err
		}
		h.uploads = append(h.uploads, string(name))
		var data []byte
		for {
			unit, err := mb2.ReadUnit(h.conn, nil, mb2.MaxData)
			if err != nil {
				return nil, err
			}
			if mb2.Code(unit[0]) == mb2.CodeData {
				data = append(data, unit[1:]...)
				continue
			}
			if mb2.Code(unit[0]) != mb2.CodeEnd {
				h.failed++
			} else if !valid(string(name)) {
				failure = fs.ErrInvalid
			} else {
				if h.stores != nil {
					data = h.stores(string(name), data)
				}
				failure = errors.Join(failure, h.root.write(string(name), data))
			}
			break
		}
	}
}

// sendAll sends the files of a download.
func (h *host) sendAll(paths []any) ([]any, error) {
	details := map[string]any{}
	for _, v := range paths {
		p := v.(string)
		data, err := h.root.read(p)
		if !valid(p) {
			err = fs.ErrInvalid
		}
		if h.serves != nil {
			data = h.serves(p, data)
		}
		name := p
		if h.sends != nil {
			name = h.sends(p)
		}
		stream := mb2.AppendUnit(nil, []byte(name))
		if err != nil {
			stream = mb2.AppendUnit(stream, []byte{byte(mb2.CodeNotFound)}, []byte("failure"))
			details[p] = map[string]any{"DLFileErrorString": "failure", "DLFileErrorCode": uint64(mb2.StatusOf(err))}
		} else {
			for len(data) > 0 {
				n := min(h.unit, len(data))
				stream = mb2.AppendUnit(stream, []byte{byte(mb2.CodeData)}, data[:n])
				data = data[n:]
			}
			stream = mb2.AppendUnit(stream, []byte{byte(mb2.CodeEnd)})
		}
		if _, err := h.conn.Write(stream); err != nil {
			return nil, err
		}
		if err != nil && h.stopAll {
			break
		}
	}
	if _, err := h.conn.Write(mb2.AppendUnit(nil)); err != nil {
		return nil, err
	}
	if len(details) > 0 {
		return []any{int64(mb2.StatusMulti), "Multi status", details}, nil
	}
	return ok(map[string]any{}), nil
}

// speak lets a host and a phone speak to each other.
func speak(ctx context.Context, p *Phone, h *host, request map[string]any) (final, Report, error) {
	ours, theirs := net.Pipe()
	type served struct {
		report Report
		err    error
	}
	done := make(chan served, 1)
	go func() {
		report, err := p.Serve(ctx, theirs)
		done <- served{report, err}
	}()
	f, err := h.run(ours, request)
	s := <-done
	if err != nil && s.err == nil && !errors.Is(err, io.EOF) {
		s.err = fmt.Errorf("host: %w", err)
	}
	return f, s.report, s.err
}

func backupRequest(udid string) map[string]any {
	return map[string]any{"MessageName": "Backup", "TargetIdentifier": udid}
}

// backup is the backup that the host has, which is that of the one phone of all
// tests.
func (h *host) backup() fs.FS { return h.root.fsys(small().UDID) }
