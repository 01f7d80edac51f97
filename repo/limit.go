package repo

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limit is how much of something a prune allows: a number of bytes, or a share.
// The zero value is the default of the place where it is used.
type Limit struct {
	kind    limitKind
	bytes   int64
	percent float64
}

type limitKind uint8

const (
	limitDefault limitKind = iota
	limitBytes
	limitPercent
	limitNone
)

// LimitBytes is a limit of n bytes.
func LimitBytes(n int64) Limit { return Limit{kind: limitBytes, bytes: max(n, 0)} }

// LimitPercent is a limit of a share of the whole, from 0 to 100.
func LimitPercent(percent float64) Limit { return Limit{kind: limitPercent, percent: percent} }

// Unlimited is no limit.
func Unlimited() Limit { return Limit{kind: limitNone} }

// ParseLimit reads a limit as restic's --max-unused spells it: "5%" is a share,
// "0", "500M" and "10G" are bytes, and "unlimited" is none.
func ParseLimit(s string) (Limit, error) {
	if s == "unlimited" {
		return Unlimited(), nil
	}
	bad := func(why string) (Limit, error) { return Limit{}, fmt.Errorf("parse limit %q: %s", s, why) }
	if share, ok := strings.CutSuffix(s, "%"); ok {
		percent, err := strconv.ParseFloat(share, 64)
		if legal := percent >= 0 && percent <= 100; err != nil || !legal { // which NaN is not
			return bad("want a percentage from 0 to 100")
		}
		return LimitPercent(percent), nil
	}
	size, ok := parseBytes(s)
	if !ok {
		return bad("want a percentage, a size such as 500M, or unlimited")
	}
	return LimitBytes(size), nil
}

// parseBytes reads a number of bytes as restic spells it: digits, and K, M, G or
// T behind them.
func parseBytes(s string) (size int64, ok bool) {
	digits, unit := s, int64(1)
	if s != "" {
		if i := strings.IndexByte("KMGT", s[len(s)-1]&^0x20); i >= 0 {
			digits, unit = s[:len(s)-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<62/unit {
		return 0, false
	}
	return n * unit, true
}

// String gives the limit in the form that ParseLimit reads, "default" for the
// zero value.
func (l Limit) String() string {
	switch l.kind {
	case limitBytes:
		return strconv.FormatInt(l.bytes, 10)
	case limitPercent:
		return strconv.FormatFloat(l.percent, 'g', -1, 64) + "%"
	case limitNone:
		return "unlimited"
	}
	return "default"
}

// beside is how many bytes may lie beside so many others: a share is one of
// both together.
func (l Limit) beside(others int64) int64 {
	switch {
	case l.kind == limitBytes:
		return l.bytes
	case l.kind == limitPercent && l.percent < 100:
		return int64(min(l.percent/(100-l.percent)*float64(others), 1<<62))
	}
	return math.MaxInt64
}
