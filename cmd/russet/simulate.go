package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"russet/device/sim"
	"russet/device/sim/agent"
	"russet/device/sim/phone"
)

// usualListen is the address of usbmuxd on Windows, where programs look for it
// without being told.
const usualListen = "127.0.0.1:27015"

// listeningMessage says that a simulated phone can be spoken to.
type listeningMessage struct {
	MessageType string `json:"message_type" doc:"\"listening\""`
	Address     string `json:"address" doc:"for USBMUXD_SOCKET_ADDRESS"`
	Device      string `json:"udid" doc:"of the phone"`
}

// eventMessage is something that happened to a simulated phone.
type eventMessage struct {
	MessageType string `json:"message_type" doc:"\"event\""`
	Service     string `json:"service" doc:"of the phone: muxer, lockdownd, ..."`
	Event       string `json:"event" doc:"the message that came, in short; not to be parsed"`
	Violation   string `json:"violation,omitempty" doc:"the rule of the protocol that the host broke"`
}

// runMessage is what a backup of a simulated phone was, as the phone saw it.
type runMessage struct {
	MessageType string `json:"message_type" doc:"\"run\""`
	Request     string `json:"request" doc:"Backup, Restore, ChangePassword, ..."`
	Code        int    `json:"code" doc:"the phone's answer; 0 is success"`
	Answered    bool   `json:"answered" doc:"there was an answer"`
	Steps       int    `json:"steps" doc:"of the run; the fault \"disconnect\" takes one of them"`
	Full        bool   `json:"full" doc:"every file was sent"`
	Fallback    string `json:"fallback,omitempty" doc:"why it was a full one although the host has a backup"`
	Resumed     bool   `json:"resumed" doc:"it went on with a run that was cut off"`
	Sent        int    `json:"files_sent" doc:""`
	SentBytes   int64  `json:"bytes_sent" doc:""`
	Kept        int    `json:"files_kept" doc:"that the host has already"`
	Removed     int    `json:"files_removed" doc:""`
	Restored    int    `json:"files_restored" doc:""`
	Violations  int    `json:"violations" doc:"rules that the host broke"`
	Error       string `json:"error,omitempty" doc:"how the session ended, if not well"`
}

func (p *program) simulateVerb() *cli.Command {
	return &cli.Command{
		Name:     "simulate",
		Category: groupSelf,
		Usage:    "be a phone made of software, for any program that speaks to usbmuxd",
		UsageText: "russet simulate --state phone\n" +
			"russet simulate --state phone --listen UNIX:/tmp/mux --faults slow.json",
		Description: "Answers as usbmuxd with one iPhone until it is stopped with Ctrl-C: it can be paired, asked,\n" +
			"backed up and restored. What it holds lies below the folder DIR, to be looked at and\n" +
			"changed: Files/DOMAIN/PATH are the files of its backups, Media is what its file service\n" +
			"shows. A new folder is filled with made-up content. What comes, and every rule that a\n" +
			"host breaks, is told on stderr. Programs find it by the address in the environment:\n" +
			"USBMUXD_SOCKET_ADDRESS=127.0.0.1:27015 russet devices, or idevice_id -l.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Value: usualListen, Usage: "the `ADDRESS` to answer at: HOST:PORT, or UNIX:PATH; port 0 takes a free one"},
			&cli.StringFlag{Name: "state", Usage: "the `DIR` that the phone lies in; made where there is none"},
			&cli.StringFlag{Name: "content", Value: "demo", Usage: "what a new phone holds: `demo|tiny|bench|many|empty`"},
			&cli.StringFlag{Name: "faults", Usage: "what shall go wrong: a JSON `FILE`, see docs/testing.md"},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.String("state") == "" {
				return usageError{"simulate wants a folder for the phone: --state DIR"}
			}
			return p.simulate(c)
		},
	}
}

func (p *program) simulate(c *cli.Context) error {
	defer debug.SetGCPercent(debug.SetGCPercent(simulateGCPercent))
	config, err := contentOf(c.String("content"))
	if err != nil {
		return err
	}
	po, ao := phone.Options{Observe: p.observed}, agent.Options{Iterations: p.rounds}
	if file := c.String("faults"); file != "" {
		text, err := readBounded(file, maxFaults)
		if err == nil {
			err = parseFaults(text, &po, &ao)
		}
		if err != nil {
			return fmt.Errorf("--faults: %w", err)
		}
	}
	l, address, err := listen(c.String("listen")) // before the folder is filled, which may take minutes
	if err != nil {
		return fmt.Errorf("simulate a phone: %w", err)
	}
	s, err := openSimulated(c.Context, c.String("state"), config, po, ao, p.ran)
	if err != nil {
		return errors.Join(fmt.Errorf("simulate a phone: %w", err), l.Close())
	}
	defer s.close()
	if p.json {
		err = p.emit(listeningMessage{"listening", address, s.phone.UDID()})
	} else {
		_, err = fmt.Fprintf(p.stdout, "a phone listens: USBMUXD_SOCKET_ADDRESS=%s\n", address)
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return s.phone.Serve(c.Context, l)
}

// contentOf names a generated phone; nil is an empty one.
func contentOf(name string) (*sim.Config, error) {
	config := sim.Demo()
	switch name {
	case "demo":
	case "tiny":
		config = sim.Tiny()
	case "bench":
		config = sim.Bench()
	case "many":
		config = sim.Many()
	case "empty":
		return nil, nil
	default:
		return nil, usageError{fmt.Sprintf("--content %q: it is demo, tiny, bench, many or empty", name)}
	}
	return &config, nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("read %s: it is longer than %d bytes", name, limit)
	}
	return data, err
}

