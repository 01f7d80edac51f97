package device

// LockdownPort is where lockdownd listens on a phone.
const LockdownPort = 62078

// LockdownError is the Error of an answer of lockdownd, in its own word. It is
// both what the host returns and what a phone sends.
type LockdownError string

// The refusals that a person or a program can act on.
const (
	PasswordProtected  LockdownError = "PasswordProtected"            // locked: unlock the phone
	TrustPending       LockdownError = "PairingDialogResponsePending" // the Trust dialog is on its screen
	TrustDenied        LockdownError = "UserDeniedPairing"
	InvalidHostID      LockdownError = "InvalidHostID" // not paired, or not any more
	EscrowLocked       LockdownError = "EscrowLocked"  // not unlocked since it was switched on
	PairingOverUSBOnly LockdownError = "PairingProhibitedOverThisConnection"
	ManagedPairing     LockdownError = "MCProtected" // managed: pairing is not allowed
	ManagedChallenge   LockdownError = "MCChallengeRequired"
	ServiceProhibited  LockdownError = "ServiceProhibited"
	InvalidService     LockdownError = "InvalidService"
	MissingValue       LockdownError = "MissingValue"
	GetProhibited      LockdownError = "GetProhibited"
	SetProhibited      LockdownError = "SetProhibited"
	SessionInactive    LockdownError = "SessionInactive"
	InvalidSessionID   LockdownError = "InvalidSessionID"
	InvalidPairRecord  LockdownError = "InvalidPairRecord"
	MissingPairRecord  LockdownError = "MissingPairRecord"
	MissingKey         LockdownError = "MissingKey"
	MissingHostID      LockdownError = "MissingHostID"
	MissingService     LockdownError = "MissingService"
)

// Error says what the phone answered.
func (e LockdownError) Error() string {
	switch e {
	case PasswordProtected:
		return "the phone is locked"
	case TrustPending:
		return "the phone asks whether it shall trust this computer"
	case TrustDenied:
		return "the phone was told not to trust this computer"
	case InvalidHostID:
		return "the phone is not paired with this computer"
	case EscrowLocked:
		return "the phone was not unlocked since it was switched on"
	case PairingOverUSBOnly:
		return "the phone pairs over a cable only"
	case ManagedPairing, ManagedChallenge:
		return "the phone is managed, and its management forbids pairing with this computer"
	case ServiceProhibited:
		return "the phone's management forbids this service"
	}
	// The word is the phone's: bound it before it is shown.
	return "the phone refused: " + shown(string(e))
}

// ServiceError is the Error of an answer of a small service, in its own word.
type ServiceError string

// Error says what the phone answered.
func (e ServiceError) Error() string { return "the phone refused: " + shown(string(e)) }

// shown is a phone's word, made fit for an error.
func shown(s string) string {
	const longest = 64
	var b []byte
	for i := 0; i < len(s) && i < longest; i++ {
		if c := s[i]; c > ' ' && c < 0x7f {
			b = append(b, c)
		}
	}
	return string(b)
}
