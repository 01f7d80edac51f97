package mb2

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// recorder writes a transcript. A nil one writes nothing.
type recorder struct {
	w     io.Writer
	start time.Time
	d     disguise
	err   error // the first one; nothing is written after it
}

func newRecorder(w io.Writer) *recorder {
	if w == nil {
		return nil
	}
	return &recorder{w: w, start: time.Now(), d: disguise{others: map[string]int{}}}
}

// names tells which identifiers are to be hidden.
func (r *recorder) names(n roots) {
	if r != nil {
		r.d.roots = n
	}
}

// failed returns why the transcript is not whole.
func (r *recorder) failed() error {
	if r == nil || r.err == nil {
		return nil
	}
	return fmt.Errorf("write the transcript: %w", r.err)
}

func (r *recorder) write(l line) {
	if r.err != nil {
		return
	}
	l.At = time.Since(r.start).Milliseconds()
	data, err := json.Marshal(l)
	if err == nil {
		_, err = r.w.Write(append(data, '\n'))
	}
	r.err = err
}

// end notes the unit that ends a batch.
func (r *recorder) end(from string) {
	if r != nil {
		r.write(line{From: from, End: true})
	}
}

// message notes a message.
func (r *recorder) message(from, name string, args arguments) {
	if r == nil {
		return
	}
	l := line{From: from, Message: word(name)}
	if o, ok := orders[name]; ok && o.percent > 0 {
		l.Percent = args.percent(o.percent)
		l.Size, _ = args.integer(o.percent + 1)
	}
	switch name {
	case "DLMessageVersionExchange":
		if from == fromHost {
			args = args[1:]
		}
		l.Version, _ = args.integer(0)
	case "DLMessageStatusResponse":
		r.status(&l, args)
	case processMessage:
		dict, _ := args.at(0).(map[string]any)
		request, _ := dict["MessageName"].(string)
		l.Request = word(request)
		if code, ok := Integer(dict["ErrorCode"]); ok {
			l.Code = &code
		}
	case "DLMessagePurgeDiskSpace":
		l.Size, _ = args.integer(0)
	default:
		r.arguments(&l, args)
	}
	r.write(l)
}

// arguments notes the names in an order.
func (r *recorder) arguments(l *line, args arguments) {
	if names, ok := args.texts(0); ok {
		l.Names = r.d.names(names)
	} else if pairs, ok := args.pairs(0); ok {
		for _, from := range sorted(pairs) {
			l.Names = append(l.Names, r.d.name(from))
			l.To = append(l.To, r.d.name(pairs[from]))
		}
	} else if name, ok := args.text(0); ok {
		if _, known := orders[l.Message]; known {
			l.Names = []string{r.d.name(name)}
		}
		if to, ok := args.text(1); ok && l.Message == "DLMessageCopyItem" {
			l.To = []string{r.d.name(to)}
		}
	}
}

// listing notes a status with a listing.
func (r *recorder) listing(entries int) {
	if r != nil {
		code := int64(StatusOK)
		r.write(line{From: fromHost, Message: "DLMessageStatusResponse", Code: &code, Entries: entries})
	}
}

// status notes what the host answered.
func (r *recorder) status(l *line, args arguments) {
	code, _ := args.integer(0)
	l.Code = &code
	switch v := args.at(2).(type) {
	case int64:
		l.Size = v
	case map[string]any:
		for name, d := range v {
			detail, _ := d.(map[string]any)
			if l.Details == nil {
				l.Details = map[string]int64{}
			}
			l.Details[r.d.name(name)], _ = Integer(detail["DLFileErrorCode"])
		}
	}
}

// fileRun gathers the units of one file.
type fileRun struct {
	r       *recorder
	from    string
	line    fileLine
	content []byte // of a Status.plist
	status  bool
	ended   bool
}

// file begins to note a file.
func (r *recorder) file(from, name string) *fileRun {
	if r == nil {
		return nil
	}
	return &fileRun{r: r, from: from, line: fileLine{Name: r.d.name(name)}, status: strings.HasSuffix(name, statusEnd)}
}

// data notes a unit with content.
func (f *fileRun) data(b []byte) {
	if f == nil {
		return
	}
	f.line.Units++
	f.line.Unit = max(f.line.Unit, int64(len(b)))
	f.line.Bytes += int64(len(b))
	if f.status && f.line.Bytes <= maxStatus {
		f.content = append(f.content, b...)
	}
}

// end notes the code that ends the file.
func (f *fileRun) end(code Code) {
	if f == nil {
		return
	}
	f.ended = true
	f.line.Code = int64(code)
	if f.status && f.line.Bytes <= maxStatus {
		f.line.Status = parseStatus(f.content)
	}
	f.r.write(line{From: f.from, File: &f.line})
}

// close notes that the session ended within the file, if it did.
func (f *fileRun) close() {
	if f != nil && !f.ended {
		f.line.Cut = true
		f.r.write(line{From: f.from, File: &f.line})
	}
}
