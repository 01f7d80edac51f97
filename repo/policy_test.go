package repo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"russet/chunk"
)

// dated makes snapshots, each with an id of its own: "2026-02-03 tag,tag".
func dated(t *testing.T, texts ...string) []*Snapshot {
	t.Helper()
	var snaps []*Snapshot
	for _, text := range texts {
		day, tags, _ := strings.Cut(text, " ")
		when, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		s := &Snapshot{Time: when, id: chunk.Sum([]byte(text))}
		if tags != "" {
			s.Tags = strings.Split(tags, ",")
		}
		snaps = append(snaps, s)
	}
	return snaps
}

// reasons says of each decision, newest first, the day and why.
func reasons(list []Decision) []string {
	var said []string
	for _, d := range list {
		word := d.Snapshot.Time.Format(time.DateOnly) + ": " + strings.Join(d.Reasons, ", ")
		if d.Keep != (len(d.Reasons) > 0) {
			word += " BUT keep is wrong"
		}
		said = append(said, word)
	}
	return said
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		policy Policy
		snaps  []string
		want   []string
	}{
		{
			"the future takes nobody's place",
			Policy{Last: 1, Within: Span{Days: 2}, Yearly: 2},
			[]string{"2025-06-01", "2026-02-20", "2026-02-27", "2026-02-28", "2026-03-02", "2099-01-01", "2099-01-02 ios-99"},
			[]string{
				"2099-01-02: dated in the future", "2099-01-01: dated in the future", "2026-03-02: dated in the future",
				"2026-02-28: within 2d, last snapshot, yearly snapshot", "2026-02-27: within 2d", "2026-02-20: ", "2025-06-01: yearly snapshot",
			},
		},
		{
			"pins",
			Policy{Last: 1},
			[]string{"2025-06-01 pinned", "2025-07-01 unpinned", "2026-02-28 pinned"},
			[]string{"2026-02-28: pinned, last snapshot", "2025-07-01: ", "2025-06-01: pinned"},
		},
		{
			"the newest of each version",
			Policy{EachTag: []string{"ios-"}},
			[]string{"2025-06-01 ios-17.1", "2025-07-01 plain,ios-17.1", "2025-08-01 plain", "2025-09-01 ios-18.0", "2099-01-01 ios-18.0"},
			[]string{"2099-01-01: dated in the future", "2025-09-01: newest of ios-18.0", "2025-08-01: ", "2025-07-01: newest of ios-17.1", "2025-06-01: "},
		},
		{
			"without end",
			Policy{Monthly: KeepAll},
			[]string{"2025-01-01", "2025-01-02", "2025-02-01", "2026-02-01"},
			[]string{"2026-02-01: monthly snapshot", "2025-02-01: monthly snapshot", "2025-01-02: monthly snapshot", "2025-01-01: "},
		},
		{"all of the future", Policy{Last: 1, Within: Span{Years: 1}}, []string{"2099-01-01", "2098-01-01"}, []string{"2099-01-01: dated in the future", "2098-01-01: dated in the future"}},
		{"nothing", Policy{Last: 1}, nil, nil},
	} {
		if got := reasons(c.policy.Decide(dated(t, c.snaps...), now)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// Snapshots that are dated ahead, whatever they are, change nothing for the
// others.
func TestPolicyBlindToFuture(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	real := dated(t, "2024-02-03", "2024-12-31 a", "2025-06-01", "2025-06-02", "2026-01-31 ios-18.1", "2026-02-28")
	ahead := dated(t, "2026-03-02", "2026-03-03 a,ios-18.1", "2027-01-01", "9999-12-31")
	for _, p := range []Policy{
		{Last: 2},
		{Hourly: 1, Daily: 2, Weekly: 3, Monthly: 3, Yearly: 2},
		{Within: Span{Months: 1}, WithinDaily: Span{Years: 1}},
		{Tags: [][]string{{"a"}}, EachTag: []string{"ios-"}},
	} {
		want := reasons(p.Decide(real, now))
		got := reasons(p.Decide(slices.Concat(ahead, real), now))
		if !slices.Equal(got[len(ahead):], want) {
			t.Errorf("%+v: got %q, want %q", p, got[len(ahead):], want)
		}
	}
}

func TestPolicyIsZero(t *testing.T) {
	t.Parallel()
	if !(Policy{}).IsZero() {
		t.Error("the zero policy is not zero")
	}
	for _, p := range []Policy{
		{Last: 1},
		{Hourly: 1},
		{Daily: KeepAll},
		{Weekly: 1},
		{Monthly: 1},
		{Yearly: 1},
		{Within: Span{Hours: 1}},
		{WithinHourly: Span{Days: 1}},
		{WithinDaily: Span{Months: 1}},
		{WithinWeekly: Span{Years: 1}},
		{WithinMonthly: Span{Years: 1}},
		{WithinYearly: Span{Years: 1}},
		{Tags: [][]string{{""}}},
		{EachTag: []string{""}},
	} {
		if p.IsZero() {
			t.Errorf("%+v is zero", p)
		}
	}
}

func TestParseSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Span{
		"1y5m7d2h": {1, 5, 7, 2}, "30d": {Days: 30}, "0h": {}, "7d1y": {Years: 1, Days: 7}, "1000000d": {Days: 1e6},
	} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "d", "1d2", "-1d", "1w", "1 d", "1D", "1000001d", "99999999999999999999d", "unlimited"} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
	leap := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	if got, want := (Span{1, 1, 1, 1}).before(leap), time.Date(2023, 1, 28, 11, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzParseSpan(f *testing.F) {
	f.Add("1y5m7d2h")
	f.Add("12h30")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseSpan(text)
		if err != nil {
			return
		}
		if again, err := ParseSpan(d.String()); err != nil || again != d {
			t.Errorf("%q: got %+v, again %+v, %v", text, d, again, err)
		}
		if now := time.Now(); d.before(now).After(now) {
			t.Errorf("%q: %+v lies ahead", text, d)
		}
	})
}
