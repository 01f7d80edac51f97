package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"russet/internal/plist"
)

// The bounds of what goes into an Info.plist besides the apps' licences; with
// them it stays below the length at which readers refuse it.
const (
	maxInfoFiles = 8 << 20
	maxInfoIcons = 12 << 20
)

// infoKeys maps the texts of Info.plist to the values of the phone.
var infoKeys = map[string]string{
	"Build Version": "BuildVersion", "Device Name": "DeviceName", "Display Name": "DeviceName", "ICCID": "IntegratedCircuitCardIdentity",
	"IMEI": "InternationalMobileEquipmentIdentity", "MEID": "MobileEquipmentIdentifier", "Phone Number": "PhoneNumber",
	"Product Type": "ProductType", "Product Version": "ProductVersion", "Serial Number": "SerialNumber",
}

// infoFiles are what iTunes left on the phone, and Info.plist holds.
var infoFiles = []string{
	"ApertureAlbumPrefs", "IC-Info.sidb", "IC-Info.sidv", "PhotosFolderAlbums", "PhotosFolderName", "PhotosFolderPrefs",
	"VoiceMemos.plist", "iPhotoAlbumPrefs", "iTunesApplicationIDs", "iTunesPrefs", "iTunesPrefs.plist",
}

// BackupInfo makes the Info.plist of a backup, which is the computer's own part
// of it: what the phone is, which apps it has, and what iTunes left on it. now
// is the time of the backup; guid names it, 32 hexadecimal digits in capitals.
// The icons of apps take the phone a while: they are for people who look, and
// for a restored phone before its apps have come. A service that the phone does
// not offer, or a file that it does not have, is left out.
func (p *Phone) BackupInfo(ctx context.Context, now time.Time, guid string, icons bool) ([]byte, error) {
	info := map[string]any{
		"GUID": guid, "Last Backup Date": now.UTC().Truncate(time.Second),
		"Target Identifier": p.udid, "Target Type": "Device", "Unique Identifier": strings.ToUpper(p.udid),
	}
	err := p.infoValues(ctx, info)
	if err == nil {
		err = absent(p.infoApps(ctx, info, icons))
	}
	if err == nil {
		err = absent(p.infoFiles(ctx, info))
	}
	if err != nil {
		return nil, fmt.Errorf("make Info.plist: %w", err)
	}
	data, err := plist.Marshal(info, plist.XML)
	if err == nil && len(data) > plist.MaxSize {
		err = fmt.Errorf("make Info.plist: %d bytes are over %d", len(data), plist.MaxSize)
	}
	return data, err
}

// absent makes what a phone does not offer no error.
func absent(err error) error {
	if errors.Is(err, InvalidService) || errors.Is(err, ServiceProhibited) {
		return nil
	}
	if _, ok := errors.AsType[ServiceError](err); ok {
		return nil
	}
	if _, ok := errors.AsType[AFCError](err); ok {
		return nil
	}
	return err
}

func (p *Phone) infoValues(ctx context.Context, info map[string]any) error {
	l, err := p.Lockdown(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	general, err := l.Values(ctx, "")
	if err != nil {
		return err
	}
	for key, from := range infoKeys {
		if s := dict(general).text(from); s != "" {
			info[key] = s
		}
	}
	settings, err := known(l.Values(ctx, itunesDomain))
	if err != nil {
		return err
	}
	info["iTunes Settings"] = maps.Collect(maps.All(settings)) // never nil
	version, err := known(l.Value(ctx, mobileDomain, "MinITunesVersion"))
	info["iTunes Version"] = dict{"": version}.text("")
	if info["iTunes Version"] == "" {
		info["iTunes Version"] = "10.0.1" // as the other programs write without one
	}
	return err
}

func (p *Phone) infoApps(ctx context.Context, info map[string]any, icons bool) error {
	installed, detailed := []string{}, map[string]any{}
	info["Installed Applications"], info["Applications"] = installed, detailed
	apps, err := p.Apps(ctx)
	if err != nil {
		return err
	}
	for _, a := range apps {
		installed = append(installed, a.ID)
		if len(a.SINF) > 0 && len(a.Metadata) > 0 {
			detailed[a.ID] = map[string]any{"ApplicationSINF": a.SINF, "iTunesMetadata": a.Metadata}
		}
	}
	info["Installed Applications"] = installed
	if !icons {
		return nil
	}
	// Pictures are not worth a backup that fails.
	if err := p.infoIcons(ctx, installed, detailed); ctx.Err() != nil || errors.Is(err, PasswordProtected) {
		return err
	}
	return nil
}

// infoIcons adds icons to the apps in detailed, in the order of installed, as
// far as the phone gives them.
func (p *Phone) infoIcons(ctx context.Context, installed []string, detailed map[string]any) error {
	board, err := p.SpringBoard(ctx)
	if err != nil {
		return err
	}
	defer board.Close()
	budget := maxInfoIcons
	for _, id := range installed {
		app, ok := detailed[id].(map[string]any)
		if !ok {
			continue
		}
		icon, err := board.Icon(ctx, id)
		if absent(err) != nil {
			return err
		}
		if budget -= len(icon); budget < 0 {
			return nil
		}
		if len(icon) > 0 {
			app["PlaceholderIcon"] = icon
		}
	}
	return nil
}

func (p *Phone) infoFiles(ctx context.Context, info map[string]any) error {
	files := map[string]any{}
	info["iTunes Files"] = files
	a, err := p.AFC(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	budget := int64(maxInfoFiles)
	for _, name := range infoFiles {
		data, err := a.small(ctx, "/iTunes_Control/iTunes/"+name, budget)
		if absent(err) != nil {
			return err
		}
		if data != nil {
			files[name] = data
			budget -= int64(len(data))
		}
	}
	books, err := a.small(ctx, "/Books/iBooksData2.plist", budget)
	if books != nil {
		info["iBooks Data 2"] = books
	}
	return err
}

// small reads a file of at most limit bytes; of a longer one it returns nil.
func (a *AFC) small(ctx context.Context, name string, limit int64) ([]byte, error) {
	f, err := a.Open(ctx, name, AFCRead)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil || int64(len(data)) > limit {
		return nil, err
	}
	return data, nil
}
