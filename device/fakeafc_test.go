package device

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
)

// fakeAFC is a file service over a map: folders end in a slash, links hold
// "-> ".
type fakeAFC struct {
	mu      sync.Mutex
	files   map[string]string
	locked  int  // how often the lock is refused
	held    bool // a host has the lock
	asked   []AFCOp
	refused map[AFCOp]AFCError
}

func newFakeAFC() *fakeAFC {
	return &fakeAFC{refused: map[AFCOp]AFCError{}, files: map[string]string{
		"/": "", "/DCIM/": "", "/DCIM/100APPLE/": "", "/DCIM/100APPLE/IMG_0001.JPG": "a photo", "/empty": "", "/link": "-> DCIM",
		"/iTunes_Control/": "", "/iTunes_Control/iTunes/": "", "/iTunes_Control/iTunes/iTunesPrefs": "prefs", "/Books/": "", "/Books/iBooksData2.plist": "books",
	}}
}

// open is a connection's open files.
type open struct {
	paths []string
	at    []int
}

func (f *fakeAFC) serve(c net.Conn) {
	var o open
	for {
		q, err := ReadAFC(c)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.asked = append(f.asked, q.Op)
		a := f.answer(q, &o)
		f.mu.Unlock()
		a.Number = q.Number
		if WriteAFC(c, a) != nil {
			return
		}
	}
}

func status(e AFCError) *AFCPacket {
	return &AFCPacket{Op: AFCStatus, Params: binary.LittleEndian.AppendUint64(nil, uint64(e))}
}

func (f *fakeAFC) stat(name string) (key string, e AFCError) {
	if name == "/" {
		return "/", 0
	}
	for _, k := range []string{name, name + "/"} {
		if _, ok := f.files[k]; ok {
			return k, 0
		}
	}
	return "", AFCNotFound
}

func (f *fakeAFC) answer(q *AFCPacket, o *open) *AFCPacket {
	if e := f.refused[q.Op]; e != 0 {
		return status(e)
	}
	switch q.Op {
	case AFCReadDir, AFCFileInfo, AFCMakeDir, AFCRemovePath, AFCRemoveAll, AFCRenamePath:
		return f.byPath(q)
	case AFCFileOpen:
		mode, name := binary.LittleEndian.Uint64(q.Params), strings.TrimSuffix(string(q.Params[8:]), "\x00")
		if _, e := f.stat(name); e != 0 && AFCMode(mode) == AFCRead {
			return status(e)
		} else if e != 0 || AFCMode(mode) == AFCWrite {
			f.files[name] = ""
		}
		o.paths, o.at = append(o.paths, name), append(o.at, 0)
		return &AFCPacket{Op: AFCFileOpened, Params: binary.LittleEndian.AppendUint64(nil, uint64(len(o.paths)))}
	}
	return f.byHandle(q, o)
}

func (f *fakeAFC) byPath(q *AFCPacket) *AFCPacket {
	names := strings.Split(string(q.Params), "\x00")
	key, e := f.stat(names[0])
	if q.Op == AFCMakeDir {
		f.files[names[0]+"/"] = ""
		return status(0)
	}
	if e != 0 {
		return status(e)
	}
	data := ""
	switch q.Op {
	case AFCReadDir:
		data = ".\x00..\x00bad/name\x00"
		for _, k := range slices.Sorted(maps.Keys(f.files)) {
			if k != "/" && path.Dir(strings.TrimSuffix(k, "/")) == "/"+strings.Trim(key, "/") {
				data += path.Base(k) + "\x00"
			}
		}
	case AFCFileInfo:
		kind, size, link := "S_IFREG", len(f.files[key]), ""
		if strings.HasSuffix(key, "/") {
			kind = "S_IFDIR"
		} else if to, ok := strings.CutPrefix(f.files[key], "-> "); ok {
			kind, link = "S_IFLNK", "LinkTarget\x00"+to+"\x00"
		}
		data = fmt.Sprintf("st_size\x00%d\x00st_blocks\x000\x00st_ifmt\x00%s\x00st_mtime\x001700000000000000000\x00%s", size, kind, link)
	case AFCRemovePath:
		for k := range f.files {
			if k != key && strings.HasPrefix(k, key) && strings.HasSuffix(key, "/") {
				return status(AFCNotEmpty)
			}
		}
		delete(f.files, key)
		return status(0)
	case AFCRemoveAll:
		maps.DeleteFunc(f.files, func(k, _ string) bool { return strings.HasPrefix(k, key) })
		return status(0)
	case AFCRenamePath:
		f.files[names[1]] = f.files[key]
		delete(f.files, key)
		return status(0)
	}
	return &AFCPacket{Op: AFCData, Data: []byte(data)}
}

