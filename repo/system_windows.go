package repo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// systemHasModes: Windows has one bit of them, which keeps a file from being
// removed again.
const systemHasModes = false

// mayChown tells whether files can be given to others.
func mayChown() bool { return false }

// checkSystemName refuses names that Windows takes for a path, a device, a
// stream of another file, or another name.
func checkSystemName(name string) error {
	if !filepath.IsLocal(name) || strings.ContainsAny(name, `\/:*?"<>|`) || strings.TrimRight(name, ". ") != name {
		return errors.New("name that Windows does not allow")
	}
	return nil
}

func setAttribute(*os.File, ExtendedAttribute) error { return errors.ErrUnsupported }

// setTimesAt would set the times of a link.
func setTimesAt(*os.File, *Node) error { return nil }
