package davtest

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"russet/dav"
	"russet/internal/vobject"
)

// item answers GET, PUT and DELETE.
func (s *Server) item(w http.ResponseWriter, r *http.Request, c *collection, folder, name, body string) {
	it := c.items[name]
	switch r.Method {
	case http.MethodGet:
		if it == nil {
			http.NotFound(w, r)
			return
		}
		s.tags(w, c, it)
		w.Header().Set("Content-Type", "text/vcard; charset=utf-8")
		_, _ = io.WriteString(w, it.body)
	case http.MethodPut:
		if s.mayWrite(w, r, c, it) {
			s.store(w, r, c, folder, name, body)
		}
	case http.MethodDelete:
		switch {
		case it == nil && (!s.quirks.GoneIs412 || r.Header.Get("If-Match") == ""):
			http.NotFound(w, r)
		case s.mayWrite(w, r, c, it):
			c.remove(name)
			w.WriteHeader(http.StatusNoContent)
		}
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// tags sets the headers that name a version of an item.
func (s *Server) tags(w http.ResponseWriter, c *collection, it *item) {
	if e := s.etag(it); e != "" {
		w.Header().Set("ETag", e)
	}
	if c.kind == dav.Calendar && s.quirks.ScheduleTags {
		w.Header().Set("Schedule-Tag", scheduleTagOf(it))
	}
}

// mayWrite looks at rights and conditions, and answers where they are not met.
func (s *Server) mayWrite(w http.ResponseWriter, r *http.Request, c *collection, it *item) bool {
	if s.quirks.ReadOnly {
		precondition(w, http.StatusForbidden, "x:need-privileges")
		return false
	}
	if s.quirks.IgnoreMatch {
		return true
	}
	met := true
	if m := r.Header.Get("If-Match"); m != "" {
		met = it != nil && m == s.etag(it) && (!s.quirks.StrictMatch || strings.HasPrefix(m, `"`))
	}
	if m := r.Header.Get("If-Schedule-Tag-Match"); m != "" {
		met = met && it != nil && c.kind == dav.Calendar && s.quirks.ScheduleTags && m == scheduleTagOf(it)
	}
	if r.Header.Get("If-None-Match") == "*" {
		met = met && it == nil
	}
	if !met {
		w.WriteHeader(http.StatusPreconditionFailed)
	}
	return met
}

func (s *Server) store(w http.ResponseWriter, r *http.Request, c *collection, folder, name, body string) {
	objects, err := vobject.Parse([]byte(body))
	if err != nil || len(objects) != 1 || r.ContentLength < 0 {
		precondition(w, http.StatusConflict, "card:valid-address-data")
		return
	}
	if _, rest, _ := strings.Cut(body, "PRODID:"); s.quirks.ShortPRODID && strings.Contains(rest, "\r\n ") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	status := http.StatusNoContent
	if s.quirks.Place != "" && c.items[name] == nil {
		name = s.quirks.Place
		w.Header().Set("Location", folder+name)
	}
	if c.items[name] == nil {
		status = http.StatusCreated
	}
	uid, named := vobject.Key(objects[0])
	for other, it := range c.items {
		if other != name && named && vobject.HasUID([]byte(it.body), uid) {
			precondition(w, http.StatusConflict, "card:no-uid-conflict")
			return
		}
	}
	c.put(name, s.rewritten(objects[0], body))
	if !s.quirks.QuietPut {
		s.tags(w, c, c.items[name])
	}
	w.WriteHeader(status)
}

// rewritten returns an object as the quirks let it be stored.
func (s *Server) rewritten(c *vobject.Component, body string) string {
	for _, name := range s.quirks.Lose {
		c.Remove(name)
	}
	if s.quirks.Rewrite {
		lines := slices.Clone(c.Lines)
		slices.SortStableFunc(lines, func(a, b vobject.Line) int { return strings.Compare(a.Name, b.Name) })
		c.Lines = nil
		for _, l := range lines {
			if strings.EqualFold(l.Name, "X-ABLABEL") {
				l.Value = strings.ToUpper(l.Value)
			}
			var types []string
			var params []vobject.Param
			for _, p := range l.Params {
				if p.Name == "TYPE" {
					types = append(types, p.Values...)
				} else {
					params = append(params, p)
				}
			}
			if len(types) > 0 {
				params = append(params, vobject.Param{Name: "TYPE", Values: types})
			}
			c.Add(vobject.NewLine(l.Name, l.Value, params...).In(l.Group))
		}
	}
	if s.quirks.Rewrite || len(s.quirks.Lose) > 0 {
		return string(c.Bytes())
	}
	return body
}
