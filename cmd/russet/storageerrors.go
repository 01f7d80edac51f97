package main

import (
	"errors"
	"io/fs"
	"net/http"
	"os/exec"

	"russet/backend"
)

// Situations of places elsewhere, where they decide what a person can do.
var (
	errStorageRefuses = errors.New("the storage does not allow it")
	errNothingThere   = errors.New("no repository, and no drive that may not be connected")
)

// atStorage marks an error of a place elsewhere so that advice can be given.
func atStorage(err error) error {
	if errors.Is(err, backend.ErrNoRepository) {
		return situation{err, errNothingThere}
	}
	if _, here := errors.AsType[*fs.PathError](err); errors.Is(err, fs.ErrPermission) && !here {
		return situation{err, errStorageRefuses}
	}
	return err
}

// storageAdvices are tried in this order.
var storageAdvices = []advice{
	{errStorageRefuses, codeStorageRefuses, "are the user and the password or key right, and may they do that there? russet help lists the ways to give them"},
	{backend.ErrCertificate, codeStorageRefuses, "is the address right, and this computer's clock? --cacert FILE trusts a certificate that its owner made; without that, somebody may be in between"},
	{backend.ErrClock, codeStorageRefuses, "set the clock of this computer, or of the server where that one is wrong, and run the same command again"},
	{http.ErrSchemeMismatch, 0, "is the port right? a server without TLS has http:// in its address, and passwords travel readable: for a server in the same house only"},
	{backend.ErrProgram, 0, "try it without russet: rclone listremotes shows the names of remotes, rclone lsd REMOTE: tries one; for sftp: the program ssh has to log in without a question"},
	{backend.ErrAddress, 0, "addresses look like sftp:USER@HOST:/FOLDER, s3:https://HOST/BUCKET/FOLDER, rest:https://HOST/FOLDER/ and rclone:REMOTE:FOLDER"},
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
	if _, ok := errors.AsType[*backend.NoLocksError](err); ok {
		return advice{code: codeStorageRefuses, hint: "a bucket gets object lock when it is made: give a new one, which russet init makes so, or leave out -o s3.lock-mode and -o s3.lock-days"}, true
	}
	for _, a := range storageAdvices {
		if !errors.Is(err, a.is) {
			continue
		}
		if a.is == backend.ErrProgram && errors.Is(err, exec.ErrNotFound) {
			a.hint = "install that program, or say where it is: -o rclone.program=PATH, -o sftp.command=..."
		}
		return a, true
	}
	if backend.IsTemporary(err) {
		return advice{code: codeStorageAway, hint: "is there a network, and the address right? run the same command again later; nothing that was kept is lost"}, true
	}
	return advice{}, false
}
