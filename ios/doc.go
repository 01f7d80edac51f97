// Package ios reads and writes the MobileSync backups that iPhones and iPads make: the format that Finder, iTunes and
// idevicebackup2 keep in a folder (docs/format.md).
//
// A folder opens in this order; the password is needed where Encrypted says so:
//
//	b, err := ios.Open(os.DirFS(folder))
//	bag, err := b.Keybag()
//	keys, err := bag.Unlock(ctx, password)
//	k, sealed, err := b.ManifestKey(keys)           // sealed: wrap Manifest.db in NewDecrypterAt
//	m, err := ios.OpenManifest(db, size)            // up to iOS 9: ParseMBDB
//	for rec, err := range m.Records(ctx) {
//		var f ios.File
//		err = rec.Parse(&f)
//		k, err := keys.Unwrap(f.EncryptionKey)  // then NewDecrypter on the file at b.Path(rec.FileID)
//	}
//
// The package knows the format only: it takes an fs.FS, an io.ReaderAt or bytes, wherever they come from, and what it
// returns are values. All of its input may be damaged or hostile; what is too big or makes no sense is an error, never
// a panic. Its errors hold no password, no key, and no path below a domain.
package ios
