package reconcile

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
)

// Problem is something that keeps a record out of a run.
type Problem struct {
	Where merge.Where `json:"where"`
	Text  string      `json:"text"` // a sentence without anything personal
	// Item is the last part of the href of the item that it is about, so that people
	// find it; "" where it is about none.
	Item string `json:"item,omitempty"`
}

// String is the problem for those who may see what the collections hold.
func (p Problem) String() string {
	if p.Item == "" {
		return p.Text
	}
	return oneLine(p.Item) + ": " + p.Text
}

// item is a record as a side has it now.
type item struct {
	key    string
	uid    string // its own, where it is not key
	ref    merge.Ref
	hash   vobject.Hash
	body   chunk.ID           // zero of a phone's record
	data   []byte             // of body, where it was fetched
	object *vobject.Component // nil until it is wanted, and of a large body; see remember
	unread []string           // as of a records.Record
}

// view is what a side has.
type view struct {
	where   merge.Where
	items   map[string]*item
	foreign []Seen // items that no key leads to: second ones of a key
	// unreadable are the items that could not be read.
	unreadable []Unreadable
	unknown    map[string]bool   // keys of which this run knows nothing
	matched    map[string]string // keys of the records of the base that have another UID here, by that
	token      string
	changes    int // how many refs a listing of changes had, -1 for a full one
	// clean says that the listing left out nothing that is known to be there, so that the
	// token may be kept.
	clean      bool
	incomplete bool
	skipped    int // records that the phone syncs with the target's server itself
	problems   []Problem
}

func newView(w merge.Where) *view {
	return &view{where: w, items: map[string]*item{}, unknown: map[string]bool{}, matched: map[string]string{}, changes: -1, clean: true}
}

func (v *view) problem(text string, args ...any) {
	v.problems = append(v.problems, Problem{Where: v.where, Text: fmt.Sprintf(text, args...)})
}

// itemProblem is a problem with the item at href.
func (v *view) itemProblem(href, text string, args ...any) {
	v.problem(text, args...)
	v.problems[len(v.problems)-1].Item = path.Base(href)
}

// batch is how many items are asked for at once.
const batch = 50

// maxItems is how many a collection may list.
const maxItems = 1_000_000

// known is what the state says of an item of a collection.
type known struct {
	item
	row  bool // it is a record of the base
	gone bool // it was not there last time
	// again says that it could not be read last time: what was listed then is of no use.
	again bool
}

// known returns what the state says of the items of a side, by their hrefs.
func (s *Sync) known(w merge.Where) map[string]*known {
	m := make(map[string]*known, len(s.state.Rows))
	for i := range s.state.Rows {
		row := &s.state.Rows[i]
		if p := row.place(w); p.Href != "" {
			m[p.Href] = &known{row: true, item: item{
				key: row.Key, uid: p.UID, ref: merge.Ref{Href: p.Href, ETag: p.ETag}, hash: vobject.Hash(p.Hash), body: p.Body,
			}}
		}
	}
	if !s.state.Matched { // everything is read
		return m
	}
	for _, f := range s.state.Seen {
		switch {
		case f.Where != w:
		case f.Gone && m[f.Href] != nil:
			m[f.Href].gone = true
		case f.Gone:
		default:
			m[f.Href] = &known{row: s.row(f.Key) != nil, item: item{
				key: f.Key, uid: f.UID, ref: merge.Ref{Href: f.Href, ETag: f.ETag}, hash: vobject.Hash(f.Hash), body: f.Body,
			}}
		}
	}
	for _, u := range s.state.Unreadable {
		switch k := m[u.Href]; {
		case u.Where != w:
		case k == nil:
			m[u.Href] = &known{row: s.row(u.Key) != nil, again: true, item: item{key: u.Key, ref: merge.Ref{Href: u.Href}}}
		default:
			k.again = true
		}
	}
	return m
}

