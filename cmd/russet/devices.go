package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/device"
	"russet/repo"
)

// deviceMessage is a phone that is connected, or, from --watch, what happened
// to it.
type deviceMessage struct {
	MessageType string     `json:"message_type" doc:"\"device\""`
	Event       string     `json:"event,omitempty" doc:"with --watch: attached, detached or paired"`
	Device      string     `json:"udid" doc:"of the phone; empty for one that was detached before it said so"`
	Connection  string     `json:"connection,omitempty" doc:"USB or Network"`
	Name        string     `json:"name,omitempty" doc:"the phone's"`
	ProductType string     `json:"product_type,omitempty" doc:"as \"iPhone12,1\""`
	Version     string     `json:"version,omitempty" doc:"of iOS"`
	Build       string     `json:"build,omitempty" doc:"of iOS"`
	Serial      string     `json:"serial,omitempty" doc:"of the phone"`
	Paired      *bool      `json:"paired,omitempty" doc:"it trusts this computer"`
	Locked      *bool      `json:"locked,omitempty" doc:"it wants its passcode"`
	Encrypts    *bool      `json:"encrypts_backups,omitempty" doc:"absent while it is not known: a phone says so after pairing"`
	Capacity    int64      `json:"capacity,omitempty" doc:"of the phone in bytes"`
	Free        int64      `json:"free,omitempty" doc:"of these"`
	LastTime    *time.Time `json:"last_snapshot_time,omitempty" doc:"when the repository's newest snapshot of the phone was taken; absent without a repository"`
	Error       string     `json:"error,omitempty" doc:"why the phone says nothing"`
}

func (p *program) devicesVerb() *cli.Command {
	return &cli.Command{
		Name:     "devices",
		Category: groupPhone,
		Usage:    "list the phones that are connected",
		UsageText: "russet devices\n" +
			"russet devices -r /media/drive/repo   # with the time of each one's last snapshot\n" +
			"russet devices --watch",
		Description: "Lists iPhones and iPads that usbmuxd sees: their names, models, iOS versions and UDIDs,\n" +
			"whether they trust this computer, are locked, and encrypt their backups (which they tell\n" +
			"after pairing). Where a repository is given, the time of the last snapshot of each is shown.\n" +
			"usbmuxd is part of macOS, comes with iTunes or Apple Devices on Windows, and is a package\n" +
			"of every Linux.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "watch", Usage: "go on, and tell of phones that come and go, until Ctrl-C"},
			muxFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			m, err := p.mux(c)
			if err != nil {
				return err
			}
			if c.Bool("watch") {
				return p.watchDevices(c.Context, m)
			}
			return p.listDevices(c, m)
		},
	}
}

func (p *program) listDevices(c *cli.Context, m *device.Mux) error {
	all, err := m.Devices(c.Context)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errNoPhone
	}
	last, err := p.lastSnapshots(c)
	if err != nil && !errors.Is(err, errNoRepositoryGiven) {
		return err
	}
	withLast := err == nil
	t := table{head: []string{"name", "model", "iOS", "UDID", "by", "paired", "locked", "encrypts"}}
	if withLast {
		t.head = append(t.head, "last snapshot")
	}
	for _, d := range all {
		msg := describeDevice(c.Context, m, d)
		if at, ok := last[strings.ToLower(d.UDID)]; ok {
			msg.LastTime = &at
		}
		if p.json {
			if err := p.emit(msg); err != nil {
				return err
			}
			continue
		}
		if msg.Error != "" {
			p.warn("%s: %s", d.UDID, msg.Error)
		}
		t.add(msg.row(withLast)...)
	}
	if p.json {
		return nil
	}
	_, err = fmt.Fprint(p.stdout, t.String())
	return err
}

// row is the phone in the table.
func (m *deviceMessage) row(withLast bool) []string {
	row := []string{m.Name, m.ProductType, m.Version, m.Device, m.Connection, yesNo(m.Paired), yesNo(m.Locked), yesNo(m.Encrypts)}
	if !withLast {
		return row
	}
	if m.LastTime == nil {
		return append(row, "none")
	}
	return append(row, moment(*m.LastTime, time.Local))
}

