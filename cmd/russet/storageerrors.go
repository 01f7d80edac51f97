package main

import (
	"errors"
	"io/fs"

	"russet/backend"
)

// errStorageRefuses is the situation in which what is not allowed is so at a place
// elsewhere, and not on this computer.
var errStorageRefuses = errors.New("the storage does not allow it")

// atStorage marks an error of a place elsewhere so that advice can be given.
func atStorage(err error) error {
	if _, here := errors.AsType[*fs.PathError](err); errors.Is(err, fs.ErrPermission) && !here {
		return situation{err, errStorageRefuses}
	}
	return err
}

// storageAdvice says what to do about an error of a place elsewhere.
func storageAdvice(err error) (advice, bool) {
	if key, ok := errors.AsType[*backend.HostKeyError](err); ok {
		a := advice{code: codeStorageRefuses, hint: "log in there once with ssh, which asks: compare this fingerprint with what the server's owner says; or add its key to ~/.ssh/known_hosts"}
		if key.Changed {
			a.hint = "somebody may be in between: ask the server's owner; if it has a new key, ssh-keygen -R HOST removes the old one from ~/.ssh/known_hosts"
		}
		return a, true
	}
	switch {
	case errors.Is(err, errStorageRefuses):
		return advice{code: codeStorageRefuses, hint: "are the user and the password right, and may they do that there? russet help lists the ways to give them"}, true
	case backend.IsTemporary(err):
		return advice{code: codeStorageAway, hint: "is there a network, and the address right? run the same command again later; nothing that was kept is lost"}, true
	}
	return advice{}, false
}
