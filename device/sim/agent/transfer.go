package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"russet/device/mb2"
)

// beginUpload announces a batch of files with so many bytes together.
func (s *session) beginUpload(path string, percent float64, size int64) error {
	if err := s.refusal(); err != nil {
		return err
	}
	return s.send("DLMessageUploadFiles", path, map[string]any{}, percent, size)
}

// endUpload ends a batch and reads the host's answer.
func (s *session) endUpload() (answer, error) {
	if err := s.step("end", ""); err != nil {
		return answer{}, err
	}
	if _, err := s.w.Write(mb2.AppendUnit(nil)); err != nil {
		return answer{}, err
	}
	if err := s.w.Flush(); err != nil {
		return answer{}, err
	}
	return s.status("DLMessageUploadFiles")
}

// uploadFile sends one file of a batch. A task ends it early; a reader that
// fails ends it with CodeIO, which failed reports.
func (s *session) uploadFile(device, host string, r io.Reader, task FileTask) (n int64, failed bool, err error) {
	if err := s.step("file", host); err != nil {
		return 0, false, err
	}
	if err := s.unit([]byte(device)); err != nil {
		return 0, false, err
	}
	if err := s.unit([]byte(host)); err != nil {
		return 0, false, err
	}
	if task.Code != 0 {
		r = io.LimitReader(r, task.After)
	}
	s.buf[0] = byte(mb2.CodeData)
	for {
		m, readErr := io.ReadFull(r, s.buf[1:])
		n += int64(m)
		if m > 0 {
			if err := s.unit(s.buf[:1+m]); err != nil {
				return n, false, err
			}
		}
		if readErr == nil {
			continue
		}
		if err := s.step("end", host); err != nil {
			return n, false, err
		}
		if task.Code != 0 {
			return n, true, s.unit(append([]byte{byte(task.Code)}, "Input/output error"...))
		}
		if readErr != io.EOF && readErr != io.ErrUnexpectedEOF {
			return n, true, s.unit(append([]byte{byte(mb2.CodeIO)}, "Input/output error"...))
		}
		return n, false, s.unit([]byte{byte(mb2.CodeEnd)})
	}
}

// unit writes one unit.
func (s *session) unit(data []byte) error {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(data)))
	if _, err := s.w.Write(head[:]); err != nil {
		return err
	}
	_, err := s.w.Write(data)
	return err
}

// uploadBytes sends one small file as a batch of its own.
func (s *session) uploadBytes(name, host string, data []byte, percent float64) error {
	if err := s.beginUpload(host, percent, 0); err != nil {
		return err
	}
	device := "/var/.backup/Snapshots/" + name
	if _, _, err := s.uploadFile(device, host, bytes.NewReader(data), FileTask{}); err != nil {
		return err
	}
	a, err := s.endUpload()
	if err != nil {
		return err
	}
	return writeError(a.code)
}

// writeError is what the phone makes of a host that could not write.
func writeError(code mb2.Status) error {
	switch code {
	case mb2.StatusOK:
		return nil
	case mb2.StatusNoSpace:
		return &Refusal{Code: codeHostFull, Text: "Insufficient free disk space on drive"}
	case mb2.StatusNotFound, mb2.StatusExists:
		return &Refusal{Code: codeCorrupt, Text: "Error writing to the backup"}
	}
	return &Refusal{Code: codeWrite, Text: "Multiple errors uploading files"}
}

// readError is what the phone makes of a host that could not read.
func readError(code mb2.Status) error {
	switch code {
	case mb2.StatusOK:
		return nil
	case mb2.StatusNotFound:
		return &Refusal{Code: codeCorrupt, Text: "Multiple errors downloading files"}
	}
	return &Refusal{Code: codeRead, Text: "Error reading from drive"}
}

// sink takes one file of a download. It ends by Close or Abort.
type sink interface {
	io.Writer
	Close() error
	Abort()
}

// download reads a batch of files. It returns what became of each.
func (s *session) download(paths []string, percent float64, open func(i int) (sink, error)) ([]mb2.Status, error) {
	if err := s.refusal(); err != nil {
		return nil, err
	}
	first := ""
	if len(paths) > 0 {
		first = paths[0]
	}
	if err := s.send("DLMessageDownloadFiles", first, paths, map[string]any{}, percent, int64(0)); err != nil {
		return nil, err
	}
	states := make([]mb2.Status, len(paths))
	failures, misnamed := 0, false
	for i := range paths {
		code, misnomer, err := s.downloadFile(paths[i], func() (sink, error) { return open(i) })
		if err != nil {
			return nil, err
		}
		misnamed = misnamed || misnomer
		if code == endOfBatch {
			if failures == 0 && !misnamed {
				_ = s.broken(RuleMissing, "a batch ends after %d of %d files, none of which failed", i, len(paths))
			}
			for ; i < len(paths); i++ {
				states[i] = mb2.StatusNotFound
			}
			break
		}
		if states[i] = code; code != mb2.StatusOK {
			failures++
		}
		if i == len(paths)-1 {
			if err := s.endOfDownload(); err != nil {
				return nil, err
			}
		}
	}
	if len(paths) == 0 {
		if err := s.endOfDownload(); err != nil {
			return nil, err
		}
	}
	if err := s.downloadStatus(paths, states, failures); err != nil {
		return nil, err
	}
	if misnamed {
		return nil, &Refusal{Code: codeGeneric, Text: "Unexpected from path"}
	}
	return states, nil
}

