// Package smime turns mail messages into sealed ones (S/MIME, RFC 8551) and
// back. It works on the raw bytes of a message: what it does not have to
// change, it does not touch.
//
// [ReadMessage] splits a message into header and body. [Seal] encrypts the
// entity (the Content-* fields and the body) once, and [Envelope.Copy] makes
// one outgoing message of it for each recipient. [Open] is the reverse.
// [Claims] and [Proof] recognise what is encrypted already. [ReadSigned] reads
// signed messages, and [From] tells whom one is from.
//
// The package knows nothing of SMTP, files, networks or policy. Package cms
// below it knows the cryptography.
package smime
