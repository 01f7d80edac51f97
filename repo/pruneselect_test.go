package repo

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"russet/chunk"
)

// use is a pack for selectPacks: "data 90+10" has 90 bytes that are used, in 9
// blobs, and 10 that are not. The number of a pack is its id.
func use(t *testing.T, i int, text string) packUse {
	t.Helper()
	var kind string
	var p packUse
	if _, err := fmt.Sscanf(text, "%s %d+%d", &kind, &p.used, &p.unused); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	p.id = chunk.ID{byte(i)}
	p.usedBlobs, p.unusedBlobs = int(p.used/10), int(p.unused/10)
	p.size = p.used + p.unused
	for word := range strings.SplitSeq(kind, ",") {
		switch word {
		case "data":
			p.data = true
		case "tree":
			p.trees = true
		case "small": // others are large, so that sizes stay readable
			p.size -= 1 << 40
		case "bad":
			p.damaged = true
		case "gone":
			p.state = packGone
		case "resized":
			p.state = packResized
		default:
			t.Fatalf("%q: what is %q?", text, word)
		}
	}
	p.size += 1 << 40
	return p
}

func TestSelectPacks(t *testing.T) {
	t.Parallel()
	const tb = 1 << 40
	all := Unlimited()
	for _, test := range []struct {
		name      string
		packs     []string
		maxUnused Limit
		maxRepack Limit
		want      string // a letter a pack: keep, repack, delete, forget
	}{
		{"nothing", nil, LimitBytes(0), all, ""},
		{"all used", []string{"data 90+0", "tree 90+0"}, LimitBytes(0), all, "kk"},
		{"all unused", []string{"data 0+90", "tree 0+90", "data,tree 0+10"}, Unlimited(), LimitBytes(0), "ddd"},
		{"unused and gone", []string{"data,gone 0+90", "data,resized 0+90"}, LimitBytes(0), all, "fd"},
		{"none may stay", []string{"data 90+10", "data 10+90", "data 50+50"}, LimitBytes(0), all, "rrr"},
		{"any may stay", []string{"data 90+10", "data 10+90"}, Unlimited(), all, "kk"},
		{"worst first, by share", []string{"data 900+90", "data 10+80", "data 50+50"}, LimitBytes(90), all, "krr"},
		{"as many as are needed", []string{"data 900+90", "data 10+80", "data 50+50"}, LimitBytes(140), all, "krk"},
		{"one byte less than may stay", []string{"data 900+90", "data 10+80", "data 50+50"}, LimitBytes(139), all, "krr"},
		{"five percent", []string{"data 930+40", "data 20+20"}, Limit{}, all, "kr"},
		{"less than five percent", []string{"data 1000+40", "data 20+10"}, Limit{}, all, "kk"},
		{"a share of what stays", []string{"data 100+100"}, LimitPercent(50), all, "k"},
		{"a little more than that share", []string{"data 100+110"}, LimitPercent(50), all, "r"},
		{"the whole", []string{"data 100+900"}, LimitPercent(100), all, "k"},
		{"trees in any case", []string{"data 100+100", "tree 100+10", "data,tree 100+10"}, Unlimited(), all, "krr"},
		{"whole trees stay", []string{"tree 100+0", "data,tree 100+0"}, LimitBytes(0), all, "kk"},
		{"damage in any case", []string{"data,bad 100+10", "data 10+100"}, Unlimited(), all, "rk"},
		{"nothing may be copied", []string{"data 10+100", "tree 10+100", "data 0+10"}, LimitBytes(0), LimitBytes(0), "kkd"},
		{"room for one", []string{"data 10+100", "tree 90+10"}, LimitBytes(0), LimitBytes(tb + 110), "kr"},
		{"room for the second", []string{"tree 90+10", "tree,small 90+20"}, LimitBytes(0), LimitBytes(tb), "kr"},
		{"no default limit of copying", []string{"data 10+100"}, LimitBytes(0), Limit{}, "r"},
		{
			"nine small ones",
			[]string{"data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "tree,small 10+0"},
			Unlimited(), all, "kkkkkkkkkk",
		},
		{
			"ten small ones",
			[]string{"data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+10", "data 90+10", "tree,small 10+0"},
			Unlimited(), all, "rrrrrrrrrrkk",
		},
		{
			"small ones before others",
			[]string{"data 10+90", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0", "data,small 10+0"},
			LimitBytes(0), LimitBytes(tb), "krrrrrrrrrr",
		},
		{"equal shares by id", []string{"data 50+50", "data 50+50"}, LimitBytes(50), all, "rk"},
	} {
		var packs []packUse
		for i, text := range test.packs {
			packs = append(packs, use(t, i, text))
		}
		var got strings.Builder
		fates, late := selectPacks(packs, test.maxUnused, test.maxRepack, math.MaxInt64)
		for _, f := range fates {
			got.WriteString(string("krdf"[f]))
		}
		if got.String() != test.want || late != (PackCount{}) {
			t.Errorf("%s: got %s, want %s: %q", test.name, got.String(), test.want, test.packs)
		}
	}
}

// Of what is worth copying as much is copied as there is space for; what needs
// none is done in any case.
func TestSelectPacksWithoutSpace(t *testing.T) {
	t.Parallel()
	packs := []packUse{
		use(t, 0, "data 0+90"), use(t, 1, "tree 50+10"), use(t, 2, "data 90+900"), use(t, 3, "data 30+20"), use(t, 4, "data 10+0"),
	}
	for space, want := range map[int64]struct {
		fates string
		late  int
	}{
		0: {"dkkkk", 3}, 29: {"dkkkk", 3}, 30: {"dkkrk", 2}, 50: {"drkkk", 2}, 80: {"drkrk", 1}, 140: {"drrkk", 1}, 170: {"drrrk", 0},
	} {
		fates, late := selectPacks(packs, LimitBytes(0), Unlimited(), space)
		var got strings.Builder
		for _, f := range fates {
			got.WriteString(string("krdf"[f]))
		}
		if got.String() != want.fates || late.Packs != want.late {
			t.Errorf("space %d: got %s, %d late, want %+v", space, &got, late.Packs, want)
		}
	}
	// What may stay is not late.
	if _, late := selectPacks(packs, Unlimited(), Unlimited(), 0); late.Packs != 1 {
		t.Errorf("got %+v, want the trees alone", late)
	}
}

func TestParseLimit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		shown  string
		beside int64 // of 1000
	}{
		"0": {"0", 0}, "17": {"17", 17}, "2k": {"2048", 2048}, "3M": {"3145728", 3 << 20}, "1T": {"1099511627776", 1 << 40},
		"0%": {"0%", 0}, "50%": {"50%", 1000}, "20%": {"20%", 250}, "100%": {"100%", math.MaxInt64}, "unlimited": {"unlimited", math.MaxInt64},
	} {
		got, err := ParseLimit(text)
		if err != nil || got.String() != want.shown || got.beside(1000) != want.beside {
			t.Errorf("%s: got %v, %d, %v, want %+v", text, got, got.beside(1000), err, want)
		}
	}
	if got := LimitPercent(99.9999).beside(math.MaxInt64 / 4); got != 1<<62 {
		t.Errorf("a share of a huge number: got %d", got)
	}
	if got := LimitBytes(-1).String(); got != "0" {
		t.Errorf("less than nothing: got %s", got)
	}
	for _, text := range []string{"", "x", "-1", "-1%", "101%", "NaN%", "%", "9999999999T", "1.5G", "5 %", "Unlimited"} {
		if got, err := ParseLimit(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
	if got := (Limit{}).String(); got != "default" {
		t.Errorf("got %q", got)
	}
}
