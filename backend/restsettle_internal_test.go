package backend

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestUnsettledWaits: who waits for a server to notice a cut is in nobody's way.
func TestUnsettledWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newREST(new(http.Transport), "http://host/", 1, time.Hour)
		var requests atomic.Int64
		r.client.Transport = roundTrip(func(q *http.Request) (*http.Response, error) {
			if requests.Add(1) == 1 {
				return nil, errors.New("cut")
			}
			return &http.Response{StatusCode: http.StatusOK, ContentLength: 4, Request: q, Body: io.NopCloser(strings.NewReader(""))}, nil
		})
		f := File{Data, strings.Repeat("0", nameSize)}
		if err := r.Save(t.Context(), f, []byte("data")); !IsTemporary(err) {
			t.Fatalf("got %v, want that the connection was lost", err)
		}
		done := make(chan error, 1)
		go func() { done <- r.Save(t.Context(), f, []byte("data")) }()
		synctest.Wait()
		if n := requests.Load(); n != 2 || len(r.slots) != 0 {
			t.Errorf("while it waits: got %d requests, %d under way, want 2 and none", n, len(r.slots))
		}
		if err := <-done; err != nil || requests.Load() != 3 {
			t.Errorf("got %v after %d requests, want that it looks once more", err, requests.Load())
		}
	})
}
