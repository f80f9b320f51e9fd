// Package dsn writes delivery status notifications: what a sender is told when
// a message that was answered 250 failed, is late, or went to a server that
// does not report itself (RFC 3461, 3464, 6522; RFC 6533 for addresses beyond
// ASCII). [Compose] makes a complete message of a [Report]; [Wanted] says
// whether the sender asked for it. That it leaves with the null sender, and
// that there is never one about a message which had the null sender, is up to
// whoever sends it.
//
// # What is returned
//
// Never the content, whatever RET says: it was confidential enough to be
// sealed. Of the header, these fields and no others, each once, the topmost:
//
//	Date From Sender Reply-To To Cc Subject Message-ID In-Reply-To References
//	Resent-Date Resent-From Resent-Sender Resent-To Resent-Cc Resent-Message-ID
//	Auto-Submitted Precedence List-ID
//	Received (up to 10)
//
// They are what people and programs recognise a message by, and they stand
// readable on every sealed copy. Not among them are Content-*, which go inside
// the seal and name files; Bcc and Resent-Bcc; and every field that is not
// known here, since senders put account numbers and the like into fields of
// their own. Report.Header must be the header as it stands outside: where
// header protection (RFC 9788) hides the subject, it is hidden here too.
//
// # Bounds
//
// Whatever comes from outside is cleaned of control characters and line ends
// and cut to length: a notification has at most 160 KiB, and 4 KiB more for
// each recipient. A returned field that is longer than 4 KiB (Received: 1 KiB)
// is left out whole. No line is longer than 998 octets, and all is 7-bit unless
// Report.SMTPUTF8 says otherwise.
package dsn
