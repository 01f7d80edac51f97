package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"russet/repo"
)

func (p *program) catVerb() *cli.Command {
	return &cli.Command{
		Name:      "cat",
		Category:  groupLook,
		Usage:     "print a file in a snapshot",
		ArgsUsage: "SNAPSHOT PATH…",
		UsageText: "russet cat latest HomeDomain/Library/SMS/sms.db > sms.db\n" +
			"russet cat 3fa2c1d0 Info.plist",
		Description: "Writes the bytes of the files, one after the other, to standard output: plaintext, also\n" +
			"where the phone's backup was encrypted. SNAPSHOT and PATH are as in russet ls.",
		Flags: readFlags(),
		Action: func(c *cli.Context) error {
			if c.NArg() < 2 {
				return usageError{"cat wants a snapshot and at least one path"}
			}
			return p.withRepository(c, lockRead, func(ctx context.Context, r *repo.Repository) error {
				s, err := p.loadSnapshot(ctx, r, c.Args().First())
				if err != nil {
					return err
				}
				for _, path := range c.Args().Tail() {
					if err := p.printContent(ctx, r, s, path); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (p *program) printContent(ctx context.Context, r *repo.Repository, s *repo.Snapshot, path string) error {
	full, n, err := findNode(ctx, r, s, path)
	if err != nil {
		return err
	}
	if n.Type != repo.TypeFile {
		return usageError{fmt.Sprintf("%q is no file, but a %s", full, n.Type)}
	}
	f, err := r.NewFileReader(ctx, n.Content)
	if err != nil {
		return fmt.Errorf("read %q: %w", full, err)
	}
	if _, err := io.Copy(p.stdout, io.NewSectionReader(f, 0, f.Size())); err != nil {
		return fmt.Errorf("read %q: %w", full, err)
	}
	return nil
}
