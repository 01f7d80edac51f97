package records

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"russet/internal/vobject"
)

// TestKhard lets Debian's khard list our cards.
func TestKhard(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("khard"); err != nil {
		t.Skip("judge missing: khard")
	}
	t.Run("generated", func(t *testing.T) {
		set := readBook(t, os.DirFS(generated(t, 3, 30)))
		more := readBook(t, fstest.MapFS{bookName: database(t, script(t, "ios17.sql")), "HomeDomain/" + picturesPath: pictures(t)})
		set.Records = append(set.Records, more.Records...)
		judgeCards(t, set, "list", "phone", "email")
		for i, r := range set.Records {
			set.Records[i].Object = VCard4(r.Object)
		}
		judgeCards(t, set, "list", "phone")
	})
	t.Run("samples", func(t *testing.T) {
		judgeCards(t, readBook(t, samplePhone(t, "iLEAPP/josh_ios15_ffs/mobile")), "list", "phone")
	})
}

// judgeCards compares what khard lists with what the cards say.
func judgeCards(t *testing.T, set *Set, verbs ...string) {
	t.Helper()
	dir := t.TempDir()
	book, config := filepath.Join(dir, "book"), filepath.Join(dir, "khard.conf")
	if err := os.Mkdir(book, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("[addressbooks]\n[[russet]]\npath = %s\n[general]\ndefault_action = list\n[vcard]\nskip_unparsable = no\n", book)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var names, phones, emails []string
	for i, r := range set.Records {
		if err := os.WriteFile(filepath.Join(book, fmt.Sprintf("%d.vcf", i)), r.Object.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, vobject.Unescape(r.Object.Value("UID"))+"\t"+listedName(r.Object))
		for _, l := range r.Object.All("TEL") {
			phones = append(phones, vobject.Unescape(l.Value))
		}
		for _, l := range r.Object.All("EMAIL") {
			emails = append(emails, vobject.Unescape(l.Value))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	khard := func(verb string, columns int) []string {
		cmd := exec.CommandContext(ctx, "khard", "-c", config, verb, "--parsable")
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+dir)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("khard %s: %v", verb, err)
		}
		var found []string
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "searching for ") {
				continue // said of e-mail addresses only
			}
			fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			for i, f := range fields {
				fields[i] = strings.Join(strings.Fields(f), " ")
			}
			found = append(found, strings.Join(fields[:columns], "\t"))
		}
		slices.Sort(found)
		return found
	}
	for _, verb := range verbs {
		want := map[string][]string{"list": names, "phone": phones, "email": emails}[verb]
		columns := 1
		if verb == "list" {
			columns = 2
		}
		for i, w := range want {
			want[i] = strings.TrimSpace(w)
		}
		slices.Sort(want)
		if got := khard(verb, columns); !reflect.DeepEqual(got, want) {
			t.Errorf("khard %s: got\n%s\nwant\n%s", verb, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// listedName is the name that khard lists a card by.
func listedName(c *vobject.Component) string {
	var parts []string
	for _, f := range vobject.Fields(c.Value("N"))[:3] {
		parts = append(parts, vobject.Unescape(f))
	}
	if name := spaced(parts[1], parts[2], parts[0]); name != "" {
		return name
	}
	return vobject.Unescape(c.Value("FN"))
}
