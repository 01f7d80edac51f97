package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"russet/backend"
	"russet/capture"
	"russet/dav"
	"russet/internal/durable"
	"russet/ios"
	"russet/merge"
	"russet/offsite"
	"russet/reconcile"
	"russet/repo"
)

// The exit codes. Up to 130 they are restic's; from 20 on they are ours. 2 is
// that of a Go program that crashed.
const (
	codeError        = 1
	codeIncomplete   = 3
	codeNoRepository = 10
	codeLocked       = 11
	codePassword     = 12
	codeUnfinished   = 20
	codeBackupLocked = 21
	codeDamaged      = 22
	codeFull         = 23
	codeHeld         = 24
	codeConflicts    = 25
	codeStale        = 26
	codePhoneAway    = 30
	codePhoneWaits   = 31
	codePhoneRefuses = 32
	codePhoneBusy    = 33

	codeStorageAway    = 40
	codeStorageRefuses = 41

	codeCancelled = 130
)

// exitCode is one row of the manual's table.
type exitCode struct {
	code    int
	meaning string
}

// exitCodes is every code with which russet ends.
var exitCodes = []exitCode{
	{0, "all is well"},
	{codeError, "an error, or wrong usage"},
	{codeIncomplete, "done in part: something could not be read, or is lost"},
	{codeNoRepository, "there is no repository"},
	{codeLocked, "somebody else has locked the repository"},
	{codePassword, "the repository's password is wrong"},
	{codeUnfinished, "a phone backup was refused: it is unfinished, or another program is writing it"},
	{codeBackupLocked, "the phone's backup password is wrong, or was not given: the backup is kept sealed, or the snapshot is"},
	{codeDamaged, "the repository is damaged"},
	{codeFull, "the drive is full"},
	{codeHeld, "a sync's plan is held back: it would remove or change much, or a side is not what it was"},
	{codeConflicts, "a sync was done, and records wait for a decision"},
	{codeStale, "an offsite copy is older than was asked for"},
	{codePhoneAway, "no phone is connected, or it went away: to be tried again"},
	{codePhoneWaits, "somebody has to do something at the phone (unlock it, tap Trust, enter the passcode): to be tried again then"},
	{codePhoneRefuses, "the phone refuses, and will until something is changed"},
	{codePhoneBusy, "the phone is busy, or something went wrong on the way: to be tried again later"},
	{codeStorageAway, "the repository's server is not reached, or the connection was lost for long: to be tried again later"},
	{codeStorageRefuses, "the repository's server refuses: a wrong user or password, rights that lack, an unknown host key, a certificate that is not trusted, a clock that is wrong; it will until something is changed"},
	{codeCancelled, "stopped by Ctrl-C or SIGTERM; the repository is valid"},
}

// Errors that are found here, before any package is asked.
var (
	errInterrupted       = errors.New("interrupted")
	errNoRepositoryGiven = errors.New("no repository given")
	errNoPassword        = errors.New("no password given")
	errEmptyPassword     = errors.New("the password is empty")
	errPasswordsDiffer   = errors.New("the two passwords differ")
	errRepositoryExists  = errors.New("there is a repository already")
	errProblems          = errors.New("repository is damaged")
	errNoBackup          = errors.New("no phone backup found")
	errIncomplete        = errors.New("not complete")
	errPinned            = errors.New("it is pinned")
	errNoSuchPath        = errors.New("no such file or folder")
	errPackGone          = errors.New("repository is damaged: a pack that holds a part of it is gone")
	errGone              = errors.New("the repository is no longer there")
	errNoPhonePassword   = errors.New("the phone's backup password is not known, and there is nobody to ask")
	errMirror            = errors.New("it is a mirror of another repository, which alone is written to")
	errMoving            = errors.New("the source is changed all the time")
	errNotConfirmed      = errors.New("not confirmed")
	errConflicts         = errors.New("records wait for a decision")
	errStale             = errors.New("it is out of date")
	errSamePlace         = errors.New("it is the repository itself, or a mirror of it")
	errNoSuchRecord      = errors.New("no such record")
	errOtherDevice       = errors.New("it is of another device")
	errNoSuchContainer   = errors.New("nothing is called that")
	errSealed            = errors.New("the snapshot is sealed: the phone's backup password was not known, so nothing in it can be read")
	errUnreadable        = errors.New("the backup's manifest could not be read, so the snapshot holds it as it came and no readable files")
)

