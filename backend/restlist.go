package backend

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"slices"
	"sync"
)

// restVersion2 is asked for, and given by who can: lists with sizes.
const restVersion2 = "application/vnd.x.restic.rest.v2"

// Bounds of a list. At 16 MiB a pack, four million are 64 TiB.
const (
	maxListed = 4 << 20
	maxEntry  = 4 << 10 // bytes
)

// unknownSize is the size of a file in a list of version 1.
const unknownSize = -1

// List asks for the whole list before it yields any of it, so that a slow loop does not hold up the server. Sizes that the
// list does not hold are asked for one by one.
func (r *rest) List(ctx context.Context, k Kind) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		infos, err := r.list(ctx, k)
		for _, info := range infos {
			if err = ctx.Err(); err != nil {
				break
			}
			if !yield(info, nil) {
				return
			}
		}
		if err = cmp.Or(err, ctx.Err()); err != nil {
			yield(Info{}, fmt.Errorf("list %s: %w", k, err))
		}
	}
}

func (r *rest) list(ctx context.Context, k Kind) ([]Info, error) {
	if k > Data {
		return nil, fs.ErrInvalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if k == Config {
		return r.measure(ctx, k, []Info{{Size: unknownSize}})
	}
	infos, err := r.names(ctx, k)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r.wantPlace(ctx)
	}
	if err != nil {
		return nil, err
	}
	return r.measure(ctx, k, infos)
}

// wantPlace tells a folder that is missing because nothing is in it from a repository that is gone: an empty list of that
// would look like lost files.
func (r *rest) wantPlace(ctx context.Context) error {
	if r.made {
		return nil
	}
	if _, err := r.sizeInTurn(ctx, File{}); err != nil {
		return fmt.Errorf("look for config: %w", err)
	}
	return nil
}

func (r *rest) names(ctx context.Context, k Kind) ([]Info, error) {
	leave, err := r.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	resp, err := r.ask(ctx, http.MethodGet, k.String()+"/", nil, "Accept", restVersion2)
	if err != nil {
		return nil, err
	}
	defer finish(resp)
	infos, err := parseList(resp.Body, maxListed)
	if err == nil || errors.Is(err, errList) {
		return infos, err
	}
	return nil, lost(ctx, err)
}

// errList says that a list is none.
var errList = errors.New("the server's answer is not a list of files")

// A listed is one element of a list: a name in version 1, an object in version 2.
type listed struct {
	Name string `json:"name"`
	Size *int64 `json:"size"`
}

// UnmarshalJSON reads an element of either version.
func (l *listed) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, &l.Name)
	}
	type object listed
	return json.Unmarshal(text, (*object)(l))
}

// parseList reads a list of either version. What has no proper name is left out. Where the list itself is wrong, not the
// connection, the error wraps errList.
func parseList(r io.Reader, most int) ([]Info, error) {
	limited := &io.LimitedReader{R: r, N: maxEntry}
	d := json.NewDecoder(limited)
	wrong := func(err error) error {
		switch {
		case limited.N == 0 || err == nil:
			return errList
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return io.ErrUnexpectedEOF
		}
		if _, ok := errors.AsType[*json.SyntaxError](err); ok {
			return errList
		}
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return errList
		}
		return err
	}
	start, err := d.Token()
	if err == nil && start == nil { // null: how some spell an empty one
		return nil, nil
	}
	if err != nil || start != json.Delim('[') {
		return nil, wrong(err)
	}
	var infos []Info
	for count := 0; d.More(); count++ {
		var l listed
		if err := d.Decode(&l); err != nil {
			return nil, wrong(err)
		}
		info := Info{Name: l.Name, Size: unknownSize}
		if l.Size != nil {
			info.Size = *l.Size
		}
		if count == most || l.Size != nil && info.Size < 0 {
			return nil, errList
		}
		if isName(info.Name) {
			infos = append(infos, info)
		}
		limited.N = maxEntry
	}
	if _, err := d.Token(); err != nil {
		return nil, wrong(err)
	}
	return infos, nil
}

// measure asks for the sizes that are unknown, several at a time. Files that are gone by now are left out.
func (r *rest) measure(ctx context.Context, k Kind, infos []Info) ([]Info, error) {
	isUnknown := func(info Info) bool { return info.Size == unknownSize }
	if !slices.ContainsFunc(infos, isUnknown) {
		return infos, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *Info)
	var workers sync.WaitGroup
	for range min(cap(r.slots), len(infos)) {
		workers.Go(func() {
			for info := range next {
				if err := r.measureOne(ctx, File{k, info.Name}, info); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range infos {
		if isUnknown(infos[i]) {
			next <- &infos[i]
		}
	}
	close(next)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(infos, isUnknown), nil
}

func (r *rest) measureOne(ctx context.Context, f File, info *Info) error {
	size, err := r.sizeInTurn(ctx, f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	info.Size = size
	return err
}
