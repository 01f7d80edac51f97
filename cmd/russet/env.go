package main

import (
	"github.com/urfave/cli/v2"
)

// environ looks up an environment variable; one that is not set is empty.
type environ func(name string) string

// The two families of variables. RUSSET_ is asked first. Where it says where a
// thing is found in any way, RESTIC_ is not asked about that thing, so that a
// RESTIC_PASSWORD_COMMAND does not contradict a RUSSET_PASSWORD_FILE.
const (
	ourPrefix    = "RUSSET_"
	resticPrefix = "RESTIC_"
)

// variable is one row of the manual's table.
type variable struct {
	name    string // without prefix
	restic  bool   // RESTIC_name is understood too
	flag    string // that says the same; empty where there is none
	meaning string
	not     string // a verb whose flag of that name says another thing
}

// variables is all that Russet takes from the environment.
var variables = []variable{
	{"REPOSITORY", true, "repo", "the repository", ""},
	{"REPOSITORY_FILE", true, "repository-file", "a file that holds the place of the repository", ""},
	{"PASSWORD", true, "", "the repository's password", ""},
	{"PASSWORD_FILE", true, "password-file", "a file that holds the repository's password", ""},
	{"PASSWORD_COMMAND", true, "password-command", "a command that prints the repository's password", ""},
	{"FROM_REPOSITORY", true, "from-repo", "a second repository, to take from", ""},
	{"FROM_REPOSITORY_FILE", true, "from-repository-file", "a file that holds the place of that repository", ""},
	{"FROM_PASSWORD", true, "", "the password of that repository", ""},
	{"FROM_PASSWORD_FILE", true, "from-password-file", "a file that holds the password of that repository", ""},
	{"FROM_PASSWORD_COMMAND", true, "from-password-command", "a command that prints the password of that repository", ""},
	{"TO_REPOSITORY", false, "to", "a second repository, to copy to", "sync"},
	{"TO_REPOSITORY_FILE", false, "", "a file that holds the place of that repository", ""},
	{"TO_PASSWORD", false, "", "the password of that repository", ""},
	{"TO_PASSWORD_FILE", false, "to-password-file", "a file that holds the password of that repository", ""},
	{"TO_PASSWORD_COMMAND", false, "to-password-command", "a command that prints the password of that repository", ""},
	{"NEW_PASSWORD", false, "", "the password of a new key", ""},
	{"NEW_PASSWORD_FILE", false, "new-password-file", "a file that holds the password of a new key", ""},
	{"NEW_PASSWORD_COMMAND", false, "new-password-command", "a command that prints the password of a new key", ""},
	{"BACKUP_PASSWORD", false, "", "the phone's backup password", ""},
	{"BACKUP_PASSWORD_FILE", false, "backup-password-file", "a file that holds the phone's backup password", ""},
	{"BACKUP_PASSWORD_COMMAND", false, "backup-password-command", "a command that prints the phone's backup password", ""},
	{"STORAGE_USER", false, "storage-user", "the name by which the repository's storage knows you", ""},
	{"STORAGE_PASSWORD", false, "", "the password of that storage", ""},
	{"STORAGE_PASSWORD_FILE", false, "storage-password-file", "a file that holds the password of that storage", ""},
	{"STORAGE_PASSWORD_COMMAND", false, "storage-password-command", "a command that prints the password of that storage", ""},
	{"FROM_STORAGE_USER", false, "", "the user of the storage of a second repository, to take from", ""},
	{"FROM_STORAGE_PASSWORD", false, "", "the password of the storage of a second repository, to take from", ""},
	{"FROM_STORAGE_PASSWORD_FILE", false, "", "a file that holds that password", ""},
	{"FROM_STORAGE_PASSWORD_COMMAND", false, "", "a command that prints that password", ""},
	{"TO_STORAGE_USER", false, "", "the user of the storage of a second repository, to copy to", ""},
	{"TO_STORAGE_PASSWORD", false, "", "the password of the storage of a second repository, to copy to", ""},
	{"TO_STORAGE_PASSWORD_FILE", false, "", "a file that holds that password", ""},
	{"TO_STORAGE_PASSWORD_COMMAND", false, "", "a command that prints that password", ""},
	{"CACERT", true, "cacert", "a file with the certificates of authorities that are trusted", ""},
	{"TLS_CLIENT_CERT", true, "tls-client-cert", "a file with a certificate, and its key, for servers that want one", ""},
	{"CACHE_DIR", true, "cache-dir", "the folder of the cache", ""},
	{"SERVER_PASSWORD", false, "", "the password of a sync's server", ""},
	{"SERVER_PASSWORD_FILE", false, "server-password-file", "a file that holds the password of a sync's server", ""},
	{"SERVER_PASSWORD_COMMAND", false, "server-password-command", "a command that prints the password of a sync's server", ""},
}

// foreignVariables are what Russet takes from the environment under names that
// others have given it.
var foreignVariables = [][2]string{
	{"AWS_ACCESS_KEY_ID", "the id of the access key for s3, where there is no RUSSET_STORAGE_USER"},
	{"AWS_SECRET_ACCESS_KEY", "the secret of that key"},
	{"AWS_SESSION_TOKEN", "the token of a session that the key is good for"},
	{"AWS_SHARED_CREDENTIALS_FILE", "a file with access keys; it is read only where this or AWS_PROFILE is set"},
	{"AWS_PROFILE", "the part of that file; ~/.aws/credentials where no file is named"},
	{"AWS_REGION, AWS_DEFAULT_REGION", "the bucket's region"},
	{"RESTIC_REST_USERNAME, RESTIC_REST_PASSWORD", "the user of a rest server, where the address names none"},
	{"SSH_AUTH_SOCK", "where the agent with the keys for sftp listens"},
	{"HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "the proxy through which servers of s3 and rest are reached"},
}

// names lists the environment's names of a variable, ours first.
func (v variable) names() []string {
	if v.restic {
		return []string{ourPrefix + v.name, resticPrefix + v.name}
	}
	return []string{ourPrefix + v.name}
}

// variablesOf lists the environment's names for what a flag of a verb says.
func variablesOf(verb, flag string) []string {
	for _, v := range variables {
		if v.flag == flag && (v.not == "" || v.not != verb) {
			return v.names()
		}
	}
	return nil
}

// family reads variables of one family: the first of the prefixes under which
// any of names is set. The values come in the order of names; empty is not
// set.
func (env environ) family(prefixes []string, names ...string) (values []string, prefix string) {
	for _, prefix = range prefixes {
		values = values[:0]
		set := false
		for _, n := range names {
			v := env(prefix + n)
			values = append(values, v)
			set = set || v != ""
		}
		if set {
			break
		}
	}
	return values, prefix
}

// repository says where the repository is that every verb works on.
func (p *program) repository(c *cli.Context) (string, error) {
	place, err := p.address(c, ownNames)
	if err == nil && place == "" {
		err = errNoRepositoryGiven
	}
	return place, err
}
