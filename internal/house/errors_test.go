package house

import (
	"go/ast"
	"path"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func panics(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		name := f.ast.Name.Name
		if name == "main" {
			name = path.Base(f.dir)
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			if id, ok := call.Fun.(*ast.Ident); !ok || id.Name != "panic" {
				return true
			}
			text, _ := leading(call.Args[0])
			if !strings.HasPrefix(text, name+": ") && !strings.HasPrefix(text, name+".") {
				found = append(found, t.at(call.Pos(), "the text of this panic does not begin with %q", name+": "))
			}
			return true
		})
	}
	return found
}

func TestPanics(t *testing.T) {
	t.Parallel()
	keep(t, panics, "A panic is a programmer's mistake and says whose: begin its text with the package's name; for anything else return an error.")
}

func TestPanicsCatch(t *testing.T) {
	catch(t, panics, map[string]string{
		"chunk/bad.go": `package chunk

func f(err error) {
	panic("impossible")
	panic(err)
	panic(fmt.Sprintf("%d", 1))
}
`,
		"chunk/ok.go": `package chunk

func f() {
	panic("chunk: impossible")
	panic("chunk.New: " + err.Error())
	panic(fmt.Sprintf("chunk: %d", 1))
}
`,
		"chunk/a_test.go": "package chunk\n\nfunc f() { panic(1) }\n",
		"cmd/bench/a.go":  "package main\n\nfunc f() { panic(\"bench: no\") }\n",
	}, "chunk/bad.go:4", "chunk/bad.go:5", "chunk/bad.go:6")
}

func errorTexts(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		imports := f.imports()
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if name := called(imports, call.Fun); name != "errors.New" && name != "fmt.Errorf" {
				return true
			}
			if text, ok := leading(call.Args[0]); ok && badErrorText(text) {
				found = append(found, t.at(call.Pos(), "%q", text))
			}
			return true
		})
	}
	return found
}

// badErrorText reports whether an error's text is empty, starts as a sentence
// does, or tells that it is an error. Names and abbreviations keep their
// capitals: Manifest.plist, SQLite, AES.
func badErrorText(s string) bool {
	first, _, _ := strings.Cut(s, " ")
	r, n := utf8.DecodeRuneInString(first)
	notLower := func(r rune) bool { return !unicode.IsLower(r) && r != ':' && r != ',' }
	sentence := unicode.IsUpper(r) && strings.IndexFunc(first[n:], notLower) < 0
	lower := strings.ToLower(s)
	return s == "" || sentence || strings.Contains(lower, "failed to") || strings.HasPrefix(lower, "error ") ||
		strings.HasSuffix(s, ".") || strings.HasSuffix(s, "\n")
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	keep(t, errorTexts, "Errors are joined to a sentence: verb and object in lower case, then \": %w\"; no \"failed to\", no \"error\", no full stop.")
}

func TestErrorTextsCatch(t *testing.T) {
	catch(t, errorTexts, map[string]string{
		"a/bad.go": `package a

import ("errors"; "fmt")

var (
	a = errors.New("Wrong password")
	b = fmt.Errorf("failed to read %s: %w", x, err)
	c = fmt.Errorf("error reading %s", x)
	d = errors.New("it is gone.")
	e = errors.New("Truncated: " + x)
)
`,
		"a/ok.go": `package a

import ("errors"; "fmt")

var (
	a = errors.New("wrong password")
	b = fmt.Errorf("read %s: %w", x, err)
	c = errors.New("Manifest.plist is damaged")
	d = errors.New("SQLite header")
	e = errors.New("AES key of 3 bytes")
	f = fmt.Errorf("%s: %w", x, err)
	g = errors.New(text)
	h = other.New("Fine")
)
`,
	}, "a/bad.go:6", "a/bad.go:7", "a/bad.go:8", "a/bad.go:9", "a/bad.go:10")
}

// lostCloses finds files opened for writing whose Close is called but never
// looked at: there a full disk is reported last.
func lostCloses(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		for _, fn := range f.funcs() {
			lost, kept := map[string]ast.Node{}, map[string]bool{}
			created := createdFiles(fn)
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.DeferStmt:
					return !noteClose(n.Call, n, lost)
				case *ast.ExprStmt:
					return !noteClose(n.X, n, lost)
				case *ast.CallExpr:
					if name := closes(n); name != "" {
						kept[name] = true
					}
				}
				return true
			})
			for name, n := range lost {
				if created[name] && !kept[name] {
					found = append(found, t.at(n.Pos(), "the result of %s.Close is dropped", name))
				}
			}
		}
	}
	return found
}

// createdFiles returns the names to which a function assigns files that it
// makes.
func createdFiles(fn *ast.FuncDecl) map[string]bool {
	created := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		as, ok := n.(*ast.AssignStmt)
		if !ok || len(as.Rhs) != 1 {
			return true
		}
		call, ok := as.Rhs[0].(*ast.CallExpr)
		if !ok {
			return true
		}
		if id, ok := as.Lhs[0].(*ast.Ident); ok && creates(call) {
			created[id.Name] = true
		}
		return true
	})
	return created
}

// creates reports whether a call opens a file in order to write to it.
func creates(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	creates := sel.Sel.Name == "Create" || sel.Sel.Name == "CreateTemp"
	if sel.Sel.Name == "OpenFile" {
		ast.Inspect(call, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			creates = creates || ok && (id.Name == "O_CREATE" || id.Name == "O_TRUNC" || id.Name == "O_APPEND")
			return true
		})
	}
	return creates
}

// closes returns x where e is the call x.Close().
func closes(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return ""
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Close" {
		return ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return id.Name
}

func noteClose(e ast.Expr, n ast.Node, lost map[string]ast.Node) bool {
	name := closes(e)
	if name != "" {
		lost[name] = n
	}
	return name != ""
}

func TestCloseIsChecked(t *testing.T) {
	t.Parallel()
	keep(t, lostCloses, "A write may fail as late as in Close: return its error on the way that succeeds (a deferred Close beside it is fine).")
}

func TestCloseIsCheckedCatch(t *testing.T) {
	catch(t, lostCloses, map[string]string{
		"a/bad.go": `package a

func f() error {
	w, err := os.Create("x")
	defer w.Close()
	return err
}

func g() {
	w, _ := root.OpenFile("x", os.O_WRONLY|os.O_CREATE, 0o600)
	w.Close()
}
`,
		"a/ok.go": `package a

func f() error {
	w, err := os.Create("x")
	defer w.Close()
	return w.Close()
}

func g() (*os.File, error) {
	w, err := os.CreateTemp("", "x")
	return w, err
}

func h() {
	r, _ := os.Open("x")
	defer r.Close()
	tty, _ := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	defer tty.Close()
}
`,
	}, "a/bad.go:5", "a/bad.go:11")
}
