package backend

import "context"

// RESTOptions are the settings of places that are reached by REST.
type RESTOptions struct{}

// openREST opens a place, or with create makes it, as [Open] and [Create] say. rest is the address behind the scheme.
func openREST(ctx context.Context, rest string, o Options, create bool) (Backend, error) {
	return nil, unsupported("rest")
}
