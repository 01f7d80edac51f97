package device

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Propose makes the keys and certificates of a new pairing. buid is the
// computer's name ([Mux.BUID]), now the first day of the certificates. It takes
// a second of computing: keep it, and try [Lockdown.Pair] with it until the
// person has answered.
func (l *Lockdown) Propose(ctx context.Context, buid string, now time.Time) (*PairRecord, error) {
	v, err := l.Value(ctx, "", "DevicePublicKey")
	if err != nil {
		return nil, fmt.Errorf("propose to pair: %w", err)
	}
	key := dict{"": v}.data("")
	if len(key) == 0 { // the simpler ones send text
		key = []byte(dict{"": v}.text(""))
	}
	r, err := NewPairRecord(key, now)
	if err != nil {
		return nil, fmt.Errorf("propose to pair: %w", err)
	}
	r.SystemBUID = buid
	// Wi-Fi is found by it; a phone without is found by cable.
	r.WiFiMACAddress, err = l.text(ctx, "WiFiAddress")
	if _, refused := errors.AsType[LockdownError](err); err != nil && !refused {
		return nil, fmt.Errorf("propose to pair: %w", err)
	}
	return r, nil
}

// Pair asks the phone once whether it trusts this computer. Then it fills in
// the record's EscrowBag. Errors wrap [PasswordProtected] while it is locked,
// [TrustPending] while its person has not answered (ask again, a second or two
// later), [TrustDenied] when the answer is no.
func (l *Lockdown) Pair(ctx context.Context, r *PairRecord) error {
	answer, err := l.call(ctx, pairRequest("Pair", r))
	if err != nil {
		return fmt.Errorf("pair: %w", err)
	}
	r.EscrowBag = answer.data("EscrowBag")
	return nil
}

// Unpair makes the phone forget a pairing.
func (l *Lockdown) Unpair(ctx context.Context, r *PairRecord) error {
	if _, err := l.call(ctx, pairRequest("Unpair", r)); err != nil {
		return fmt.Errorf("unpair: %w", err)
	}
	return nil
}

// pairRequest holds what the phone needs of a record: no private key.
func pairRequest(request string, r *PairRecord) map[string]any {
	return map[string]any{
		"Request": request, "ProtocolVersion": "2", "PairingOptions": map[string]any{"ExtendedPairingErrors": true},
		"PairRecord": map[string]any{
			"DeviceCertificate": r.DeviceCertificate, "HostCertificate": r.HostCertificate, "RootCertificate": r.RootCertificate,
			"HostID": r.HostID, "SystemBUID": r.SystemBUID,
		},
	}
}
