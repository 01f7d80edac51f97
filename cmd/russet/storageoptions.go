package main

import (
	"fmt"
	"strings"

	"russet/backend"
)

// storageOption is a key that -o knows.
type storageOption struct {
	key, about string
	set        func(o *backend.Options, value string) error
}

// optionsExample is the one that help shows.
const optionsExample = "s3.storage-class=STANDARD_IA"

// storageOptions are all of them, under restic's names where it has them.
var storageOptions = []storageOption{}

// setOptions takes what stands behind -o.
func setOptions(o *backend.Options, given []string) error {
	for _, text := range given {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return usageError{fmt.Sprintf("-o %s: it wants a value, as in %s", key, optionsExample)}
		}
		if err := setOption(o, strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	return nil
}

func setOption(o *backend.Options, key, value string) error {
	var known []string
	for _, option := range storageOptions {
		if option.key != key {
			known = append(known, option.key)
			continue
		}
		if err := option.set(o, value); err != nil {
			return usageError{fmt.Sprintf("-o %s: %v", key, err)}
		}
		return nil
	}
	return usageError{fmt.Sprintf("-o does not know %q; it knows %s", key, strings.Join(known, ", "))}
}
