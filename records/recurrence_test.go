package records

import (
	"strings"
	"testing"
)

func TestSpecifier(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ freq, specifier, want string }{
		{"YEARLY", "D=+2SU;O=5", "FREQ=YEARLY;BYMONTH=5;BYDAY=2SU"}, // real
		{"YEARLY", "D=+2SU;O=8", "FREQ=YEARLY;BYMONTH=8;BYDAY=2SU"}, // real
		{"YEARLY", "", "FREQ=YEARLY"},                               // real: a NULL
		{"WEEKLY", "D=0FR,0MO", "FREQ=WEEKLY;BYDAY=MO,FR"},
		{"WEEKLY", "D=2FR", "FREQ=WEEKLY;BYDAY=FR"},
		{"MONTHLY", "D=-1FR", "FREQ=MONTHLY;BYDAY=-1FR"},
		{"MONTHLY", "M=31,15,-1", "FREQ=MONTHLY;BYMONTHDAY=-1,15,31"},
		{"MONTHLY", "D=0MO,0TU,0WE,0TH,0FR;S=-1", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"},
		{"YEARLY", "Y=100,-1", "FREQ=YEARLY;BYYEARDAY=-1,100"},
		{"YEARLY", "W=20;D=1MO", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO"},
		{"DAILY", "O=1", "FREQ=DAILY;BYMONTH=1"},
		{"WEEKLY", "FREQ=WEEKLY", ""},
		{"WEEKLY", "X=1", ""},
		{"WEEKLY", "D", ""},
		{"WEEKLY", "D=0XX", ""},
		{"WEEKLY", "D=", ""},
		{"WEEKLY", "D=xMO", ""},
		{"WEEKLY", "M=1", ""},
		{"MONTHLY", "M=32", ""},
		{"MONTHLY", "M=0", ""},
		{"MONTHLY", "M=1;M=2", ""},
		{"MONTHLY", "S=1", ""},
		{"MONTHLY", "W=1", ""},
		{"MONTHLY", "Y=1", ""},
		{"MONTHLY", "D=6MO", ""},
		{"YEARLY", "D=54MO", ""},
		{"YEARLY", "O=13", ""},
		{"", "", ""},
		{"YEARLY", "Y=" + strings.Repeat("1,", maxSpecifier), ""},
		{"YEARLY", "Y=1" + strings.Repeat(",1", maxRuleValues), ""},
	} {
		r := rule{freq: c.freq}
		err := r.parseSpecifier(c.specifier)
		if err == nil {
			err = r.check()
		}
		got := ""
		if err == nil {
			got = r.String()
		}
		if got != c.want {
			t.Errorf("%s %.40q: got %q, %v, want %q", c.freq, c.specifier, got, err, c.want)
		}
	}
}

func TestRuleParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule rule
		want string
	}{
		{rule{freq: "DAILY", interval: 3, count: 5, until: "20200101"}, "FREQ=DAILY;INTERVAL=3;COUNT=5"},
		{rule{freq: "DAILY", interval: 1, until: "20200101T000000Z", weekStart: "SU"}, "FREQ=DAILY;UNTIL=20200101T000000Z;WKST=SU"},
		{rule{freq: "DAILY", interval: -1}, ""},
		{rule{freq: "DAILY", interval: maxInterval + 1}, ""},
		{rule{freq: "DAILY", count: -1}, ""},
		{rule{freq: "DAILY", weekStart: "XX"}, ""},
		{rule{freq: "HOURLY"}, ""},
	} {
		got := ""
		err := c.rule.check()
		if err == nil {
			got = c.rule.String()
		}
		if got != c.want {
			t.Errorf("%+v: got %q, %v, want %q", c.rule, got, err, c.want)
		}
	}
}

// FuzzSpecifier shows that a rule that is taken has an RRULE which is read again.
func FuzzSpecifier(f *testing.F) {
	f.Add(uint8(3), "D=+2SU;O=5")
	f.Add(uint8(2), "D=0MO,0TU;S=-1,1;M=-31")
	f.Add(uint8(3), "Y=-366;W=53")
	f.Fuzz(func(t *testing.T, freq uint8, specifier string) {
		r := rule{freq: reminderFrequencies[freq%4]}
		if r.parseSpecifier(specifier) != nil || r.check() != nil {
			return
		}
		text := r.String()
		var x expander
		if _, _, err := x.parseRule(text, clock{zone: &zone{}}); err != nil {
			t.Errorf("%q became %q: %v", specifier, text, err)
		}
	})
}
