package sim

import "strings"

// addPeculiar adds what is rare on a phone, so that every phone has it.
func (d *Device) addPeculiar() {
	const app = "AppDomain-com.example.notes"
	d.addLiteral(app, "Documents/"+Secret+".txt", "What "+Secret+" told me stays between us.\n")
	d.addLiteral(app, "Documents/composed-\u00e9.txt", "the letter is one code point\n")
	d.addLiteral(app, "Documents/decomposed-e\u0301.txt", "the letter is two code points\n")
	d.addLiteral(app, "Documents/日本語 – 한국어.txt", "こんにちは\n")
	d.addLiteral(app, "Documents/emoji 🦊.txt", "🦊\n")
	d.addLiteral(app, "Documents/ leading and trailing space ", "")
	d.addLiteral(app, "Documents/tab\tnew\nline\"quote\\back:slash", "names may hold anything but a slash and a zero byte\n")
	d.addLiteral(app, "Documents/CON", "a name that Windows refuses\n")
	d.addLiteral(app, "Documents/Case.txt", "upper\n")
	d.addLiteral(app, "Documents/case.txt", "lower\n")
	d.addLiteral(app, "Documents/-rf", "a name like an option\n")
	d.addLiteral(app, "Documents/"+strings.Repeat("long", 63)+"xyz", "a name of 255 bytes\n")
	d.addLiteral(app, "Documents/empty.dat", "")
	d.addLiteral(app, "Documents/block16.bin", strings.Repeat("x", 16))
	d.addLiteral(app, "Documents/block4096.bin", strings.Repeat("x", 4096))
	d.addLiteral(app, "Documents/looks padded.bin", strings.Repeat("\x10", 32))
	d.addFile(app, "Documents/large text.log", plistText, 1<<20+5)

	d.addLiteral(app, "Documents/old.txt", "from before 1970\n").LastModified = -86400 // 1969-12-31
	d.addLiteral(app, "Documents/future.txt", "from after 2038\n").LastModified = 4102444800
	d.addLiteral(app, "Documents/zero.txt", "without a time\n").LastModified = 0
	for i, mode := range []uint32{0o400, 0o600, 0o777, 0o4755, 0o2755, 0o1644, 0o000} {
		f := d.addLiteral(app, "Library/modes/file"+string(rune('0'+i)), "mode\n")
		f.Mode = modeRegular | mode
		d.add(app, "Library/modes/folder"+string(rune('0'+i)), modeFolder|mode)
	}
	for class := range uint32(4) {
		f := d.addLiteral(app, "Library/classes/"+string(rune('1'+class)), "protected\n")
		f.ProtectionClass = class + 1
	}
	d.add(app, "Documents/empty folder", modeFolder|0o755).Flags = 128
	d.addLink(app, "Library/link absolute", "/var/mobile/Containers/Data/Application/0B1E2D3C-4F5A-4788-96A5-B4C3D2E1F0A1/Documents")
	d.addLink(app, "Library/link relative", "../Documents/empty.dat")
	d.addLink("DatabaseDomain", "timezone/localtime", "/var/db/timezone/zoneinfo/Europe/Berlin")

	tagged := d.addLiteral(app, "Documents/tagged.txt", "has extended attributes\n")
	tagged.ExtendedAttributes = attributes(map[string][]byte{
		"com.apple.metadata:_kMDItemUserTags": []byte("bplist00\xa0\x08\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"),
		"com.apple.quarantine":                []byte("0083;5f2b3c4d;Safari;"),
		"empty":                               {},
	})
	keychain := d.addFile("KeychainDomain", "keychain-backup.plist", noise, 8192)
	keychain.ProtectionClass = 1
	health := d.addFile("HealthDomain", "Health/healthdb_secure.hfd", noise, 40_000)
	health.ProtectionClass = 2
	d.add("TonesDomain", "", modeFolder|0o755) // a domain without a file
}
