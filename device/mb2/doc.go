// Package mb2 is the host's side of mobilebackup2, the backup service of
// iPhones and iPads, in which the phone gives the orders: it lists, reads,
// writes, moves and removes files in a folder that the host shows it. The
// folder is the caller's, a [Folder].
//
// The messages that both ends share lie here, too ([ReadMessage], [ReadUnit],
// [Status]), so that a phone made of software speaks with the same words.
//
// docs/protocol-mobilebackup2.md gives the protocol. Everything that is read
// comes from a stranger.
package mb2
