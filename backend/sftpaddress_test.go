package backend

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
)

func TestParseSFTP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rest string
		want sftpAddress
	}{
		{"user@host:/dir/subdir", sftpAddress{"user", "host", "", "/dir/subdir"}},
		{"host:dir/../subdir/", sftpAddress{"", "host", "", "subdir"}},
		{"host:", sftpAddress{"", "host", "", "."}},
		{"user@domain@host:/dir", sftpAddress{"user@domain", "host", "", "/dir"}},
		{"host:/a:b@c", sftpAddress{"", "host", "", "/a:b@c"}},
		{"[::1]:dir", sftpAddress{"", "::1", "", "dir"}},
		{"user@[fe80::1%eth0]:/dir", sftpAddress{"user", "fe80::1%eth0", "", "/dir"}},
		{"host:a[1]:b", sftpAddress{"", "host", "", "a[1]:b"}},
		{"//user@host/dir/subdir", sftpAddress{"user", "host", "", "dir/subdir"}},
		{"//user@host//dir/subdir", sftpAddress{"user", "host", "", "/dir/subdir"}},
		{"//host:10022//dir", sftpAddress{"", "host", "10022", "/dir"}},
		{"//user%40domain@host:22/dir", sftpAddress{"user@domain", "host", "22", "dir"}},
		{"//user@[::1]:2222//my%20repo", sftpAddress{"user", "::1", "2222", "/my repo"}},
		{"//host/", sftpAddress{"", "host", "", "."}},
	} {
		got, err := parseSFTP(c.rest)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.rest, got, err, c.want)
		}
	}
}

func TestParseSFTPRefused(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{
		"", "host", "user@host", ":dir", "user@:dir", "-oProxyCommand=x:dir", "-l@host:dir", "host:~/dir", "host:~user", "a/b:dir",
		"[::1]", "[::1]dir", "x y:dir", "host:a\nb", "host:a\x00b", "//host", "//", "///dir", "//host/~/dir", "//secret:secret@host/dir",
		"//host:x/dir", "//host:0/dir", "//host:99999/dir", "//host/dir?x", "//host/dir#x", "//%zz/", "//secret@ho st/x",
		"host:" + strings.Repeat("a", maxSFTPAddress+1),
	} {
		got, err := parseSFTP(rest)
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%.40q: got %+v, %v, want %v", rest, got, err, fs.ErrInvalid)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%.40q: the error holds the address: %v", rest, err)
		}
	}
}

func FuzzParseSFTP(f *testing.F) {
	for _, seed := range []string{"user@host:/dir", "//user@host:22//dir", "u@[::1]:x", "//[::1%25eth0]:1/x", "", "-:x", "a@b@c:d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		a, err := parseSFTP(rest)
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("got %v, want %v", err, fs.ErrInvalid)
			}
			return
		}
		if a.host == "" || a.host[0] == '-' || a.folder != path.Clean(a.folder) || strings.HasPrefix(a.folder, "~") {
			t.Errorf("%q: got %+v", rest, a)
		}
	})
}