// yesNo is a fact that may not be known.
func yesNo(b *bool) string {
	switch {
	case b == nil:
		return "?"
	case *b:
		return "yes"
	}
	return "no"
}

// describeDevice asks a phone about itself. What goes wrong is in the message:
// the next phone is to be listed, too.
func describeDevice(ctx context.Context, m *device.Mux, d device.Device) deviceMessage {
	msg := deviceMessage{MessageType: "device", Device: d.UDID, Connection: string(d.Connection)}
	ph, err := m.Open(ctx, d.UDID)
	if err == nil {
		err = msg.ask(ctx, ph)
	}
	if err != nil {
		msg.Error = err.Error()
	}
	return msg
}

func (m *deviceMessage) ask(ctx context.Context, ph *device.Phone) error {
	f, err := ph.Facts(ctx)
	if err != nil {
		return err
	}
	m.Connection, m.Name, m.ProductType, m.Version, m.Build = string(f.Connection), f.Name, f.ProductType, f.Version, f.Build
	m.Serial, m.Capacity, m.Free = f.Serial, f.Capacity, f.Free
	m.Paired, m.Locked = &f.Paired, &f.Locked
	if f.HasSession {
		m.Encrypts = &f.WillEncrypt
	}
	return nil
}

// lastSnapshots returns the time of each phone's newest snapshot, by its UDID
// in small letters.
func (p *program) lastSnapshots(c *cli.Context) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	err := p.withRepository(c, lockNone, func(ctx context.Context, r *repo.Repository) error {
		all, damaged := r.AllSnapshots(ctx)
		for _, s := range all {
			if udid, ok := capture.UDID(s); ok && s.Time.After(last[strings.ToLower(udid)]) {
				last[strings.ToLower(udid)] = s.Time
			}
		}
		return damaged
	})
	return last, err
}

// watchDevices tells of phones that come and go. A muxer may end with its last
// phone, and begin with the next one: it is waited for.
func (p *program) watchDevices(ctx context.Context, m *device.Mux) error {
	known, waiting := map[int]string{}, false
	for {
		for e, err := range m.Watch(ctx) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				break
			}
			waiting = false
			if err := p.tellEvent(ctx, m, known, e); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, id := range slices.Sorted(maps.Keys(known)) {
			if err := p.tellDevice(deviceMessage{MessageType: "device", Event: "detached", Device: known[id]}); err != nil {
				return err
			}
		}
		clear(known)
		if !waiting {
			p.note("no usbmuxd answers; waiting for it")
			waiting = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(p.patience.every):
		}
	}
}

func (p *program) tellEvent(ctx context.Context, m *device.Mux, known map[int]string, e device.Event) error {
	msg := deviceMessage{MessageType: "device", Device: e.Device.UDID, Connection: string(e.Device.Connection)}
	if msg.Device == "" {
		msg.Device = known[e.Device.ID]
	}
	switch e.Kind {
	case device.Attached:
		known[e.Device.ID] = e.Device.UDID
		msg = describeDevice(ctx, m, e.Device)
	case device.Detached:
		delete(known, e.Device.ID)
	}
	msg.Event = strings.ToLower(string(e.Kind))
	return p.tellDevice(msg)
}

func (p *program) tellDevice(m deviceMessage) error {
	if p.json {
		return p.emit(m)
	}
	line := fmt.Sprintf("%s  %s: %s", moment(time.Now(), time.Local), m.Event, phoneName(m.Name, m.Device))
	if m.Version != "" {
		line += fmt.Sprintf(", %s, iOS %s, %s", visible(m.ProductType), visible(m.Version), m.Connection)
	}
	if m.Paired != nil && !*m.Paired {
		line += ", not paired"
	}
	_, err := fmt.Fprintln(p.stdout, line)
	return err
}