// listen listens at an address as USBMUXD_SOCKET_ADDRESS has it, and returns
// the address in this form with the port that was taken.
func listen(address string) (net.Listener, string, error) {
	host, _, _ := net.SplitHostPort(address)
	path, unix := strings.CutPrefix(address, "UNIX:")
	if unix && path == "" || !unix && host == "" {
		return nil, "", usageError{"--listen wants HOST:PORT or UNIX:PATH; a phone for everybody listens at 0.0.0.0:PORT"}
	}
	if unix {
		l, err := net.Listen("unix", path)
		return l, "UNIX:" + path, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, "", err
	}
	return l, l.Addr().String(), nil
}

// observed tells of a message or of a broken rule.
func (p *program) observed(e phone.Event) {
	switch {
	case p.json:
		_ = p.emit(eventMessage{"event", e.Service, e.Message, e.Violation}) // a reader that went away ends the program elsewhere
	case e.Violation != "":
		p.warn("%s: rule broken: %s", e.Service, e.Violation)
	default:
		p.note("%s: %s", e.Service, e.Message)
	}
}

// ran tells of a session of the backup service.
func (p *program) ran(r agent.Report, err error) {
	m := runMessage{
		MessageType: "run", Request: r.Request, Code: r.Code, Answered: r.Answered, Steps: r.Steps, Full: r.Full,
		Fallback: r.Fallback, Resumed: r.Resumed, Sent: r.Sent, SentBytes: r.Bytes, Kept: r.Kept, Removed: r.Removed,
		Restored: r.Restored, Violations: len(r.Violations),
	}
	if err != nil {
		m.Error = err.Error()
	}
	if p.json {
		_ = p.emit(m) // as in observed
		return
	}
	for _, v := range r.Violations {
		p.warn("backup: %v", v)
	}
	answer := "without an answer"
	if m.Answered {
		answer = fmt.Sprintf("with code %d", m.Code)
	}
	p.note("backup: %s ended in %d steps %s: %d sent (%s), %d kept, %d removed, %d restored", m.Request, m.Steps, answer,
		m.Sent, size(m.SentBytes), m.Kept, m.Removed, m.Restored)
	if err != nil {
		p.warn("backup: %v", err)
	}
}

// simulated is a phone of software: its content, its backup service, and what
// programs see of it.
type simulated struct {
	contents io.Closer // nil: somebody else's
	agent    *agent.Phone
	phone    *phone.Phone
}

// openSimulated opens the phone that lies in dir, or makes one there: with the
// content that config names, or empty where it is nil. ran is told of each
// session of its backup service.
func openSimulated(ctx context.Context, dir string, config *sim.Config, po phone.Options, ao agent.Options, ran func(agent.Report, error)) (*simulated, error) {
	_, err := os.Stat(filepath.Join(dir, "phone.json"))
	isNew := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	named := sim.Demo()
	if config != nil {
		named = *config
	}
	folder, err := sim.OpenFolder(dir, named)
	if err != nil {
		return nil, err
	}
	if isNew && config != nil {
		if err := fillPhone(ctx, folder, *config); err != nil {
			return nil, errors.Join(err, folder.Close(), os.Remove(filepath.Join(dir, "phone.json")))
		}
	}
	s, err := assemble(dir, folder, po, ao, ran)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	s.contents = folder
	return s, nil
}

// fillPhone writes a generated phone's files.
func fillPhone(ctx context.Context, folder *sim.Folder, config sim.Config) error {
	scratch, err := os.MkdirTemp("", "russet-simulate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	d, err := sim.New(ctx, config, scratch)
	if err != nil {
		return err
	}
	return folder.Fill(ctx, d)
}

// assemble puts a phone together around its contents. What it remembers lies
// in dir.
func assemble(dir string, contents agent.Contents, po phone.Options, ao agent.Options, ran func(agent.Report, error)) (*simulated, error) {
	memory := filepath.Join(dir, "Backup")
	if err := os.MkdirAll(memory, 0o700); err != nil {
		return nil, err
	}
	config := contents.Config()
	if po.ProductVersion == "" {
		po.ProductVersion = config.Version
	}
	po.UDID, po.Name, po.ProductType, po.BuildVersion, po.SerialNumber = config.UDID, config.Name, config.ProductType, config.Build, config.Serial
	s := &simulated{}
	ao.Notify = func(name string) { s.phone.Notify(name) }
	var err error
	if s.agent, err = agent.Open(memory, contents, ao); err != nil {
		return nil, err
	}
	po.Backup = func(ctx context.Context, conn net.Conn, _ *phone.Phone) error {
		report, err := s.agent.Serve(ctx, conn)
		ran(report, err)
		return s.phone.SetWillEncrypt(s.agent.Encrypted())
	}
	if s.phone, err = phone.New(dir, po); err != nil {
		return nil, errors.Join(err, s.agent.Close())
	}
	if err := s.phone.SetWillEncrypt(s.agent.Encrypted()); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close gives the phone's folder up.
func (s *simulated) close() {
	_ = s.phone.Close() // nothing that was said is still to be written
	_ = s.agent.Close()
	if s.contents != nil {
		_ = s.contents.Close()
	}
}
