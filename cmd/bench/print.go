//go:build unix

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// measure is a column of a table.
type measure struct {
	name  string
	value func(sample) float64
}

func measures() []measure {
	return []measure{
		{"wall s", func(s sample) float64 { return s.wall.Seconds() }},
		{"CPU s", func(s sample) float64 { return s.cpu.Seconds() }},
		{"memory MB", func(s sample) float64 { return float64(s.memory) / 1e6 }},
		{"stored MB", func(s sample) float64 { return float64(s.stored) / 1e6 }},
	}
}

// printResults prints the medians of both programs, and the median of the
// ratios round by round: those hold when the machine's speed drifts.
func printResults(out io.Writer, encrypted bool, results map[string]map[task][]sample) {
	kind := "plain"
	if encrypted {
		kind = "encrypted"
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\t\trusset\trestic\tratio\t\n", kind)
	for _, t := range tasks() {
		ours, theirs := results["russet"][t], results["restic"][t]
		for _, m := range measures() {
			if m.name == "stored MB" && t != first && t != second {
				continue
			}
			var a, b, ratios []float64
			for i := range ours {
				a, b = append(a, m.value(ours[i])), append(b, m.value(theirs[i]))
				ratios = append(ratios, a[i]/max(b[i], 1e-9))
			}
			fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%.2f\t\n", t, m.name, median(a), median(b), median(ratios))
		}
	}
	w.Flush()
}

func median[T cmp.Ordered](v []T) T {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
