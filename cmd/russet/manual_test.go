package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// update makes tests write what they would compare.
var update = flag.Bool("update", false, "rewrite docs/cli.md")

// manualFile is where the manual lies, from this folder.
const manualFile = "../../docs/cli.md"

// messages are all lines that --json prints, with their types filled in, and
// the verbs that print them.
var messages = []struct {
	by    string
	value any
}{
	{"every verb that fails, on stderr", exitMessage{MessageType: "exit_error"}},
	{"every verb, on stderr", warningMessage{MessageType: "warning"}},
	{"`init`", initMessage{MessageType: "initialized"}},
	{"`backup`, for each folder or phone", summaryMessage{MessageType: "summary"}},
	{"`devices` and `info`", deviceMessage{MessageType: "device"}},
	{"`pair` and `unpair`", pairingMessage{MessageType: "pairing"}},
	{"`demo`", demoMessage{MessageType: "step"}},
	{"`simulate`, first", listeningMessage{MessageType: "listening"}},
	{"`simulate`, for each message", eventMessage{MessageType: "event"}},
	{"`simulate`, for each session of the backup service", runMessage{MessageType: "run"}},
	{"`check`, for each thing that it finds", problemMessage{MessageType: "problem"}},
	{"`check`, at its end", checkMessage{MessageType: "summary"}},
	{"`prune`, before it does anything", prunePlanMessage{MessageType: "plan"}},
	{"`prune`, at its end", pruneMessage{MessageType: "summary"}},
	{"`repair index`, before it does anything", repairIndexPlanMessage{MessageType: "plan"}},
	{"`repair index`, at its end", repairIndexMessage{MessageType: "summary"}},
	{"`repair packs`, before it does anything", repairPacksPlanMessage{MessageType: "plan"}},
	{"`repair packs`, at its end", repairPacksMessage{MessageType: "summary"}},
	{"`repair files`, before it does anything", healPlanMessage{MessageType: "plan"}},
	{"`repair files`, at its end", healMessage{MessageType: "summary"}},
	{"`repair snapshots`, before it does anything", repairSnapshotsPlanMessage{MessageType: "plan"}},
	{"`recover`, before it does anything", recoverPlanMessage{MessageType: "plan"}},
	{"`repair snapshots` and `recover`, at the end", savedSnapshotsMessage{MessageType: "summary"}},
	{"`restore`", restoreMessage{MessageType: "summary"}},
	{"`snapshots`", snapshotMessage{MessageType: "snapshot"}},
	{"`ls`", nodeMessage{MessageType: "node"}},
	{"`forget`, before it does anything", forgetPlanMessage{MessageType: "plan"}},
	{"`forget`, at its end", forgetMessage{MessageType: "summary"}},
	{"`tag`, `pin`, `unpin` and `note`, before they do anything", tagPlanMessage{MessageType: "plan"}},
	{"`tag`, `pin`, `unpin` and `note`, for each snapshot that is saved again", tagChangedMessage{MessageType: "changed"}},
	{"`tag`, `pin`, `unpin` and `note`, at their end", tagSummaryMessage{MessageType: "summary"}},
	{"`diff`, for each difference", changeMessage{MessageType: "change"}},
	{"`diff`, at its end", statisticsMessage{MessageType: "statistics"}},
	{"`diff --records`, for each record that differs", recordChangeMessage{MessageType: "record_change"}},
	{"`diff --records`, for each kind of records", recordChangesMessage{MessageType: "record_statistics"}},
	{"`show`, for each record", recordMessage{MessageType: "record"}},
	{"`show`, at its end", recordsMessage{MessageType: "summary"}},
	{"`export`, at its end", exportMessage{MessageType: "summary"}},
	{"`show`, `export` and `diff --records`, for each thing in a database that cannot be read", recordProblemMessage{MessageType: "problem"}},
	{"`sync add` and `sync remove`", syncMessage{MessageType: "sync_added"}},
	{"`sync plan`, and each verb of sync that writes, before it does", syncPlanMessage{MessageType: "plan"}},
	{"`sync run` and its kin, at their end", syncRunMessage{MessageType: "summary"}},
	{"`sync status`, for each sync", syncStatusMessage{MessageType: "sync"}},
	{"`sync conflicts`, for each record", syncWaitingMessage{MessageType: "conflict"}},
	{"`find`, for each file or folder of each snapshot", matchMessage{MessageType: "match"}},
	{"`history`, for each version", historyMessage{MessageType: "history"}},
	{"`stats`, for each device and for all", statsMessage{MessageType: "stats"}},
	{"`copy`, before it begins", copyPlanMessage{MessageType: "plan"}},
	{"`copy`, at its end", copyMessage{MessageType: "summary"}},
	{"`mirror`, before it begins", mirrorPlanMessage{MessageType: "plan"}},
	{"`mirror`, at its end", mirrorMessage{MessageType: "summary"}},
	{"`key`", keyMessage{MessageType: "key"}},
	{"`unlock`", unlockMessage{MessageType: "unlocked"}},
	{"`validate-storage`, for each thing that it tries", trialMessage{MessageType: "trial"}},
	{"`validate-storage`, at its end", trialsMessage{MessageType: "summary"}},
	{"`version`", versionMessage{MessageType: "version"}},
	{"long runs, once a second", statusMessage{MessageType: "status"}},
}

