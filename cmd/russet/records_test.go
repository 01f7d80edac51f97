package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"russet/records/recordstest"
)

// recordsMain is the command of scripts that writes the databases of a phone:
//
//	records FOLDER NUMBER [STEP...]
//
// FOLDER is that of a simulated phone's state. It gets an address book of so many
// people, always the same ones. A step is edit:N or remove:N, for the person of that
// number, or change:N, for so many random changes. What the steps changed is
// printed.
func recordsMain() {
	if err := writeRecords(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "records:", err)
		os.Exit(1)
	}
}

func writeRecords(_ context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: records FOLDER NUMBER [STEP...]")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	dir := filepath.Join(args[0], "Files")
	if err := os.RemoveAll(filepath.Join(dir, "HomeDomain", "Library", "AddressBook")); err != nil {
		return err
	}
	book := recordstest.NewBook(1, n)
	for _, step := range args[2:] {
		what, number, _ := strings.Cut(step, ":")
		i, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		var changes []recordstest.Change
		switch what {
		case "edit":
			changes = append(changes, book.Edit(i))
		case "remove":
			changes = append(changes, book.Remove(i))
		case "change":
			changes = book.Change(i)
		default:
			return fmt.Errorf("no step is called %q", what)
		}
		for _, c := range changes {
			fmt.Println(c.What, c.UID, c.Property)
		}
	}
	return book.Write(dir)
}
