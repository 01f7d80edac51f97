package mb2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// order is what the host does about one kind of message. It returns what is to
// be answered, or an error that ends the session.
type order struct {
	percent int // the argument that is the percentage after this step; 0 where there is none
	do      func(*Session, context.Context, arguments) (reply, error)
}

// reply is a DLMessageStatusResponse.
type reply struct {
	status Status
	value  any // nil for an empty dictionary

	listing []byte // where it is not nil: the whole message
	entries int    // in listing
}

// orders are the messages that a phone may send between a request and its
// answer. Two spellings of moving and removing are in use.
var orders = map[string]order{
	"DLMessageCreateDirectory":  {2, (*Session).createDirectory},
	"DLContentsOfDirectory":     {2, (*Session).contentsOfDirectory},
	"DLMessageUploadFiles":      {1, (*Session).uploadFiles},
	"DLMessageDownloadFiles":    {2, (*Session).downloadFiles},
	"DLMessageMoveFiles":        {2, (*Session).moveItems},
	"DLMessageMoveItems":        {2, (*Session).moveItems},
	"DLMessageRemoveFiles":      {2, (*Session).removeItems},
	"DLMessageRemoveItems":      {2, (*Session).removeItems},
	"DLMessageRemoveDirectory":  {0, (*Session).removeDirectory},
	"DLMessageCopyItem":         {3, (*Session).copyItem},
	"DLMessageGetFreeDiskSpace": {0, (*Session).freeDiskSpace},
	"DLMessagePurgeDiskSpace":   {0, (*Session).purgeDiskSpace},
}

// serve does what the phone orders until it answers the request. It returns nil
// when the phone says that all went well, and nothing speaks against it.
func (s *Session) serve(ctx context.Context) error {
	for {
		name, args, err := s.receive()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		switch name {
		case "DLMessagePing":
			continue
		case disconnect:
			return fmt.Errorf("%w: it ended the conversation", ErrDisconnected)
		case processMessage:
			if dict, _ := args.at(0).(map[string]any); dict["MessageName"] == "Response" {
				return answer(args)
			}
		}
		if err := s.obey(ctx, name, args); err != nil {
			return err
		}
	}
}

// obey carries out one order and answers it.
func (s *Session) obey(ctx context.Context, name string, args arguments) error {
	o, ok := orders[name]
	if !ok {
		return s.answer(reply{status: StatusError})
	}
	r, err := o.do(s, ctx, args)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if o.percent > 0 {
		s.advance(args.percent(o.percent))
		s.report()
	}
	return s.answer(r)
}

// answer writes a status.
func (s *Session) answer(r reply) error {
	if len(r.listing) > MaxMessage {
		s.blame(fmt.Errorf("list a folder: %d files are too many for a message", r.entries))
		r = reply{status: StatusError}
	}
	if r.listing != nil {
		s.rec.listing(r.entries)
		if err := s.queue(r.listing); err != nil {
			return err
		}
		return s.flush()
	}
	value := r.value
	if value == nil {
		value = map[string]any{}
	}
	return s.send("DLMessageStatusResponse", int64(r.status), r.status.text(), value)
}

// ended makes the error of a call out of how the conversation ended.
func (s *Session) ended(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil && err != nil:
		return context.Cause(ctx)
	case err != nil && s.hostErr != nil:
		return fmt.Errorf("%w, after this: %w", err, s.hostErr)
	case err == nil && s.hostErr != nil:
		return fmt.Errorf("the phone takes the run for a success although it was told of this: %w", s.hostErr)
	}
	return err
}

// refuse reports an order that breaks a rule.
func (s *Session) refuse(order, rule string) reply {
	s.result.Violations++
	if s.o.Violation != nil {
		s.o.Violation(Violation{Order: order, Rule: rule})
	}
	return reply{status: StatusBadParameter}
}

// name returns the name that is the argument i, or the rule that it breaks.
func (s *Session) name(args arguments, i int) (name, rule string) {
	name, ok := args.text(i)
	if !ok {
		return "", "something else than a name"
	}
	return name, s.roots.broken(name)
}

// status is the code for an error of the folder. What a phone may well cause is
// an ordinary answer; everything else is kept, to be told at the end.
func (s *Session) status(err error) Status {
	status := StatusOf(err)
	switch status {
	case StatusOK, StatusNotFound, StatusExists, StatusNotDir, StatusIsDir:
	default:
		s.blame(err)
	}
	return status
}