// observe looks at a collection. Bodies are read only where an etag differs from
// what the state says; what is not listed is asked for by its href, and gone only if
// the side says so of this very href.
func (s *Sync) observe(ctx context.Context, w merge.Where) (*view, error) {
	v, has := newView(w), s.known(w)
	for i := range s.state.Rows {
		if p := s.state.Rows[i].place(w); p.UID != "" {
			v.matched[p.UID] = s.state.Rows[i].Key
		}
	}
	l, err := s.list(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("list the %v: %w", w, err)
	}
	if len(l.Refs)+len(l.Removed) > maxItems {
		return nil, fmt.Errorf("list the %v: more than %d items", w, maxItems)
	}
	if v.token = l.Token; l.Changes {
		v.changes = len(l.Refs) + len(l.Removed)
	}
	missing := s.notListed(l, has)
	var fetch []string
	listed := map[string]bool{}
	for _, ref := range l.Refs {
		if listed[ref.Href] {
			continue
		}
		listed[ref.Href] = true
		if k := has[ref.Href]; k != nil && ref.ETag != "" && k.ref.ETag == ref.ETag {
			v.add(s, &k.item)
		} else {
			fetch = append(fetch, ref.Href)
		}
	}
	for href, k := range has {
		switch {
		case listed[href]:
		case missing[href] && !s.opt.flaws.believeListings:
			fetch = append(fetch, href)
		case !missing[href] && k.again:
			listed[href] = true // in an earlier run, that is
			fetch = append(fetch, href)
		case !missing[href] && !k.gone:
			v.add(s, &k.item)
		}
	}
	slices.Sort(fetch)
	if err := s.fetch(ctx, v, fetch, has, listed); err != nil {
		return nil, err
	}
	slices.SortFunc(v.foreign, func(a, b Seen) int { return strings.Compare(a.Href, b.Href) })
	slices.SortFunc(v.problems, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
	return v, nil
}

// list lists what changed since the last run, or everything.
func (s *Sync) list(ctx context.Context, w merge.Where) (merge.Listing, error) {
	if token := s.state.Token[w]; token != "" && s.state.Matched {
		l, err := s.sides[w].List(ctx, token)
		if !errors.Is(err, merge.ErrToken) {
			return l, err
		}
	}
	return s.sides[w].List(ctx, "")
}

// notListed are the hrefs of the state that a listing says, or lets one think, are
// gone.
func (s *Sync) notListed(l merge.Listing, has map[string]*known) map[string]bool {
	missing := map[string]bool{}
	if l.Changes {
		for _, href := range l.Removed {
			missing[href] = has[href] != nil
		}
		return missing
	}
	for href := range has {
		missing[href] = true
	}
	for _, ref := range l.Refs {
		delete(missing, ref.Href)
	}
	return missing
}

// fetch reads items, of which some were listed.
func (s *Sync) fetch(ctx context.Context, v *view, hrefs []string, has map[string]*known, listed map[string]bool) error {
	left := 0
	for part := range slices.Chunk(hrefs, batch) {
		items, err := s.sides[v.where].Get(ctx, part)
		if err == nil && len(items) != len(part) {
			err = errors.New("it answered for others than it was asked for")
		}
		if err != nil {
			return fmt.Errorf("read items of the %v: %w", v.where, err)
		}
		for i, it := range items {
			if it.Gone {
				continue
			}
			it.Href = part[i]
			if !listed[it.Href] {
				left++
			}
			v.read(s, it, has[it.Href])
		}
	}
	if left > 0 {
		v.clean = false
		v.problem("the listing of the %v left out %d items that are there", v.where, left)
	}
	return nil
}

// read takes an item that was fetched; k is what the state says of its href.
func (v *view) read(s *Sync, got merge.Item, k *known) {
	it, err := s.decodeItem(got)
	if err != nil {
		v.itemProblem(got.Href, "an item of the %v cannot be read: %v", v.where, err)
		u := Unreadable{Where: v.where, Href: got.Href}
		if k != nil && k.row {
			v.unknown[k.key] = true
			u.Key = k.key
		}
		v.unreadable = append(v.unreadable, u)
		return
	}
	it.remember(it.object)
	switch {
	case k != nil && k.row && (it.key == k.uid || it.key == k.key):
		it = it.under(k.key)
	case v.matched[it.key] != "": // it was moved
		it = it.under(v.matched[it.key])
	}
	v.add(s, it)
}

// decodeItem reads an item that was fetched.
func (s *Sync) decodeItem(got merge.Item) (*item, error) {
	c, uid, err := s.decodeKind(got.Body)
	if err != nil {
		return nil, err
	}
	it := &item{key: uid, ref: got.Ref, hash: hashOf(c), body: chunk.Sum(got.Body), data: got.Body, object: c}
	if s.opt.flaws.hash != nil {
		it.hash = s.opt.flaws.hash(got.Body)
	}
	return it, nil
}

// add takes an item. Of two of a key the one that the base knows stays, or the one
// whose href comes first.
func (v *view) add(s *Sync, it *item) {
	other := v.items[it.key]
	if other == nil {
		v.items[it.key] = it
		return
	}
	if row := s.row(it.key); row != nil && row.place(v.where).Href == it.ref.Href ||
		(row == nil || row.place(v.where).Href != other.ref.Href) && it.ref.Href < other.ref.Href {
		v.items[it.key], it = it, other
	}
	v.itemProblem(it.ref.Href, "two items of the %v have one UID; this one is left alone", v.where)
	v.foreign = append(v.foreign, v.stranger(it))
}

// hrefs are those at which something is.
func (v *view) hrefs() map[string]bool {
	there := make(map[string]bool, len(v.items))
	for _, it := range v.items {
		there[it.ref.Href] = true
	}
	for _, f := range v.foreign {
		there[f.Href] = true
	}
	for _, u := range v.unreadable {
		there[u.Href] = true
	}
	return there
}

// stranger is an item as what is seen and is no record of the base.
func (v *view) stranger(it *item) Seen {
	key := it.key
	if it.uid != "" {
		key = it.uid
	}
	return Seen{Where: v.where, Href: it.ref.Href, ETag: it.ref.ETag, Key: key, Hash: chunk.ID(it.hash)}
}

// object returns what an item says, from where it can be had.
func (s *Sync) objectOf(ctx context.Context, v *view, it *item) (*vobject.Component, error) {
	if it.object != nil {
		return it.object, nil
	}
	data, err := s.dataOf(ctx, v, it)
	if err != nil {
		return nil, err
	}
	c, _, err := decode(data)
	if err != nil {
		return nil, err
	}
	it.remember(c)
	return c, nil
}

// remember keeps the object of an item, but not beside a large body: 10,000 contacts with
// photos would be in memory twice, while few of them are looked at again.
func (it *item) remember(c *vobject.Component) {
	it.object = c
	if len(it.data) >= largeBody {
		it.object = nil
	}
}

// dataOf returns the body of an item: as it was fetched, as the state has it, or, of
// a foreign one of which only the hash is known, as it is now.
func (s *Sync) dataOf(ctx context.Context, v *view, it *item) ([]byte, error) {
	if it.data != nil {
		return it.data, nil
	}
	side := s.sides[v.where]
	if !it.body.IsZero() {
		if data, err := s.Body(ctx, it.body); err == nil || side == nil {
			return data, err
		}
	}
	if side == nil {
		return it.object.Bytes(), nil
	}
	got, err := side.Get(ctx, []string{it.ref.Href})
	if err != nil {
		return nil, fmt.Errorf("read an item of the %v: %w", v.where, err)
	}
	if len(got) != 1 || got[0].Gone {
		return nil, fmt.Errorf("read an item of the %v: %w", v.where, merge.ErrChanged)
	}
	now, err := s.decodeItem(got[0])
	if err != nil {
		return nil, err
	}
	it.data, it.body, it.object, it.hash, it.ref.ETag = now.data, now.body, now.object, now.hash, now.ref.ETag
	return it.data, nil
}
