package house

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
	"testing"
)

// maxFunc and maxFile are in lines. Measured over 43 admired code bases, 3 in
// 100 functions are longer than 70 lines and 9 in 10 files shorter than 363.
const (
	maxFunc = 70
	maxFile = 500
)

func longFuncs(t *tree) []string {
	var found []string
	for _, f := range t.files {
		for _, fn := range f.funcs() {
			n := t.fset.Position(fn.End()).Line - t.fset.Position(fn.Pos()).Line + 1
			if n > maxFunc {
				found = append(found, t.at(fn.Pos(), "%s has %d lines, more than %d", fn.Name.Name, n, maxFunc))
			}
		}
	}
	return found
}

func TestFunctionLength(t *testing.T) {
	t.Parallel()
	keep(t, longFuncs, "Split the function along its steps and name them; a long table moves out of the function.")
}

func TestFunctionLengthCatch(t *testing.T) {
	body := strings.Repeat("\tg()\n", maxFunc-2)
	catch(t, longFuncs, map[string]string{
		"a/ok.go":       "package a\n\n// F is long enough already.\nfunc F() {\n" + body + "}\n",
		"a/long.go":     "package a\n\nfunc f() {\n\n" + body + "}\n",
		"a/t_test.go":   "package a\n\nfunc (x t) m() {\n\n" + body + "}\n",
		"a/testdata/no": "func f() {\n\n" + body + "}\n",
	}, "a/long.go:3", "a/t_test.go:3")
}

func longFiles(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if n := lines(f.src); n > maxFile {
			found = append(found, t.at(f.ast.FileEnd, "%d lines, more than %d", n, maxFile))
		}
	}
	return found
}

func TestFileLength(t *testing.T) {
	t.Parallel()
	keep(t, longFiles, "Split the file along its nouns, and name each file after the word that a reader would search.")
}

func TestFileLengthCatch(t *testing.T) {
	catch(t, longFiles, map[string]string{
		"a/ok.go":       "package a\n" + strings.Repeat("\n", maxFile-1),
		"a/long.go":     "package a\n" + strings.Repeat("\n", maxFile),
		"a/big_test.go": "package a\n" + strings.Repeat("\n", maxFile),
	}, "a/long.go:501", "a/big_test.go:501")
}

func inits(t *tree) []string {
	var found []string
	for _, f := range t.files {
		for _, fn := range f.funcs() {
			if fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, t.at(fn.Pos(), "init function"))
			}
		}
	}
	return found
}

func TestNoInit(t *testing.T) {
	t.Parallel()
	keep(t, inits, "Nothing happens before main: call it where it is needed, or make it a literal.")
}

func TestNoInitCatch(t *testing.T) {
	catch(t, inits, map[string]string{
		"a/a.go":      "package a\n\nfunc init() {}\n",
		"a/a_test.go": "package a\n\nfunc init() {}\n",
		"a/ok.go":     "package a\n\nfunc (t) init() {}\n",
	}, "a/a.go:3", "a/a_test.go:3")
}

// constantCalls make values that nobody changes afterwards.
const constantCalls = " errors.New fmt.Errorf regexp.MustCompile strings.NewReplacer hash/crc32.MakeTable hash/crc64.MakeTable "

func packageVars(t *tree) []string {
	var found []string
	for _, f := range t.files {
		imports := f.imports()
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if f.test || !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if v.Names[0].Name != "_" && !embedded(g, v) && !constants(imports, v.Values) {
					found = append(found, t.at(v.Pos(), "package variable %s", v.Names[0].Name))
				}
			}
		}
	}
	return found
}

// embedded reports whether a variable is filled by go:embed. The directive
// stands in the comment, which Text leaves out.
func embedded(g *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	return false
}

// constants reports whether all values are tables written out as literals, or
// errors, or compiled patterns.
func constants(imports map[string]string, values []ast.Expr) bool {
	for _, e := range values {
		if u, ok := e.(*ast.UnaryExpr); ok && u.Op == token.AND {
			e = u.X
		}
		switch e := e.(type) {
		case *ast.CompositeLit:
			continue
		case *ast.CallExpr:
			_, bytes := e.Fun.(*ast.ArrayType) // []byte("magic")
			if !bytes && !strings.Contains(constantCalls, " "+called(imports, e.Fun)+" ") {
				return false
			}
		default:
			return false
		}
	}
	return len(values) > 0
}

func TestPackageVariables(t *testing.T) {
	t.Parallel()
	keep(t, packageVars, "State has an owner: make it a field, a parameter or a constant. "+
		"Package variables are errors, compiled patterns, literal tables, embeds and \"var _ I = T{}\" only.")
}

func TestPackageVariablesCatch(t *testing.T) {
	catch(t, packageVars, map[string]string{
		"a/ok.go": `package a

import ("errors"; "regexp"; _ "embed")

// ErrGone is gone.
var ErrGone = errors.New("gone")
var word = regexp.MustCompile("x")
var table = [...]int{1, 2}
var set = map[string]bool{"a": true}
var magic = []byte("SQLite format 3\x00")
var _ error = T{}
//go:embed x.txt
var text string
`,
		"a/bad.go": `package a

import "sync"

var mu sync.Mutex
var cache map[string]int
var debug = false
var now = time.Now
var (
	lazy = sync.OnceValue(f)
	made = make(map[string]int)
)
`,
		"a/x_test.go": "package a\n\nvar update = flag.Bool(\"update\", false, \"\")\n",
	}, "a/bad.go:5", "a/bad.go:6", "a/bad.go:7", "a/bad.go:8", "a/bad.go:10", "a/bad.go:11")
}

// otherSystem matches file names that only builds for systems other than ours see.
var otherSystem = regexp.MustCompile(`_(ios|android|js|wasip1)(_[a-z0-9]+)?(_test)?\.go$`)

func fileNames(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if otherSystem.MatchString(path.Base(f.path)) {
			found = append(found, t.at(f.ast.Package, "the suffix of this name is a GOOS"))
		}
	}
	return found
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	keep(t, fileNames, "Go leaves such a file out of every build for another system, without a word: rename it.")
}

func TestFileNamesCatch(t *testing.T) {
	catch(t, fileNames, map[string]string{
		"a/messages_ios.go":      "package a\n",
		"a/messages_ios_test.go": "package a\n",
		"a/x_ios_arm64.go":       "package a\n",
		"a/ios.go":               "package a\n",
		"a/x_windows.go":         "package a\n",
		"ios/x_linux_test.go":    "package ios\n",
		"a/axios.go":             "package a\n",
	}, "a/messages_ios.go:1", "a/messages_ios_test.go:1", "a/x_ios_arm64.go:1")
}