// TestManual fails when docs/cli.md is not what the commands say. Run it with
// -update to write it.
func TestManual(t *testing.T) {
	got := []byte(manual(newProgram(noEnv, nil, nil, nil).app()))
	if *update {
		if err := os.WriteFile(manualFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(manualFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/cli.md is stale: run go test ./cmd/russet -run TestManual -update")
	}
}

func manual(app *cli.App) string {
	var b strings.Builder
	b.WriteString("# russet: the manual\n\n<!-- Made from the commands by `go test ./cmd/russet -run TestManual -update`. -->\n\n")
	fmt.Fprintf(&b, "%s\n\n```\nrusset VERB [FLAGS] [ARGUMENTS]\n\n%s\n```\n", app.Description, app.UsageText)
	for _, g := range groups(app) {
		fmt.Fprintf(&b, "\n**%s:** ", g.name)
		var links []string
		for _, v := range g.verbs {
			links = append(links, fmt.Sprintf("[%s](#russet-%s)", v.Name, v.Name))
		}
		b.WriteString(strings.Join(links, ", ") + "\n")
	}
	b.WriteString("\n## Flags of every verb\n\n" + flagTable("", app.Flags))
	b.WriteString("\nFlags may stand before or after the verb and its arguments, as `--name value` or `--name=value`; " +
		"`--` ends them.\n`-h` or `--help` anywhere shows the help of the verb.\n")
	for _, v := range app.Commands {
		fmt.Fprintf(&b, "\n## russet %s\n\n%s.\n\n```\n%s\n```\n\n%s\n", v.Name, capital(v.Usage), usageLine(v), v.Description)
		if v.UsageText != "" {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", v.UsageText)
		}
		if len(v.Flags) > 0 {
			b.WriteString("\n" + flagTable(v.Name, v.Flags))
		}
	}
	b.WriteString(manualEnvironment + "\n| variable | is |\n|---|---|\n")
	for _, v := range variables {
		meaning := v.meaning
		if v.flag != "" {
			meaning += "; `--" + v.flag + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.Join(v.names(), "`, `"), meaning)
	}
	b.WriteString(manualForeign)
	for _, v := range foreignVariables {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(v[0], ", ", "`, `"), v[1])
	}
	b.WriteString(manualStorage)
	for _, o := range storageOptions {
		fmt.Fprintf(&b, "| `%s` | %s |\n", o.key, o.about)
	}
	b.WriteString(manualPasswords + "\n## Exit codes\n\n| code | meaning |\n|--:|---|\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.meaning)
	}
	b.WriteString(manualCodes + manualJSON)
	for _, m := range messages {
		b.WriteString(messageTable(m.by, m.value))
	}
	return b.String()
}

const manualEnvironment = `
## Environment

Flags come first, then ` + "`RUSSET_*`, then restic's names. Where a `RUSSET_*`" + ` variable says how a thing is found, restic's
variables about that thing are not looked at. A variable that is empty counts as not set.
`

const manualForeign = `
Of repositories elsewhere Russet understands, under the names that others have given them:

| variable | is |
|---|---|
`

const manualStorage = `
## Repositories elsewhere

A repository lies in a folder, or at an address as restic spells it: ` + "`sftp:USER@HOST:/PATH` or `sftp://USER@HOST:PORT//PATH`,\n" +
	"`s3:https://SERVER/BUCKET/PREFIX`, `rest:https://SERVER/PATH/`, `rclone:REMOTE:PATH`" + `. Who we are there comes from the first of these that
is given: ` + "`--storage-user` with `--storage-password-file` or `--storage-password-command`, `RUSSET_STORAGE_*`" + `, the address or the
names that others have given variables (above), this computer's keyring (` + "`russet validate-storage --save-password`" + ` puts it there), a
question on the terminal. A password in an address is shown nowhere, but whoever uses the computer sees the command line: put such an address into
a file, and name that with ` + "`--repository-file`" + `.

What is read again and again is cached in this computer's cache folder, sealed as it comes. There, too, wait phones' backups that are not complete,
and what ` + "`check --max-age`" + ` knows of such a repository.

` + "`-o KEY=VALUE`" + ` knows:

| key | is |
|---|---|
`

const manualPasswords = `
A password comes from the first of these that is given: command, file, variable, a question on the terminal. The
repository's is also read from the first line of a standard input that is no terminal. A command and a file at
once are an error. Commands run without a shell: words are split at spaces, ' and " keep them together, and a \ takes the
meaning of a following quote, space or \. What a file holds or a command prints is trimmed of white space at both ends; a byte order
mark is understood, UTF-16 too. No password is ever taken from the command line itself, where other users of the computer could read it.
`

const manualCodes = `
Where several folders or phones are backed up in one run, what is wrong with one does not keep the others from being kept. Of several
reasons that which needs somebody first gives the code: an interruption, the repository, 20, 21, 3, and then the others; stderr names all.
`

const manualJSON = `
## JSON

With ` + "`--json` results on stdout are JSON objects, one a line, and warnings and errors are such lines on stderr; `message_type`" + `
says which one it is. What cat, completion, help and key sheet print is the same with it. Readers ignore types and fields that they do not know. Numbers are 64-bit; sizes are bytes; times are RFC 3339. Where a name of
restic's fits, it is used.
`

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func flagTable(verb string, flags []cli.Flag) string {
	var b strings.Builder
	b.WriteString("| flag | meaning |\n|---|---|\n")
	for _, r := range flagRows(verb, flags) {
		// A bar would end the cell, in code as well.
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(r[0], "|", `\|`), strings.ReplaceAll(r[1], "|", `\|`))
	}
	return b.String()
}

