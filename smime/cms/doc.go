// Package cms writes and reads the Cryptographic Message Syntax (RFC 5652) as
// far as encrypted mail needs it: EnvelopedData and AuthEnvelopedData (RFC 5083),
// bytes in and bytes out; and it reads SignedData, out of which certificates are
// learned. It knows nothing of MIME.
//
// Writing is separated into the content, which is encrypted once, and the
// recipients, whose small prefix is made as often as there are copies:
//
//	content, err := cms.NewContent(cms.AES256CBC)
//	w := content.Encrypt(ciphertext) // plaintext is written to w, then w.Close()
//	prefix, err := content.Prefix(anna)
//	// the message: prefix, ciphertext, content.Suffix()
//
// [EncryptStream] does all of it in one pass when the size is not known
// beforehand. [Open] reads what this package or anybody else has written, in DER
// or BER. [Validator] tells whether bytes that pass by really are such a message.
//
// [SignedReader] reads signed messages and [SignedData.Verify] verifies them: RSA
// PKCS#1 v1.5 and PSS, ECDSA on P-256, P-384 and P-521 and Ed25519 (RFC 8419), with
// SHA-256, SHA-384 and SHA-512. What was signed with MD5 or SHA-1 is refused.
//
// What is written is the form that most readers understand: recipients by issuer
// and serial number, version 0; one KeyAgreeRecipientInfo for each recipient; no
// originatorInfo, no attributes; definite lengths wherever the size is known.
//
// Supported for writing: AES-CBC (RFC 3565) and AES-GCM (RFC 5084) with keys of
// 128 and 256 bits; RSA PKCS#1 v1.5 and OAEP with SHA-256 (RFC 3560); ECDH on
// P-256, P-384, P-521 (RFC 5753) and X25519 (RFC 8418). Reading adds AES-192,
// Triple-DES in CBC mode, OAEP with other hashes, and every standard derivation
// of the agreed key.
package cms