// blame keeps the first thing that went wrong on our side.
func (s *Session) blame(err error) {
	if s.hostErr == nil {
		s.hostErr = err
	}
}

func (s *Session) createDirectory(ctx context.Context, args arguments) (reply, error) {
	name, rule := s.name(args, 0)
	if rule != "" {
		return s.refuse("DLMessageCreateDirectory", rule), nil
	}
	s.enter(PhasePreparing)
	return reply{status: s.status(s.folder.Mkdir(ctx, name))}, nil
}

func (s *Session) contentsOfDirectory(ctx context.Context, args arguments) (reply, error) {
	name, rule := s.name(args, 0)
	if rule != "" {
		return s.refuse("DLContentsOfDirectory", rule), nil
	}
	s.reading()
	entries, err := s.folder.List(ctx, name)
	if err != nil {
		return reply{status: s.status(err)}, nil
	}
	return reply{listing: encodeListing(entries), entries: len(entries)}, nil
}

// reading enters the phase in which a phone that reads is.
func (s *Session) reading() {
	if s.progress.Phase < PhaseReceiving {
		s.enter(PhasePreparing)
	} else {
		s.enter(PhaseVerifying)
	}
}

func (s *Session) moveItems(ctx context.Context, args arguments) (reply, error) {
	pairs, ok := args.pairs(0)
	if !ok {
		return s.refuse("DLMessageMoveItems", "something else than names, or too many"), nil
	}
	s.enter(PhaseMoving)
	var b batch
	for _, from := range sorted(pairs) {
		to := pairs[from]
		rule := s.roots.broken(from)
		if rule == "" {
			rule = s.roots.broken(to)
		}
		if rule != "" {
			b.note(from, s.refuse("DLMessageMoveItems", rule).status)
			continue
		}
		b.note(from, s.status(s.folder.Move(ctx, from, to)))
	}
	return b.reply(), nil
}

func (s *Session) removeItems(ctx context.Context, args arguments) (reply, error) {
	names, ok := args.texts(0)
	if !ok {
		return s.refuse("DLMessageRemoveItems", "something else than names, or too many"), nil
	}
	s.enter(PhaseRemoving)
	var b batch
	for _, name := range names {
		if rule := s.roots.broken(name); rule != "" {
			b.note(name, s.refuse("DLMessageRemoveItems", rule).status)
			continue
		}
		b.note(name, s.remove(ctx, name))
	}
	return b.reply(), nil
}

func (s *Session) removeDirectory(ctx context.Context, args arguments) (reply, error) {
	name, rule := s.name(args, 0)
	if rule != "" {
		return s.refuse("DLMessageRemoveDirectory", rule), nil
	}
	return reply{status: s.remove(ctx, name)}, nil
}

// remove removes what may be gone already: phones remove what they do not know
// to be there, and other hosts say nothing then.
func (s *Session) remove(ctx context.Context, name string) Status {
	err := s.folder.Remove(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return StatusOK
	}
	return s.status(err)
}

func (s *Session) copyItem(ctx context.Context, args arguments) (reply, error) {
	from, rule := s.name(args, 0)
	to, ruleTo := s.name(args, 1)
	if rule == "" {
		rule = ruleTo
	}
	if rule != "" {
		return s.refuse("DLMessageCopyItem", rule), nil
	}
	return reply{status: s.status(s.folder.Copy(ctx, from, to))}, nil
}

func (s *Session) freeDiskSpace(ctx context.Context, _ arguments) (reply, error) {
	s.enter(PhasePreparing)
	free, err := s.folder.Free(ctx)
	if err != nil {
		// A phone that gets no figure goes on: this one is no fault of the run.
		return reply{status: StatusError}, nil
	}
	return reply{value: max(free, 0)}, nil
}

func (s *Session) purgeDiskSpace(_ context.Context, args arguments) (reply, error) {
	wanted, ok := args.integer(0)
	if !ok || wanted < 0 {
		return s.refuse("DLMessagePurgeDiskSpace", "something else than a number of bytes"), nil
	}
	if s.o.Purge == nil {
		return reply{value: int64(0)}, nil
	}
	freed, err := s.o.Purge(wanted)
	if err != nil {
		return reply{status: StatusError}, nil
	}
	return reply{value: max(freed, 0)}, nil
}
