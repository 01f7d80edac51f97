// Package device speaks to iPhones and iPads: it finds them through usbmuxd,
// pairs with them and opens their services.
//
//	mux, err := device.OpenMux("")            // or USBMUXD_SOCKET_ADDRESS
//	list, err := mux.Devices(ctx)             // or mux.Watch(ctx)
//	phone, err := mux.Open(ctx, list[0].UDID) // paired or not
//	facts, err := phone.Facts(ctx)
//	err = phone.Pair(ctx, time.Now())         // again while it wraps TrustPending
//	lock, err := phone.SyncLock(ctx)
//	conn, err := phone.Service(ctx, "com.apple.mobilebackup2", true)
//
// What the phone refuses is a [LockdownError], a [ServiceError] or an
// [AFCError] in the error; what the muxer refuses is a [MuxResult]. A phone
// whose key is not the paired one's is [ErrOtherPhone]. Contexts end a request
// at once, by closing its connection; a connection that was handed out is its
// owner's. No error holds a key, an escrow bag, or a path of the phone.
//
// The messages that both ends share lie here, too, so that a phone made of
// software (device/sim) and the host read and write them alike: property lists
// behind a length ([ReadPlist]), the messages of the muxer ([ReadMux]), the
// packets of the file service ([ReadAFC]), and the words in which lockdownd
// refuses.
//
// docs/protocol.md gives the protocols byte by byte. Everything that is read
// comes from a stranger: lengths are bounded before anything is allocated.
package device
