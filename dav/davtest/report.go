package davtest

import (
	"cmp"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"russet/dav"
)

func (s *Server) report(w http.ResponseWriter, r *http.Request, folder string, body []byte) {
	var q query
	if err := xml.Unmarshal(body, &q); err != nil || r.Header.Get("Depth") == "" || r.Header.Get("Content-Type") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch q.XMLName.Local {
	case "sync-collection":
		s.syncCollection(w, folder, q)
	case "addressbook-multiget", "calendar-multiget":
		s.multiget(w, folder, q)
	default:
		precondition(w, http.StatusForbidden, "x:supported-report")
	}
}

// since reads a token; ok is false for one that is not known.
func (c *collection) since(token string) (version int, ok bool) {
	if token == "" {
		return 0, true
	}
	number, ours := strings.CutPrefix(token, "urn:davtest:")
	version, err := strconv.Atoi(number)
	return version, ours && err == nil && version <= c.version && version >= c.expired
}

func (s *Server) syncCollection(w http.ResponseWriter, folder string, q query) {
	c := s.books[folder]
	if q.Token == nil || s.quirks.NoTokens {
		precondition(w, http.StatusForbidden, "x:supported-report")
		return
	}
	if *q.Token != "" && s.quirks.FailSync != 0 {
		w.WriteHeader(s.quirks.FailSync)
		return
	}
	version, ok := c.since(*q.Token)
	if !ok {
		if s.quirks.BadToken != 0 {
			w.WriteHeader(s.quirks.BadToken)
		} else {
			precondition(w, http.StatusForbidden, "x:valid-sync-token")
		}
		return
	}
	changed := map[int]string{} // the name, by its version
	for name, it := range c.items {
		if it.version > version {
			changed[it.version] = name
		}
	}
	for name, v := range c.removed {
		if v > version {
			changed[v] = name
		}
	}
	multistatus(w)
	next := c.version
	for i, v := range slices.Sorted(maps.Keys(changed)) {
		if s.quirks.Page > 0 && i == s.quirks.Page {
			plainResponse(w, s.quirks.ItemURL, folder, http.StatusInsufficientStorage)
			break
		}
		next = v
		if it := c.items[changed[v]]; it != nil {
			response(w, s.quirks.ItemURL, folder+changed[v], q.Prop, s.itemProps(c, it))
		} else {
			plainResponse(w, s.quirks.ItemURL, folder+changed[v], http.StatusNotFound)
		}
	}
	if len(changed) <= s.quirks.Page || s.quirks.Page == 0 {
		next = c.version
	}
	token := c.token(next)
	if s.quirks.StuckToken {
		token = *q.Token
	}
	_, _ = io.WriteString(w, tag("x:sync-token", token)+"</x:multistatus>")
}

func (s *Server) multiget(w http.ResponseWriter, folder string, q query) {
	c := s.books[folder]
	want := map[dav.Kind]string{dav.AddressBook: "addressbook-multiget", dav.Calendar: "calendar-multiget"}[c.kind]
	if s.quirks.NoMultiget != 0 || q.XMLName.Local != want {
		w.WriteHeader(cmp.Or(s.quirks.NoMultiget, http.StatusForbidden))
		return
	}
	multistatus(w)
	for _, h := range q.Hrefs {
		u, err := url.Parse(h)
		if err != nil {
			continue
		}
		name, inside := strings.CutPrefix(u.Path, folder)
		it := c.items[name]
		switch {
		case slices.Contains(s.quirks.Omit, name):
		case !inside || it == nil:
			plainResponse(w, s.quirks.ItemURL, u.Path, http.StatusNotFound)
		default:
			p := s.itemProps(c, it)
			if !s.quirks.NoData {
				data := map[dav.Kind]string{dav.AddressBook: "card:address-data", dav.Calendar: "cal:calendar-data"}[c.kind]
				p[data] = escapeData(it.body)
			}
			response(w, s.quirks.ItemURL, u.Path, q.Prop, p)
		}
	}
	_, _ = io.WriteString(w, "</x:multistatus>")
}

// escapeData escapes text as servers do: the ends of lines are left as they are,
// which XML takes for others; so are control characters that no XML can hold, and
// nobody can read the answer then.
func escapeData(s string) string {
	const stand = "(vertical tab)"
	return strings.NewReplacer(stand, "\v", "&#xD;", "\r", "&#xA;", "\n").Replace(escapeText(strings.ReplaceAll(s, "\v", stand)))
}
