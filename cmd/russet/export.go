package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/chunk"
	"russet/internal/durable"
	"russet/records"
	"russet/repo"
	"russet/vdir"
)

// exportMessage is what an export did.
type exportMessage struct {
	MessageType string `json:"message_type" doc:"\"summary\""`
	Kind        string `json:"kind" doc:"contacts, calendar or reminders"`
	Snapshot    string `json:"snapshot" doc:"the id of the snapshot"`
	Format      string `json:"format" doc:"vcard3, vcard4, ics, csv or json"`
	Records     int    `json:"records" doc:"in the snapshot"`
	Written     int    `json:"written" doc:"new files"`
	Updated     int    `json:"updated" doc:"files that were brought up to date"`
	Unchanged   int    `json:"unchanged" doc:"files that were not touched"`
	Removed     int    `json:"removed" doc:"files of records that are gone"`
	Kept        int    `json:"kept" doc:"files that somebody else changed or made, and that were left alone"`
	Problems    int    `json:"problems" doc:"what could not be read or understood"`
}

// The formats of an export.
const (
	formatVCard3 = "vcard3"
	formatVCard4 = "vcard4"
	formatICS    = "ics"
	formatCSV    = "csv"
	formatJSON   = "json"
)

func (p *program) exportVerb() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Category:  groupSync,
		Usage:     "write the contacts, events or reminders in a snapshot to a folder",
		ArgsUsage: joinKindsBy("|") + " [SNAPSHOT]",
		UsageText: "russet export contacts --target ~/contacts\n" +
			"russet export calendar latest:00008030 --target ~/calendar --in Family\n" +
			"russet export contacts 1a2b3c4d --target ~/sheets --format csv",
		Description: "Writes a file for each record (.vcf or .ics, as other programs read them), or with csv and\n" +
			"json one file for all. Contacts are vCards 3.0 unless --format says vcard4.\n" +
			"\n" +
			"Run again on the same folder it brings an earlier export up to date: what is as it should be\n" +
			"is not touched, files of records that are gone are removed, and files that somebody changed\n" +
			"or made are left alone. Where the phone's database cannot be read to its last row no file is\n" +
			"removed, and one for all has what could be read (exit code 3).",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Usage: "the `FOLDER`, which is made if it is not there"},
			&cli.StringFlag{Name: "format", Usage: "`vcard3|vcard4|ics|csv|json`"},
			containerFlag("those"),
		}, readFlags()...),
		BashComplete: completeKinds,
		Action: func(c *cli.Context) error {
			kind, err := kindArgument(c)
			if err != nil {
				return err
			}
			format, err := parseFormat(c.String("format"), kind)
			if err != nil {
				return err
			}
			if c.String("target") == "" {
				return usageError{"export wants to know where to: --target FOLDER"}
			}
			return p.withRecords(c, kind, func(ctx context.Context, s *repo.Snapshot, set *records.Set) error {
				if err := chooseContainers(set, c.StringSlice("in")); err != nil {
					return err
				}
				return p.export(ctx, s, set, c.String("target"), format)
			})
		},
	}
}

// parseFormat reads the format of an export, and has one for each kind.
func parseFormat(text string, kind records.Kind) (string, error) {
	formats := []string{formatICS, formatCSV, formatJSON}
	if kind == records.Contacts {
		formats = []string{formatVCard3, formatVCard4, formatCSV, formatJSON}
	}
	format := cmp.Or(text, formats[0])
	if !slices.Contains(formats, format) {
		return "", usageError{fmt.Sprintf("--format %q: of %s there is %v", format, kind, formats)}
	}
	return format, nil
}

// export writes records into a folder.
func (p *program) export(ctx context.Context, s *repo.Snapshot, set *records.Set, target, format string) error {
	if err := os.MkdirAll(target, 0o700); err != nil {
		return fmt.Errorf("make the folder of the export: %w", err)
	}
	m := exportMessage{MessageType: "summary", Kind: string(set.Kind), Snapshot: s.ID().String(), Format: format, Records: len(set.Records), Problems: len(set.Problems)}
	var err error
	if format == formatCSV || format == formatJSON {
		err = exportTable(&m, set, target)
	} else {
		err = exportFiles(ctx, &m, s, set, target)
	}
	if err != nil {
		return err
	}
	problems := p.tellProblems(set)
	if p.json {
		return errors.Join(p.emit(m), problems)
	}
	if m.Kept > 0 {
		p.warn("%s that somebody changed or made %s left alone", plural(m.Kept, "file"), isAre(m.Kept))
	}
	if !p.quiet {
		_, err = fmt.Fprintf(p.stdout, "%s of %s; files: %d new, %d updated, %d unchanged, %d removed\n",
			plural(m.Records, "record"), nameSnapshot(s), m.Written, m.Updated, m.Unchanged, m.Removed)
	}
	return errors.Join(err, problems)
}

