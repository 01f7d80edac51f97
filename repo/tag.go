package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"

	"russet/backend"
	"russet/chunk"
)

// TagPlan is how the tags of snapshots change. It is made by PlanTags and done by
// Apply; nothing else of the snapshots changes, but all of them get other ids.
type TagPlan struct {
	Changes []TagChange
}

// TagChange is a snapshot and the tags that it is to have.
type TagChange struct {
	Snapshot *Snapshot
	Tags     []string
}

// PlanTags asks change for the new tags of each snapshot, which must not write
// to those that it is given. Snapshots that have them already are left out.
func PlanTags(snaps []*Snapshot, change func(tags []string) []string) *TagPlan {
	p := new(TagPlan)
	for _, s := range snaps {
		if tags := change(s.Tags); !slices.Equal(tags, s.Tags) {
			p.Changes = append(p.Changes, TagChange{s, tags})
		}
	}
	return p
}

// Added and Removed are the tags that only one of both has.
func (c TagChange) Added() []string { return tagsWithout(c.Tags, c.Snapshot.Tags) }

// Removed are the tags that are taken off.
func (c TagChange) Removed() []string { return tagsWithout(c.Snapshot.Tags, c.Tags) }

func tagsWithout(tags, others []string) []string {
	var list []string
	for _, tag := range tags {
		if !slices.Contains(others, tag) {
			list = append(list, tag)
		}
	}
	return list
}

// String tells, a line a snapshot, what tags are put on and taken off.
func (p *TagPlan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "  %.8s", c.Snapshot.ID())
		for _, tag := range c.Removed() {
			fmt.Fprintf(&b, "  - %q", tag)
		}
		for _, tag := range c.Added() {
			fmt.Fprintf(&b, "  + %q", tag)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "change the tags of %d\n", len(p.Changes))
	return b.String()
}

// Apply saves each snapshot again and then removes the old file, and calls
// changed with both ids. ctx must be that of an exclusive lock.
//
// The new file is read back before the old one is removed. A run that is cut off
// in between leaves both; when it is planned again the new one is found, and the
// old one removed.
func (p *TagPlan) Apply(ctx context.Context, r *Repository, changed func(c TagChange, id chunk.ID) error) error {
	if len(p.Changes) == 0 {
		return nil
	}
	before := map[chunk.ID][]*Snapshot{} // saved again, by the first id that they had
	for s, err := range r.Snapshots(ctx) {
		if err == nil && s.Original != nil {
			before[*s.Original] = append(before[*s.Original], s)
		}
	}
	for _, c := range p.Changes {
		id, err := r.saveAgain(ctx, c, before)
		if err == nil {
			err = changed(c, id)
		}
		if err != nil {
			return fmt.Errorf("change tags of snapshot %.8s: %w", c.Snapshot.ID(), err)
		}
	}
	return nil
}

// saveAgain replaces one snapshot's file.
func (r *Repository) saveAgain(ctx context.Context, c TagChange, before map[chunk.ID][]*Snapshot) (chunk.ID, error) {
	old := c.Snapshot.ID()
	plain, err := r.loadUnpacked(ctx, backend.Snapshot, old)
	if err != nil {
		return chunk.ID{}, err
	}
	edited, original, err := editTags(plain, old, c.Tags)
	if err != nil {
		return chunk.ID{}, err
	}
	if err := confirmLock(ctx); err != nil {
		return chunk.ID{}, err
	}
	id, ok := chunk.ID{}, false
	for _, s := range before[original] {
		if again, err := r.loadUnpacked(backend.WithoutCache(ctx), backend.Snapshot, s.ID()); err == nil && bytes.Equal(again, edited) {
			id, ok = s.ID(), true
		}
	}
	if !ok {
		if id, err = r.saveUnpacked(ctx, backend.Snapshot, edited); err != nil {
			return chunk.ID{}, err
		}
	}
	again, err := r.loadUnpacked(backend.WithoutCache(ctx), backend.Snapshot, id)
	if err == nil && !bytes.Equal(again, edited) {
		err = fmt.Errorf("read %.8s back: %w: it is not what was saved", id, ErrDamaged)
	}
	if err != nil {
		return chunk.ID{}, err
	}
	if err := confirmLock(ctx); err != nil {
		return chunk.ID{}, err
	}
	if err := r.RemoveSnapshot(ctx, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return chunk.ID{}, err
	}
	return id, nil
}

// snapshotOrder is the order in which restic writes a snapshot's fields, as far
// as it is behind the tags.
var snapshotOrder = []string{"tags", "original", "program_version", "summary"}

// member is one field of a JSON object as it is spelled.
type member struct {
	name  string
	value json.RawMessage
}

// editTags gives the JSON of a snapshot other tags and, if it has none, the
// original that restic's tag gives: its id. All else stays as it is spelled,
// fields that nobody here knows too.
func editTags(plain []byte, id chunk.ID, tags []string) (edited []byte, original chunk.ID, err error) {
	was := new(Snapshot)
	if err := json.Unmarshal(plain, was); err != nil {
		return nil, original, fmt.Errorf("decode snapshot: %w: %w", ErrDamaged, err)
	}
	fields, err := splitObject(plain)
	if err != nil {
		return nil, original, fmt.Errorf("decode snapshot: %w: %w", ErrDamaged, err)
	}
	want := *was
	want.Tags = slices.Clip(tags)
	if len(tags) == 0 {
		want.Tags = nil
		fields = slices.DeleteFunc(fields, func(f member) bool { return f.name == "tags" })
	} else if fields, err = setField(fields, "tags", want.Tags); err != nil {
		return nil, original, err
	}
	if was.Original == nil {
		want.Original = &id
		if fields, err = setField(fields, "original", id); err != nil {
			return nil, original, err
		}
	}
	edited = joinObject(fields)
	got := new(Snapshot)
	if err := json.Unmarshal(edited, got); err != nil || !reflect.DeepEqual(*got, want) {
		return nil, original, fmt.Errorf("change snapshot: %w: its fields are given twice, or the tags are no text", ErrDamaged)
	}
	return edited, *want.Original, nil
}

// splitObject takes a JSON object apart.
func splitObject(text []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(err, errors.New("it is no object"))
	}
	var fields []member
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.Join(err, errors.New("a field has no name"))
		}
		f := member{name: name}
		if err := d.Decode(&f.value); err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func joinObject(fields []member) []byte {
	text := []byte("{")
	for i, f := range fields {
		if i > 0 {
			text = append(text, ',')
		}
		name, _ := json.Marshal(f.name) // strings cannot fail
		text = append(append(append(text, name...), ':'), f.value...)
	}
	return append(text, '}')
}

// setField replaces a field, or puts it where restic writes it.
func setField(fields []member, name string, value any) ([]member, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	for i := range fields {
		if fields[i].name == name {
			fields[i].value = text
			return fields, nil
		}
	}
	later := snapshotOrder[slices.Index(snapshotOrder, name)+1:]
	i := slices.IndexFunc(fields, func(f member) bool { return slices.Contains(later, f.name) })
	if i < 0 {
		i = len(fields)
	}
	return slices.Insert(fields, i, member{name, text}), nil
}
