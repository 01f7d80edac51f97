// Package mb2 is the host's side of mobilebackup2, the backup service of
// iPhones and iPads, in which the phone gives the orders: it lists, reads,
// writes, moves and removes files in a folder that the host shows it. The
// folder is the caller's, a [Folder].
//
//	s, err := mb2.Start(ctx, conn, mb2.Options{Progress: show})
//	...
//	err = s.Backup(ctx, folder, udid, false)
//	for _, e := range s.Result().FileErrors { ... }
//	err = errors.Join(err, s.Close())
//
// What it promises: a file is committed only where the phone ended it as whole;
// every order is answered, also one that is refused; no name from the phone
// leads out of the backup; a failure of the folder that the phone was told of
// is never a success; there are no timeouts, and a context that is done ends a
// call within a second.
//
// How a call ends: nil; a [*PhoneError], which is the phone's own answer;
// [ErrDisconnected], when it gave none; [ErrDesync], when what came cannot be
// the protocol; the context's cause.
//
// The messages that both ends share lie here, too ([ReadMessage], [ReadUnit],
// [Status]), so that a phone made of software speaks with the same words.
//
// docs/protocol-mobilebackup2.md gives the protocol, and the format of the
// transcripts that Options.Record takes and [ReplayPhone] plays. Everything
// that is read comes from a stranger.
package mb2
