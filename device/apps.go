package device

import (
	"context"
	"errors"
	"fmt"
)

// App is an app that its person installed.
type App struct {
	ID       string // of its bundle
	SINF     []byte // its licence
	Metadata []byte // iTunesMetadata, a property list
}

// The bounds of a list of apps: phones with a thousand exist, and each has some
// ten kilobytes of licence and metadata.
const (
	maxApps     = 1 << 14
	maxAppBytes = 24 << 20
)

// Apps lists the apps that the phone's person installed, in the phone's order,
// with what a backup notes of them.
func (p *Phone) Apps(ctx context.Context) ([]App, error) {
	conn, err := p.Service(ctx, "com.apple.mobile.installation_proxy", false)
	if err != nil {
		return nil, err
	}
	defer cut(conn)
	err = send(ctx, conn, serviceTimeout, map[string]any{"Command": "Browse", "ClientOptions": map[string]any{
		"ApplicationType": "User", "ReturnAttributes": []string{"CFBundleIdentifier", "ApplicationSINF", "iTunesMetadata"},
	}})
	var list appList
	for done := false; err == nil && !done; {
		var m dict
		if m, err = receive(ctx, conn, serviceTimeout); err == nil {
			done, err = list.add(m)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list the phone's apps: %w", err)
	}
	return list.apps, nil
}

// appList is what of a list of apps has come.
type appList struct {
	apps     []App
	bytes    int // of licences and metadata
	messages int
}

// add takes one answer to Browse, and reports whether it was the last.
func (l *appList) add(m dict) (done bool, err error) {
	if _, bad := m["Error"]; bad {
		return false, ServiceError(m.text("Error"))
	}
	for _, e := range m.list("CurrentList") {
		entry, _ := e.(map[string]any)
		d := dict(entry)
		a := App{ID: d.text("CFBundleIdentifier"), SINF: d.data("ApplicationSINF"), Metadata: d.data("iTunesMetadata")}
		if a.ID == "" {
			continue
		}
		if l.bytes += len(a.SINF) + len(a.Metadata); l.bytes > maxAppBytes {
			a.SINF, a.Metadata = nil, nil
		}
		l.apps = append(l.apps, a)
	}
	if l.messages++; len(l.apps) > maxApps || l.messages > maxApps {
		return false, errors.New("the list has no end")
	}
	switch m.text("Status") {
	case "Complete":
		return true, nil
	case "BrowsingApplications":
		return false, nil
	}
	return false, errors.New("the phone answers something else")
}
