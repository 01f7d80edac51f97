// Package agent is the phone's side of mobilebackup2: the service that gives a
// host the orders by which a phone is backed up and restored. It does what the
// agent of a real phone does, in the same order and with the same encryption,
// and it is stricter: whatever a host must keep is a [Rule], and a host that
// breaks one hears what a phone would answer and is named in the [Report].
//
//	p, err := agent.Open(stateDir, contents, agent.Options{})
//	report, err := p.Serve(ctx, conn)
//
// What goes wrong on a phone is asked for by a [Script].
//
// docs/protocol-mobilebackup2.md gives the protocol. Everything that a host
// sends comes from a stranger.
package agent
