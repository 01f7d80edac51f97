package house

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// A tree is a module as the rules see it.
type tree struct {
	fset  *token.FileSet
	files []*source // parsed Go files outside testdata, by path
	names []string  // every file, by path
	fsys  fs.FS
}

// A source is one parsed Go file.
type source struct {
	path string // slash-separated, relative to the module
	dir  string
	test bool // its name ends in _test.go
	src  []byte
	ast  *ast.File
}

// cmd reports whether the file belongs to a program rather than to a package
// that other code imports.
func (s *source) cmd() bool { return strings.HasPrefix(s.dir, "cmd/") }

// A rule finds what breaks it: lines of "path:line: what".
type rule func(*tree) []string

// readTree parses every Go file and lists every file, leaving out what git
// ignores.
func readTree(fsys fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), fsys: fsys}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch name := path.Base(p); {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a build's temporary file that is gone by now
		case err != nil:
			return err
		case name == ".git", d.IsDir() && name == "bin":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular() || strings.HasSuffix(name, ".test") || name == "cover.out":
			return nil
		}
		t.names = append(t.names, p)
		if !strings.HasSuffix(p, ".go") || strings.Contains("/"+p, "/testdata/") {
			return nil
		}
		return t.parse(p)
	})
	return t, err
}

func (t *tree) parse(p string) error {
	src, err := fs.ReadFile(t.fsys, p)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(t.fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	t.files = append(t.files, &source{p, path.Dir(p), strings.HasSuffix(p, "_test.go"), src, f})
	return nil
}

// at formats one finding.
func (t *tree) at(pos token.Pos, format string, args ...any) string {
	p := t.fset.Position(pos)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}

var repository = sync.OnceValues(func() (*tree, error) { return readTree(os.DirFS("../..")) })

// keep runs a rule over the repository.
func keep(t *testing.T, find rule, advice string) {
	t.Helper()
	tr, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.files) < 5 {
		t.Fatalf("saw %d Go files: not the repository", len(tr.files))
	}
	if found := find(tr); len(found) > 0 {
		t.Errorf("%s\n\n%s", strings.Join(found, "\n"), advice)
	}
}

// catch proves that a rule finds exactly the given places, as "path:line", in
// a small module in which everything else is as it should be.
func catch(t *testing.T, find rule, files map[string]string, want ...string) {
	t.Helper()
	t.Parallel()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tr, err := readTree(fsys)
	if err != nil {
		t.Fatal(err)
	}
	found := find(tr)
	var got []string
	for _, line := range found {
		got = append(got, strings.Join(strings.SplitN(line, ":", 3)[:2], ":"))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found\n\t%s\nat %q, want %q", strings.Join(found, "\n\t"), got, want)
	}
}

// imports maps the names by which a file calls its imports to their paths.
func (s *source) imports() map[string]string {
	m := map[string]string{}
	for _, spec := range s.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		m[name] = p
	}
	return m
}

// called returns the path.Name of the imported thing that e names, or "".
func called(imports map[string]string, e ast.Expr) string {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok || imports[id.Name] == "" {
		return ""
	}
	return imports[id.Name] + "." + sel.Sel.Name
}

// leading returns the literal text with which a string expression begins.
func leading(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.ParenExpr:
		return leading(e.X)
	case *ast.BinaryExpr:
		return leading(e.X)
	case *ast.CallExpr:
		if len(e.Args) > 0 {
			return leading(e.Args[0])
		}
	}
	return "", false
}

// funcs yields the functions and methods that a file declares.
func (s *source) funcs() []*ast.FuncDecl {
	var fns []*ast.FuncDecl
	for _, d := range s.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			fns = append(fns, fn)
		}
	}
	return fns
}

// lines counts the lines of a file.
func lines(src []byte) int { return bytes.Count(src, []byte("\n")) }

func TestReadTree(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"a/a.go":             {Data: []byte("package a\n")},
		"a/a_test.go":        {Data: []byte("package a\n")},
		"a/testdata/b.go":    {Data: []byte("not Go")},
		"bin/c.go":           {Data: []byte("not Go")},
		".git/d.go":          {Data: []byte("not Go")},
		"a/a.test":           {},
		"cover.out":          {},
		"docs/x.md":          {},
		".ci/run":            {},
		"cmd/russet/bin.txt": {},
	}
	tr, err := readTree(fsys)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".ci/run", "a/a.go", "a/a_test.go", "a/testdata/b.go", "cmd/russet/bin.txt", "docs/x.md"}
	if !slices.Equal(tr.names, want) || len(tr.files) != 2 || tr.files[0].test || !tr.files[1].test {
		t.Errorf("names %q, %d Go files; want %q, 2", tr.names, len(tr.files), want)
	}
	fsys["a/e.go"] = &fstest.MapFile{Data: []byte("not Go")}
	if _, err := readTree(fsys); err == nil {
		t.Error("a file that does not parse was accepted")
	}
}
