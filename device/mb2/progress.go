package mb2

import "fmt"

// Phase is what a phone is doing, as far as its orders tell. Phases follow one
// another in this order; some are left out.
type Phase int

// The phases of a call.
const (
	// PhaseWaiting lasts until the first order: the phone asks for its
	// passcode where it has one.
	PhaseWaiting   Phase = iota
	PhasePreparing       // it reads what there is and scans its files, silently for minutes
	PhaseReceiving       // its files come
	PhaseMoving          // new files take the place of old ones
	PhaseRemoving        // what is no longer on the phone is removed
	PhaseVerifying       // the phone reads the new backup
	PhaseSending         // a restore reads the files
)

// String says it in a word or two.
func (p Phase) String() string {
	switch p {
	case PhaseWaiting:
		return "waiting for passcode"
	case PhasePreparing:
		return "preparing"
	case PhaseReceiving:
		return "receiving"
	case PhaseMoving:
		return "moving"
	case PhaseRemoving:
		return "removing"
	case PhaseVerifying:
		return "verifying"
	case PhaseSending:
		return "sending"
	}
	return fmt.Sprintf("phase %d", int(p))
}

// Progress is how far a call is. Nothing in it ever goes back.
type Progress struct {
	Phase   Phase
	Percent float64 // of the whole, 0 to 100, as the phone sees it; 0 where it does not say
	Files   int64   // received and sent as a whole
	Bytes   int64   // of their content
}

// String is a line for a person.
func (p Progress) String() string {
	return fmt.Sprintf("%s, %.0f %%, %d files, %d bytes", p.Phase, p.Percent, p.Files, p.Bytes)
}

// enter reports a phase, unless it is past.
func (s *Session) enter(p Phase) {
	s.progress.Phase = max(s.progress.Phase, p)
	s.report()
}

// advance notes what the phone said of the whole.
func (s *Session) advance(percent float64) {
	s.progress.Percent = max(s.progress.Percent, percent)
}

// count adds content to what was moved.
func (s *Session) count(files, bytes int64) {
	s.result.Files += files
	s.result.Bytes += bytes
	s.report()
}

func (s *Session) report() {
	s.progress.Files, s.progress.Bytes = s.result.Files, s.result.Bytes
	if s.o.Progress != nil {
		s.o.Progress(s.progress)
	}
}