// messageTable describes a message by its fields' tags.
func messageTable(by string, value any) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\nBy %s.\n\n| field | type | is |\n|---|---|---|\n", messageType(value), by)
	fieldRows(&b, reflect.TypeOf(value), "")
	return b.String()
}

func fieldRows(b *strings.Builder, t reflect.Type, prefix string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		doc := f.Tag.Get("doc")
		if strings.Contains(options, "omitempty") && !strings.Contains(doc, "absent") {
			doc = strings.TrimPrefix(doc+"; absent when zero", "; ")
		}
		of, kind := f.Type, jsonType(f.Type)
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, name, kind, doc)
		for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
			of = of.Elem()
			prefix := prefix + name
			if f.Type.Kind() == reflect.Slice {
				prefix += "[]"
			}
			if of.Kind() == reflect.Struct && of.PkgPath() == reflect.TypeFor[statusMessage]().PkgPath() {
				fieldRows(b, of, prefix+".")
			}
		}
	}
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.Slice:
		return "array of " + jsonType(t.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.Struct, reflect.Map:
		if t.String() == "time.Time" {
			return "string (time)"
		}
		return "object"
	case reflect.String:
		return "string"
	}
	if t.ConvertibleTo(reflect.TypeFor[float64]()) {
		return "number"
	}
	return "string" // with a MarshalText
}

