package main

import (
	"errors"

	"russet/device"
	"russet/device/mb2"
)

// phoneAdvices are tried in this order, before those of advices.
var phoneAdvices = []advice{
	{device.ErrNoMux, codePhoneAway, "usbmuxd is part of macOS, comes with iTunes or Apple Devices on Windows, and is a package of Linux; russet backup FOLDER does without it"},
	{errNoPhone, codePhoneAway, "connect it by cable and unlock it; russet devices lists what is seen"},
	{errOtherPhone, codePhoneAway, "connect the one that you mean; russet devices lists what is seen"},
	{device.ErrNoDevice, codePhoneAway, "connect it by cable and unlock it; russet devices lists what is seen"},
	{errUnplugged, codePhoneAway, "connect it and run the same command again: it goes on from here, and what was kept is as it was"},
	{errCancelledOnPhone, codePhoneRefuses, "run the same command again when it is wanted; what was kept is as it was"},
	{device.ErrOtherPhone, codePhoneRefuses, "if it is your phone, and was restored or reset: russet unpair, then russet pair, by cable"},
	{device.TrustDenied, codePhoneRefuses, "unplug it and plug it in again, then tap Trust"},
	{device.ManagedPairing, codePhoneRefuses, "ask who manages the phone"},
	{device.ManagedChallenge, codePhoneRefuses, "ask who manages the phone"},
	{device.ServiceProhibited, codePhoneRefuses, "ask who manages the phone"},
	{device.PairingOverUSBOnly, codePhoneRefuses, "connect it by cable once"},
	{device.InvalidHostID, codePhoneRefuses, "russet pair asks the phone to trust this computer"},
	{device.PasswordProtected, codePhoneWaits, "unlock it and run the same command again"},
	{device.EscrowLocked, codePhoneWaits, "unlock it once, and run the same command again"},
	{device.TrustPending, codePhoneWaits, "tap Trust on the phone and run the same command again"},
	{device.AFCWouldBlock, codePhoneBusy, "another program syncs with the phone: let it finish, or use --no-sync-lock"},
	{mb2.ErrDisconnected, codePhoneAway, "run the same command again: it goes on from here; if this comes back, restart the phone or take another cable"},
	{mb2.ErrDesync, codePhoneBusy, "bytes were lost on the way: take another cable or port, and a newer usbmuxd"},
}

// phoneCodes are the answers of a phone that ask for something of their own.
// The others are to be tried again, or not, as the phone's numbers say.
var phoneCodes = map[int]advice{
	3:   {nil, codePhoneBusy, "run the same command again in a minute; if this comes back, restart the phone"},
	25:  {nil, codePhoneBusy, "run the same command again when the phone has been restored"},
	105: {nil, codeFull, "free some space on the repository's drive: a phone wants as much as it will send, whatever is stored of it"},
	106: {nil, codePhoneRefuses, "free some space on the phone"},
	202: {nil, codePhoneRefuses, "run the same command again when it is wanted; what was kept is as it was"},
	205: {nil, codePhoneRefuses, "run the same command again with --full; russet check tells whether the repository is damaged"},
	207: {nil, codePhoneRefuses, "if its management wants encrypted backups, set a backup password in Finder or iTunes first"},
	208: {nil, codePhoneWaits, "unlock the phone, run the same command again, and enter the passcode there when it asks"},
	212: {nil, codePhoneRefuses, "finish setting up the phone"},
}

// phoneAdvice says what to do about an error of a phone.
func phoneAdvice(err error) (advice, bool) {
	if e, ok := errors.AsType[*mb2.PhoneError](err); ok {
		a, own := phoneCodes[e.Code]
		switch {
		case own:
		case e.Retryable():
			a = advice{nil, codePhoneBusy, "run the same command again; if this comes back, restart the phone"}
		default:
			a = advice{nil, codePhoneRefuses, "restart the phone; if this comes back, russet backup --record FILE writes what can be reported"}
		}
		return a, true
	}
	for _, a := range phoneAdvices {
		if errors.Is(err, a.is) {
			return a, true
		}
	}
	return advice{}, false
}
