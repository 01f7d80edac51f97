package main

import (
	"testing"
	"time"
)

func TestParseAge(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 30 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "12h": 12 * time.Hour, "36500d": 36500 * 24 * time.Hour,
	} {
		if got, err := parseAge("--max-age", text); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "30", "0d", "-1d", "+1d", "1.5d", "36501d", "99999999999w", "3m"} {
		if got, err := parseAge("--max-age", text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
