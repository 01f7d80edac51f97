package phone

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// defaultApps are installed where the options name none.
func defaultApps() []App {
	return []App{
		{Bundle: "org.example.notes", Name: "Example Notes", Version: "3.2", FileSharing: true},
		{Bundle: "org.example.bank", Name: "Example Bank", Version: "11.0.4"},
		{Bundle: "com.apple.mobilesafari", Name: "Safari", Version: "18.1", System: true},
	}
}

// openApps makes the folders of applications that share their documents.
func (p *Phone) openApps() error {
	p.apps = p.opts.Apps
	if p.apps == nil {
		p.apps = defaultApps()
	}
	for _, a := range p.apps {
		if !validBundle(a.Bundle) {
			return errors.New("install an application: its identifier has other characters than letters, digits, dashes and dots")
		}
		if !a.FileSharing {
			continue
		}
		if err := p.root.MkdirAll(path.Join(appsDir, a.Bundle, documents), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// documents is the only folder of an application that it shares.
const documents = "Documents"

// validBundle says whether s is fit to be a folder's name.
func validBundle(s string) bool {
	if len(s) > 255 || s == "" || s[0] == '.' {
		return false
	}
	for _, r := range s {
		if r != '.' && !validName(string(r)) {
			return false
		}
	}
	return true
}

// app returns an installed application, or nil.
func (p *Phone) app(bundle string) *App {
	for i := range p.apps {
		if p.apps[i].Bundle == bundle {
			return &p.apps[i]
		}
	}
	return nil
}

// openMedia makes the file service's root, with the folders that hosts expect.
func (p *Phone) openMedia() error {
	for _, dir := range []string{"Books", "DCIM", "Downloads", "PhotoData", "iTunesRestore", "iTunes_Control/iTunes"} {
		if err := p.root.MkdirAll(path.Join(mediaDir, dir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	var err error
	if p.media, err = p.root.OpenRoot(mediaDir); err != nil {
		return fmt.Errorf("open the media folder: %w", err)
	}
	return nil
}
