package phone

import (
	"context"
	"net"
	"path"

	"russet/device"
	"russet/internal/plist"
)

// serveDocuments speaks as house_arrest, which takes one command: where that
// names an application that shares its documents, the connection is the file
// service's from then on.
func (p *Phone) serveDocuments(_ context.Context, conn net.Conn) error {
	var r struct{ Command, Identifier string }
	if err := readRequest(conn, &r); err != nil {
		return err
	}
	p.Record(Event{Service: houseArrest, Message: word(r.Command + " " + r.Identifier)})
	a := p.vend(r.Command, r.Identifier)
	if err := device.WritePlist(conn, a, plist.XML); err != nil || a["Error"] != nil {
		return err
	}
	place := path.Join(appsDir, r.Identifier)
	root, err := p.root.OpenRoot(place)
	if err != nil {
		return err
	}
	defer root.Close()
	return (&afc{p: p, service: houseArrest, root: root, place: place, only: documents}).serve(conn)
}

// vend answers a host that wants an application's files.
func (p *Phone) vend(command, bundle string) map[string]any {
	a := p.app(bundle)
	switch {
	case command != "VendDocuments" && command != "VendContainer":
		p.Record(Event{Service: houseArrest, Message: word(command), Violation: "the service has no such command"})
		return map[string]any{"Error": "UnknownCommand"}
	case a == nil:
		return map[string]any{"Error": "ApplicationLookupFailed", "ErrorDescription": "the application is not installed"}
	case command == "VendContainer" || !a.FileSharing:
		return map[string]any{"Error": "InstallationLookupFailed", "ErrorDescription": "the application does not share its files"}
	}
	return map[string]any{"Status": "Complete"}
}
