package house

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path of this module with the slash that our own imports have.
const module = "russet/"

// layers is the import policy, lowest layer first. A package may import ours
// from lower layers only, and beside the standard library the third-party
// modules named on its own line. Tests are exempt. A new package is a decision:
// it gets a line here and in docs/architecture.md. A new module is one too: it
// gets a section in docs/dependencies.md.
const layers = `
internal/durable: golang.org/x/sys
internal/house:
internal/jsontext:
internal/plist: howett.net/plist
internal/sqlite: modernc.org/sqlite
internal/vobject:
--
chunk: github.com/restic/chunker
crypto: golang.org/x/crypto
merge:
--
index:
backend: github.com/kevinburke/ssh_config github.com/minio/minio-go/v7 github.com/pkg/sftp golang.org/x/crypto golang.org/x/sys golang.org/x/time
ios: golang.org/x/crypto
records:
dav:
vdir:
device:
--
repo: github.com/klauspost/compress golang.org/x/sync golang.org/x/sys
device/mb2:
device/sim:
records/recordstest:
backend/backendtest: golang.org/x/time
dav/davtest:
--
capture: golang.org/x/sync
offsite: golang.org/x/sync
reconcile:
device/sim/agent:
--
web:
device/sim/phone:
--
cmd/russet: github.com/urfave/cli/v2 github.com/zalando/go-keyring golang.org/x/term golang.org/x/sys
cmd/mkbackup:
cmd/bench:
`

// blank lists the imports that may be made for their side effect alone.
const blank = "embed modernc.org/sqlite time/tzdata"

// table reads layers: the layer of each package, and its modules.
func table() (layer map[string]int, outside map[string][]string) {
	layer, outside = map[string]int{}, map[string][]string{}
	n := 0
	for line := range strings.Lines(strings.TrimSpace(layers)) {
		pkg, mods, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			n++
			continue
		}
		layer[pkg], outside[pkg] = n, strings.Fields(mods)
	}
	return layer, outside
}

func badImports(t *tree) []string {
	var found []string
	layer, outside := table()
	for _, f := range t.files {
		if f.test {
			continue
		}
		from, known := layer[f.dir]
		if !known {
			found = append(found, t.at(f.ast.Package, "%s is in no layer", f.dir))
		}
		for _, spec := range f.ast.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			to, ours := strings.CutPrefix(imp, module)
			first, _, _ := strings.Cut(imp, "/")
			at, listed := layer[to]
			switch {
			case ours && (!listed || at >= from):
				found = append(found, t.at(spec.Pos(), "%s may not import %s: not on a lower layer", f.dir, to))
			case !ours && strings.Contains(first, ".") && !within(imp, outside[f.dir]):
				found = append(found, t.at(spec.Pos(), "%s may not import %s: not on its line of the table", f.dir, imp))
			case spec.Name != nil && spec.Name.Name == "_" && !within(imp, strings.Fields(blank)):
				found = append(found, t.at(spec.Pos(), "%s imports %s for its side effect", f.dir, imp))
			}
		}
	}
	return found
}

// within reports whether imp is one of the modules or a package of one.
func within(imp string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") })
}

func TestImports(t *testing.T) {
	t.Parallel()
	keep(t, badImports, "A package imports only what stands below it, and nothing registers itself: "+
		"move the code down, declare an interface where it is called, or, as a decision, change the table in internal/house.")
}

func TestImportsCatch(t *testing.T) {
	catch(t, badImports, map[string]string{
		"chunk/up.go":             "package chunk\n\nimport \"russet/repo\"\n",
		"chunk/ok.go":             "package chunk\n\nimport _ \"embed\"\nimport \"github.com/restic/chunker\"\nimport \"russet/internal/durable\"\n",
		"chunk/up_windows.go":     "package chunk\n\nimport \"russet/index\"\n",
		"chunk/x_test.go":         "package chunk\n\nimport \"russet/repo\"\nimport \"github.com/urfave/cli/v2\"\n",
		"index/sideways.go":       "package index\n\nimport \"russet/backend\"\n",
		"crypto/module.go":        "package crypto\n\nimport \"golang.org/x/cryptography\"\n",
		"util/a.go":               "package util\n",
		"repo/unknown.go":         "package repo\n\nimport \"russet/util\"\n",
		"backend/registry.go":     "package backend\n\nimport _ \"image/png\"\n",
		"cmd/bench/a.go":          "package main\n\nimport \"github.com/urfave/cli/v2\"\n",
		"cmd/russet/a.go":         "package main\n\nimport \"github.com/urfave/cli/v2\"\nimport \"russet/capture\"\n",
		"internal/sqlite/open.go": "package sqlite\n\nimport _ \"modernc.org/sqlite\"\n",
	}, "chunk/up.go:3", "chunk/up_windows.go:3", "index/sideways.go:3", "crypto/module.go:3", "util/a.go:1",
		"repo/unknown.go:3", "backend/registry.go:3", "cmd/bench/a.go:3")
}

// requirements returns the modules that go.mod names.
func requirements(gomod string) []string {
	var mods []string
	for line := range strings.Lines(gomod) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(f) >= 2 && strings.HasPrefix(f[1], "v") {
			mods = append(mods, f[0])
		}
	}
	return mods
}

// dependencies wants a row for each module of go.mod in docs/dependencies.md,
// and no row without one.
func dependencies(t *tree) []string {
	const doc = "docs/dependencies.md"
	gomod, errMod := fs.ReadFile(t.fsys, "go.mod")
	text, errDoc := fs.ReadFile(t.fsys, doc)
	if err := errors.Join(errMod, errDoc); err != nil {
		return []string{doc + ":1: " + err.Error()}
	}
	var rows, found []string
	mods := requirements(string(gomod))
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		cell, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		mod, _, _ := strings.Cut(cell, "`")
		rows = append(rows, mod)
		if !slices.Contains(mods, mod) {
			found = append(found, fmt.Sprintf("%s:%d: go.mod does not name %s", doc, n, mod))
		}
	}
	for _, m := range mods {
		if !slices.Contains(rows, m) {
			found = append(found, fmt.Sprintf("%s:1: no row for %s", doc, m))
		}
	}
	return found
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	keep(t, dependencies, "Dependencies are counted: say in docs/dependencies.md why we need it and what would replace it, or do without it.")
}

func TestDependenciesCatch(t *testing.T) {
	catch(t, dependencies, map[string]string{
		"go.mod": "module m\n\ngo 1.26.0\n\nrequire x.org/one v1.0.0\n\nrequire (\n\tx.org/two v1.0.0 // indirect\n\tx.org/two/sub v0.1.0\n)\n",
		"docs/dependencies.md": "| module | why |\n|---|---|\n| `x.org/one` | needed |\n| `x.org/gone` | was needed |\n\nAlso x.org/two.\n" +
			"| `x.org/two/sub` | |\n",
	}, "docs/dependencies.md:1", "docs/dependencies.md:4")
}
