// Package capture keeps phones' backup folders in a repository: a folder or a
// phone in, a snapshot out, and back again byte for byte.
//
//	res, err := capture.Folder(ctx, r, root, name, capture.Options{...})
//	p, err := capture.OpenPhone(ctx, r, udid, capture.PhoneOptions{...}) // a folder for package mb2
//	res, err = p.Commit(ctx, time.Now())            // once the phone said that it is complete
//	v, err := capture.Open(ctx, r, res.Snapshot)
//	_, err = v.RestoreFolder(ctx, target, capture.RestoreOptions{}) // the exact MobileSync folder
//	_, err = v.RestoreFiles(ctx, target, capture.RestoreOptions{})  // the phone's files, readable
//
// A snapshot shows the phone's own folders with their plaintext, since only
// plaintext deduplicates: an encrypted backup gives every changed file a new
// key. What cannot be written back identically from its plaintext is kept as
// it was received. docs/format.md describes the layout.
package capture
