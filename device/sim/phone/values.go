package phone

import (
	"fmt"
	"maps"

	"russet/device"
)

// Domains of lockdownd's values.
const (
	noDomain     = "" // the phone itself
	backupDomain = "com.apple.mobile.backup"
	wifiDomain   = "com.apple.mobile.wireless_lockdown"
)

// madeUp is what a phone says of itself that was told nothing else.
func madeUp() map[string]map[string]any {
	const total, free = int64(128_000_000_000), int64(61_000_000_000)
	return map[string]map[string]any{
		noDomain: {
			"DeviceName": "Russet's iPhone", "ProductType": "iPhone14,5", "ProductVersion": "18.1", "BuildVersion": "22B83",
			"UniqueDeviceID": "00008110-00065D1E3A92801E", "SerialNumber": "DX3RUSSET001", "HardwareModel": "D17AP", "CPUArchitecture": "arm64e",
			"ProductName": "iPhone OS", "ModelNumber": "MLPF3", "RegionInfo": "ZD/A",
			"InternationalMobileEquipmentIdentity": "350000000000006", "MobileEquipmentIdentifier": "35000000000000",
			"IntegratedCircuitCardIdentity": "8900000000000000000", "PhoneNumber": "+44 7700 900123",
			"WiFiAddress": "02:00:5e:00:53:01", "BluetoothAddress": "02:00:5e:00:53:02", "EthernetAddress": "02:00:5e:00:53:03",
			"TimeZone": "Europe/Berlin", "ActivationState": "Activated", "BrickState": false, "HostAttached": true,
			"ProtocolVersion": "2", "SupportedDeviceFamilies": []any{uint64(1)},
		},
		backupDomain: {"CloudBackupEnabled": false},
		"com.apple.mobile.battery": {
			"BatteryCurrentCapacity": 87, "BatteryIsCharging": true, "ExternalConnected": true, "ExternalChargeCapable": true,
			"FullyCharged": false, "GasGaugeCapability": true, "HasBattery": true,
		},
		"com.apple.disk_usage":         {"TotalDiskCapacity": total, "TotalDataCapacity": total, "TotalDataAvailable": free, "AmountDataAvailable": free, "AmountDataReserved": 200_000_000},
		"com.apple.disk_usage.factory": {"TotalDiskCapacity": total, "TotalDataCapacity": total, "TotalDataAvailable": free, "AmountDataAvailable": free, "AmountDataReserved": 200_000_000},
		"com.apple.mobile.iTunes": {
			"MinITunesVersion": "12.13.2", "SyncDataClasses": []any{"Contacts", "Calendars", "Bookmarks", "Notes", "Mail Accounts"},
		},
		"com.apple.iTunes":           {"iTunesHasConnected": true},
		"com.apple.fmip":             {"IsAssociated": false},
		"com.apple.international":    {"Language": "en", "Locale": "en_GB", "Keyboard": "en_GB"},
		wifiDomain:                   {"EnableWifiConnections": false, "SupportsWifi": true, "SupportsWifiSyncing": true},
		"com.apple.mobile.data_sync": {},
	}
}

// openKeys are told to any host.
func openKeys() []string {
	return []string{
		"ActivationState", "BuildVersion", "CPUArchitecture", "DeviceClass", "DeviceName", "DevicePublicKey", "EthernetAddress", "HardwareModel",
		"PasswordProtected", "ProductName", "ProductType", "ProductVersion", "ProtocolVersion", "UniqueChipID", "UniqueDeviceID", "WiFiAddress", "BluetoothAddress",
	}
}

// settable are the values that a host may change: the type of each as a value.
func settable(domain, key string) any {
	switch domain + "/" + key {
	case noDomain + "/DeviceName", noDomain + "/TimeZone":
		return ""
	case wifiDomain + "/EnableWifiConnections", wifiDomain + "/EnableWifiDebugging":
		return false
	}
	return nil
}

// Value returns a value of lockdownd, as a host with a session sees it; nil if
// there is none.
func (p *Phone) Value(domain, key string) any { return p.domain(domain)[key] }

// SetValue changes a value and keeps it. Equal to any value of a property list.
func (p *Phone) SetValue(domain, key string, v any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.values[domain] == nil {
		p.values[domain] = map[string]any{}
	}
	old, had := p.values[domain][key]
	p.values[domain][key] = v
	err := p.saveValues()
	if err != nil {
		delete(p.values[domain], key)
		if had {
			p.values[domain][key] = old
		}
	}
	return err
}

// removeValue removes a value.
func (p *Phone) removeValue(domain, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.values[domain], key)
	return p.saveValues()
}

// domain returns all values of a domain, nil for a domain that is unknown. The
// map is the caller's.
func (p *Phone) domain(name string) map[string]any {
	p.mu.Lock()
	values := maps.Clone(p.values[name])
	locked := p.lock != Unlocked
	p.mu.Unlock()
	if name == noDomain {
		now := p.opts.Now()
		values["PasswordProtected"] = locked
		values["DevicePublicKey"] = p.public
		values["TimeIntervalSince1970"] = float64(now.UnixMilli()) / 1000
	}
	return values
}

// shown is a domain as a host sees it.
func (s *session) shown(domain string) map[string]any {
	values := s.p.domain(domain)
	if s.pair == nil {
		open := map[string]any{}
		for _, key := range openKeys() {
			if v, ok := values[key]; ok && domain == noDomain {
				open[key] = v
			}
		}
		return open
	}
	if domain == noDomain {
		values["TrustedHostAttached"] = true
	}
	return values
}

func (s *session) getValue(r *lockdownRequest) (map[string]any, error) {
	a := map[string]any{}
	if r.Domain != "" {
		a["Domain"] = r.Domain
	}
	values := s.shown(r.Domain)
	if r.Key == "" {
		if values == nil {
			return a, device.MissingValue
		}
		a["Value"] = values
		return a, nil
	}
	a["Key"] = r.Key
	v, ok := values[r.Key]
	switch {
	case ok:
		a["Value"] = v
		return a, nil
	case s.pair == nil:
		return a, device.GetProhibited
	}
	return a, device.MissingValue
}

func (s *session) setValue(r *lockdownRequest) (map[string]any, error) {
	const longest = 255
	switch want := settable(r.Domain, r.Key).(type) {
	case string:
		if v, ok := r.Value.(string); !ok || v == "" || len(v) > longest {
			return nil, device.MissingValue
		}
	case bool:
		if _, ok := r.Value.(bool); !ok {
			return nil, device.MissingValue
		}
	default:
		return nil, refuse(want == nil && r.Key == "", device.MissingKey, device.SetProhibited)
	}
	if err := s.p.SetValue(r.Domain, r.Key, r.Value); err != nil {
		return nil, fmt.Errorf("set a value: %w", err)
	}
	if r.Key == "DeviceName" {
		s.p.Notify("com.apple.mobile.lockdown.device_name_changed")
	}
	return map[string]any{"Key": r.Key, "Value": r.Value}, nil
}

func (s *session) removeValueOf(r *lockdownRequest) (map[string]any, error) {
	if _, ok := settable(r.Domain, r.Key).(bool); !ok {
		return nil, removeProhibited
	}
	return map[string]any{"Key": r.Key}, s.p.removeValue(r.Domain, r.Key)
}

// refuse chooses between two refusals.
func refuse(first bool, a, b device.LockdownError) device.LockdownError {
	if first {
		return a
	}
	return b
}
