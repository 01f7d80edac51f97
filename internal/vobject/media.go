package vobject

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// media returns the SHA-256 of content that is inline.
func media(l Line) (sum string, ok bool) {
	data, ok := content(l)
	if !ok {
		return "", false
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data)), true
}

// content returns what is inline in a line, where that can be decoded.
func content(l Line) (data []byte, ok bool) {
	text, ok := inlineData(l)
	if !ok {
		return nil, false
	}
	text = strings.TrimRight(strings.Join(strings.Fields(text), ""), "=")
	data, err := base64.RawStdEncoding.DecodeString(text)
	return data, err == nil && len(data) > 0
}

// inlineData returns the base64 of content that is inline: under ENCODING, or in a
// data URI (RFC 2397).
func inlineData(l Line) (text string, ok bool) {
	if e := l.Param(encoding); strings.EqualFold(e, "b") || strings.EqualFold(e, "base64") {
		return l.Value, true
	}
	if len(l.Value) < 5 || !strings.EqualFold(l.Value[:5], "data:") {
		return "", false
	}
	head, data, ok := strings.Cut(canonicalURI(l.Value), ",")
	return data, ok && strings.HasSuffix(strings.ToLower(head), ";base64")
}

// restated returns a line that holds media as a vCard of that version spells it: a
// data URI in version 4, else base64 under ENCODING. Other lines stay as they are.
func (l Line) restated(version string) Line {
	encoded := l.Param(encoding) != ""
	if version == "" || encoded != (version == "4.0") {
		return l
	}
	data, inline := content(l)
	if !inline {
		return l
	}
	text := base64.StdEncoding.EncodeToString(data)
	own := Line{Group: l.Group, Name: l.Name}
	for _, p := range l.Params {
		if name := strings.ToUpper(p.Name); !mediaTypes[name] && spellings[name] != silent {
			own.Params = append(own.Params, p)
		}
	}
	if encoded {
		own.Value = "data:" + mediaType(l) + ";base64," + text
		return own
	}
	as := "b"
	if version == "2.1" {
		as = "BASE64"
	}
	own.Params = append(own.Params, Param{Name: encoding, Values: []string{as}})
	head, _, _ := strings.Cut(canonicalURI(l.Value)[len("data:"):], ";")
	if _, kind, ok := strings.Cut(head, "/"); ok {
		own.Params = append(own.Params, Param{Name: "TYPE", Values: []string{strings.ToUpper(kind)}})
	}
	own.Value = text
	return own
}

// mediaType returns the type of media that stands under ENCODING, as image/jpeg.
func mediaType(l Line) string {
	kind := strings.ToLower(l.Param("TYPE"))
	if !strings.Contains(kind, "/") {
		switch {
		case l.named("SOUND"):
			kind = "audio/" + kind
		case l.named("PHOTO") || l.named("LOGO"):
			kind = "image/" + kind
		default:
			kind = "application/" + kind
		}
	}
	_, sub, _ := strings.Cut(kind, "/")
	switch {
	case kind == "image/" || kind == "image/jpg":
		return "image/jpeg"
	case sub == "" || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789/.+-") != "":
		return "application/octet-stream"
	}
	return kind
}
