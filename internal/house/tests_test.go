package house

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// fuzzFolders wants a target for each folder of fuzz seeds: without one nobody
// runs them.
func fuzzFolders(t *tree) []string {
	targets, seen := map[string]bool{}, map[string]bool{}
	for _, f := range t.files {
		for _, fn := range f.funcs() {
			if f.test && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				targets[path.Join(f.dir, "testdata/fuzz", fn.Name.Name)] = true
			}
		}
	}
	var found []string
	for _, name := range t.names {
		dir := path.Dir(name)
		if path.Base(path.Dir(dir)) != "fuzz" || path.Base(path.Dir(path.Dir(dir))) != "testdata" {
			continue
		}
		if !targets[dir] && !seen[dir] {
			seen[dir] = true
			found = append(found, fmt.Sprintf("%s:1: no such fuzz target", dir))
		}
	}
	return found
}

func TestFuzzFolders(t *testing.T) {
	t.Parallel()
	keep(t, fuzzFolders, "Seeds are replayed by the target of their folder's name: rename the folder, or remove it.")
}

func TestFuzzFoldersCatch(t *testing.T) {
	catch(t, fuzzFolders, map[string]string{
		"a/a_test.go":                   "package a\n\nfunc FuzzHave(f *testing.F) {}\n",
		"a/testdata/fuzz/FuzzHave/1":    "",
		"a/testdata/fuzz/FuzzLost/1":    "",
		"a/testdata/fuzz/FuzzLost/2":    "",
		"a/testdata/vectors/FuzzNone/x": "",
		"b/testdata/fuzz/FuzzHave/1":    "",
	}, "a/testdata/fuzz/FuzzLost:1", "b/testdata/fuzz/FuzzHave:1")
}

// skipReasons are the ways in which the text of a skipped test begins; the
// Makefile reads them. docs/testing.md explains them.
const skipReasons = `^(judge missing|samples missing|short|not here): \S`

// skipLine matches a skip command of a script and what follows it.
var skipLine = regexp.MustCompile(`^(?:\[[^\]]*\]\s*)*skip\b\s*['"]?(.*)`)

func skips(t *tree) []string {
	var found []string
	reason := regexp.MustCompile(skipReasons)
	for _, f := range t.files {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if fn, ok := n.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				return false // it skips inputs that say nothing
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); !ok || !strings.Contains(" t b f tb ", " "+id.Name+" ") {
				return true
			}
			switch sel.Sel.Name {
			case "Skip", "Skipf", "SkipNow":
				text := ""
				if len(call.Args) > 0 {
					text, _ = leading(call.Args[0])
				}
				if !reason.MatchString(text + "x") {
					found = append(found, t.at(call.Pos(), "reason %q", text))
				}
			}
			return true
		})
	}
	for _, name := range t.names {
		if !strings.HasSuffix(name, ".txtar") {
			continue
		}
		for i, line := range scriptLines(t, name) {
			if m := skipLine.FindStringSubmatch(line); m != nil && !reason.MatchString(m[1]) {
				found = append(found, fmt.Sprintf("%s:%d: reason %q", name, i+1, m[1]))
			}
		}
	}
	return found
}

// scriptLines returns the commands of a txtar script: what stands above its
// first file.
func scriptLines(t *tree, name string) []string {
	data, err := fs.ReadFile(t.fsys, name)
	if err != nil {
		return nil
	}
	var cmds []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "-- ") {
			break
		}
		cmds = append(cmds, strings.TrimSpace(line))
	}
	return cmds
}

func TestSkips(t *testing.T) {
	t.Parallel()
	keep(t, skips, "A skip must not hide a missing tool: begin its reason with \"judge missing: NAME\", \"samples missing: ...\", "+
		"\"short: ...\" or \"not here: ...\" (docs/testing.md); CI fails on the first.")
}

