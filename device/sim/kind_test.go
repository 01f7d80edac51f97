package sim

import "testing"

// A name that becomes another kind of thing within a second is removed and added.
func TestWriteBackupOfAnotherKind(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"plain": {}, "encrypted": {Password: "pass", Iterations: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, dir := newDevice(t, Tiny()), t.TempDir()
			files := []*File{d.addLiteral("HomeDomain", "Kind/a", "a"), d.addLiteral("HomeDomain", "Kind/b", "b")}
			d.addLink("HomeDomain", "Kind/c", "a")
			link, folder := d.byPath[pathKey("HomeDomain", "Kind/c")], d.add("HomeDomain", "Kind/d", modeFolder|0o755)
			writeBackup(t, d, dir, o)

			become := func(f *File, mode uint32, target, text string) {
				f.Mode, f.Target, f.Size = mode|0o755, target, int64(len(target)+len(text))
				f.content, f.literal, f.length = noContent, nil, 0
				if mode == modeRegular {
					f.content, f.literal, f.length, f.ProtectionClass = literal, []byte(text), int64(len(text)), 3
				}
			}
			become(files[0], modeFolder, "", "")
			become(files[1], modeLink, "a", "")
			become(link, modeRegular, "", "c")
			become(folder, modeRegular, "", "d")
			r := writeBackup(t, d, dir, o)
			if r.Full || r.Sent != 2 || r.Removed != 2 {
				t.Errorf("got %v, want two files sent and two removed", r)
			}
			openBackup(t, r.Folder, o.Password).check(t, d)
		})
	}
}
