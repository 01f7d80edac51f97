package repo

import (
	"testing"

	"russet/backend"
	"russet/chunk"
)

// FuzzMirrorMark decodes any bytes.
func FuzzMirrorMark(f *testing.F) {
	id := chunk.Sum(nil).String()
	f.Add([]byte(`{"version":1,"config":"` + id + `","updated":"2026-03-01T12:00:00Z","keys":["` + id + `"],"snapshots":null,"index":[],"data":["` + id + `","` + id + `"]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"data":["00"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMark(data)
		if err != nil {
			return
		}
		to := backend.NewMemory()
		if err := saveMark(t.Context(), to, m); err != nil {
			return // a year of five digits
		}
		again, err := loadMark(t.Context(), to)
		if err != nil || again.Config != m.Config {
			t.Fatalf("%q: %v", data, err)
		}
		for kind, ids := range m.Names {
			for _, id := range ids {
				if !again.has(backend.File{Kind: kind, Name: id.String()}) {
					t.Fatalf("%q: %v is lost", data, id)
				}
			}
		}
	})
}