func TestSkipsCatch(t *testing.T) {
	catch(t, skips, map[string]string{
		"a/bad_test.go": `package a

func TestX(t *testing.T) {
	t.Skip("restic is not installed")
	t.SkipNow()
	t.Skipf("%s missing", "x")
	t.Skip("judge missing")
}
`,
		"a/ok_test.go": `package a

func TestX(t *testing.T) {
	t.Skip("judge missing: restic")
	t.Skip("samples missing: " + dir)
	t.Skipf("short: %s", why)
	t.Skip("not here: ", err)
	scanner.Skip()
}

func FuzzX(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) { t.Skip() })
}
`,
		"cmd/russet/testdata/script/a_b.txtar": "[!exec:restic] skip 'judge missing: restic'\n[short] [windows] skip\nskip why\n-- f --\nskip\n",
	}, "a/bad_test.go:4", "a/bad_test.go:5", "a/bad_test.go:6", "a/bad_test.go:7",
		"cmd/russet/testdata/script/a_b.txtar:2", "cmd/russet/testdata/script/a_b.txtar:3")
}

// program is where the verbs are.
const program = "cmd/russet"

// verbs wants each command of the program in a file of its own name, and with
// at least one script.
func verbs(t *tree) []string {
	var found []string
	seen := 0
	for _, f := range t.files {
		if f.test || f.dir != program {
			continue
		}
		for _, lit := range commands(f) {
			seen++
			verb, _ := strconv.Unquote(lit.Value)
			file := strings.ReplaceAll(verb, "-", "_") + ".go"
			if path.Base(f.path) != file {
				found = append(found, t.at(lit.Pos(), "verb %s does not stand in %s", verb, file))
			}
			if ok, _ := fs.Glob(t.fsys, path.Join(program, "testdata/script", verb+"_*.txtar")); len(ok) == 0 {
				found = append(found, t.at(lit.Pos(), "verb %s has no testdata/script/%s_*.txtar", verb, verb))
			}
		}
	}
	if _, err := fs.Stat(t.fsys, program); err == nil && seen == 0 {
		found = append(found, program+":1: no verb found: does this rule still know how they are written?")
	}
	return found
}

// commands returns the names of the cli.Command literals in a file, but not
// those of subcommands.
func commands(f *source) []*ast.BasicLit {
	var names []*ast.BasicLit
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			id, ok := n.Key.(*ast.Ident)
			return !ok || id.Name != "Subcommands"
		case *ast.CompositeLit:
			if isCommand(n.Type) {
				names = append(names, nameFields(n)...)
			}
			if list, ok := n.Type.(*ast.ArrayType); ok && isCommand(list.Elt) {
				for _, e := range n.Elts {
					if lit, ok := e.(*ast.CompositeLit); ok && lit.Type == nil {
						names = append(names, nameFields(lit)...)
					}
				}
			}
		}
		return true
	})
	return names
}

// isCommand reports whether a type is cli.Command or a pointer to it.
func isCommand(e ast.Expr) bool {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	sel, ok := e.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Command"
}

func nameFields(lit *ast.CompositeLit) []*ast.BasicLit {
	var names []*ast.BasicLit
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		id, isIdent := kv.Key.(*ast.Ident)
		name, isLit := kv.Value.(*ast.BasicLit)
		if isIdent && isLit && id.Name == "Name" {
			names = append(names, name)
		}
	}
	return names
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	keep(t, verbs, "One file per verb, and each verb has a script that reads as its documentation: "+program+"/testdata/script/VERB_CASE.txtar.")
}

func TestVerbsCatch(t *testing.T) {
	catch(t, verbs, map[string]string{
		"cmd/russet/init.go":                        "package main\n\nvar a = &cli.Command{Name: \"init\"}\n",
		"cmd/russet/unlock.go":                      "package main\n\nvar a = cli.Command{\n\tName: \"unlock\",\n}\n",
		"cmd/russet/main.go":                        "package main\n\nvar a = []*cli.Command{\n\t{Name: \"ls\"},\n\tother(),\n}\n",
		"cmd/russet/key.go":                         "package main\n\nvar a = &cli.Command{Name: \"key\", Subcommands: []*cli.Command{{Name: \"add\"}}}\n",
		"cmd/russet/testdata/script/init_new.txtar": "",
		"cmd/russet/testdata/script/ls_all.txtar":   "",
		"cmd/russet/testdata/script/key_add.txtar":  "",
	}, "cmd/russet/unlock.go:4", "cmd/russet/main.go:4")
}

func TestVerbsCatchNone(t *testing.T) {
	catch(t, verbs, map[string]string{"cmd/russet/main.go": "package main\n"}, "cmd/russet:1")
}
