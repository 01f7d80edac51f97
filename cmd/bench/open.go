//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"russet/backend"
	"russet/index"
	"russet/repo"
)

// benchOpen makes a repository of very many small blobs and one tiny snapshot,
// and lists that with both programs, by turns. What listing the snapshots
// takes, which needs the key and no index, is subtracted from the time.
func benchOpen(ctx context.Context, s settings, dir string) error {
	place := filepath.Join(dir, "repo")
	// A process of its own: the peak of one counts for those that it starts.
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := measured(ctx, []string{self, "-fill", place, "-blobs", strconv.Itoa(s.blobs)}); err != nil {
		return err
	}
	programs := []struct {
		name string
		args []string
	}{
		{ours, []string{s.russet, "-r", place, "--quiet"}},
		{"restic", []string{"restic", "-r", place, "--quiet", "--no-cache"}},
	}
	wall, cpu, memory := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for round := range s.rounds {
		for i := range programs {
			p := programs[(i+round)%len(programs)]
			without, err := measured(ctx, append(p.args, "snapshots"))
			if err != nil {
				return err
			}
			with, err := measured(ctx, append(p.args, "ls", "latest"))
			if err != nil {
				return err
			}
			wall[p.name] = append(wall[p.name], (with.wall - without.wall).Seconds())
			cpu[p.name] = append(cpu[p.name], (with.cpu - without.cpu).Seconds())
			memory[p.name] = append(memory[p.name], float64(with.memory)/1e6)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "open, %d blobs\t\trusset\trestic\tratio\t\n", s.blobs)
	printRatios(w, "without the key, wall s", wall)
	printRatios(w, "without the key, CPU s", cpu)
	printRatios(w, "memory MB", memory)
	return w.Flush()
}

func printRatios(w io.Writer, name string, of map[string][]float64) {
	var ratios []float64
	for i, v := range of[ours] {
		ratios = append(ratios, v/max(of["restic"][i], 1e-9))
	}
	fmt.Fprintf(w, "\t%s\t%.2f\t%.2f\t%.2f\t\n", name, median(of[ours]), median(of["restic"]), median(ratios))
}

// fillBlobs makes a repository of n blobs of 400 bytes each, so that index files
// have some 50,000 each, and a snapshot of an empty folder.
func fillBlobs(ctx context.Context, place string, n int) error {
	be, err := backend.Create(ctx, place, backend.Options{})
	if err != nil {
		return err
	}
	r, err := repo.Init(ctx, be, password, repo.InitOptions{})
	if err != nil {
		return err
	}
	if err := r.LoadIndex(ctx); err != nil {
		return err
	}
	w := r.NewWriter(ctx)
	defer w.Close()
	random := rand.NewChaCha8([32]byte{})
	var blob [400]byte
	for range n {
		_, _ = random.Read(blob[:]) // never fails
		if _, err := w.Save(ctx, index.Data, blob[:]); err != nil {
			return err
		}
	}
	now := time.Now()
	tree, err := w.SaveTree(ctx, &repo.Tree{})
	if err != nil {
		return err
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	_, err = r.SaveSnapshot(ctx, &repo.Snapshot{Time: now, Tree: &tree.ID, Paths: []string{"/blobs"}, Hostname: "bench"})
	return err
}
