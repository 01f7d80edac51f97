//go:build unix

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// printDevice prints the medians of both programs, the median of the ratios
// round by round, and what our program's processor time is for each 100,000
// files.
func printDevice(out io.Writer, title string, results map[string]map[task][]sample, files int) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\t\t%s\t%s\tratio\t\n", title, ours, theirs)
	for _, t := range []task{full, changed, unchanged} {
		mine, other := results[ours][t], results[theirs][t]
		onDrive := measure{"until it is on the drive, s", func(s sample) float64 { return s.onDrive.Seconds() }}
		for _, m := range append(measures(), onDrive) {
			if m.name == "stored MB" && t != full {
				continue // files are written in place in a folder
			}
			var a, b, ratios []float64
			for i := range mine {
				a, b = append(a, m.value(mine[i])), append(b, m.value(other[i]))
				ratios = append(ratios, a[i]/max(b[i], 1e-9))
			}
			fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%.2f\t\n", t, m.name, median(a), median(b), median(ratios))
		}
		var cpu []float64
		for _, s := range mine {
			cpu = append(cpu, s.cpu.Seconds()*100_000/float64(max(files, 1)))
		}
		fmt.Fprintf(w, "%s\tCPU s for 100,000 files\t%.2f\t\t\t\n", t, median(cpu))
	}
	w.Flush()
}
