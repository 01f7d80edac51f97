package house

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
	"testing"
)

// packageComments wants one package comment in each package, which opens with
// the package's name, or the command's where it is a program.
func packageComments(t *tree) []string {
	var found []string
	count, first := map[string]int{}, map[string]*source{}
	for _, f := range t.files {
		if f.test {
			continue
		}
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		if f.ast.Doc == nil {
			continue
		}
		count[f.dir]++
		start := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			start = "Command " + path.Base(f.dir) + " "
		}
		if !strings.HasPrefix(f.ast.Doc.Text(), start) {
			found = append(found, t.at(f.ast.Package, "the package comment does not begin with %q", start))
		}
	}
	for dir, f := range first {
		if n := count[dir]; n != 1 {
			found = append(found, t.at(f.ast.Package, "%s has %d package comments", dir, n))
		}
	}
	return found
}

func TestPackageComments(t *testing.T) {
	t.Parallel()
	keep(t, packageComments, "Each package has one comment, the manual: one sentence, then what to call first, then what it promises.")
}

func TestPackageCommentsCatch(t *testing.T) {
	catch(t, packageComments, map[string]string{
		"ok/a.go":        "// Package ok is fine.\npackage ok\n",
		"ok/b.go":        "package ok\n",
		"cmd/tool/a.go":  "// Command tool works.\npackage main\n",
		"cmd/other/a.go": "// This one does not.\npackage main\n",
		"none/a.go":      "//go:build linux\n\npackage none\n",
		"none/a_test.go": "// Package none is not documented here.\npackage none\n",
		"two/a.go":       "// Package two is told.\npackage two\n",
		"two/b.go":       "// Package two is told again.\npackage two\n",
		"wrong/a.go":     "// Helpers.\npackage wrong\n",
	}, "cmd/other/a.go:2", "none/a.go:3", "two/a.go:2", "wrong/a.go:2")
}

func exportedDocs(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && receiverExported(d) && !saysItself(d) && d.Doc.Text() == "" {
					found = append(found, t.at(d.Pos(), "%s has no comment", d.Name.Name))
				}
			case *ast.GenDecl:
				found = append(found, undocumented(t, d)...)
			}
		}
	}
	return found
}

// saysItself reports whether a method is one of error's, about which nothing
// more can be said.
func saysItself(fn *ast.FuncDecl) bool {
	return fn.Recv != nil && (fn.Name.Name == "Error" || fn.Name.Name == "Unwrap")
}

// receiverExported reports whether a function is no method, or one of an
// exported type.
func receiverExported(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// undocumented returns the exported types, constants and variables without a
// comment above or beside them. A comment on a group counts for its members.
func undocumented(t *tree, d *ast.GenDecl) []string {
	var found []string
	for _, spec := range d.Specs {
		var names []*ast.Ident
		var doc string
		switch s := spec.(type) {
		case *ast.TypeSpec:
			names, doc = []*ast.Ident{s.Name}, s.Doc.Text()
			if !d.Lparen.IsValid() {
				doc += d.Doc.Text()
			}
		case *ast.ValueSpec:
			names, doc = s.Names, s.Doc.Text()+s.Comment.Text()+d.Doc.Text()
		}
		for _, n := range names {
			if n.IsExported() && doc == "" {
				found = append(found, t.at(n.Pos(), "%s has no comment", n.Name))
			}
		}
	}
	return found
}

func TestExportedComments(t *testing.T) {
	t.Parallel()
	keep(t, exportedDocs, "Say at the name what it is: units, order, errors, whose memory, safe for concurrent use or not.")
}

func TestExportedCommentsCatch(t *testing.T) {
	catch(t, exportedDocs, map[string]string{
		"a/bad.go": `package a

func F() {}

type T struct{}

func (t *T) M() {}

func (g *G[K]) N() {}

const C = 1

type (
	G[K any] struct{}
)

//go:noinline
func H() {}
`,
		"a/ok.go": `package a

// A does.
func A() {}

// U is.
type U int

// Group of them.
const (
	D U = iota
	E
)

var (
	X = 1 // X is one.
)

type u struct{}

func (u) Exported() {}

func (v *v[K, V]) Exported() {}

func (u U) Error() string { return "" }
`,
		"a/a_test.go": "package a\n\nfunc TestX() {}\n",
	}, "a/bad.go:3", "a/bad.go:5", "a/bad.go:7", "a/bad.go:9", "a/bad.go:11", "a/bad.go:14", "a/bad.go:18")
}

func nonASCII(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		scan(f.src, func(offset int, tok token.Token, lit string) {
			if tok == token.STRING || tok == token.CHAR {
				return
			}
			if i := strings.IndexFunc(lit, func(r rune) bool { return r > 0x7e }); i >= 0 {
				pos := t.fset.File(f.ast.Package).Pos(offset + i)
				found = append(found, t.at(pos, "%q", []rune(lit[i:])[0]))
			}
		})
	}
	return found
}

func TestASCII(t *testing.T) {
	t.Parallel()
	keep(t, nonASCII, "Look-alike and invisible characters hide in code: outside string literals write ASCII (\"...\", \"<=\", \"section 8\", \"->\").")
}

func TestASCIICatch(t *testing.T) {
	catch(t, nonASCII, map[string]string{
		"a/bad.go":    "package a\n\n// x ≤ 5 …\nvar é = 1\n",
		"a/ok.go":     "package a\n\nconst s = \"é\" + `→` // arrow\nconst c = 'é'\n",
		"a/x_test.go": "package a\n\n// é\n",
	}, "a/bad.go:3", "a/bad.go:4")
}
