// Package crypto seals bytes and opens them again, and turns passwords into keys: the cryptography of a restic repository
// (restic design document, "Keys, Encryption and MAC") and nothing else.
//
//	key := crypto.NewKey()                        // a repository's master key
//	sealed := key.Seal(nil, plaintext)
//	plaintext, err := key.Open(nil, sealed)
//
//	user, err := crypto.Derive(password, salt, cost) // opens the file that holds the master key
//
// Sealed bytes are a nonce of 16 random bytes, the ciphertext, and a MAC of 16 bytes. The ciphertext is AES-256 in counter
// mode, the nonce being the first counter block. The MAC is Poly1305-AES of the ciphertext.
//
// What the MAC does not cover: the name, the kind and the place of what is sealed. One authentic ciphertext can be put
// where another was, and still opens. Whoever opens something by its name has to compare the SHA-256 of what came out.
package crypto
