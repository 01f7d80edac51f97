package mb2

import "math"

// maxBatch bounds the names in one order. Phones send 128.
const maxBatch = 1 << 16

// arguments are those of a message. What is missing or of another type is
// reported, further ones are left alone: newer phones may send more.
type arguments []any

func (a arguments) at(i int) any {
	if i < len(a) {
		return a[i]
	}
	return nil
}

// integer returns the argument i as an integer.
func (a arguments) integer(i int) (int64, bool) { return Integer(a.at(i)) }

// text returns the argument i as a string.
func (a arguments) text(i int) (string, bool) {
	s, ok := a.at(i).(string)
	return s, ok
}

// texts returns the argument i as a list of strings.
func (a arguments) texts(i int) ([]string, bool) {
	list, ok := a.at(i).([]any)
	if !ok || len(list) > maxBatch {
		return nil, false
	}
	texts := make([]string, len(list))
	for i, v := range list {
		if texts[i], ok = v.(string); !ok {
			return nil, false
		}
	}
	return texts, true
}

// pairs returns the argument i as a dictionary of strings.
func (a arguments) pairs(i int) (map[string]string, bool) {
	dict, ok := a.at(i).(map[string]any)
	if !ok || len(dict) > maxBatch {
		return nil, false
	}
	pairs := make(map[string]string, len(dict))
	for k, v := range dict {
		if pairs[k], ok = v.(string); !ok {
			return nil, false
		}
	}
	return pairs, true
}

// percent returns the argument i as a number from 0 to 100. It is 0 where there
// is none: a phone says 0 for unknown, too.
func (a arguments) percent(i int) float64 {
	var f float64
	switch n := a.at(i).(type) {
	case float64:
		f = n
	case float32:
		f = float64(n)
	default:
		whole, _ := Integer(n)
		f = float64(whole)
	}
	if math.IsNaN(f) {
		return 0
	}
	return min(max(f, 0), 100)
}
