package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/dav"
	"russet/merge"
	"russet/reconcile"
	"russet/records"
	"russet/repo"
	"russet/vdir"
)

// syncMessage is a sync, as it was added.
type syncMessage struct {
	MessageType string   `json:"message_type" doc:"\"sync_added\"; \"sync_removed\" after that"`
	Name        string   `json:"name" doc:"its name"`
	Kind        string   `json:"kind" doc:"contacts, calendar or reminders"`
	From        string   `json:"from" doc:"the UDID of a phone, or a folder"`
	Containers  []string `json:"containers,omitempty" doc:"ids of the accounts, calendars or lists that are taken; absent: those that no server has"`
	To          string   `json:"to" doc:"the target: a collection or a folder"`
	Direction   string   `json:"direction" doc:"safe, mirror or two-way"`
	OnConflict  string   `json:"on_conflict" doc:"ask, source-wins, target-wins or keep-both"`
}

// syncAdd is sync add.
func (p *program) syncAdd(c *cli.Context, args []string) error {
	config, err := syncConfig(c, args[0])
	if err != nil {
		return err
	}
	if config.Mode == merge.Mirror {
		if err := p.confirmMirror(c.Context, config.Name); err != nil {
			return err
		}
	}
	return p.withSyncs(c, lockShared, func(ctx context.Context, r *repo.Repository, store *reconcile.RepoStore) error {
		if err := p.chooseDevice(ctx, c, r, config); err != nil {
			return err
		}
		if err := config.Validate(); err != nil {
			return usageError{err.Error()}
		}
		for _, place := range []*string{&config.Source, &config.Target} {
			if err := p.preparePlace(ctx, c, place, config); err != nil {
				return fmt.Errorf("add sync %s: %w", config.Name, err)
			}
		}
		if err := reconcile.Add(ctx, store, *config); err != nil {
			return err
		}
		if p.json {
			return p.emit(describeSync("sync_added", config))
		}
		_, err := fmt.Fprintf(p.stdout, "added %s\nrusset sync plan %s shows what its first run would do\n", visible(config.String()), config.Name)
		return err
	})
}

func describeSync(what string, c *reconcile.Config) syncMessage {
	return syncMessage{what, c.Name, string(c.Kind), cmp.Or(c.Device, c.Source), c.Containers, c.Target, string(c.Mode), string(c.Choice)}
}

// syncConfig reads what the flags of sync add say.
func syncConfig(c *cli.Context, name string) (*reconcile.Config, error) {
	kind, err := parseKind(c.String("kind"))
	if err != nil {
		return nil, usageError{"sync add wants to know what to sync: --kind " + joinKindsBy("|")}
	}
	config := &reconcile.Config{
		Name: name, Kind: kind, User: c.String("user"), SameServer: c.Bool("same-server"),
		Mode: merge.Mode(c.String("direction")), Choice: merge.Choice(c.String("on-conflict")),
	}
	if config.Target, err = absoluteFolder(c.String("to")); err != nil {
		return nil, err
	}
	_, server := serverAddress(config.Target)
	wrong := caldavScheme
	if kind != records.Contacts {
		wrong = carddavScheme
	}
	switch {
	case config.Target == "":
		return nil, usageError{"sync add wants to know where to: --to carddav:ADDRESS, caldav:ADDRESS or folder:DIR"}
	case !server && !strings.HasPrefix(config.Target, folderScheme):
		return nil, usageError{fmt.Sprintf("--to %q: it begins with carddav:, caldav: or folder:", config.Target)}
	case strings.HasPrefix(config.Target, wrong):
		return nil, usageError{fmt.Sprintf("--to %s is for another kind of records than %s", strings.TrimSuffix(wrong, ":"), kind)}
	case strings.HasPrefix(c.String("from"), folderScheme):
		config.Source, err = absoluteFolder(c.String("from"))
		return config, err
	}
	return config, nil
}

// confirmMirror has a person type the name of a sync that overwrites what others
// wrote. Without a terminal the direction that is spelled out is the confirmation.
func (p *program) confirmMirror(ctx context.Context, name string) error {
	if !p.hasTerminal() {
		return nil
	}
	answer, err := p.ask(ctx, "A mirror overwrites what is edited at the target. Type the name of the sync to go on")
	if err == nil && strings.TrimSpace(answer) != name {
		err = errNotConfirmed
	}
	return err
}

