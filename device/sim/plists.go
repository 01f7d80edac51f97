package sim

import (
	"fmt"
	"strings"
	"time"

	"russet/internal/plist"
	"russet/ios"
)

// writeStatus writes Status.plist.
func (w *writer) writeStatus(state string) error {
	return w.storePlist("Status.plist", plist.Binary, map[string]any{
		"BackupState":   "new",
		"Date":          w.d.Date(),
		"IsFullBackup":  w.report.Full && state != "finished", // as phones do
		"SnapshotState": state,
		"UUID":          newRandom(w.d.config.Seed, "status", w.bagUUID[:]).uuid(),
		"Version":       "3.3",
	})
}

// writePlists writes Manifest.plist and Info.plist.
func (w *writer) writePlists(manifestKey ios.Key) error {
	properties := Properties(w.d.config, w.d.Date(), w.d.domains())
	properties["IsEncrypted"], properties["BackupKeyBag"] = w.encrypted(), w.bag
	if w.encrypted() {
		properties["ManifestKey"] = w.keys.Wrap(4, manifestKey)
	}
	if err := w.storePlist("Manifest.plist", plist.Binary, properties); err != nil {
		return err
	}
	return w.storePlist("Info.plist", plist.XML, w.d.info())
}

func (w *writer) storePlist(name string, format plist.Format, v map[string]any) error {
	b, err := plist.Marshal(v, format)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	if _, err := w.store(name, strings.NewReader(string(b)), int64(len(b)), nil, nil); err != nil {
		return err
	}
	return w.root.Chtimes(name, w.d.Date(), w.d.Date())
}

// Properties is what the phone writes into Manifest.plist, without IsEncrypted, BackupKeyBag and ManifestKey.
func Properties(c Config, date time.Time, domains []string) map[string]any {
	return map[string]any{
		"Version":              "10.0",
		"Date":                 date.UTC(),
		"WasPasscodeSet":       true,
		"SystemDomainsVersion": "24.0",
		"Applications":         applications(c.Seed, domains),
		"Lockdown": map[string]any{
			"BuildVersion": c.Build, "DeviceName": c.Name, "ProductType": c.ProductType, "ProductVersion": c.Version,
			"SerialNumber": c.Serial, "UniqueDeviceID": c.UDID,
			"com.apple.Accessibility":             map[string]any{},
			"com.apple.MobileDeviceCrashCopy":     map[string]any{},
			"com.apple.TerminalFlashr":            map[string]any{},
			"com.apple.mobile.data_sync":          map[string]any{},
			"com.apple.mobile.iTunes.accessories": map[string]any{},
			"com.apple.mobile.wireless_lockdown":  map[string]any{"EnableWifiConnections": true},
		},
	}
}

// domains returns the domains that have a folder of their own.
func (d *Device) domains() []string {
	var domains []string
	for f := range d.Files() {
		if f.RelativePath == "" {
			domains = append(domains, f.Domain)
		}
	}
	return domains
}

// applications describes every container, as the phone does in Manifest.plist.
func applications(seed uint64, domains []string) map[string]any {
	apps := make(map[string]any)
	for _, domain := range domains {
		kind, id, ok := strings.Cut(domain, "-")
		if !ok {
			continue
		}
		app := map[string]any{"CFBundleIdentifier": id}
		switch kind {
		case "AppDomain":
			app["ContainerContentClass"] = "Data/Application"
			app["CFBundleVersion"] = "7"
			app["Path"] = "/var/containers/Bundle/Application/" + newRandom(seed, "bundle", id).uuid() + "/App.app"
		case "AppDomainGroup":
			app["ContainerContentClass"] = "Shared/AppGroup"
		case "AppDomainPlugin":
			app["ContainerContentClass"] = "Data/PluginKitPlugin"
		default:
			app["ContainerContentClass"] = "Data/System"
		}
		apps[id] = app
	}
	return apps
}

// info is what the computer writes about the phone.
func (d *Device) info() map[string]any {
	c := d.config
	r := newRandom(c.Seed, "info")
	apps := make(map[string]any)
	installed := []string{}
	for f := range d.Files() {
		id, ok := strings.CutPrefix(f.Domain, "AppDomain-")
		if !ok || f.RelativePath != "" {
			continue
		}
		installed = append(installed, id)
		apps[id] = map[string]any{
			"ApplicationSINF": r.bytes(400),
			"PlaceholderIcon": append([]byte("\x89PNG\r\n\x1a\n"), r.bytes(2000)...),
		}
	}
	return map[string]any{
		"Applications": apps, "Installed Applications": installed,
		"Build Version": c.Build, "Device Name": c.Name, "Display Name": c.Name,
		"GUID":  strings.ReplaceAll(r.uuid(), "-", ""),
		"ICCID": fmt.Sprintf("8901260%012d", r.n(1_000_000_000)), "IMEI": fmt.Sprintf("35%013d", r.n(1_000_000_000)),
		"Phone Number": "+1 (555) 010-0199", "Product Name": "iPhone", "Product Type": c.ProductType,
		"Product Version": c.Version, "Serial Number": c.Serial, "Target Identifier": c.UDID, "Target Type": "Device",
		"Unique Identifier": strings.ToUpper(c.UDID), "Last Backup Date": d.Date().Add(2 * time.Second),
		"iTunes Files": map[string]any{"iTunesPrefs": r.bytes(300)}, "iTunes Settings": map[string]any{},
		"iTunes Version": "12.13.2", "macOS Version": "15.1", "macOS Build Version": "24B83",
	}
}
