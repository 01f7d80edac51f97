package house

import (
	"go/ast"
	"go/scanner"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// scan calls yield for each token of a Go file that parsed.
func scan(src []byte, yield func(offset int, tok token.Token, lit string)) {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(src))
	s.Init(file, src, nil, scanner.ScanComments)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return
		}
		yield(file.Offset(pos), tok, lit)
	}
}

// processNames belong to whoever owns the process; a trailing * stands for the
// rest of the name.
var processNames = []string{
	"os.Exit", "os.Args", "os.Getenv", "os.LookupEnv", "os.Environ", "os.Setenv", "os.ExpandEnv",
	"os.UserHomeDir", "os.UserCacheDir", "os.UserConfigDir",
	"os.Stdin", "os.Stdout", "os.Stderr", "os/signal.*",
	"fmt.Print", "fmt.Printf", "fmt.Println", "fmt.Scan*", "time.Sleep",
}

// processImports are not imported outside cmd.
const processImports = " log log/slog flag os/signal "

func processUse(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.test || f.cmd() {
			continue
		}
		for _, spec := range f.ast.Imports {
			if p, _ := strconv.Unquote(spec.Path.Value); strings.Contains(processImports, " "+p+" ") {
				found = append(found, t.at(spec.Pos(), "import of %s", p))
			}
		}
		imports := f.imports()
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if name := called(imports, n); ownedByProcess(name) {
					found = append(found, t.at(n.Pos(), "%s", name))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
					found = append(found, t.at(n.Pos(), "%s", id.Name))
				}
			}
			return true
		})
	}
	return found
}

func ownedByProcess(name string) bool {
	for _, p := range processNames {
		prefix, star := strings.CutSuffix(p, "*")
		if name == p || star && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func TestProcess(t *testing.T) {
	t.Parallel()
	keep(t, processUse, "Only cmd/ knows the process, the terminal, the environment and waiting: "+
		"take it as a parameter, return an error or a value, or call a callback from the options.")
}

func TestProcessCatch(t *testing.T) {
	catch(t, processUse, map[string]string{
		"a/bad.go": `package a

import (
	"fmt"
	"log/slog"
	sys "os"
	"time"
)

func f() {
	fmt.Println("x")
	sys.Exit(1)
	w := sys.Stderr
	time.Sleep(1)
	g(sys.Getenv)
	println("x")
	slog.Info("x")
}
`,
		"a/ok.go": `package a

import ("fmt"; "os"; "time")

func f(w io.Writer) { fmt.Fprintln(w, time.Now()); os.ReadFile("x"); fmt.Sprint(x.Exit) }
`,
		"a/a_test.go":     "package a\n\nimport \"os\"\n\nvar x = os.Getenv(\"X\")\n",
		"cmd/russet/m.go": "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(run(os.Args)) }\n",
	}, "a/bad.go:5", "a/bad.go:11", "a/bad.go:12", "a/bad.go:13", "a/bad.go:14", "a/bad.go:15", "a/bad.go:16")
}
