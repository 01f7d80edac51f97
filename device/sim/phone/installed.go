package phone

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net"
	"slices"

	"russet/device"
	"russet/internal/plist"
)

// attributes are what the phone says of an application.
func (p *Phone) attributes(a *App) map[string]any {
	kind := "User"
	if a.System {
		kind = "System"
	}
	container := "/private/var/mobile/Containers/Data/Application/" + a.Bundle
	m := map[string]any{
		"ApplicationType": kind, "CFBundleIdentifier": a.Bundle, "CFBundleName": a.Name, "CFBundleDisplayName": a.Name,
		"CFBundleVersion": a.Version, "CFBundleShortVersionString": a.Version, "CFBundleExecutable": a.Name,
		"Path": "/private/var/containers/Bundle/Application/" + a.Bundle, "Container": container,
		"StaticDiskUsage": 48_000_000, "DynamicDiskUsage": 1_200_000,
	}
	if a.FileSharing {
		m["UIFileSharingEnabled"] = true
	}
	if !a.System {
		m["ApplicationSINF"] = []byte("sinf of " + a.Bundle)
		metadata, err := plist.Marshal(map[string]any{"softwareVersionBundleId": a.Bundle, "itemName": a.Name}, plist.Binary)
		if err == nil {
			m["iTunesMetadata"] = metadata
		}
	}
	return m
}

// appsRequest is what hosts send to installation_proxy.
type appsRequest struct {
	Command       string
	ClientOptions struct {
		ApplicationType  string
		ReturnAttributes []string
		BundleIDs        []string
	}
}

// chosen are the applications that a request asks for, with what it asks of
// them.
func (p *Phone) chosen(r *appsRequest) (list []map[string]any) {
	o := &r.ClientOptions
	for i := range p.apps {
		m := p.attributes(&p.apps[i])
		if kind := o.ApplicationType; kind != "" && kind != "Any" && kind != m["ApplicationType"] {
			continue
		}
		if len(o.BundleIDs) > 0 && !slices.Contains(o.BundleIDs, p.apps[i].Bundle) {
			continue
		}
		if len(o.ReturnAttributes) > 0 {
			maps.DeleteFunc(m, func(key string, _ any) bool {
				return key != "CFBundleIdentifier" && !slices.Contains(o.ReturnAttributes, key)
			})
		}
		list = append(list, m)
	}
	return list
}

// serveApps speaks as installation_proxy.
func (p *Phone) serveApps(_ context.Context, conn net.Conn) error {
	for {
		var r appsRequest
		if err := readRequest(conn, &r); err != nil {
			return err
		}
		p.Record(Event{Service: installationProxy, Message: word(r.Command)})
		for _, a := range p.appsAnswers(&r) {
			if err := device.WritePlist(conn, a, plist.XML); err != nil {
				return err
			}
		}
	}
}

// appsAnswers are the messages that answer a request.
func (p *Phone) appsAnswers(r *appsRequest) []any {
	complete := map[string]any{"Status": "Complete"}
	switch r.Command {
	case "Browse":
		const batch = 20
		var answers []any
		list := p.chosen(r)
		for at := 0; at < len(list); at += batch {
			part := list[at:min(at+batch, len(list))]
			answers = append(answers, map[string]any{
				"Status": "BrowsingApplications", "CurrentIndex": at, "CurrentAmount": len(part), "Total": len(list), "CurrentList": part,
			})
		}
		return append(answers, complete)
	case "Lookup":
		found := map[string]any{}
		for _, m := range p.chosen(r) {
			found[m["CFBundleIdentifier"].(string)] = m
		}
		return []any{map[string]any{"Status": "Complete", "LookupResult": found}}
	}
	p.Record(Event{Service: installationProxy, Message: word(r.Command), Violation: "the service has no such command"})
	return []any{map[string]any{"Error": "UnknownCommand", "ErrorDescription": "the phone does not know this command", "ErrorDetail": 0}}
}

// serveSpringboard speaks as springboardservices, of which hosts want icons.
func (p *Phone) serveSpringboard(_ context.Context, conn net.Conn) error {
	for {
		var r struct {
			Command string `plist:"command"`
			Bundle  string `plist:"bundleId"`
		}
		if err := readRequest(conn, &r); err != nil {
			return err
		}
		p.Record(Event{Service: springboard, Message: word(r.Command + " " + r.Bundle)})
		a := map[string]any{"Error": "UnknownCommand"}
		if r.Command == "getIconPNGData" {
			a = map[string]any{"Error": "no such application"}
			if app := p.app(r.Bundle); app != nil {
				a = map[string]any{"pngData": icon(app)}
			}
		}
		if err := device.WritePlist(conn, a, plist.XML); err != nil {
			return err
		}
	}
}

// icon is a square in a colour that follows from the application's name.
func icon(a *App) []byte {
	const side = 60
	shade := color.NRGBA{A: 255}
	for i := range len(a.Bundle) {
		shade.R, shade.G, shade.B = shade.G, shade.B, shade.R+a.Bundle[i]
	}
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for at := range side * side {
		img.SetNRGBA(at%side, at/side, shade)
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // a buffer takes everything
	return b.Bytes()
}
