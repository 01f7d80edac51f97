package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
)

// KeyInfo is what a key file says of itself, in plain: anybody who can write to
// the repository's place could have written it.
type KeyInfo struct {
	ID      chunk.ID
	Owner   Owner
	Cost    crypto.Cost
	Current bool // it opened this repository
	Damaged bool // it opens nothing; the other fields but ID are empty
}

// Keys lists the key files, oldest first. Those that cannot be read are listed
// as damaged.
func (r *Repository) Keys(ctx context.Context) ([]KeyInfo, error) {
	var keys []KeyInfo
	for info, err := range r.be.List(ctx, backend.Key) {
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		if len(keys) == maxKeyFiles {
			return nil, fmt.Errorf("list keys: %w: there are more than %d", ErrDamaged, maxKeyFiles)
		}
		k, id, err := loadKey(ctx, r.be, info.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // removed since it was listed
		case errors.Is(err, ErrDamaged) || backend.IsUnreadable(err):
			keys = append(keys, KeyInfo{ID: id, Damaged: true})
			continue
		case err != nil:
			return nil, err
		}
		keys = append(keys, KeyInfo{
			ID: id, Owner: Owner{Hostname: k.Hostname, Username: k.Username, Time: k.Created},
			Cost: crypto.Cost{N: k.N, R: k.R, P: k.P}, Current: id == r.keyID,
		})
	}
	slices.SortStableFunc(keys, func(a, b KeyInfo) int { return a.Owner.Time.Compare(b.Owner.Time) })
	return keys, nil
}

// FindKey names a key file by a prefix of its id. The error is fs.ErrNotExist
// where none, or more than one, begins so.
func (r *Repository) FindKey(ctx context.Context, prefix string) (chunk.ID, error) {
	var found []chunk.ID
	for info, err := range r.be.List(ctx, backend.Key) {
		if err != nil {
			return chunk.ID{}, fmt.Errorf("list keys: %w", err)
		}
		if id, err := chunk.ParseID(info.Name); err == nil && prefix != "" && strings.HasPrefix(info.Name, prefix) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return chunk.ID{}, fmt.Errorf("find key %q: %d keys begin so: %w", prefix, len(found), fs.ErrNotExist)
	}
	return found[0], nil
}

// errManyKeys: restic and we try no more keys than that when a repository is
// opened, so one more might open nothing.
var errManyKeys = fmt.Errorf("it has %d keys already, and no more are tried when it is opened", maxKeys)

// AddKey wraps the master key with a password and saves it as a new key file,
// which it names. It returns only after the file was read back and opened with
// the password. It needs a shared lock.
func (r *Repository) AddKey(ctx context.Context, password string, cost crypto.Cost, who Owner) (chunk.ID, error) {
	keys := 0
	for _, err := range r.be.List(ctx, backend.Key) {
		if err != nil {
			return chunk.ID{}, fmt.Errorf("list keys: %w", err)
		}
		if keys++; keys == maxKeys {
			return chunk.ID{}, fmt.Errorf("add key: %w", errManyKeys)
		}
	}
	return r.addKey(ctx, password, cost, who)
}

// ChangePassword replaces the key that opened the repository by one with another
// password, and goes on with that one. The old key is removed only after the new
// one was read back and opened; where that fails both may be there, and the old
// password is still good. It needs an exclusive lock.
func (r *Repository) ChangePassword(ctx context.Context, password string, cost crypto.Cost, who Owner) (chunk.ID, error) {
	id, err := r.addKey(ctx, password, cost, who)
	if err != nil {
		return chunk.ID{}, err
	}
	old := r.keyID
	r.keyID = id
	if err := r.RemoveKey(ctx, old); err != nil {
		return id, fmt.Errorf("the new password is set, and the old one still opens the repository: %w", err)
	}
	return id, nil
}

// RemoveKey removes a key file, but not the one that opened the repository: so
// there is always one that is known to open it. It needs an exclusive lock. Who
// has a copy of the key file can still open the repository with its password.
func (r *Repository) RemoveKey(ctx context.Context, id chunk.ID) error {
	if id == r.keyID {
		return fmt.Errorf("remove key %.8s: it is the one in use", id)
	}
	if err := confirmLock(ctx); err != nil {
		return fmt.Errorf("remove key: %w", err)
	}
	return r.be.Remove(ctx, backend.File{Kind: backend.Key, Name: id.String()})
}

// proveKey reads a key file back from where it was saved, and opens it.
func (r *Repository) proveKey(ctx context.Context, id chunk.ID, password string) error {
	k, _, err := loadKey(ctx, r.be, id.String())
	if err != nil {
		return err
	}
	master, err := k.open(ctx, password)
	if err != nil {
		return err
	}
	same, err := sameKey(master, r.key)
	if err == nil && !same {
		err = errMemory
	}
	return err
}

func sameKey(a, b *crypto.Key) (bool, error) {
	one, err := json.Marshal(a)
	if err != nil {
		return false, fmt.Errorf("encode key: %w", err)
	}
	other, err := json.Marshal(b)
	if err != nil {
		return false, fmt.Errorf("encode key: %w", err)
	}
	return bytes.Equal(one, other), nil
}
