package backend

import (
	"strings"
	"testing"
)

func TestS3Address(t *testing.T) {
	t.Parallel()
	for rest, want := range map[string]s3Address{
		"s3.amazonaws.com/bucket":                {"s3.amazonaws.com", false, "bucket", ""},
		"s3.amazonaws.com/bucket/a/b":            {"s3.amazonaws.com", false, "bucket", "a/b"},
		"s3.amazonaws.com/bucket/a//b/../c/":     {"s3.amazonaws.com", false, "bucket", "a/c"},
		"s3.amazonaws.com/bucket/../../c":        {"s3.amazonaws.com", false, "bucket", "c"},
		"localhost:9000/bucket":                  {"localhost:9000", false, "bucket", ""},
		"//s3.eu-west-1.amazonaws.com/bucket/a":  {"s3.eu-west-1.amazonaws.com", false, "bucket", "a"},
		"https://host.example/bucket/a":          {"host.example", false, "bucket", "a"},
		"https://host.example:9000/bucket":       {"host.example:9000", false, "bucket", ""},
		"http://[::1]:9000/bucket/with%20space/": {"[::1]:9000", true, "bucket", "with space"},
	} {
		if got, err := parseS3(rest); got != want || err != nil {
			t.Errorf("%q: got %+v, %v, want %+v", rest, got, err, want)
		}
	}
	for _, rest := range []string{
		"", "/", "//", "host", "host/", "/bucket", "https://host", "https:///bucket", "https:host/bucket", "http://user:secret@host/bucket",
		"user:secret@host/bucket", "https://host/bucket?secret", "https://host/bucket#secret", "https://host:secret/bucket", "host/b/a",
		"host/" + strings.Repeat("b", 100), "host/secret secret", "https://host/\x00",
	} {
		if at, err := parseS3(rest); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %+v, %v, want an error without its text", rest, at, err)
		}
	}
}

func FuzzS3Address(f *testing.F) {
	f.Add("s3.amazonaws.com/bucket/a")
	f.Add("https://host:9000/bucket/a%20b/../c")
	f.Add("http://user:pass@[::1]/bucket?x#y")
	f.Fuzz(func(t *testing.T, rest string) {
		at, err := parseS3(rest)
		if err != nil {
			return
		}
		if at.endpoint == "" || at.bucket == "" || strings.HasPrefix(at.prefix, "/") || strings.HasSuffix(at.prefix, "/") ||
			strings.HasPrefix(at.prefix, "..") && (at.prefix == ".." || at.prefix[2] == '/') {
			t.Errorf("%q: got %+v", rest, at)
		}
		_, _ = at.connect(Options{}) // may refuse it
	})
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-9/1234")
	f.Add("bytes */0")
	f.Add("bytes -5-9/1")
	f.Fuzz(func(t *testing.T, s string) {
		if n, _, ok := contentRange(s); ok && n < 0 {
			t.Errorf("%q: got %d", s, n)
		}
	})
}
