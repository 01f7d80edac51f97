package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"

	"russet/device/sim/agent"
	"russet/device/sim/phone"
)

// maxFaults bounds a file of faults, in bytes.
const maxFaults = 1 << 20

// faults is what --faults says of a simulated phone: one JSON object, all of it
// optional. docs/testing.md gives an example of each field.
type faults struct {
	Phone struct {
		Pairing struct {
			Locked  int    `json:"locked"`  // so many requests find the phone locked, first
			Pending int    `json:"pending"` // so many find the Trust dialog open, next
			Answer  string `json:"answer"`  // "trust", "deny", "managed" or "supervised"
		} `json:"pairing"`
		Lock       string     `json:"lock"`       // "unlocked", "locked" or "never unlocked"
		Escrow     string     `json:"escrow"`     // "when locked", "always" or "ignored"
		Network    netip.Addr `json:"network"`    // there it listens without a cable, too
		NoCable    bool       `json:"noCable"`    // it is reached there only
		Native     bool       `json:"native"`     // the layout of the address is Linux's, not BSD's
		Prohibited []string   `json:"prohibited"` // services that its management forbids
		Version    string     `json:"version"`    // of iOS
	} `json:"phone"`
	Backup json.RawMessage `json:"backup"` // an agent.Script
}

// parseFaults reads a file of faults into the options of both halves of a
// phone.
func parseFaults(data []byte, po *phone.Options, ao *agent.Options) error {
	var f faults
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return fmt.Errorf("read faults: %w", err)
	}
	if f.Backup != nil {
		script, err := agent.ParseScript(f.Backup)
		if err != nil {
			return err
		}
		ao.Script = script
	}
	var err error
	po.Pairing = phone.Pairing{Locked: f.Phone.Pairing.Locked, Pending: f.Phone.Pairing.Pending}
	po.Pairing.Answer, err = oneOf("answer", f.Phone.Pairing.Answer, map[string]phone.PairAnswer{
		"trust": phone.Trust, "deny": phone.Deny, "managed": phone.Managed, "supervised": phone.Supervised,
	})
	if err == nil {
		po.Lock, err = oneOf("lock", f.Phone.Lock, map[string]phone.Lock{
			"unlocked": phone.Unlocked, "locked": phone.Locked, "never unlocked": phone.NeverOpen,
		})
	}
	if err == nil {
		po.Escrow, err = oneOf("escrow", f.Phone.Escrow, map[string]phone.EscrowRule{
			"when locked": phone.EscrowWhenLocked, "always": phone.EscrowAlways, "ignored": phone.EscrowIgnored,
		})
	}
	po.Network, po.NoCable, po.NativeAddress = f.Phone.Network, f.Phone.NoCable, f.Phone.Native
	po.Prohibited, po.ProductVersion = f.Phone.Prohibited, f.Phone.Version
	return err
}

// oneOf looks a word up; the empty one is the zero value.
func oneOf[T any](field, word string, words map[string]T) (T, error) {
	v, ok := words[word]
	if !ok && word != "" {
		return v, fmt.Errorf("read faults: %s: unknown word %q", field, word)
	}
	return v, nil
}
