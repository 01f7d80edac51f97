package repo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
)

// Owner tells who wrote a key or lock file, and when. Key files hold it in
// plain.
type Owner struct {
	Hostname, Username string
	Time               time.Time
}

// keyFile is the plain JSON of keys/<id> (restic design document, "Keys,
// Encryption and MAC"). The order of the fields is restic's.
type keyFile struct {
	Created  time.Time `json:"created"`
	Username string    `json:"username"`
	Hostname string    `json:"hostname"`
	KDF      string    `json:"kdf"`
	N        int       `json:"N"`
	R        int       `json:"r"`
	P        int       `json:"p"`
	Salt     []byte    `json:"salt"`
	Data     []byte    `json:"data"`
}

const (
	// maxKeys bounds how many derivations, each of seconds, a hostile store
	// can make us run; restic tries as many.
	maxKeys = 20
	// maxKeyFiles bounds the files that are looked at for those.
	maxKeyFiles = 1000
	// maxKeyFile is some fifty times what a key file takes.
	maxKeyFile = 64 << 10
)

// addKey is AddKey however many keys there are.
func (r *Repository) addKey(ctx context.Context, password string, cost crypto.Cost, who Owner) (chunk.ID, error) {
	if cost == (crypto.Cost{}) {
		cost = crypto.DefaultCost()
	}
	k := keyFile{
		Created: who.Time, Username: who.Username, Hostname: who.Hostname,
		KDF: "scrypt", N: cost.N, R: cost.R, P: cost.P,
		Salt: make([]byte, crypto.SaltSize),
	}
	rand.Read(k.Salt)
	user, err := derive(ctx, password, k.Salt, cost)
	if err != nil {
		return chunk.ID{}, fmt.Errorf("derive key: %w", err)
	}
	master, err := json.Marshal(r.key)
	if err != nil {
		return chunk.ID{}, fmt.Errorf("encode master key: %w", err)
	}
	k.Data = user.Seal(nil, master)
	data, err := json.Marshal(k)
	if err != nil {
		return chunk.ID{}, fmt.Errorf("encode key: %w", err)
	}
	id := chunk.Sum(data)
	f := backend.File{Kind: backend.Key, Name: id.String()}
	if err := r.be.Save(ctx, f, data); err != nil {
		return chunk.ID{}, fmt.Errorf("save key: %w", err)
	}
	if err := r.proveKey(ctx, id, password); err != nil {
		// Nobody knows yet that it is there; one that is damaged would only be in the way.
		rerr := r.be.Remove(context.WithoutCancel(ctx), f)
		return chunk.ID{}, errors.Join(fmt.Errorf("read new key back: %w", err), rerr)
	}
	return id, nil
}

// open derives the user key and unwraps the master key. A wrong password gives
// crypto.ErrUnauthenticated.
func (k *keyFile) open(ctx context.Context, password string) (*crypto.Key, error) {
	if k.KDF != "scrypt" {
		return nil, fmt.Errorf("key derivation %q is not supported", k.KDF)
	}
	user, err := derive(ctx, password, k.Salt, crypto.Cost{N: k.N, R: k.R, P: k.P})
	if err != nil {
		return nil, err
	}
	plain, err := user.Open(nil, k.Data)
	if err != nil {
		return nil, err
	}
	master := new(crypto.Key)
	if err := json.Unmarshal(plain, master); err != nil {
		return nil, err
	}
	return master, nil
}

// derive is crypto.Derive that ends with ctx. scrypt cannot be interrupted, and
// a key file may ask for a minute of it: then it ends by itself, for nobody.
func derive(ctx context.Context, password string, salt []byte, cost crypto.Cost) (*crypto.Key, error) {
	type outcome struct {
		key *crypto.Key
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		key, err := crypto.Derive(password, salt, cost)
		done <- outcome{key, err}
	}()
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return o.key, o.err
}

// openKey tries the key files in turn. Unlike restic it goes on after one that
// cannot be read, so a single damaged key file does not lock out the others.
// When none opens, a file that the backend does not give is blamed first: with
// it the password may be right. Then a damaged one: there is damage whether the
// password is wrong or that key's, and the error says both.
//
// first, unless it is zero, is tried before the others, without a listing.
func openKey(ctx context.Context, be backend.Backend, password string, first chunk.ID) (*crypto.Key, chunk.ID, error) {
	var t keyTrial
	if !first.IsZero() {
		if master, id := t.try(ctx, be, first.String(), password); master != nil {
			return master, id, nil
		}
	}
	tried, listed := t.derived > 0, 0
	for info, err := range be.List(ctx, backend.Key) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, chunk.ID{}, fmt.Errorf("list keys: %w", err)
		}
		if tried && info.Name == first.String() {
			continue
		}
		if listed++; listed > maxKeyFiles || t.derived == maxKeys {
			t.more = true
			break
		}
		if master, id := t.try(ctx, be, info.Name, password); master != nil {
			return master, id, nil
		}
	}
	return nil, chunk.ID{}, t.verdict()
}

// keyTrial is what became of the key files that did not open.
type keyTrial struct {
	derived int   // how often a key was derived from the password
	refused bool  // a whole key file does not open with it
	more    bool  // there are more than are tried
	broken  error // ErrDamaged: of one that is none
	unread  error // of one that the backend did not give
}

func (t *keyTrial) try(ctx context.Context, be backend.Backend, name, password string) (*crypto.Key, chunk.ID) {
	k, id, err := loadKey(ctx, be, name)
	if err == nil {
		var master *crypto.Key
		t.derived++
		if master, err = k.open(ctx, password); err == nil {
			return master, id
		}
		switch {
		case errors.Is(err, crypto.ErrUnauthenticated):
			t.refused = true
			return nil, id
		case ctx.Err() != nil:
			t.unread = ctx.Err()
			return nil, id
		}
		err = fmt.Errorf("open key %.8s: %w: %w", name, ErrDamaged, err)
	}
	switch {
	case errors.Is(err, ErrDamaged):
		t.broken = err
	case !errors.Is(err, fs.ErrNotExist): // else it was removed since it was listed
		t.unread = err
	}
	return nil, id
}

func (t *keyTrial) verdict() error {
	switch {
	case t.unread != nil:
		return t.unread
	case t.refused && t.broken != nil:
		return fmt.Errorf("no other key opens with the password: %w", t.broken)
	case t.broken != nil:
		return t.broken
	case t.more:
		return fmt.Errorf("%w: only %d keys were tried", ErrWrongPassword, t.derived)
	case t.refused:
		return ErrWrongPassword
	}
	return fmt.Errorf("%w: it has no key files", ErrDamaged)
}

// loadKey loads a key file. Damage is read a second time before it is believed.
func loadKey(ctx context.Context, be backend.Backend, name string) (k keyFile, id chunk.ID, err error) {
	if id, err = chunk.ParseID(name); err != nil {
		return k, id, fmt.Errorf("load key: %w: %w", ErrDamaged, err)
	}
	for range 2 {
		var data []byte
		if data, err = loadAll(ctx, be, backend.File{Kind: backend.Key, Name: name}, maxKeyFile); err != nil {
			return k, id, err
		}
		if chunk.Sum(data) != id {
			err = fmt.Errorf("load key %.8s: %w: its bytes do not match its name", name, ErrDamaged)
			continue
		}
		if err = json.Unmarshal(data, &k); err != nil {
			err = fmt.Errorf("decode key %.8s: %w: %w", name, ErrDamaged, err)
		}
		return k, id, err
	}
	return k, id, err
}
