package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Script is what shall go wrong, and how the phone behaves where phones differ
// or nobody knows. The zero Script is a phone of iOS 17 without a passcode, on
// which all goes well. As a file it is one JSON object with the fields below,
// all optional; unknown ones are errors:
//
//	{
//	  "deviceLink": 400,              version of DeviceLink; 300 unless given
//	  "hasPasscode": true,            each backup waits for the passcode
//	  "passcodeAfter": "3s",          when it is typed; never, where it is "never"
//	  "passcodeTimeout": "30m",       after which the answer is 208; 30 minutes unless given
//	  "scan": "90s",                  silence while the phone looks at its files
//	  "batch": 128,                   files in a batch
//	  "unit": 262144,                 bytes in a data unit
//	  "extra": 1099511627776,         bytes that are asked for beyond what will be sent
//	  "disconnect": 17,               the cable is pulled before this step
//	  "respond": [{"at": "files", "code": 208, "text": "..."}],
//	                                  the answer before a step or at the start of a phase
//	  "files": [{"n": 3, "after": 4096, "code": 11, "fatal": true, "twice": true}],
//	                                  what happens to the n-th file that is sent, from 1: after so many bytes it ends
//	                                  with the code (6 not found, 11 I/O, 15 no space), and when that is fatal the run
//	                                  ends with 104; or it is sent a second time
//	  "add": [{"domain": "CameraRollDomain", "path": "Media/long.mov", "size": 5368709120}],
//	                                  files that are made up, of zeros
//	  "hostile": [{"order": "upload", "name": "../../x", "length": 70000}],
//	                                  orders with a bad name, which a host must refuse: upload, mkdir, move, remove,
//	                                  download, list, copy; a length is announced for a name, and the connection ends
//	  "behaviour": { ... }            see Behaviour
//	}
//
// Phases are "start", "status", "scan", "space", "folders", "files",
// "manifests", "moving", "removing", "finished", "verify".
type Script struct {
	DeviceLink      int        `json:"deviceLink"`
	HasPasscode     bool       `json:"hasPasscode"`
	PasscodeAfter   Wait       `json:"passcodeAfter"`
	PasscodeTimeout Wait       `json:"passcodeTimeout"`
	Scan            Wait       `json:"scan"`
	Batch           int        `json:"batch"`
	Unit            int        `json:"unit"`
	Extra           int64      `json:"extra"`
	Disconnect      int        `json:"disconnect"`
	Respond         []Answer   `json:"respond"`
	Files           []FileTask `json:"files"`
	Add             []MadeUp   `json:"add"`
	Hostile         []Hostile  `json:"hostile"`
	Behaviour       Behaviour  `json:"behaviour"`
}

// Behaviour is how a phone behaves where descriptions differ, or rest on one
// source. The zero value is what most of them say.
type Behaviour struct {
	HonourForce   bool `json:"honourForce"`   // ForceFullBackup makes a full backup
	OldSpelling   bool `json:"oldSpelling"`   // DLMessageMoveFiles, DLMessageRemoveFiles
	NoReadBack    bool `json:"noReadBack"`    // the manifests are not read at the end
	IgnoreSizes   bool `json:"ignoreSizes"`   // only names are compared in listings
	NoVerify      bool `json:"noVerify"`      // the old backup is not verified
	DropCache     bool `json:"dropCache"`     // a run that was cut is scanned and sent afresh
	NoRewrap      bool `json:"noRewrap"`      // a changed password does not change the manifest on the host
	UnpackedPaths bool `json:"unpackedPaths"` // names on the phone are those of domains and paths
}

// Answer is a final answer at a point of a run.
type Answer struct {
	At   Point  `json:"at"`
	Code int    `json:"code"` // of MBErrorDomain: 1, 25, 105, 202, 205, 207, 208, 212, ...
	Text string `json:"text"`
	// Notify is a notification that is posted then, as that of a person who
	// cancels: "com.apple.itunes-client.syncCancelRequest".
	Notify string `json:"notify"`
}

// FileTask is what happens to one file that is sent.
type FileTask struct {
	N     int   `json:"n"` // from 1, in order of sending
	After int64 `json:"after"`
	Code  int   `json:"code"`
	Fatal bool  `json:"fatal"`
	Twice bool  `json:"twice"`
}

// MadeUp is a file of zeros.
type MadeUp struct {
	Domain string `json:"domain"`
	Path   string `json:"path"`
	Size   int64  `json:"size"`
}

// Hostile is an order that a host must refuse.
type Hostile struct {
	Order  string `json:"order"`
	Name   string `json:"name"`
	Length uint32 `json:"length"`
}

// Phase is a part of a backup.
type Phase string

