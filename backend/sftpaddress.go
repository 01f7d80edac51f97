package backend

import (
	"net/url"
	"path"
	"strconv"
	"strings"
)

// An sftpAddress is what an address says of a place: the server as it is spelled there, which ssh_config may know under
// that name, and the folder. user and port may be empty. A folder that does not begin with "/" is below the one in which
// the server puts the user.
type sftpAddress struct {
	user, host, port, folder string
}

// parseSFTP reads what follows "sftp:", in restic's two spellings: user@host:folder, and //user@host:port/folder, where
// the folder of //host//srv/repo is absolute and that of //host/repo is not. The error does not hold the address.
func parseSFTP(rest string) (sftpAddress, error) {
	var a sftpAddress
	var reason string
	if strings.HasPrefix(rest, "//") {
		a, reason = parseSFTPURL(rest)
	} else {
		a, reason = parseSCP(rest)
	}
	if reason == "" {
		reason = a.fault()
	}
	if reason != "" {
		return sftpAddress{}, errAddress("an SFTP server", reason)
	}
	a.folder = path.Clean(a.folder)
	return a, nil
}

func parseSFTPURL(rest string) (a sftpAddress, reason string) {
	u, err := url.Parse("sftp:" + rest)
	if err != nil {
		return a, "it is not a URL"
	}
	if _, set := u.User.Password(); set {
		return a, "a password does not belong there"
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return a, "a question mark and a number sign are written %3F and %23 there"
	}
	folder, found := strings.CutPrefix(u.Path, "/")
	if !found {
		return a, "it has no folder"
	}
	return sftpAddress{u.User.Username(), u.Hostname(), u.Port(), folder}, ""
}

// parseSCP reads the spelling of the command scp. A user's name may hold an "@", a host in brackets colons.
func parseSCP(rest string) (a sftpAddress, reason string) {
	before, bracketed, inBrackets := strings.Cut(rest, "[")
	if inBrackets && (before == "" || strings.HasSuffix(before, "@")) && !strings.Contains(before, ":") {
		host, folder, ok := strings.Cut(bracketed, "]:")
		if !ok {
			return a, "it has no folder"
		}
		return sftpAddress{user: strings.TrimSuffix(before, "@"), host: host, folder: folder}, ""
	}
	host, folder, ok := strings.Cut(rest, ":")
	if !ok {
		return a, "it has no folder"
	}
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		a.user, host = host[:at], host[at+1:]
	}
	a.host, a.folder = host, folder
	return a, ""
}

// maxSFTPAddress bounds each part of an address.
const maxSFTPAddress = 4096

// fault says what is wrong with the parts, which are used as arguments of a program and in commands of a shell.
func (a sftpAddress) fault() string {
	for _, part := range []string{a.user, a.host, a.folder} {
		if len(part) > maxSFTPAddress || strings.ContainsAny(part, "\x00\r\n") {
			return "a part of it is too long or has a line break"
		}
	}
	port, err := strconv.ParseUint(a.port, 10, 16)
	switch {
	case a.host == "" || strings.HasPrefix(a.host, "-") || strings.ContainsAny(a.host, "/ @"):
		return "it has no proper host"
	case strings.HasPrefix(a.user, "-"):
		return "it has no proper user"
	case a.port != "" && (err != nil || port == 0):
		return "it has no proper port"
	case strings.HasPrefix(path.Clean(a.folder), "~"):
		return "a folder in the home folder is written without the tilde"
	}
	return ""
}
