package main

import (
	"fmt"
	"path"
	"strings"
)

// selection chooses files by --include and --exclude. Paths are
// domain/relative path.
type selection struct {
	include, exclude []pattern
}

// pattern is one glob, split at its slashes. "**" stands for any number of
// folders.
type pattern []string

func newSelection(include, exclude []string) (*selection, error) {
	s := new(selection)
	for _, list := range []struct {
		texts []string
		to    *[]pattern
	}{{include, &s.include}, {exclude, &s.exclude}} {
		for _, text := range list.texts {
			p, err := parsePattern(text)
			if err != nil {
				return nil, err
			}
			*list.to = append(*list.to, p)
		}
	}
	return s, nil
}

func parsePattern(text string) (pattern, error) {
	trimmed := strings.Trim(text, "/")
	if trimmed == "" {
		return nil, usageError{fmt.Sprintf("the pattern %q is empty", text)}
	}
	p := pattern(strings.Split(trimmed, "/"))
	for _, part := range p {
		if _, err := path.Match(part, ""); err != nil {
			return nil, usageError{fmt.Sprintf("the pattern %q is wrong: a [ is not closed, or a \\ ends it", text)}
		}
	}
	if len(p) == 1 && p[0] != "**" {
		p = pattern{"**", p[0]}
	}
	return p, nil
}

// everything tells that nothing was chosen.
func (s *selection) everything() bool { return len(s.include)+len(s.exclude) == 0 }

// selects tells whether a file is wanted or, of a folder, whether anything in
// it may be.
func (s *selection) selects(name string, dir bool) bool {
	parts := strings.Split(name, "/")
	for _, p := range s.exclude {
		if covers(p, parts) {
			return false
		}
	}
	if len(s.include) == 0 {
		return true
	}
	for _, p := range s.include {
		if covers(p, parts) || dir && mayCover(p, parts) {
			return true
		}
	}
	return false
}

// covers tells whether the pattern matches a path or a folder that it lies in.
func covers(p pattern, parts []string) bool {
	for n := 1; n <= len(parts); n++ {
		if matches(p, parts[:n]) {
			return true
		}
	}
	return false
}

// matches tells whether the pattern matches the whole path. It keeps the set
// of places in the pattern that can be reached, so that no pattern is slow.
func matches(p pattern, parts []string) bool {
	return reach(p, parts)[len(p)]
}

// mayCover tells whether the pattern could match something below a folder.
func mayCover(p pattern, parts []string) bool {
	for _, ok := range reach(p, parts)[:len(p)] {
		if ok {
			return true
		}
	}
	return false
}

// reach tells for each place in the pattern whether the path can lead there.
func reach(p pattern, parts []string) []bool {
	at := make([]bool, len(p)+1)
	at[0] = true
	skip := func() { // ** may stand for nothing
		for i, part := range p {
			if at[i] && part == "**" {
				at[i+1] = true
			}
		}
	}
	skip()
	for _, name := range parts {
		next := make([]bool, len(p)+1)
		for i, part := range p {
			if !at[i] {
				continue
			}
			if part == "**" {
				next[i] = true
			} else if ok, _ := path.Match(part, name); ok { // was checked when it was parsed
				next[i+1] = true
			}
		}
		at = next
		skip()
	}
	return at
}