// messageType reads the type that a message of the list carries.
func messageType(value any) string { return reflect.ValueOf(value).Field(0).String() }

// TestMessagesAreDocumented finds the messages in the source, so that the list
// above cannot lack one.
func TestMessagesAreDocumented(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, m := range messages {
		listed[reflect.TypeOf(m.value).Name()] = true
		if messageType(m.value) == "" {
			t.Errorf("%T has no message_type in the list", m.value)
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if ok && len(s.Fields.List) > 0 && len(s.Fields.List[0].Names) > 0 &&
				s.Fields.List[0].Names[0].Name == "MessageType" && !listed[spec.Name.Name] {
				t.Errorf("%s is not in the list of messages: the manual would not tell of it", spec.Name.Name)
			}
			return true
		})
	}
}

// TestVerbsAreWhole keeps the help excellent: each verb has all its parts.
func TestVerbsAreWhole(t *testing.T) {
	t.Parallel()
	app := newProgram(noEnv, nil, nil, nil).app()
	shown := 0
	for _, g := range groups(app) {
		shown += len(g.verbs)
	}
	if shown != len(app.Commands) {
		t.Errorf("help shows %d of %d verbs: a verb's Category is none of the groups", shown, len(app.Commands))
	}
	for _, v := range app.Commands {
		if v.Usage == "" || v.Description == "" || v.UsageText == "" {
			t.Errorf("%s lacks Usage, Description or examples (UsageText)", v.Name)
		}
		for line := range strings.Lines(v.UsageText) {
			if !strings.Contains(line, "russet ") {
				t.Errorf("%s: no example: %s", v.Name, line)
			}
		}
		for line := range strings.Lines(v.Description + "\n" + v.UsageText) {
			if len([]rune(line)) > helpWidth {
				t.Errorf("%s: help is wider than %d: %s", v.Name, helpWidth, line)
			}
		}
		if scripts, _ := filepath.Glob("testdata/script/" + v.Name + "_*.txtar"); len(scripts) == 0 {
			t.Errorf("%s has no script in testdata/script", v.Name)
		}
	}
}

// TestFlagsMeanOneThing keeps arrange right: it has to know whether a flag
// takes a value before it knows the verb.
func TestFlagsMeanOneThing(t *testing.T) {
	t.Parallel()
	app := newProgram(noEnv, nil, nil, nil).app()
	seen := map[string]cli.Flag{}
	for _, f := range allFlags(app) {
		for _, n := range f.Names() {
			if s, ok := seen[n]; ok && (s.Names()[0] != f.Names()[0] || takesValue(s) != takesValue(f)) {
				t.Errorf("%s is two different flags: %s and %s", dashed(n), s, f)
			}
			seen[n] = f
		}
	}
	for _, v := range app.Commands {
		for _, f := range v.Flags {
			if slices.ContainsFunc(app.Flags, func(g cli.Flag) bool { return g.Names()[0] == f.Names()[0] }) {
				t.Errorf("%s: %s is a global flag too", v.Name, dashed(f.Names()[0]))
			}
		}
	}
	for _, v := range variables {
		if v.flag != "" && seen[v.flag] == nil {
			t.Errorf("%s names the flag --%s, which no verb has", v.name, v.flag)
		}
	}
	if len(slices.Collect(maps.Keys(seen))) == 0 {
		t.Error("there are no flags")
	}
}

func noEnv(string) string { return "" }