// Situations in which an error came up, where they decide what a person can do.
var (
	errBadConfig          = errors.New("config or key files are damaged")
	errBadIndex           = errors.New("an index file is damaged")
	errBadSnapshot        = errors.New("a snapshot's file is damaged")
	errBadLock            = errors.New("a lock file is damaged")
	errAppendOnly         = errors.New("nothing can be removed, for a verb that does")
	errCannotLock         = errors.New("nothing can be written, for a verb that only reads")
	errReadOnly           = errors.New("nothing can be written, for a verb that writes")
	errDeadHolder         = errors.New("who holds the lock no longer runs")
	errLeftovers          = errors.New("parts of a repository are there without its config")
	errBadFolder          = errors.New("what the backup folder needs is damaged")
	errCannotPrune        = errors.New("what a prune needs is damaged")
	errPruneFull          = errors.New("there is no space for copies of packs")
	errNoSnapshots        = errors.New("there are no snapshots")
	errKeepsNone          = errors.New("a policy would leave nothing of a device")
	errLostContent        = errors.New("content is lost that the computer may still have")
	errHalfFiles          = errors.New("files were restored in part")
	errSecond             = errors.New("the second repository wants a password")
	errNewPassword        = errors.New("a new key wants a password")
	errNewFolder          = errors.New("a new sync's folder is not there")
	errNoTarget           = errors.New("there is no second repository to copy to")
	errNoSuchKey          = errors.New("no key has that id")
	errServerPassword     = errors.New("a server wants a password")
	errSeveralCollections = errors.New("several collections")
	errNothingOwn         = errors.New("a phone that keeps nothing of its own")
	errNoKeyring          = errors.New("this computer's keyring does not take it")
	errNotWaiting         = errors.New("it does not wait for a decision")
	errHeldPlan           = errors.New("a plan that a person may approve of")
	errRefusedPlan        = errors.New("a plan that nobody can approve of")
	errOtherPlan          = errors.New("a plan that is not the one that was seen")
	errNoRecords          = errors.New("a snapshot without a database of that kind")
	errUnknownLayout      = errors.New("a database that no reader knows")
	errMirrorBusy         = errors.New("another run writes to the mirror")
)

// situation is an error with the situation that it came up in, which adds no
// text.
type situation struct {
	error
	in error
}

func (s situation) Unwrap() []error { return []error{s.error, s.in} }

// usageError is a mistake in the arguments.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// advice says what a person can do about an error, and how the program ends.
// Packages give sentinels and no advice: it is added here, where the user is.
type advice struct {
	is   error
	code int // 0: codeError
	hint string
}

