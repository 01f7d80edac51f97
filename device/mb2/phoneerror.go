package mb2

import "fmt"

// maxDescription bounds the phone's description of an error, in bytes.
const maxDescription = 1024

// PhoneError is the answer with which a phone ended a call that did not
// succeed: a number of MBErrorDomain. docs/protocol-mobilebackup2.md has the
// table.
type PhoneError struct {
	Code int
	// Description is the phone's own text, bounded, without control characters.
	// It may name files, so Error leaves it out.
	Description string
}

// Error is a sentence about the number.
func (e *PhoneError) Error() string {
	text, _ := e.kind()
	return fmt.Sprintf("the phone ended the run: %s (error %d)", text, e.Code)
}

// Retryable reports whether the same call may succeed if it is made again
// later, without anybody changing anything but, perhaps, unlocking the phone.
func (e *PhoneError) Retryable() bool {
	_, retry := e.kind()
	return retry
}

func (e *PhoneError) kind() (text string, retry bool) {
	for _, k := range phoneErrors {
		if e.Code >= k.first && e.Code <= k.last {
			return k.text, k.retry
		}
	}
	return "its backup service gave up", false
}

// phoneErrors are the numbers of MBErrorDomain.
var phoneErrors = []struct {
	first, last int
	retry       bool
	text        string
}{
	{1, 1, false, "something on it went wrong that it does not name"},
	{2, 2, false, "several things went wrong at once"},
	{3, 3, true, "something was there already, most likely a snapshot that an earlier run left behind"},
	{4, 4, false, "it did not find a file"},
	{5, 5, false, "a file lies where a folder should be"},
	{6, 6, false, "a folder lies where a file should be"},
	{7, 7, false, "links of its files lead in a circle"},
	{8, 8, false, "a file lacks an extended attribute"},
	{9, 9, true, "it could not compact one of its databases"},
	{10, 10, false, "it could not write a property list"},
	{11, 11, false, "it could not read a property list"},
	{14, 14, true, "it is busy"},
	{25, 25, true, "it is being restored from iCloud"},
	{26, 26, false, "a file cannot be moved between its volumes"},
	{100, 100, true, "the connection or its storage had an input/output fault"},
	{101, 101, true, "it could not read its own files"},
	{102, 102, true, "it could not write its own files"},
	{103, 103, false, "it could not read the backup"},
	{104, 104, true, "it could not deliver all files"},
	{105, 105, false, "there is too little space for its backup"},
	{106, 106, false, "there is too little space on it"},
	{200, 200, false, "something went wrong that it does not name"},
	{201, 201, false, "its system reported a fault that it does not name"},
	{202, 202, false, "it was cancelled on the phone"},
	{203, 203, false, "the backup is of a version that it does not take"},
	{204, 204, false, "there is nothing to restore"},
	{205, 205, false, "the backup is damaged, or files of it are missing"},
	{207, 207, false, "the password is wrong, or encryption is not as it must be"},
	{208, 208, true, "it was locked, or its passcode was not entered"},
	{210, 210, false, "no iCloud account is set up on it"},
	{211, 211, false, "Find My is on"},
	{212, 212, false, "its setup assistant is not finished"},
	{300, 399, true, "iCloud or its network had a fault"},
}

// answer reads the phone's final answer to a request, or to the Hello.
func answer(args arguments) error {
	dict, _ := args.at(0).(map[string]any)
	code, ok := Integer(dict["ErrorCode"])
	if name, _ := dict["MessageName"].(string); name != "Response" || !ok {
		return fmt.Errorf("%w: an answer without a number", ErrDesync)
	}
	if code == 0 {
		return nil
	}
	text, _ := dict["ErrorDescription"].(string)
	return &PhoneError{Code: int(code), Description: shown(text, maxDescription)}
}
