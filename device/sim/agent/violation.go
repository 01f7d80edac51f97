package agent

import (
	"errors"
	"fmt"
)

// ErrViolation says that the host broke a rule. A [*Violation] says which.
var ErrViolation = errors.New("the host broke a rule of the protocol")

// Rule is something that a host must keep. What a phone does when it is broken
// stands beside it.
type Rule string

// The rules of a host.
const (
	RuleVersion  Rule = "version"   // the answer to the version exchange; the connection ends
	RuleHello    Rule = "hello"     // Hello comes first; the connection ends
	RuleRequest  Rule = "request"   // requests are those that exist; the connection ends
	RuleTarget   Rule = "target"    // a backup names the phone itself; the connection ends
	RuleUnit     Rule = "unit"      // units and messages are well formed; the connection ends
	RuleUnitSize Rule = "unit-size" // data units of at most 32 KiB: memory; the connection ends
	RuleOrder    Rule = "order"     // every order and every batch is answered, and nothing else is said; the connection ends
	RuleStatus   Rule = "status"    // the types of an answer; taken for error 100
	RuleName     Rule = "name"      // a file comes under exactly the name that was asked for; answer 1
	RuleFailure  Rule = "failure"   // what failed within a batch shows in its status as -13, and there alone; counted
	RuleMissing  Rule = "missing"   // every file of a batch comes, or fails; answer 205
	RuleListing  Rule = "listing"   // a folder is listed whole; a full backup at the beginning, answer 205 at the end
	RuleEmpty    Rule = "empty"     // files without bytes are listed, too; as RuleListing
	RuleSize     Rule = "size"      // sizes in listings are those that were sent; as RuleListing
	RuleManifest Rule = "manifest"  // no empty manifest beside a finished Status; answer 205
	RuleContent  Rule = "content"   // what is read is what was sent; answer 205 at the end
	RuleSpace    Rule = "space"     // free space is a number that can be; the phone goes on
	RuleEscape   Rule = "escape"    // a hostile name is refused; counted
	RuleGoodbye  Rule = "goodbye"   // the final answer is answered by DLMessageDisconnect; counted
)

// Violation is one rule that was broken at one step of a session.
type Violation struct {
	Rule   Rule
	Step   int
	Detail string // without names of files on the phone
}

// Error says what was broken.
func (v *Violation) Error() string {
	return fmt.Sprintf("step %d: %s: rule %q: %s", v.Step, ErrViolation.Error(), v.Rule, v.Detail)
}

// Unwrap returns ErrViolation.
func (v *Violation) Unwrap() error { return ErrViolation }

// Refusal is a final answer other than 0: an error of the phone that was sent
// to the host.
type Refusal struct {
	Code int // of MBErrorDomain
	Text string
}

// Error gives the answer's text and code.
func (r *Refusal) Error() string { return fmt.Sprintf("%s (MBErrorDomain/%d)", r.Text, r.Code) }

// The numbers of MBErrorDomain that the agent answers with.
const (
	codeGeneric  = 1
	codeIO       = 100
	codeRead     = 103 // the host cannot read
	codeWrite    = 104 // the host cannot write, or a file of the phone could not be read
	codeHostFull = 105
	codeVersion  = 203
	codeNothing  = 204
	codeCorrupt  = 205
	codePassword = 207
	codeLocked   = 208
)