// The phases of a backup, in their order.
const (
	PhaseStart     Phase = "start"
	PhaseStatus    Phase = "status"
	PhaseScan      Phase = "scan"
	PhaseSpace     Phase = "space"
	PhaseFolders   Phase = "folders"
	PhaseFiles     Phase = "files"
	PhaseManifests Phase = "manifests"
	PhaseMoving    Phase = "moving"
	PhaseRemoving  Phase = "removing"
	PhaseFinished  Phase = "finished"
	PhaseVerify    Phase = "verify"
)

var phases = map[Phase]bool{
	PhaseStart: true, PhaseStatus: true, PhaseScan: true, PhaseSpace: true, PhaseFolders: true, PhaseFiles: true,
	PhaseManifests: true, PhaseMoving: true, PhaseRemoving: true, PhaseFinished: true, PhaseVerify: true,
}

// Point is a place in a run: the start of a phase, or else a step. In JSON it
// is a name or a number.
type Point struct {
	Phase Phase
	Step  int
}

// UnmarshalJSON reads a name or a number.
func (p *Point) UnmarshalJSON(data []byte) error {
	if n, err := strconv.Atoi(string(data)); err == nil && n > 0 {
		*p = Point{Step: n}
		return nil
	}
	var name Phase
	if err := json.Unmarshal(data, &name); err != nil || !phases[name] {
		return errors.New("a point is a phase or a step")
	}
	*p = Point{Phase: name}
	return nil
}

// Wait is a duration, in JSON as Go writes it, or "never".
type Wait time.Duration

// Never is longer than anybody waits.
const Never Wait = 1<<63 - 1

// UnmarshalJSON reads a duration.
func (w *Wait) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return errors.New("a duration is a text as \"90s\"")
	}
	if text == "never" {
		*w = Never
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("a duration is a text as \"90s\"")
	}
	*w = Wait(d)
	return nil
}

const (
	maxScript = 1 << 20 // bytes of a script
	maxUnit   = 8 << 20 // bytes of a data unit that a script may ask for
	maxBatch  = 10_000  // files of a batch that a script may ask for
)

// ParseScript reads a script from its JSON form.
func ParseScript(data []byte) (Script, error) {
	var s Script
	if len(data) > maxScript {
		return s, errors.New("read the fault script: it is too long")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Script{}, fmt.Errorf("read the fault script: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Script{}, errors.New("read the fault script: something follows the object")
	}
	if err := s.check(); err != nil {
		return Script{}, fmt.Errorf("read the fault script: %w", err)
	}
	return s, nil
}

// check refuses numbers and names that make no sense.
func (s *Script) check() error {
	if s.DeviceLink != 0 && s.DeviceLink != 300 && s.DeviceLink != 400 {
		return errors.New("deviceLink is neither 300 nor 400")
	}
	if s.Batch < 0 || s.Batch > maxBatch || s.Unit < 0 || s.Unit > maxUnit || s.Disconnect < 0 || s.Extra < 0 {
		return errors.New("a number is out of its range")
	}
	for _, f := range s.Files {
		if f.N < 1 || f.After < 0 || f.Code < 0 || f.Code > 255 || f.Code == 0x0C {
			return errors.New("a file's number, length or code is out of its range")
		}
	}
	for _, f := range s.Add {
		if f.Domain == "" || f.Path == "" || f.Size < 0 {
			return errors.New("a file that is made up lacks its name, or has a negative size")
		}
	}
	for _, a := range s.Respond {
		if a.At == (Point{}) {
			return errors.New("an answer has no point")
		}
	}
	for _, h := range s.Hostile {
		switch h.Order {
		case "upload", "mkdir", "move", "remove", "download", "list", "copy":
		default:
			return errors.New("a hostile order is none that exists")
		}
		if h.Order == "download" && h.Name == "" {
			return errors.New("a hostile download has no name: that is how a batch ends")
		}
	}
	return nil
}

// The defaults, with their reasons.
const (
	defaultLink     = 300              // clients of 2023 hang when they are asked to purge
	defaultBatch    = 128              // as phones do
	defaultUnit     = 262144           // 256 KiB with the code byte before them make 262145
	defaultPasscode = 30 * time.Minute // as iOS 26.1 waits; the first 16.x gave up after 3
)

// filled returns the script with its defaults.
func (s Script) filled() Script {
	if s.DeviceLink == 0 {
		s.DeviceLink = defaultLink
	}
	if s.Batch == 0 {
		s.Batch = defaultBatch
	}
	if s.Unit == 0 {
		s.Unit = defaultUnit
	}
	if s.PasscodeTimeout == 0 {
		s.PasscodeTimeout = Wait(defaultPasscode)
	}
	return s
}
