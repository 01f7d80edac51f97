package repo

import (
	"sync/atomic"
)

// Progress is what a long operation has done so far. The operation writes it,
// anybody may read it at any time. A nil one takes what is written and keeps
// nothing.
type Progress struct {
	phase                  atomic.Pointer[string]
	files, bytes           atomic.Int64
	totalFiles, totalBytes atomic.Int64
}

// ProgressState is one reading of a Progress. Totals are 0 while they are not
// known; sizes are bytes.
type ProgressState struct {
	Phase                  string
	Files, Bytes           int64
	TotalFiles, TotalBytes int64
}

// SetPhase says what is being done.
func (p *Progress) SetPhase(phase string) {
	if p != nil {
		p.phase.Store(&phase)
	}
}

// SetTotal says how much there is to do, and starts counting anew.
func (p *Progress) SetTotal(files, bytes int64) {
	if p == nil {
		return
	}
	p.files.Store(0)
	p.bytes.Store(0)
	p.totalFiles.Store(files)
	p.totalBytes.Store(bytes)
}

// Add counts what was done.
func (p *Progress) Add(files, bytes int64) {
	if p != nil {
		p.files.Add(files)
		p.bytes.Add(bytes)
	}
}

// begin starts a phase, and counting anew.
func (p *Progress) begin(phase string, files int, bytes int64) {
	p.SetTotal(int64(files), bytes)
	p.SetPhase(phase)
}

// State reads the progress.
func (p *Progress) State() ProgressState {
	s := ProgressState{
		Files: p.files.Load(), Bytes: p.bytes.Load(),
		TotalFiles: p.totalFiles.Load(), TotalBytes: p.totalBytes.Load(),
	}
	if phase := p.phase.Load(); phase != nil {
		s.Phase = *phase
	}
	return s
}