// advices are tried in this order.
var advices = []advice{
	{errInterrupted, codeCancelled, ""},
	{context.Canceled, codeCancelled, ""},
	{errNoRepositoryGiven, 0, "name it with -r, or set RUSSET_REPOSITORY"},
	{errGone, codeNoRepository, "is the drive still connected? connect it and run the same command again; nothing that was kept is lost"},
	{repo.ErrLockLost, codeError, "run the same command again; nothing that was kept is lost"},
	{errDeadHolder, codeLocked, "that program no longer runs: remove its lock with russet unlock"},
	{errBadLock, codeDamaged, "when you know that nobody uses the repository, remove its locks with russet unlock --remove-all"},
	{errAppendOnly, codeStorageRefuses, "backup, copy, check and restore work there all the same; the rest wants credentials that may remove files"},
	{errCannotLock, codeError, "to read a repository that cannot be written, add --no-lock"},
	{errReadOnly, codeError, "the repository cannot be written: is the drive write-protected, or somebody else's?"},
	{errLeftovers, codeError, "a repository lost its config, which a copy of it may still have; or an init was cut off: then run it again with the same password, or remove the folder"},
	{errBadFolder, codeDamaged, "--as files still gives the phone's files that are whole; russet check tells what is damaged"},
	{errBadSnapshot, codeDamaged, recoverHint},
	{errCannotPrune, codeDamaged, "nothing was deleted; russet check tells what is damaged: russet repair index mends the index, russet backup --force stores again what the computer still has"},
	{errPruneFull, codeFull, "russet prune --max-repack 0 deletes whole packs and copies nothing; nothing that was kept is lost"},
	{errBadConfig, codeDamaged, "without its config and a key nothing in it can be read: put them back from a copy of the repository, if there is one"},
	{errBadIndex, codeDamaged, "russet repair index makes the index anew from what is there"},
	{errSecond, 0, ""}, // and remedied
	{repo.NoMirror, 0, "is the second drive connected, and the name right? --init makes a new mirror"},
	{repo.NotEmpty, 0, "give a folder that is new or empty"},
	{repo.BadMark, codeDamaged, "it can still be opened and read: make a new mirror in another folder, with --init; where the original is lost, go on with this one by --promote"},
	{repo.OtherRepository, 0, "each repository has a mirror of its own: choose another folder, with --init"},
	{repo.OtherConfig, codeDamaged, "the original and the mirror have the same file config: copy it over from where it is whole; where it was replaced by an upgrade, make a new mirror in another folder, with --init"},
	{repo.WrittenElsewhere, 0, "a mirror is only read: keep what was added there with russet copy, or make the mirror anew in another folder, with --init"},
	{repo.ManyRemovals, codeIncomplete, "everything new was copied; when so much was meant to go (a prune), run it again with --many"},
	{repo.BrokenSource, codeDamaged, "nothing was changed: put back what is lost from the mirror's folders keys, index and data, or go on with the mirror: --promote"},
	{errMirror, 0, "use the original; if that is lost, russet mirror --promote --to FOLDER makes an ordinary repository of it"},
	{errMoving, 0, "the mirror can be opened; run the same command again when nobody backs up or prunes"},
	{errNoSuchKey, 0, "russet key list shows the ids"},
	{errNoTarget, codeNoRepository, "is the drive connected, and the address right? russet init -r THERE --from-repo HERE --copy-chunker-params makes a new one, in which copies and backups share what is the same"},
	{errNothingThere, codeNoRepository, "is the address right? russet init makes a new repository there"},
	{backend.ErrNoRepository, codeNoRepository, "is the drive connected, and the name right? russet init makes a new repository"},
	{repo.ErrLocked, codeLocked, "wait for it, or with --retry-lock; russet unlock removes the locks of programs that no longer run"},
	{repo.ErrWrongPassword, codePassword, "the repository's own password is wanted, not the one of the phone's backups"},
	{errMirrorBusy, codeLocked, "another russet mirror writes there: wait for it, or stop it; one on a server that was killed is in the way for half an hour"},
	{durable.ErrInUse, codeLocked, "another russet works on that phone: wait for it, or stop it"},
	{errPinned, 0, "russet unpin takes the pin off; --pinned forgets it all the same"},
	{errKeepsNone, 0, "nothing was removed; add --keep-last 1, or name the snapshots to remove"},
	{repo.ErrNotFound, 0, "russet snapshots lists the ids; latest, or latest:UDID for one device, is the newest"},
	{errNoSnapshots, 0, "nothing was deleted; russet recover finds what lost snapshots held; when all were forgotten on purpose, run it again with --no-snapshots"},
	{errProblems, codeDamaged, ""}, // and hintFor
	{repo.ErrDamaged, codeDamaged, "russet check tells what is damaged"},
	{capture.ErrUnfinished, codeUnfinished, "let the phone finish its backup, or keep it as it is with --incomplete"},
	{capture.ErrMoving, codeUnfinished, "run the same command again when the phone's backup is done"},
	{errSealed, codeBackupLocked, "run russet backup on the same folder again with --backup-password-file; restore without --as files gives the backup as it came"},
	{errUnreadable, 0, "restore without --as files gives the backup as it came"},
	{errLostContent, codeIncomplete, "the next russet backup stores again what the computer still has, russet copy what a second repository has; russet repair snapshots leaves out what is lost"},
	{errIncomplete, codeIncomplete, ""},
	{errNoBackup, 0, "name the folder that holds it; on macOS the terminal needs Full Disk Access to see Finder's"},
	{fs.ErrExist, 0, "what is there is not overwritten: choose another name"},
	{errHeldPlan, codeHeld, ""}, // and remedied
	{errRefusedPlan, codeHeld, ""},
	{errOtherPlan, codeHeld, "one of the sides was changed meanwhile: russet sync plan shows what would be done now"},
	{errNotWaiting, 0, "russet sync conflicts NAME lists what waits"},
	{errConflicts, codeConflicts, "russet sync conflicts NAME lists them"},
	{reconcile.ErrBusy, codeLocked, "wait for the other run"},
	{reconcile.ErrNoSync, 0, "russet sync status lists the syncs that there are"},
	{offsite.ErrBad, codeDamaged, ""}, // and remedied
	{errStale, codeStale, "russet offsite run brings it up to date"},
	{offsite.ErrBusy, codeLocked, "wait for the other run"},
	{offsite.ErrNoCopy, 0, "russet offsite status lists the copies that there are"},
	{offsite.ErrOther, 0, "nothing was written there; where that was meant, remove the copy and add it anew"},
	{errSamePlace, 0, "a copy is a repository of its own: choose another address"},
	{errNewPassword, 0, "give it with --new-password-file or --new-password-command, set RUSSET_NEW_PASSWORD, or run on a terminal"},
	{errServerPassword, 0, "give it with --server-password-file or --server-password-command, set RUSSET_SERVER_PASSWORD, or run on a terminal"},
	{errNoKeyring, 0, ""}, // and remedied
	{errNothingOwn, 0, "name what shall be synced with --in"},
	{errSeveralCollections, 0, "give one of these addresses with --to"},
	{errNoSuchRecord, 0, "russet show KIND SNAPSHOT --json shows the uids"},
	{merge.ErrDenied, 0, "is the user's name right, and the password? many servers want an app password"},
	{errNewFolder, 0, "is the name right, and the drive connected? a folder that is to be new has to be made first"},
	{merge.ErrMissing, 0, "is the address right, and the drive connected?"},
	{errNoRecords, 0, "a phone that keeps nothing of that kind has none, and the made-up one of russet simulate keeps none; backups that are not encrypted have them, too"},
	{errUnknownLayout, 0, "this version of iOS is not known yet: russet cat gives the database as it is; please tell the developers what the error says"},
	{errNoSuchContainer, 0, "russet show KIND --json lists what there is, in its last line"},
	{errNoSuchPath, 0, "russet ls SNAPSHOT shows what there is"},
	{errNoPassword, 0, "give it with --password-file or --password-command, set RUSSET_PASSWORD, or run on a terminal"},
}

