package merge

// Mode says which way changes go.
type Mode string

// The modes.
const (
	// Safe pushes from the source to the target, and never overwrites or removes
	// what was edited there.
	Safe Mode = "safe"
	// Mirror does too, and makes each record that came from the source what it is
	// there, whatever was done to it at the target.
	Mirror Mode = "mirror"
	// TwoWay carries changes both ways.
	TwoWay Mode = "two-way"
)

// Choice says what becomes of a property that both sides changed differently.
type Choice string

// The choices.
const (
	// Ask lets the record wait for a person, and goes on with the others.
	Ask Choice = "ask"
	// SourceWins and TargetWins take one side's.
	SourceWins Choice = "source-wins"
	TargetWins Choice = "target-wins"
	// KeepBoth keeps the target's record as a second one beside the source's.
	KeepBoth Choice = "keep-both"
)

// Policy is how a plan decides. The zero value is Safe and Ask.
type Policy struct {
	Mode   Mode
	Choice Choice
	// Incomplete says that the source may have records that could not be read: what
	// is not there was not deleted.
	Incomplete bool
}

func (p Policy) mirror() bool { return p.Mode == Mirror }
func (p Policy) twoWay() bool { return p.Mode == TwoWay }
