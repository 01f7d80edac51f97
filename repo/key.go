package repo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
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
	// maxKeyFile is some fifty times what a key file takes.
	maxKeyFile = 64 << 10
)

// AddKey wraps the master key with a password, checks that the result opens
// and saves it as a new key file, which it names.
func (r *Repository) AddKey(ctx context.Context, password string, cost crypto.Cost, who Owner) (chunk.ID, error) {
	if cost == (crypto.Cost{}) {
		cost = crypto.DefaultCost()
	}
	k := keyFile{
		Created: who.Time, Username: who.Username, Hostname: who.Hostname,
		KDF: "scrypt", N: cost.N, R: cost.R, P: cost.P,
		Salt: make([]byte, crypto.SaltSize),
	}
	rand.Read(k.Salt)
	user, err := crypto.Derive(password, k.Salt, cost)
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
	if _, err := k.open(password); err != nil {
		return chunk.ID{}, fmt.Errorf("verify new key: %w", err)
	}
	id := chunk.Sum(data)
	if err := r.be.Save(ctx, backend.File{Kind: backend.Key, Name: id.String()}, data); err != nil {
		return chunk.ID{}, fmt.Errorf("save key: %w", err)
	}
	return id, nil
}

// open derives the user key and unwraps the master key. A wrong password gives
// crypto.ErrUnauthenticated.
func (k *keyFile) open(password string) (*crypto.Key, error) {
	if k.KDF != "scrypt" {
		return nil, fmt.Errorf("key derivation %q is not supported", k.KDF)
	}
	user, err := crypto.Derive(password, k.Salt, crypto.Cost{N: k.N, R: k.R, P: k.P})
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

// openKey tries the key files in turn. Unlike restic it goes on after one that
// cannot be read, so a single damaged key file does not lock out the others;
// that one is blamed only when no other opens.
func openKey(ctx context.Context, be backend.Backend, password string) (*crypto.Key, chunk.ID, error) {
	var broken error
	tried := 0
	for info, err := range be.List(ctx, backend.Key) {
		if err != nil {
			return nil, chunk.ID{}, fmt.Errorf("list keys: %w", err)
		}
		if tried++; tried > maxKeys {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, chunk.ID{}, err
		}
		master, id, err := tryKey(ctx, be, info.Name, password)
		if err == nil {
			return master, id, nil
		}
		if !errors.Is(err, crypto.ErrUnauthenticated) {
			broken = fmt.Errorf("open key %.8s: %w: %w", info.Name, ErrDamaged, err)
		}
	}
	if broken != nil {
		return nil, chunk.ID{}, broken
	}
	if tried == 0 {
		return nil, chunk.ID{}, fmt.Errorf("%w: it has no key files", ErrDamaged)
	}
	return nil, chunk.ID{}, ErrWrongPassword
}

func tryKey(ctx context.Context, be backend.Backend, name, password string) (*crypto.Key, chunk.ID, error) {
	id, err := chunk.ParseID(name)
	if err != nil {
		return nil, id, err
	}
	data, err := loadAll(ctx, be, backend.File{Kind: backend.Key, Name: name}, maxKeyFile)
	if err != nil {
		return nil, id, err
	}
	if chunk.Sum(data) != id {
		return nil, id, errors.New("its bytes do not match its name")
	}
	var k keyFile
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, id, err
	}
	master, err := k.open(password)
	return master, id, err
}
