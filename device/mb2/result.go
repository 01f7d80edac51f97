package mb2

import "fmt"

// MaxFileErrors bounds how many of them a [Result] holds.
const MaxFileErrors = 1000

// Result is what became of a call beside its error.
type Result struct {
	Files int64 // received or sent as a whole
	Bytes int64 // of their content
	// FileErrors are the files that the phone could not read, at most
	// MaxFileErrors of them; Unread is how many there were.
	FileErrors []FileError
	Unread     int64
	Violations int64 // orders that were refused because they break the rules
}

// FileError is a file that the phone began to send and could not read. It is
// not in the backup, or as it was.
type FileError struct {
	DevicePath string // where it lies on the phone, for the eyes of its owner alone
	Name       string // in the folder
	Code       Code
	Text       string // of the phone, bounded, without control characters
}

// Error leaves out the path, which is personal.
func (e FileError) Error() string {
	switch e.Code {
	case CodeNotFound:
		return "the phone no longer had a file that it began to send"
	case CodeIO:
		return "the phone could not read one of its files"
	}
	return fmt.Sprintf("the phone could not send one of its files (code %d)", byte(e.Code))
}

// Violation is an order of the phone that was refused because it breaks the
// rules. It holds nothing that the phone said but the order's name.
type Violation struct {
	Order string
	Rule  string
}

// String is a sentence.
func (v Violation) String() string {
	return "the phone sent " + v.Order + " with " + v.Rule
}
