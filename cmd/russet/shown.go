package main

import (
	"regexp"
	"strings"
)

// hiddenPart stands for a password in an address that is shown.
const hiddenPart = "***"

// logins finds users with passwords in addresses, and remotes the remotes of
// rclone's that are spelled out there, with all that may be quoted.
var (
	logins  = regexp.MustCompile(`(//[^/:@\s"]*:)[^/\s"]*@`)
	remotes = regexp.MustCompile(`(\brclone::?[\w.+@-]*,)\S*=(?:["'].*|\S)*`)
)

// withoutLogins hides the passwords of addresses that stand in a text, wherever
// somebody has typed one: as a verb, say, or as the name of a snapshot.
func withoutLogins(text string) string {
	text = remotes.ReplaceAllString(text, "${1}"+hiddenPart)
	return logins.ReplaceAllString(text, "${1}"+hiddenPart+"@")
}

// shown is an address without the password that may stand in it. It hides rather
// too much where an address is misspelt.
func shown(address string) string {
	if !isRemote(address) {
		return address
	}
	scheme, rest, _ := strings.Cut(address, ":")
	if scheme == "rclone" {
		return scheme + ":" + shownRemote(rest)
	}
	before := ""
	if at := strings.Index(rest, "//"); at >= 0 && at <= len("https:") {
		before, rest = rest[:at+2], rest[at+2:]
	}
	colon, end := strings.Index(rest, ":"), strings.LastIndex(rest, "@")
	if slash := strings.Index(rest, "/"); slash >= 0 {
		if at := strings.LastIndex(rest[:slash], "@"); at >= 0 {
			end = at // one behind it belongs to the path
		}
	}
	if 0 <= colon && colon < end {
		rest = rest[:colon+1] + hiddenPart + rest[end:]
	}
	return scheme + ":" + before + rest
}

// shownRemote is what follows "rclone:", without the settings that rclone takes in
// the name of a remote, in "remote,pass=x:path" or ":webdav,pass=x:path".
func shownRemote(rest string) string {
	kind := strings.TrimPrefix(rest, ":")
	comma := len(rest) - len(kind) + strings.IndexAny(kind, ",:/")
	if comma < 0 || rest[comma] != ',' {
		return rest
	}
	colon := strings.LastIndex(rest, ":")
	if colon < comma || strings.ContainsAny(rest[comma:], `"'`) || strings.ContainsAny(rest[colon:], ",=") {
		return rest[:comma+1] + hiddenPart // where the path begins is not sure
	}
	return rest[:comma+1] + hiddenPart + rest[colon:]
}
