// Package device speaks to iPhones and iPads: it finds them through usbmuxd,
// pairs with them and opens their services.
//
// The messages that both ends share lie here, too, so that a phone made of
// software (device/sim) and the host read and write them alike: property lists
// behind a length ([ReadPlist]), the messages of the muxer ([ReadMux]), the
// packets of the file service ([ReadAFC]), and the words in which lockdownd
// refuses ([LockdownError]).
//
// docs/protocol.md gives the protocols byte by byte. Everything that is read
// comes from a stranger: lengths are bounded before anything is allocated.
package device