// endOfBatch stands for the unit that ends a batch, where a name could have been.
const endOfBatch mb2.Status = 1

// readUnit reads one unit of a download.
func (s *session) readUnit(buf []byte, limit int) ([]byte, error) {
	unit, err := mb2.ReadUnit(s.r, buf, limit)
	if errors.Is(err, mb2.ErrDesync) {
		return nil, s.broken(RuleUnit, "%v", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read from the host: %w", err)
	}
	return unit, nil
}

// downloadFile reads one file under its name. One of another name is read and
// dropped.
func (s *session) downloadFile(path string, open func() (sink, error)) (code mb2.Status, misnamed bool, err error) {
	name, err := s.readUnit(nil, mb2.MaxName)
	if err != nil {
		return 0, false, err
	}
	if len(name) == 0 {
		return endOfBatch, false, nil
	}
	if string(name) != path {
		_ = s.broken(RuleName, "a file comes under another name than it was asked for")
		misnamed = true
	}
	dst := sink(discard{})
	if !misnamed {
		if dst, err = open(); err != nil {
			return 0, false, err
		}
	}
	buf := make([]byte, 0, mb2.DataSize+1)
	for {
		unit, err := s.readUnit(buf, mb2.MaxData)
		if err != nil {
			dst.Abort()
			return 0, false, err
		}
		switch {
		case len(unit) == 0:
			dst.Abort()
			return 0, false, s.broken(RuleUnit, "a batch ends within a file")
		case mb2.Code(unit[0]) == mb2.CodeEnd:
			return mb2.StatusOK, misnamed, dst.Close()
		case mb2.Code(unit[0]) != mb2.CodeData:
			dst.Abort()
			return -mb2.Status(unit[0]), misnamed, nil
		case len(unit)-1 > mb2.DataSize:
			dst.Abort()
			return 0, false, s.broken(RuleUnitSize, "a data unit of %d bytes, over %d", len(unit)-1, mb2.DataSize)
		}
		if _, err := dst.Write(unit[1:]); err != nil {
			dst.Abort()
			return 0, false, err
		}
	}
}

// endOfDownload wants the unit that ends a batch.
func (s *session) endOfDownload() error {
	unit, err := s.readUnit(nil, mb2.MaxName)
	if err != nil {
		return err
	}
	if len(unit) != 0 {
		return s.broken(RuleName, "a file that was not asked for, or no end of a batch")
	}
	return nil
}

// downloadStatus compares the answer to a batch with what came.
func (s *session) downloadStatus(paths []string, states []mb2.Status, failures int) error {
	a, err := s.status("DLMessageDownloadFiles")
	if err != nil {
		return err
	}
	switch {
	case failures == 0 && a.code == mb2.StatusOK:
		return nil
	case failures == 0 && a.code == mb2.StatusMulti:
		_ = s.broken(RuleFailure, "details of failures in a batch without any")
		return nil
	case a.code == mb2.StatusOK:
		_ = s.broken(RuleFailure, "a batch in which a file failed is answered as if none had")
		return nil
	case a.code != mb2.StatusMulti:
		_ = s.broken(RuleFailure, "a batch is answered with %d in place of details", a.code)
		for i := range states {
			states[i] = a.code
		}
		return nil
	}
	for i, path := range paths {
		inner, ok := a.failed[path]
		if ok != (states[i] != mb2.StatusOK) && !(states[i] == mb2.StatusNotFound && !ok) {
			_ = s.broken(RuleFailure, "the details of a batch name other files than those that failed")
		}
		if ok {
			states[i] = inner // the exact reason
		}
	}
	return nil
}

// discard is a sink for what nobody wants.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
func (discard) Abort()                      {}

// memory is a sink for a small file.
type memory struct {
	bytes.Buffer
	limit int
}

// Write keeps p, up to the limit.
func (m *memory) Write(p []byte) (int, error) {
	if m.Len()+len(p) > m.limit {
		return 0, fmt.Errorf("read from the host: a property list of more than %d bytes", m.limit)
	}
	return m.Buffer.Write(p)
}

// Close keeps what has come.
func (m *memory) Close() error { return nil }

// Abort drops what has come.
func (m *memory) Abort() { m.Reset() }

// maxPlist bounds the property lists that a host serves, in bytes.
const maxPlist = 64 << 20

// downloadOne reads one file, as a batch of its own. A code of the host is no
// error.
func (s *session) downloadOne(path string, percent float64, dst sink) (mb2.Status, error) {
	states, err := s.download([]string{path}, percent, func(int) (sink, error) { return dst, nil })
	if err != nil {
		return 0, err
	}
	return states[0], nil
}

// downloadBytes reads one small file.
func (s *session) downloadBytes(path string) ([]byte, mb2.Status, error) {
	m := &memory{limit: maxPlist}
	code, err := s.downloadOne(path, 0, m)
	if err != nil {
		return nil, 0, err
	}
	return m.Bytes(), code, nil
}