// sealedAdvices come after what is wrong with the repository: a backup that is kept
// sealed is kept, and another one of the same run may not be.
var sealedAdvices = []advice{
	{capture.ErrNeedsPassword, codeBackupLocked, "run the same command again with --backup-password-file, or on a terminal"},
	{ios.ErrWrongPassword, codeBackupLocked, "run the same command again with the right --backup-password-file, or on a terminal"},
	{errNoPhonePassword, codeBackupLocked, "run the same command again with --backup-password-file, or on a terminal; nothing is lost, but it cannot be looked into"},
}

// exitMessage is an error as JSON on stderr, as restic has it.
type exitMessage struct {
	MessageType string `json:"message_type" doc:"\"exit_error\""`
	Code        int    `json:"code" doc:"the exit code"`
	Message     string `json:"message" doc:"what went wrong, in words; not to be parsed"`
}

// report tells the user about an error and returns the exit code.
func (p *program) report(err error) int {
	if err == nil {
		return 0
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(file, syscall.EPIPE) { // of a phone it is a *net.OpError
		return codeError // whoever read our output has had enough, and knows
	}
	a := adviceFor(err)
	if a.hint == usageHint && p.verb != "" && p.verb != "help" {
		a.hint = "russet help " + p.verb + " tells how it is used"
	}
	if errors.Is(err, repo.ErrDamaged) && backend.IsUnreadable(err) {
		a.hint = readAgainHint + a.hint
	}
	code := cmp.Or(a.code, codeError)
	text := withoutLogins(err.Error())
	if code == codeCancelled {
		text = errInterrupted.Error() // "read tree 4f2a: context canceled" tells nobody more
	}
	if p.json {
		line, _ := json.Marshal(exitMessage{"exit_error", code, text}) // strings and numbers cannot fail
		p.console.print(string(line))
		return code
	}
	for line := range strings.Lines(text) {
		p.console.print("russet: " + visible(strings.TrimSuffix(line, "\n")))
	}
	for line := range strings.Lines(a.hint) {
		p.console.print("  " + strings.TrimSuffix(line, "\n"))
	}
	return code
}

// readAgainHint comes before all other advice where a drive has not read what it
// holds: on a loose cable that is no damage.
const readAgainHint = "the drive could not read that: connect it anew, on another cable if there is one, and run the same command again before anything is repaired\n"

// usageHint is that of a mistake in the arguments, where the verb is not known.
const usageHint = "russet help shows the verbs, russet help VERB the flags"

func adviceFor(err error) advice {
	if backend.IsFull(err) && errors.Is(err, errHalfFiles) {
		return advice{code: codeFull, hint: "free some space there and run the same command again: what is there already is left"}
	}
	for _, a := range advices {
		if !errors.Is(err, a.is) || a.is == merge.ErrDenied && readOnly(err) { // a folder asks for no password
			continue
		}
		if sealed, ok := sealedAdvice(err); ok && (a.is == errIncomplete || a.is == errNoBackup) {
			return sealed // which needs somebody first
		}
		if a.hint == "" {
			a.hint = strings.Join(slices.Compact(hintsOf(err)), "\n")
		}
		return a
	}
	if host, ok := errors.AsType[*dav.HostError](err); ok {
		return advice{hint: "if you trust " + visible(host.Host) + ", give it as the address"}
	}
	if a, ok := storageAdvice(err); ok {
		return a
	}
	if a, ok := phoneAdvice(err); ok {
		return a
	}
	if backend.IsFull(err) {
		return advice{code: codeFull, hint: "free some space there and run the same command again; nothing that was kept is lost"}
	}
	if backend.IsUnreadable(err) {
		return advice{hint: "the drive could not read that: connect it anew; if that does not help, have the system repair its file system (fsck, First Aid, chkdsk) before anything else"}
	}
	if readOnly(err) {
		return advice{hint: "is the drive write-protected, or the folder somebody else's?"}
	}
	if unreachable(err) {
		return advice{hint: "is this computer on the network, and the address right? then run the same command again"}
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return advice{hint: usageHint}
	}
	a, _ := sealedAdvice(err)
	return a
}

func sealedAdvice(err error) (advice, bool) {
	for _, a := range sealedAdvices {
		if errors.Is(err, a.is) {
			return a, true
		}
	}
	return advice{}, false
}

// unreachable tells whether the network does not lead to a server, or no longer.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && strings.HasPrefix(op.Net, "tcp") // usbmuxd may be at a socket of another sort
}

// warningMessage is something to know as JSON on stderr.
type warningMessage struct {
	MessageType string `json:"message_type" doc:"\"warning\""`
	Message     string `json:"message" doc:"what to know, in words; not to be parsed"`
}

// warn tells of something that is wrong or has to be done, but ends nothing.
func (p *program) warn(format string, args ...any) {
	text := withoutLogins(fmt.Sprintf(format, args...))
	if p.json {
		line, _ := json.Marshal(warningMessage{"warning", text}) // strings cannot fail
		p.console.print(string(line))
		return
	}
	p.console.print("russet: " + visible(text))
}

// note tells people what is going on. Programs do not want it.
func (p *program) note(format string, args ...any) {
	if !p.json && !p.quiet {
		p.console.print("russet: " + visible(withoutLogins(fmt.Sprintf(format, args...))))
	}
}