func (f *fakeAFC) byHandle(q *AFCPacket, o *open) *AFCPacket {
	le := binary.LittleEndian
	h := int(le.Uint64(q.Params)) - 1
	if h < 0 || h >= len(o.paths) {
		return status(AFCInvalid)
	}
	name, at := o.paths[h], &o.at[h]
	switch q.Op {
	case AFCFileRead:
		rest := f.files[name][min(*at, len(f.files[name])):]
		rest = rest[:min(len(rest), int(le.Uint64(q.Params[8:])))]
		*at += len(rest)
		return &AFCPacket{Op: AFCData, Data: []byte(rest)}
	case AFCFileWrite:
		f.files[name] = f.files[name][:*at] + string(q.Data)
		*at += len(q.Data)
	case AFCFileSeek:
		*at = int(le.Uint64(q.Params[16:])) + []int{0, *at, len(f.files[name])}[le.Uint64(q.Params[8:])]
	case AFCFileTell:
		return &AFCPacket{Op: AFCFileTold, Params: le.AppendUint64(nil, uint64(*at))}
	case AFCFileSetSize:
		f.files[name] = f.files[name][:le.Uint64(q.Params[8:])]
	case AFCFileLock:
		if le.Uint64(q.Params[8:]) == lockExclusive && f.locked > 0 {
			f.locked--
			return status(AFCWouldBlock)
		}
		f.held = le.Uint64(q.Params[8:]) == lockExclusive
	}
	return status(0)
}

// fakeProxy is notification_proxy: it notes what is posted, and relays it to
// itself.
type fakeProxy struct {
	mu     sync.Mutex
	posted []string
}

func (f *fakeProxy) serve(c net.Conn) {
	observed := map[string]bool{}
	for {
		var m dict
		if ReadPlist(c, &m) != nil {
			return
		}
		name := m.text("Name")
		switch m.text("Command") {
		case "ObserveNotification":
			observed[name] = true
		case "PostNotification":
			f.mu.Lock()
			f.posted = append(f.posted, name)
			f.mu.Unlock()
			if observed[name] && WritePlist(c, map[string]any{"Command": "Noise", "Name": "x"}, 1) != nil {
				return
			}
			if observed[name] && WritePlist(c, map[string]any{"Command": "RelayNotification", "Name": name}, 1) != nil {
				return
			}
		case "Shutdown":
			WritePlist(c, map[string]any{"Command": "ProxyDeath"}, 1)
			return
		}
	}
}

// fakeAnswers is a service that gives these answers, whatever it is asked, the
// last one for ever.
func fakeAnswers(answers ...map[string]any) func(net.Conn) {
	return func(c net.Conn) {
		for i := 0; ; i++ {
			var m dict
			if ReadPlist(c, &m) != nil || WritePlist(c, answers[min(i, len(answers)-1)], 1) != nil {
				return
			}
		}
	}
}

// fakeTalk is a service that is asked once and tells all of this.
func fakeTalk(messages ...map[string]any) func(net.Conn) {
	return func(c net.Conn) {
		var m dict
		if ReadPlist(c, &m) != nil {
			return
		}
		for _, m := range messages {
			if WritePlist(c, m, 1) != nil {
				return
			}
		}
	}
}