// chooseDevice completes the configuration of a sync from a phone: which one, and
// which of its accounts, calendars or lists.
func (p *program) chooseDevice(ctx context.Context, c *cli.Context, r *repo.Repository, config *reconcile.Config) error {
	if config.Source != "" {
		if c.IsSet("in") {
			return usageError{"--in is for syncs from a phone"}
		}
		return nil
	}
	all, _, err := allSnapshots(ctx, r)
	if err != nil {
		return err
	}
	if all, err = ofDevice(all, c.String("from")); err != nil {
		return err
	}
	config.Device, _ = capture.UDID(all[len(all)-1])
	for _, s := range all {
		if udid, _ := capture.UDID(s); udid != config.Device {
			return usageError{"there are several phones: say with --from which one is meant, by the beginning of its UDID"}
		}
	}
	s, err := p.sourceSnapshot(ctx, r, config.Device, "")
	if err != nil {
		return err
	}
	set, err := readRecords(ctx, r, s, config.Kind)
	if err != nil {
		return err
	}
	if c.IsSet("in") {
		config.Containers, err = containerIDs(set, c.StringSlice("in"))
		return err
	}
	if !slices.ContainsFunc(set.Containers, func(in records.Container) bool { return in.Synced }) {
		return situation{fmt.Errorf("choose what to sync: the phone has nothing for %s in use that no server keeps; there are: %s",
			config.Kind, strings.Join(slices.Sorted(maps.Values(containerNames(set))), ", ")), errNothingOwn}
	}
	return nil
}

// preparePlace finds the one collection that an address leads to, and marks a folder
// as a side of this sync.
func (p *program) preparePlace(ctx context.Context, c *cli.Context, place *string, config *reconcile.Config) error {
	if dir, ok := strings.CutPrefix(*place, folderScheme); ok {
		folder, err := vdir.Open(dir, vdirKind(config.Kind))
		if errors.Is(err, merge.ErrMissing) {
			err = situation{err, errNewFolder}
		}
		if err != nil {
			return err
		}
		_, err = folder.Init(config.Name + "-" + strings.ToLower(rand.Text()))
		return errors.Join(err, folder.Close())
	}
	address, ok := serverAddress(*place)
	if !ok {
		return nil
	}
	var found []dav.Info
	err := p.withServer(ctx, c, address, config.User, func(o dav.Options) (err error) {
		found, err = dav.Discover(ctx, o, address)
		return err
	})
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(i dav.Info) bool { return !takes(i, config.Kind) })
	switch {
	case len(found) == 0:
		return fmt.Errorf("look for a collection for %s at %s: %w", config.Kind, hostOf(address), merge.ErrMissing)
	case len(found) > 1:
		return situation{severalCollections(found), errSeveralCollections}
	case found[0].ReadOnly:
		return fmt.Errorf("use the collection %q: it is read-only: %w", found[0].Name, merge.ErrDenied)
	}
	*place = strings.Split(*place, ":")[0] + ":" + found[0].URL
	return nil
}

// takes tells whether a collection holds records of a kind.
func takes(i dav.Info, kind records.Kind) bool {
	component := "VEVENT"
	if kind == records.Reminders {
		component = "VTODO"
	}
	return i.Kind == davKind(kind) && (i.Kind == dav.AddressBook || len(i.Components) == 0 || slices.Contains(i.Components, component))
}

// severalCollections says which collections there are to choose from.
func severalCollections(found []dav.Info) error {
	var text strings.Builder
	text.WriteString("choose a collection: there are several:")
	for _, i := range found {
		text.WriteString("\n  " + i.URL)
		if i.Name != "" {
			text.WriteString("  (" + i.Name + ")")
		}
	}
	return errors.New(text.String())
}

// syncRemove is sync remove.
func (p *program) syncRemove(c *cli.Context, args []string) error {
	return p.withSyncs(c, lockExclusive, func(ctx context.Context, _ *repo.Repository, store *reconcile.RepoStore) error {
		status, err := reconcile.ReadStatus(ctx, store, args[0])
		if err != nil {
			return err
		}
		if err := store.Remove(ctx, args[0]); err != nil {
			return err
		}
		if p.json {
			return p.emit(describeSync("sync_removed", &status.Config))
		}
		_, err = fmt.Fprintf(p.stdout, "removed %s; what is at its target stays\n", visible(status.Config.String()))
		return err
	})
}