// exportFiles writes a file for each record.
func exportFiles(ctx context.Context, m *exportMessage, s *repo.Snapshot, set *records.Set, target string) error {
	folder, err := vdir.Open(target, vdirKind(set.Kind))
	if err != nil {
		return err
	}
	udid, _ := capture.UDID(s)
	names := map[string]int{}
	done, err := folder.Export(ctx, udid+"-"+string(set.Kind), set.Complete, func(yield func(string, []byte) bool) {
		clear(names)
		for _, r := range set.Records {
			object := r.Object
			if m.Format == formatVCard4 {
				object = records.VCard4(object)
			}
			uid := r.UID
			if names[uid]++; names[uid] > 1 { // an invitation in two calendars
				uid = fmt.Sprintf("%s-%s", uid, r.Container)
			}
			if !yield(uid, object.Bytes()) {
				return
			}
		}
	})
	m.Written, m.Updated, m.Unchanged, m.Removed, m.Kept = done.Written, done.Updated, done.Unchanged, done.Removed, done.Kept
	return errors.Join(err, folder.Close())
}

// tablesList is the file in which an export remembers the tables that it wrote.
const tablesList = ".russet-tables"

// exportTable writes one file for all records, if it would not be what is there. What
// somebody else wrote, or changed since, is left alone.
func exportTable(m *exportMessage, set *records.Set, target string) error {
	data, err := tableOf(set, m.Format)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(target)
	if err != nil {
		return fmt.Errorf("open the folder of the export: %w", err)
	}
	defer root.Close()
	name := string(set.Kind) + "." + m.Format
	ours, err := readTables(root)
	if err != nil {
		return err
	}
	old, err := root.ReadFile(name)
	was := chunk.Sum(old).String()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.Written++
	case err != nil:
		return fmt.Errorf("read the earlier export: %w", err)
	case bytes.Equal(old, data):
		m.Unchanged++
		return nil
	case !slices.Contains(ours[name], was):
		m.Kept++
		return nil
	default:
		m.Updated++
	}
	// Both, so that the file is known as ours wherever this ends.
	ours[name] = []string{was, chunk.Sum(data).String()}
	list, err := json.Marshal(ours)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(root, tablesList, list, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(root, name, data, 0o600)
}

// readTables reads which contents an export wrote, or was about to write, into which
// files: SHA-256 in hex by name.
func readTables(root *os.Root) (map[string][]string, error) {
	ours := map[string][]string{}
	data, err := root.ReadFile(tablesList)
	if errors.Is(err, fs.ErrNotExist) {
		return ours, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &ours)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s, in which the export remembers its tables: %w", tablesList, err)
	}
	if ours == nil { // of a file that holds null
		ours = map[string][]string{}
	}
	return ours, nil
}

// tableOf is all records as one CSV or JSON file.
func tableOf(set *records.Set, format string) ([]byte, error) {
	names, columns := containerNames(set), records.Columns(set.Kind)
	list := selectRecords(set, time.Time{}, "")
	var b bytes.Buffer
	if format == formatJSON {
		all := []recordMessage{}
		for _, s := range list {
			all = append(all, describeRecord(set.Kind, s, names, columns))
		}
		enc := json.NewEncoder(&b)
		enc.SetIndent("", "  ")
		err := enc.Encode(all)
		return b.Bytes(), err
	}
	w := csv.NewWriter(&b)
	err := w.Write(append([]string{"uid", "in"}, columns...))
	for _, s := range list {
		row := append([]string{s.record.UID, names[s.record.Container]}, s.row.Text()...)
		for i := range row {
			row[i] = harmlessCell(row[i])
		}
		err = errors.Join(err, w.Write(row))
	}
	w.Flush()
	return b.Bytes(), errors.Join(err, w.Error())
}

// harmlessCell keeps a spreadsheet from taking a text of a stranger for a formula. A
// phone number with a plus in front is none.
func harmlessCell(text string) string {
	if text == "" || !strings.ContainsRune("=@-+\t\r", rune(text[0])) {
		return text
	}
	if text[0] == '+' && strings.Trim(text, "+0123456789 ()-/.;") == "" {
		return text
	}
	return "'" + text
}
