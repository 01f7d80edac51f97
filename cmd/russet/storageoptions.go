package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
var storageOptions = []storageOption{
	{"s3.storage-class", "the class of packs of data; what every run reads stays in the standard class", func(o *backend.Options, v string) error {
		o.S3.StorageClass = v
		return nil
	}},
	{"s3.region", "the bucket's region, where the server does not tell it", func(o *backend.Options, v string) error {
		o.S3.Region = v
		return nil
	}},
	{"s3.bucket-lookup", "auto, dns or path", func(o *backend.Options, v string) error {
		return oneWord(&o.S3.BucketLookup, v, "auto", "dns", "path")
	}},
	{"s3.list-objects-v1", "true for servers that know only the old listing", func(o *backend.Options, v string) (err error) {
		o.S3.ListObjectsV1, err = strconv.ParseBool(v)
		return err
	}},
	{"s3.connections", "how many files travel at once (5)", func(o *backend.Options, v string) error {
		return connections(&o.S3.Connections, v)
	}},
	{"s3.lock-mode", "governance or compliance: what is stored cannot be deleted for lock-days", func(o *backend.Options, v string) error {
		return oneWord(&o.S3.LockMode, v, "governance", "compliance")
	}},
	{"s3.lock-days", "how many days", func(o *backend.Options, v string) error {
		days, err := positive(v, 36500)
		o.S3.LockPeriod = time.Duration(days) * 24 * time.Hour
		return err
	}},
	{"sftp.command", "a program that speaks SFTP on its input and output, with arguments, in place of Russet's own client", func(o *backend.Options, v string) (err error) {
		o.SFTP.Command, err = splitCommand(v)
		return err
	}},
	{"sftp.args", "arguments for the program ssh, which is run then", func(o *backend.Options, v string) (err error) {
		o.SFTP.Args, err = splitCommand(v)
		return err
	}},
	{"sftp.connections", "how many files travel at once (5)", func(o *backend.Options, v string) error {
		return connections(&o.SFTP.Connections, v)
	}},
	{"rest.connections", "how many files travel at once (5)", func(o *backend.Options, v string) error {
		return connections(&o.REST.Connections, v)
	}},
	{"rclone.program", "the program to run (rclone)", func(o *backend.Options, v string) error {
		o.Rclone.Program = v
		return nil
	}},
	{"rclone.args", "its arguments before the remote", func(o *backend.Options, v string) (err error) {
		o.Rclone.Args, err = splitCommand(v)
		return err
	}},
	{"rclone.timeout", "how long to wait for its first answer (1m)", func(o *backend.Options, v string) (err error) {
		o.Rclone.Timeout, err = time.ParseDuration(v)
		if err != nil || o.Rclone.Timeout <= 0 {
			err = fmt.Errorf("it is a time such as 30s, not %q", v)
		}
		return err
	}},
	{"rclone.connections", "how many files travel at once (5)", func(o *backend.Options, v string) error {
		return connections(&o.Rclone.Connections, v)
	}},
}

// oneWord takes a value that is one of a few words.
func oneWord(to *string, value string, words ...string) error {
	if !slices.Contains(words, value) {
		return fmt.Errorf("it is one of %s, not %q", strings.Join(words, ", "), value)
	}
	*to = value
	return nil
}

// connections takes a number of transfers at the same time.
func connections(to *int, value string) (err error) {
	*to, err = positive(value, 1000)
	return err
}

// positive reads a whole number from 1 to most.
func positive(value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("it is a whole number from 1 to %d, not %q", most, value)
	}
	return n, nil
}

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
	if s3 := o.S3; (s3.LockMode == "") != (s3.LockPeriod == 0) {
		return usageError{"-o s3.lock-mode and -o s3.lock-days belong together: how files are locked, and for how long"}
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
	if near := didYouMean(key, known); near != "" {
		return usageError{fmt.Sprintf("-o does not know %q%s", key, near)}
	}
	return usageError{fmt.Sprintf("-o does not know %q; it knows %s", key, strings.Join(known, ", "))}
}
