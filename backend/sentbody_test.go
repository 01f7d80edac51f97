package backend

import (
	"io"
	"net/http"
	"testing"
	"testing/iotest"
)

func TestSentBody(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "data"} {
		b := sentBody{data: []byte(data)}
		first := b.reader()
		if err := iotest.TestReader(b.reader(), []byte(data)); err != nil {
			t.Error(err)
		}
		b.end()
		if n, err := first.Read(make([]byte, 2)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("%q after the end: got %d bytes, %v", data, n, err)
		}
	}
}

// late is a transport that answers before it reads.
type late struct{ body io.Reader }

// RoundTrip implements http.RoundTripper.
func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	l.body = r.Body
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// TestRESTLate saves by a transport that reads what is saved when the Save has returned, and its memory serves for something else.
func TestRESTLate(t *testing.T) {
	t.Parallel()
	r, l := newREST(&http.Transport{}, "http://host/", 1, 0), &late{}
	r.client.Transport = l
	if err := r.send(t.Context(), "data/x", []byte("data")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(l.body); len(got) != 0 || err == nil {
		t.Errorf("got %q, %v, want an error", got, err)
	}
}
