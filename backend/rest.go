package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// RESTOptions are the settings of places that are reached by REST.
type RESTOptions struct {
	User, Password string // for an address that holds neither
	Connections    int    // requests at the same time; zero means 5, as restic has it
}

// usualRequests is how many requests are under way at the same time where nothing else is wanted.
const usualRequests = 5

// waitForConsent is the size of files whose bytes are sent only when the server has agreed to take them: one that refuses
// closes the connection, and where much of a file is on its way then, the answer is lost with it. It is what a server in
// Go still reads of a file that it refused.
const waitForConsent = 256 << 10

// A rest is a place behind a server that speaks restic's REST protocol, version 1 or 2, as the REST backend page of
// restic's reference describes it. What Save promises is the server's to keep: rest-server keeps all of it, while rclone
// replaces a config that another program saved a moment before, and on a folder or by SFTP shows a file that it is still
// writing, of which a part stays when it is killed.
type rest struct {
	client         *http.Client
	base           string // ends with a slash, holds neither user nor password
	user, password string
	slots          chan struct{} // holds one of each request that is under way
	made           bool          // by us, just now: there need not be a config
	config         firstConfig   // what the first talk has brought
	unsettled      unsettled     // what was saved after a connection was lost
	close          func() error
}

// openREST opens a place, or with create makes it, as [Open] and [Create] say. rest is the address behind the scheme:
// restic's spellings http(s)://[user:password@]host[:port]/path/ and http+unix:///socket:/path/.
func openREST(ctx context.Context, address string, o Options, create bool) (Backend, error) {
	u, socket, err := parseREST(address)
	if err != nil {
		return nil, err
	}
	t := o.Network.transport()
	if socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return o.Network.dial(ctx, "unix", socket)
		}
	}
	user, password := o.REST.User, o.REST.Password
	if u.User != nil {
		user = u.User.Username()
		password, _ = u.User.Password()
		u.User = nil
	}
	r := newREST(t, u.String(), o.REST.Connections, o.Network.settleTime())
	r.user, r.password = user, password
	if err := r.begin(ctx, create); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func newREST(t *http.Transport, base string, requests int, settle time.Duration) *rest {
	r := &rest{base: base, slots: make(chan struct{}, max(1, cmp.Or(requests, usualRequests)))}
	r.unsettled.pause, r.unsettled.size = settle, r.sizeInTurn
	t.DisableCompression = true // it is ciphertext, and what comes must be as long as it is said to be
	t.MaxIdleConnsPerHost = cap(r.slots)
	r.client = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r.close = func() error {
		t.CloseIdleConnections()
		return nil
	}
	return r
}

// errAddress does not say what the address is, since it may hold a password.
func errAddress(kind, reason string) error {
	return mark("read the address of "+kind+": "+reason, ErrAddress, fs.ErrInvalid)
}

// errRESTAddress is about the addresses that [parseREST] reads.
func errRESTAddress() error {
	return errAddress("a REST server", "it wants http:// or https://, a host and a path, or http+unix:// and a socket")
}

// parseREST returns the address of a server with a path that ends with a slash and, where it is a socket of this computer,
// the path of that.
func parseREST(address string) (u *url.URL, socket string, err error) {
	if after, ok := strings.CutPrefix(address, "http+unix://"); ok {
		var found bool
		if socket, after, found = strings.Cut(after, ":"); !found || socket == "" {
			return nil, "", errRESTAddress()
		}
		address = "http://socket/" + strings.TrimPrefix(after, "/")
	}
	u, err = url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, "", errRESTAddress()
	}
	if !strings.HasSuffix(u.Path, "/") {
		u = u.JoinPath("/")
	}
	return u, socket, nil
}

// begin is the first talk with the server.
func (r *rest) begin(ctx context.Context, create bool) error {
	var err error
	if create {
		_, err = r.size(ctx, File{})
	} else {
		err = r.config.load(ctx, r.Load)
	}
	switch {
	case err == nil && create:
		return fmt.Errorf("create repository: %w", fs.ErrExist)
	case errors.Is(err, fs.ErrNotExist) && !create:
		return ErrNoRepository
	case errors.Is(err, fs.ErrNotExist):
		r.made = true
		err = r.send(ctx, "?create=true", nil)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) { // which is no answer to that, as an S3 server gives it
			err = mark("the server does not speak restic's REST protocol", ErrAddress)
		}
		if err != nil {
			return fmt.Errorf("create repository: %w", err)
		}
	case err != nil:
		return fmt.Errorf("look for config: %w", err)
	}
	return nil
}

