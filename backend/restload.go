package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// errAnswer says that a server breaks the protocol.
func errAnswer(what string) error { return fmt.Errorf("the server's answer %s", what) }

// Load asks for a part of a file. What comes is exactly that, or an error.
func (r *rest) Load(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	if err := admit(ctx, f); err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	if offset < 0 {
		return 0, fmt.Errorf("load %s: offset %d: %w", f, offset, fs.ErrInvalid)
	}
	if n, ok := r.config.take(f, offset, dst); ok {
		return n, nil
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	defer leave()
	n, err := r.load(ctx, f, offset, dst)
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", f, err)
	}
	return n, nil
}

func (r *rest) load(ctx context.Context, f File, offset int64, dst []byte) (int, error) {
	if len(dst) == 0 || offset > math.MaxInt64-int64(len(dst)) {
		_, err := r.size(ctx, f)
		return 0, err
	}
	resp, err := r.ask(ctx, http.MethodGet, f.String(), nil, "Range", fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(dst))-1))
	if refused, ok := errors.AsType[statusError](err); ok && refused == http.StatusRequestedRangeNotSatisfiable {
		return 0, r.wantEnd(ctx, f, offset)
	}
	if err != nil {
		return 0, err
	}
	defer finish(resp)
	var n int64
	if resp.StatusCode == http.StatusPartialContent {
		n, err = partLength(resp, offset, int64(len(dst)))
	} else {
		n, err = skip(ctx, resp, offset, int64(len(dst)))
	}
	if err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(resp.Body, dst[:n]); err != nil {
		return 0, lost(ctx, err)
	}
	return int(n), nil
}

// wantEnd fails unless a file ends at or before the offset at which a server has nothing.
func (r *rest) wantEnd(ctx context.Context, f File, offset int64) error {
	size, err := r.size(ctx, f)
	if err == nil && size > offset {
		err = errAnswer("denies a part that the file has")
	}
	return err
}

// partLength is how many of the wanted bytes an answer with status 206 holds: all, or those up to the end of the file.
// Behind the end rclone sends a range that ends before it begins.
func partLength(resp *http.Response, offset, wanted int64) (int64, error) {
	var first, last, total int64
	span, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	span, end, found := strings.Cut(span, "/")
	from, to, _ := strings.Cut(span, "-")
	for _, number := range []struct {
		text string
		to   *int64
	}{{from, &first}, {to, &last}, {end, &total}} {
		n, err := strconv.ParseInt(number.text, 10, 64)
		ok = ok && err == nil
		*number.to = n
	}
	n := max(0, min(wanted, total-offset))
	if !ok || !found || first != offset || total < 0 || n > 0 && last != offset+n-1 {
		return 0, errAnswer("is another part of the file")
	}
	if resp.ContentLength >= 0 && resp.ContentLength != n {
		return 0, errAnswer("has another length than the part of the file")
	}
	return n, nil
}

// skip reads up to an offset of a whole file, which servers send that know of no parts, and returns how many of the wanted
// bytes follow.
func skip(ctx context.Context, resp *http.Response, offset, wanted int64) (int64, error) {
	if resp.ContentLength < 0 {
		return 0, errAnswer("has no length")
	}
	n := max(0, min(wanted, resp.ContentLength-offset))
	if n == 0 {
		return 0, nil
	}
	if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
		return 0, lost(ctx, err)
	}
	return n, nil
}
