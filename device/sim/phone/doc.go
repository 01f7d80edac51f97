// Package phone is an iPhone made of software, as other programs meet it: a
// muxer that lists it, lockdownd that pairs and answers over TLS, and the
// services behind it. Clients of usbmuxd written by others accept it.
//
//	p, err := phone.New(stateDir, phone.Options{})
//	defer p.Close()
//	err = p.Serve(ctx, listener) // USBMUXD_SOCKET_ADDRESS names the listener
//
// Several phones share a [Muxer], where [Muxer.Add] plugs one in and
// [Muxer.Remove] pulls it out. All of a phone lies in its state directory, and
// the next run continues with it: the key pair, the pairings and lockdownd's
// values as files of their own, the file service's root as plain files below
// Media, the applications' documents below Apps/BUNDLE/Documents.
//
// It obeys the rules of a phone as docs/protocol.md gives them, refuses as a
// phone refuses, and tells of every message, and of every rule that a host
// breaks, through [Options].Observe. Hosts may be hostile: what they send is
// bounded, and what they name stays below the state directory.
package phone
