package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// versionMessage is the program's version as JSON, under restic's names.
type versionMessage struct {
	MessageType string `json:"message_type" doc:"\"version\""`
	Version     string `json:"version" doc:"of the release; \"(devel)\" for a build of a working tree"`
	Revision    string `json:"revision,omitempty" doc:"the commit, where the build knows it; ends in \"+\" when files were changed"`
	GoVersion   string `json:"go_version" doc:""`
	GoOS        string `json:"go_os" doc:""`
	GoArch      string `json:"go_arch" doc:""`
}

func (p *program) versionVerb() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Category:  groupSelf,
		Usage:     "say which russet this is",
		UsageText: "russet version\nrusset version --json",
		Description: "Prints the version, the commit where it is known, the Go release that built the\n" +
			"program, and the platform it was built for.",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			m := thisVersion()
			if p.json {
				return p.emit(m)
			}
			revision := ""
			if m.Revision != "" {
				revision = " (" + m.Revision + ")"
			}
			_, err := fmt.Fprintf(p.stdout, "russet %s%s, %s on %s/%s\n", m.Version, revision, m.GoVersion, m.GoOS, m.GoArch)
			return err
		},
	}
}

// thisVersion is that of the running program.
func thisVersion() versionMessage {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

// versionOf reads what the linker wrote down; info may be nil.
func versionOf(info *debug.BuildInfo) versionMessage {
	m := versionMessage{
		MessageType: "version", Version: "(devel)",
		GoVersion: runtime.Version(), GoOS: runtime.GOOS, GoArch: runtime.GOARCH,
	}
	if info == nil {
		return m
	}
	if info.Main.Version != "" {
		m.Version = info.Main.Version
	}
	changed := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			m.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	if m.Revision != "" {
		m.Revision += changed
	}
	return m
}

// noArguments refuses arguments of a verb that has none.
func noArguments(c *cli.Context) error {
	if c.NArg() > 0 {
		return usageError{fmt.Sprintf("%s takes no arguments, but got %q", c.Command.Name, c.Args().First())}
	}
	return nil
}
