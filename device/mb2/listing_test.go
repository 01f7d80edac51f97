package mb2

import (
	"fmt"
	"testing"
	"time"

	"russet/internal/plist"
)

// A listing must read as what the library would have written.
func TestListing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 14, 15, 60, 300, 5000} {
		entries := make([]Entry, n)
		want := map[string]any{}
		for i := range entries {
			e := Entry{Name: fmt.Sprintf("%040x", i), Size: int64(i) << (i % 45), ModTime: time.Unix(int64(i)*1000, 0)}
			kind := "DLFileTypeRegular"
			switch i % 5 {
			case 1:
				e.Dir, e.Size = true, 0
				kind = "DLFileTypeDirectory"
			case 2:
				e.Name = fmt.Sprintf("%d\u00e9\U0001F4F1", i)
			case 3:
				e.Name = fmt.Sprint(i)
			}
			entries[i] = e
			want[e.Name] = map[string]any{
				"DLFileType": kind, "DLFileSize": uint64(e.Size), "DLFileModificationDate": e.ModTime.UTC(),
			}
		}
		var got []any
		if err := plist.Unmarshal(encodeListing(entries), &got); err != nil {
			t.Fatalf("%d entries: %v", n, err)
		}
		if len(got) != 4 || got[0] != "DLMessageStatusResponse" || got[1] != uint64(0) || got[2] != Text {
			t.Errorf("%d entries: got %.200v", n, got)
		}
		if g, w := fmt.Sprint(got[3]), fmt.Sprint(want); g != w {
			t.Errorf("%d entries: got %.300s, want %.300s", n, g, w)
		}
	}
}

func TestListingOfOddEntries(t *testing.T) {
	t.Parallel()
	var got []any
	entries := []Entry{{Name: "\xff", Size: -1}, {Name: ""}}
	if err := plist.Unmarshal(encodeListing(entries), &got); err != nil || len(got[3].(map[string]any)) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
}