// Close ends the connections that are left.
func (r *rest) Close() error { return r.close() }

// enter waits until a request more may be made.
func (r *rest) enter(ctx context.Context) (leave func(), err error) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask makes a request, with pairs of header fields, and returns the answer if it is a success. Its Body must be closed.
func (r *rest) ask(ctx context.Context, method, path string, body []byte, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, nil)
	if err != nil {
		return nil, errRESTAddress()
	}
	if len(body) > 0 {
		sent := &sentBody{data: body}
		defer sent.end()
		req.ContentLength = int64(len(body))
		req.Body = sent.reader()
		req.GetBody = func() (io.ReadCloser, error) { return sent.reader(), nil } // for a connection that has ended meanwhile
	}
	if r.user != "" || r.password != "" {
		req.SetBasicAuth(r.user, r.password)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, lost(ctx, err)
	}
	if err := refusal(resp); err != nil {
		finish(resp)
		return nil, err
	}
	return resp, nil
}

// send posts a file.
func (r *rest) send(ctx context.Context, path string, data []byte) error {
	header := []string{"Content-Type", "application/octet-stream"}
	if len(data) >= waitForConsent {
		header = append(header, "Expect", "100-continue")
	}
	resp, err := r.ask(ctx, http.MethodPost, path, data, header...)
	if err != nil {
		return err
	}
	finish(resp)
	return nil
}

// size asks how long a file is.
func (r *rest) size(ctx context.Context, f File) (int64, error) {
	resp, err := r.ask(ctx, http.MethodHead, f.String(), nil)
	if err != nil {
		return 0, err
	}
	finish(resp)
	if resp.ContentLength < 0 {
		return 0, errors.New("the server does not tell the size of a file")
	}
	return resp.ContentLength, nil
}

// sizeInTurn is size once a request more may be made.
func (r *rest) sizeInTurn(ctx context.Context, f File) (int64, error) {
	leave, err := r.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	return r.size(ctx, f)
}

// Save sends a file. Servers that append only refuse a name that exists; then its size says whether it is this file.
func (r *rest) Save(ctx context.Context, f File, data []byte) error {
	if err := admit(ctx, f); err != nil {
		return fmt.Errorf("save %s: %w", f, err)
	}
	if err := r.save(ctx, f, data); err != nil {
		return fmt.Errorf("save %s: %w", f, err)
	}
	return nil
}

func (r *rest) save(ctx context.Context, f File, data []byte) error {
	if err := r.unsettled.look(ctx, f.Kind); err != nil {
		return err
	}
	return r.unsettled.tried(ctx, f, int64(len(data)), r.put(ctx, f, data))
}

// put sends a file. Where the name is taken, its size says whether it is this file.
func (r *rest) put(ctx context.Context, f File, data []byte) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if f.Kind == Config { // rclone would replace it
		if _, err := r.size(ctx, f); err == nil {
			return fs.ErrExist
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	err = r.send(ctx, f.String(), data)
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrExist) {
		return err
	}
	size, sizeErr := r.size(ctx, f)
	switch {
	case errors.Is(sizeErr, fs.ErrNotExist):
		return err
	case sizeErr != nil:
		return sizeErr
	case f.Kind == Config:
		return fs.ErrExist
	case size != int64(len(data)):
		return fmt.Errorf("%w: %w", errOtherSize, err)
	}
	return nil
}

// Remove asks the server to remove a file. One that appends only refuses that, but for locks.
func (r *rest) Remove(ctx context.Context, f File) error {
	if err := admit(ctx, f); err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	defer leave()
	r.unsettled.forget(f)
	resp, err := r.ask(ctx, http.MethodDelete, f.String(), nil)
	if err != nil {
		return fmt.Errorf("remove %s: %w", f, err)
	}
	finish(resp)
	return nil
}
