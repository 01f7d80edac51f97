package device

import (
	"context"
	"errors"
	"fmt"
)

// Facts are what a phone says of itself. Texts are made fit for one line; what
// it does not say is empty. Without a pairing it says little.
type Facts struct {
	UDID        string
	Connection  Connection
	Name        string // as its person called it
	Class       string // iPhone, iPad, iPod
	ProductType string // iPhone12,1
	Model       string // of the part: N104AP
	Version     string // of iOS: 18.1
	Build       string // of iOS: 22B83
	Serial      string
	PhoneNumber string
	WiFiAddress string

	Paired     bool // with this computer: a session was possible
	Locked     bool // the phone wants its passcode now
	HasSession bool // the facts below are known

	WillEncrypt   bool  // backups are encrypted
	MustEncrypt   bool  // by its management
	Capacity      int64 // of the data partition, in bytes
	Free          int64 // of Capacity
	WiFiConnected bool  // it takes connections over Wi-Fi
}

// The domains of lockdownd that are read here.
const (
	backupDomain = "com.apple.mobile.backup"
	diskDomain   = "com.apple.disk_usage"
	wifiDomain   = "com.apple.mobile.wireless_lockdown"
	itunesDomain = "com.apple.iTunes"
	mobileDomain = "com.apple.mobile.iTunes"
)

// Facts asks the phone. A phone that is locked or not paired answers, too, as
// far as it will.
func (p *Phone) Facts(ctx context.Context) (*Facts, error) {
	f, err := p.facts(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the phone for its facts: %w", err)
	}
	return f, nil
}

func (p *Phone) facts(ctx context.Context) (*Facts, error) {
	l, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	f := &Facts{UDID: p.udid, Connection: l.device.Connection}
	if r := p.pairing(); r != nil {
		err := l.StartSession(ctx, r)
		_, refused := errors.AsType[LockdownError](err)
		switch {
		case err == nil:
			f.HasSession, f.Paired = true, true
		case !refused:
			return nil, err
		case errors.Is(err, PasswordProtected), errors.Is(err, EscrowLocked):
			f.Locked, f.Paired = true, true
		}
	}
	v, err := known(l.general(ctx))
	if err != nil {
		return nil, err
	}
	f.describe(v)
	if !f.HasSession {
		return f, nil
	}
	return f, f.more(ctx, l)
}

// general is the general domain. A phone that does not give it as a whole is
// asked for its parts.
func (l *Lockdown) general(ctx context.Context) (dict, error) {
	d, err := l.Values(ctx, "")
	if _, refused := errors.AsType[LockdownError](err); !refused {
		return d, err
	}
	all := dict{}
	for _, key := range []string{"DeviceName", "DeviceClass", "ProductType", "ProductVersion", "BuildVersion", "WiFiAddress", "PasswordProtected"} {
		v, err := l.Value(ctx, "", key)
		if _, refused := errors.AsType[LockdownError](err); err != nil && !refused {
			return nil, err
		}
		if err == nil {
			all[key] = v
		}
	}
	return all, nil
}

// known makes a refusal of values an absence of values.
func known[T any](v T, err error) (T, error) {
	if _, refused := errors.AsType[LockdownError](err); refused {
		var none T
		return none, nil
	}
	return v, err
}

func (f *Facts) describe(d dict) {
	f.Name, f.Class, f.ProductType, f.Model = d.line("DeviceName"), d.line("DeviceClass"), d.line("ProductType"), d.line("HardwareModel")
	f.Version, f.Build, f.Serial = d.line("ProductVersion"), d.line("BuildVersion"), d.line("SerialNumber")
	f.PhoneNumber, f.WiFiAddress = d.line("PhoneNumber"), d.line("WiFiAddress")
	f.Locked = f.Locked || d.yes("PasswordProtected")
}

func (f *Facts) more(ctx context.Context, l *Lockdown) error {
	for domain, take := range map[string]func(dict){
		backupDomain: func(d dict) { f.WillEncrypt, f.MustEncrypt = d.yes("WillEncrypt"), d.yes("RequiresEncryption") },
		diskDomain: func(d dict) {
			f.Capacity, _ = d.number("TotalDataCapacity")
			f.Free, _ = d.number("TotalDataAvailable")
		},
		wifiDomain: func(d dict) { f.WiFiConnected = d.yes("EnableWifiConnections") },
	} {
		d, err := known(l.Values(ctx, domain))
		if err != nil {
			return err
		}
		take(d)
	}
	return nil
}
