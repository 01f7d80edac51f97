package phone

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Options say which phone it is and how it behaves. The zero value is an
// unlocked iPhone of iOS 18 that trusts whoever asks.
type Options struct {
	// Facts of the phone. What is empty is taken from the state directory, and
	// where that is new, from a made-up phone. Name counts only there: a host
	// can change it.
	UDID, Name, ProductType, ProductVersion, BuildVersion, SerialNumber string

	Apps    []App // nil: one that shares its documents and one that does not
	Pairing Pairing
	Lock    Lock
	Escrow  EscrowRule

	// Network, where it is valid, makes the phone reachable without a cable,
	// too: it listens there on port 62078, and on a port for each service.
	Network netip.Addr
	// NoCable leaves the network as the only way. Pair over a cable first.
	NoCable bool
	// NativeAddress lists Network in the layout of Linux, which libimobiledevice
	// reads from 1.4.0 on; otherwise in that of BSD, which 1.3.0 reads.
	NativeAddress bool

	// MinTLS and MaxTLS are versions of crypto/tls. Zero: 1.2, or 1.0 for iOS
	// before 10; and no maximum.
	MinTLS, MaxTLS uint16
	// HostCertificate says which certificates of the pairing a host may show.
	HostCertificate ClientCertificate
	// PlainServices are spoken without TLS.
	PlainServices []string
	// Prohibited services are forbidden by the phone's management.
	Prohibited []string

	// Backup is com.apple.mobilebackup2. It need not close conn. Without it
	// the service does not exist.
	Backup func(ctx context.Context, conn net.Conn, p *Phone) error

	// Heartbeat is the time between two beats. Zero: 10 s.
	Heartbeat time.Duration
	// Observe is told of every message. It is called by many goroutines, and
	// must not wait for the phone.
	Observe func(Event)
	// Now is the phone's clock. Nil: time.Now.
	Now func() time.Time
}

// Pairing is what the phone and its owner do when a host asks to pair.
type Pairing struct {
	Locked  int // requests answered as by a locked phone, first
	Pending int // requests answered while the dialog is on the screen, next
	Answer  PairAnswer
}

// PairAnswer is how pairing ends.
type PairAnswer int

// The answers.
const (
	Trust      PairAnswer = iota
	Deny                  // the owner chose not to
	Managed               // the phone's management forbids it
	Supervised            // the phone's management wants a proof that we never accept
)

// Lock is what the passcode holds back.
type Lock int

// The states of the lock.
const (
	Unlocked  Lock = iota
	Locked         // but was unlocked since it was switched on
	NeverOpen      // not unlocked since it was switched on: an escrow bag opens nothing
)

// EscrowRule says when a service that shows private data needs the host's
// escrow bag.
type EscrowRule int

// The rules.
const (
	EscrowWhenLocked EscrowRule = iota
	EscrowAlways                // the backup service, even when unlocked
	EscrowIgnored               // locked is locked
)

// ClientCertificate says which certificates of a pairing open a session.
type ClientCertificate int

// Programs differ in what they show: libimobiledevice the root certificate,
// others the host's.
const (
	RootOrHost ClientCertificate = iota
	RootOnly
	HostOnly
)

// App is an installed application.
type App struct {
	Bundle      string // identifier
	Name        string
	Version     string
	FileSharing bool // its documents are open to hosts
	System      bool // came with iOS
}

// Event is a message that came, or a rule that a host broke.
type Event struct {
	Service   string // lockdownd or a service's name
	Message   string // its name and object, without private content
	Violation string // the rule that was broken; empty for a proper message
}

// String gives the event as a line of a log.
func (e Event) String() string {
	if e.Violation != "" {
		return e.Service + ": " + e.Message + ": " + e.Violation
	}
	return e.Service + ": " + e.Message
}
