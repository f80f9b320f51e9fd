package intake

import (
	"strings"
	"testing"
)

// A dialog is what a client sends and what it hears, both without CR. The
// greetings (220 and EHLO) are said before, except in a bare dialog.
type dialog struct {
	rfc  string // section that asks for it
	send string
	want string
	mail int // messages that come through
	bare bool
	once bool // not octet by octet
	opts func(*Options)

	// How Postfix stands to it, for TestDialogsAsPostfixSpeaks.
	as      string // which of its services has these opts; "" with opts: none
	postfix string // the classes of its replies where they are not ours: "2 2 5"
	why     string // why they are not; without postfix: why the two cannot be compared
}

const ehloReply = `250-relay.example
250-PIPELINING
250-SIZE 52428800
250-8BITMIME
250-SMTPUTF8
250-DSN
250-CHUNKING
250-BINARYMIME
250-LIMITS RCPTMAX=1000
250 ENHANCEDSTATUSCODES
`

func TestDialogs(t *testing.T) {
	for _, table := range [][]dialog{orderDialogs, lineDialogs, pathDialogs, paramDialogs, dataDialogs, chunkDialogs, lmtpDialogs, policyDialogs} {
		for _, d := range table {
			t.Run(d.rfc+" "+firstLine(d.send), func(t *testing.T) { d.play(t) })
		}
	}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(len(s), 40)]
}

// play runs the dialog whole, and again octet by octet: it must not matter how
// the network cuts it.
func (d dialog) play(t *testing.T) {
	in, want := d.send, d.want
	switch {
	case !d.bare && strings.Contains(d.rfc, "2033"):
		in, want = "LHLO c\n"+in, ehloReply+want
	case !d.bare:
		in, want = "EHLO c\n"+in, ehloReply+want
	}
	for _, piece := range []int{0, 1} {
		if d.once && piece > 0 {
			continue
		}
		s, box := newTestServer(t, d.opts)
		got := strings.ReplaceAll(run(t, s, strings.ReplaceAll(in, "\n", "\r\n"), piece), "\r\n", "\n")
		greeting, got, _ := strings.Cut(got, "\n")
		if !strings.HasPrefix(greeting, "220 relay.example ") {
			t.Fatalf("greeting %q", greeting)
		}
		if got != want {
			t.Fatalf("in pieces of %d: %s\ngot:\n%s\nwant:\n%s", piece, d.send, got, want)
		}
		if len(box.letters) != d.mail {
			t.Fatalf("%d messages came through, want %d", len(box.letters), d.mail)
		}
		if box.opened != box.closed {
			t.Fatalf("%d transactions opened, %d closed", box.opened, box.closed)
		}
	}
}

const begun = "MAIL FROM:<anna@example.org>\nRCPT TO:<bert@example.org>\n"
const begunOK = "250 2.1.0 OK\n250 2.1.5 OK\n"
const go354 = "354 Start mail input; end with <CRLF>.<CRLF>\n"

// handlers is why some dialogs cannot be played to Postfix: they are about a
// handler that does not do what it should.
const handlers = "the handler's doing"

var orderDialogs = []dialog{
	{rfc: "5321 4.1.1.1", bare: true, send: "HELO c\n", want: "250 relay.example\n"},
	{rfc: "5321 4.1.1.1", bare: true, send: "ehlo c\n", want: ehloReply},
	{rfc: "5321 4.1.1.1", bare: true, send: "EHLO\n", want: "501 5.5.4 Host name expected (protocol-error)\n"},
	{rfc: "5321 4.1.1.1", bare: true, send: "HELO " + strings.Repeat("x", 256) + "\n", want: "501 5.5.4 Host name expected (protocol-error)\n",
		postfix: "2", why: "RFC 5321 section 4.5.3.1.2 bounds a domain; a longer name would stand in Received fields and logs"},
	{rfc: "5321 4.1.1.1", bare: true, send: "EHLO bücher.example\n", want: "501 5.5.4 Host name expected (protocol-error)\n",
		postfix: "2", why: "the name goes into Received fields, and a client that greets so has not said SMTPUTF8"},
	{rfc: "5321 4.1.1.1", bare: true, send: "EHLO my old PC\n", want: ehloReply},
	{rfc: "5321 4.1.4", bare: true, send: "MAIL FROM:<a@b>\n", want: "503 5.5.1 Greet first (protocol-error)\n",
		postfix: "2", why: "Postfix leaves the greeting to smtpd_helo_required, which is off by default"},
	{rfc: "5321 4.1.4", send: begun + "EHLO c\nDATA\n", want: begunOK + ehloReply + "503 5.5.1 MAIL first (protocol-error)\n"},
	{rfc: "5321 4.1.4", send: "RCPT TO:<a@b>\n", want: "503 5.5.1 MAIL first (protocol-error)\n"},
	{rfc: "5321 4.1.4", send: "DATA\n", want: "503 5.5.1 MAIL first (protocol-error)\n"},
	{rfc: "5321 4.1.4", send: "MAIL FROM:<a@b>\nMAIL FROM:<c@d>\n", want: "250 2.1.0 OK\n503 5.5.1 Sender already given (protocol-error)\n"},
	{rfc: "5321 3.3", send: "MAIL FROM:<a@b>\nDATA\n", want: "250 2.1.0 OK\n503 5.5.1 RCPT first (protocol-error)\n"},
	{rfc: "5321 3.3", send: "MAIL FROM:<a@b>\nRCPT TO:<550@b>\nDATA\n",
		want: "250 2.1.0 OK\n550 5.1.1 No certificate for <550@b> (no-certificate)\n554 5.5.1 No valid recipients (protocol-error)\n"},
	{rfc: "5321 3.3", send: "MAIL FROM:<refused@b>\nRCPT TO:<bert@b>\nDATA\n",
		want: "550 5.7.1 Relaying denied (relay-denied)\n503 5.5.1 MAIL first (protocol-error)\n503 5.5.1 MAIL first (protocol-error)\n"},
	{rfc: "5321 3.3", send: "MAIL FROM:<a@b>\nRCPT TO:<451@b>\nRCPT TO:<bert@b>\nDATA\nx\n.\n", mail: 1,
		want: "250 2.1.0 OK\n451 4.1.1 No certificate for <451@b> (no-certificate)\n250 2.1.5 OK\n" + go354 + "250 2.0.0 Queued\n"},
	{rfc: "5321 4.1.1.5", send: begun + "RSET\nDATA\nRSET\n", want: begunOK + "250 2.0.0 OK\n503 5.5.1 MAIL first (protocol-error)\n250 2.0.0 OK\n"},
	{rfc: "5321 4.1.1.5", send: "RSET now\n", want: "501 5.5.4 Command takes no arguments (protocol-error)\n"},
	{rfc: "5321 4.1.1.6", send: "VRFY anna\n", want: "252 2.5.2 Cannot verify, send the message\n"},
	{rfc: "5321 4.1.1.7", send: "EXPN staff\n", want: "502 5.5.1 Command not implemented (protocol-error)\n"},
	{rfc: "5321 4.1.1.8", send: "HELP\nHELP me\n", want: "214 2.0.0 See RFC 5321\n214 2.0.0 See RFC 5321\n",
		postfix: "5 5", why: "Postfix does not implement HELP; RFC 5321 section 4.5.1 asks only that it be answered"},
	{rfc: "5321 4.1.1.9", send: "NOOP\nnoop anything\n", want: "250 2.0.0 OK\n250 2.0.0 OK\n"},
	{rfc: "5321 4.1.1.10", send: "QUIT\nNOOP\n", want: "221 2.0.0 Bye\n"},
	{rfc: "5321 4.1.1.10", send: begun + "QUIT\n", want: begunOK + "221 2.0.0 Bye\n"},
	{rfc: "5321 4.1.1.10", send: "QUIT now\n", want: "501 5.5.4 Command takes no arguments (protocol-error)\n",
		postfix: "2", why: "RFC 5321 section 4.1.1.10 gives QUIT no arguments; Postfix overlooks them"},
	{rfc: "5321 4.2.4", send: "FOO\n", want: "500 5.5.2 Command not recognized (protocol-error)\n"},
	{rfc: "5321 4.2.4", send: "ETRN example.org\nSEND FROM:<a@b>\n", want: "502 5.5.1 Command not implemented (protocol-error)\n502 5.5.1 Command not implemented (protocol-error)\n",
		postfix: "4 5", why: "Postfix has a queue that ETRN may flush; we do not know ETRN"},
	{rfc: "2033 4.1", send: "LHLO c\n", bare: true, want: "500 5.5.2 Command not recognized (protocol-error)\n"},
	{rfc: "3207 4", send: "STARTTLS\n", want: "502 5.5.1 Command not implemented (protocol-error)\n"},
	{rfc: "4954 4", send: "AUTH PLAIN\n", want: "502 5.5.1 Command not implemented (protocol-error)\n"},
	{rfc: "2920 3.1", send: begun + "DATA\nx\n.\n" + begun + "DATA\ny\n.\nQUIT\n", mail: 2,
		want: begunOK + go354 + "250 2.0.0 Queued\n" + begunOK + go354 + "250 2.0.0 Queued\n221 2.0.0 Bye\n"},
}

var lineDialogs = []dialog{
	{rfc: "5321 2.4", send: "nOoP\nmail from:<a@b>\nRcpt To:<c@d>\n", want: "250 2.0.0 OK\n250 2.1.0 OK\n250 2.1.5 OK\n"},
	{rfc: "5321 4.1.1", send: "NOOP   \nQUIT \n", want: "250 2.0.0 OK\n221 2.0.0 Bye\n"},
	{rfc: "5321 2.3.8", send: "\n", want: "500 5.5.2 Command not recognized (protocol-error)\n"},
	{rfc: "5321 4.1.2", send: "NOOP \x00\n", want: "500 5.5.2 Syntax error (protocol-error)\n",
		postfix: "2", why: "a NUL in a command line is no SMTP; Postfix takes the line up to it"},
	{rfc: "5321 4.1.2", send: "MAIL FROM:<a\x01@b>\n", want: "500 5.5.2 Syntax error (protocol-error)\n",
		postfix: "2", why: "control characters in an address end up in logs and header fields"},
	{rfc: "5321 4.1.2", send: "MAIL\tFROM:<a@b>\n", want: "500 5.5.2 Command not recognized (protocol-error)\n",
		postfix: "2", why: "RFC 5321 section 4.1.1.1 wants a space; Postfix splits at any white space"},
	{rfc: "6531 3.3", send: "MAIL FROM:<\xff@b>\n", want: "500 5.5.2 Syntax error (protocol-error)\n"},
	{rfc: "5321 4.5.3.1.4", send: "NOOP " + strings.Repeat("x", 2041) + "\n", want: "250 2.0.0 OK\n"}, // 2048 octets
	{rfc: "5321 4.5.3.1.4", send: "NOOP " + strings.Repeat("x", 2042) + "\nNOOP\n", want: "500 5.5.2 Line too long (protocol-error)\n250 2.0.0 OK\n",
		postfix: "2 2", why: "Postfix cuts a long line at line_length_limit and runs the rest of it; a cut line is not what the client said"},
	{rfc: "5321 4.5.3.1.4", send: "NOOP " + strings.Repeat("x", 200000) + "\nNOOP\n", want: "500 5.5.2 Line too long (protocol-error)\n250 2.0.0 OK\n",
		postfix: "2 2", why: "as above"},
	{rfc: "4954 4", send: "AUTH PLAIN " + strings.Repeat("A", 20000) + "\nNOOP\n", want: "500 5.5.6 Authentication exchange line too long (protocol-error)\n250 2.0.0 OK\n"},
	{rfc: "4954 4", send: "AUTH PLAIN " + strings.Repeat("A", 12000) + "\nNOOP\n", want: "502 5.5.1 Command not implemented (protocol-error)\n250 2.0.0 OK\n"},
	{rfc: "9110 9", send: "GET / HTTP/1.1\nHost: x\n", want: "554 5.5.1 This is not an HTTP server (protocol-error)\n",
		postfix: "2", why: "Postfix says 221 before it closes; a refusal is what it is"},
	{rfc: "9110 9", bare: true, send: "POST /x HTTP/1.1\nHost: x\n\nMAIL FROM:<a@b>\n", want: "554 5.5.1 This is not an HTTP server (protocol-error)\n",
		postfix: "2", why: "as above"},
	{rfc: "8446 5.1", bare: true, send: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", want: "554 5.5.1 TLS begins with STARTTLS here (protocol-error)\n",
		postfix: "", why: "Postfix waits for the end of a line that never comes"},
	{rfc: "5321 4.2.1", as: "errors", opts: func(o *Options) { o.Limits.Errors = 3 }, send: "A\nNOOP\nB\nC\nNOOP\n",
		want: "500 5.5.2 Command not recognized (protocol-error)\n250 2.0.0 OK\n500 5.5.2 Command not recognized (protocol-error)\n" +
			"500 5.5.2 Command not recognized (protocol-error)\n421 4.7.0 Too many errors (too-many-errors)\n"},
	// Recipients without a certificate are no errors of the client's.
	{rfc: "5321 4.2.1", as: "smtp", opts: func(o *Options) { o.Limits.Errors = 2 }, send: "MAIL FROM:<a@b>\n" + strings.Repeat("RCPT TO:<550@b>\n", 5),
		want: "250 2.1.0 OK\n" + strings.Repeat("550 5.1.1 No certificate for <550@b> (no-certificate)\n", 5)},
}

var pathDialogs = []dialog{
	{rfc: "5321 4.1.1.2", send: "MAIL FROM:<>\n", want: "250 2.1.0 OK\n"},
	{rfc: "5321 4.1.1.2", send: "MAIL FROM: <a@b>\n", want: "250 2.1.0 OK\n"},
	{rfc: "5321 4.1.1.2", send: "MAIL FROM:a@b\n", want: "501 5.5.4 Syntax: MAIL FROM:<address> or RCPT TO:<address> (protocol-error)\n",
		postfix: "2", why: "without brackets a path could end anywhere; Postfix refuses it only with strict_rfc821_envelopes"},
	{rfc: "5321 4.1.1.2", send: "MAIL <a@b>\n", want: "501 5.5.4 Syntax: MAIL FROM:<address> or RCPT TO:<address> (protocol-error)\n"},
	{rfc: "5321 4.1.1.2", send: "MAIL\n", want: "501 5.5.4 Syntax: MAIL FROM:<address> or RCPT TO:<address> (protocol-error)\n"},
	{rfc: "5321 4.1.1.2", send: "MAIL FROM:<a@b\n", want: "501 5.5.4 Syntax: MAIL FROM:<address> or RCPT TO:<address> (protocol-error)\n"},
	{rfc: "5321 4.1.1.2", send: "MAIL FROM:<a@b>SIZE=1\n", want: "501 5.5.4 Syntax: MAIL FROM:<address> or RCPT TO:<address> (protocol-error)\n"},
	{rfc: "5321 4.1.1.2", send: "MAIL FROM:<anna>\n", want: "501 5.1.7 Sender address is not a valid mailbox (RFC 5321 section 4.1.2) (address-invalid)\n",
		postfix: "2", why: "a sender without a domain cannot be answered, and Sealpost adds none; Postfix appends its own"},
	{rfc: "5321 4.1.1.3", send: "MAIL FROM:<>\nRCPT TO:<>\n", want: "250 2.1.0 OK\n501 5.1.3 Recipient address is not a valid mailbox (RFC 5321 section 4.1.2) (address-invalid)\n"},
	{rfc: "5321 4.1.1.3", send: "MAIL FROM:<>\nRCPT TO:<Postmaster>\n", want: "250 2.1.0 OK\n250 2.1.5 OK\n"},
	{rfc: "5321 4.1.1.3", send: "MAIL FROM:<>\nRCPT TO:<@one,@two.example:anna@b>\n", want: "250 2.1.0 OK\n250 2.1.5 OK\n"},
	{rfc: "5321 4.1.1.3", send: "MAIL FROM:<>\nRCPT TO:<@one:>\nRCPT TO:<@one,two:a@b>\n", want: "250 2.1.0 OK\n501 5.1.3 Source route is not valid (address-invalid)\n501 5.1.3 Source route is not valid (address-invalid)\n",
		postfix: "2 5 2", why: `a hop without its "@" is no route; Postfix strips whatever stands before the colon`},
	{rfc: "5321 4.1.2", send: "MAIL FROM:<\"a b>c\"@d>\n", want: "250 2.1.0 OK\n"},
	{rfc: "5321 4.1.2", send: "MAIL FROM:<\"a\\\">c\"@d>\n", want: "250 2.1.0 OK\n"},
	{rfc: "5321 4.1.2", send: "MAIL FROM:<>\nRCPT TO:<\"victim@other> X=\"@allowed>\n", want: "250 2.1.0 OK\n553 5.1.3 Recipient address carries a route of its own (%, ! or @ in the local part) (address-routing)\n",
		postfix: "2 2", why: "the quoted path injects a recipient and a parameter into a server that unquotes it"},
	{rfc: "5321 4.1.2", send: "MAIL FROM:<>\nRCPT TO:<a%b@c>\n", want: "250 2.1.0 OK\n553 5.1.3 Recipient address carries a route of its own (%, ! or @ in the local part) (address-routing)\n",
		postfix: "2 2", why: "a route of the sender's own would go past policy and lookup; Postfix has allow_percent_hack for it"},
	{rfc: "5321 4.1.2", send: "MAIL FROM:<b!a@c>\n", want: "553 5.1.7 Sender address carries a route of its own (%, ! or @ in the local part) (address-routing)\n",
		postfix: "2", why: "as above: swap_bangpath"},
	{rfc: "5321 4.1.3", send: "MAIL FROM:<a@[192.0.2.1]>\nRCPT TO:<a@[IPv6:2001:db8::1]>\n", want: "250 2.1.0 OK\n250 2.1.5 OK\n"},
	{rfc: "5321 4.1.3", send: "MAIL FROM:<a@[192.0.2.300]>\n", want: "501 5.1.7 Sender domain name is not valid (address-invalid)\n"},
	{rfc: "5321 4.5.3.1.1", send: "MAIL FROM:<" + strings.Repeat("a", 65) + "@b>\n", want: "501 5.1.7 Sender address is too long (RFC 5321 section 4.5.3.1) (address-invalid)\n",
		postfix: "2", why: "RFC 5321 section 4.5.3.1.1 bounds a local part"},
	{rfc: "6531 3.5", send: "MAIL FROM:<jürgen@b>\n", want: "553 5.6.7 Address needs SMTPUTF8 (address-invalid)\n",
		postfix: "2", why: "an address beyond ASCII needs SMTPUTF8 (RFC 6531 section 3.5); Postfix refuses it only with strict_smtputf8"},
	{rfc: "6531 3.5", send: "MAIL FROM:<a@b>\nRCPT TO:<a@bücher.example>\n", want: "250 2.1.0 OK\n553 5.6.7 Address needs SMTPUTF8 (address-invalid)\n"},
	{rfc: "6531 3.4", send: "MAIL FROM:<jürgen@b> SMTPUTF8\nRCPT TO:<a@bücher.example>\nRCPT TO:<550@bü.example>\n",
		want: "250 2.1.0 OK\n250 2.1.5 OK\n550 5.1.1 No certificate for <550@bü.example> (no-certificate)\n"},
}

var paramDialogs = []dialog{
	{rfc: "1870 6.1", send: "MAIL FROM:<a@b> SIZE=52428800\n", want: "250 2.1.0 OK\n"},
	{rfc: "1870 6.1", send: "MAIL FROM:<a@b> SIZE=52428801\n", want: "552 5.3.4 Message exceeds the limit of 52428800 octets (message-too-large)\n"},
	{rfc: "1870 6.1", send: "MAIL FROM:<a@b> SIZE=99999999999999999999\n", want: "552 5.3.4 Message exceeds the limit of 52428800 octets (message-too-large)\n"},
	{rfc: "1870 6.1", send: "MAIL FROM:<a@b> SIZE=-1\nMAIL FROM:<a@b> SIZE\n", want: "501 5.5.4 Parameter SIZE is malformed (protocol-error)\n501 5.5.4 Parameter SIZE is malformed (protocol-error)\n"},
	{rfc: "5321 4.1.1.11", send: "MAIL FROM:<a@b> FOO=1\n", want: "555 5.5.4 Parameter FOO is not supported (protocol-error)\n"},
	{rfc: "5321 4.1.1.11", send: "MAIL FROM:<a@b> SIZE=1 size=2\n", want: "501 5.5.4 Parameter SIZE is given twice (protocol-error)\n",
		postfix: "2", why: "which of the two counts? Postfix takes the last"},
	{rfc: "5321 4.1.1.11", send: "MAIL FROM:<a@b> =1\nMAIL FROM:<a@b> BODY=\n", want: "501 5.5.4 Parameter is malformed (protocol-error)\n501 5.5.4 Parameter is malformed (protocol-error)\n"},
	{rfc: "5321 4.1.1.11", bare: true, send: "HELO c\nMAIL FROM:<a@b> SIZE=1\n", want: "250 relay.example\n555 5.5.4 Parameter SIZE is not supported (protocol-error)\n",
		postfix: "2 2", why: "RFC 5321 section 3.2: a client that said HELO has not been offered anything"},
	{rfc: "5321 4.1.1.11", send: "MAIL FROM:<a@b>\nRCPT TO:<c@d> FOO\n", want: "250 2.1.0 OK\n555 5.5.4 Parameter FOO is not supported (protocol-error)\n"},
	{rfc: "6152 2", send: "MAIL FROM:<a@b> BODY=8bitmime\n", want: "250 2.1.0 OK\n"},
	{rfc: "6152 2", send: "MAIL FROM:<a@b> BODY=9BIT\n", want: "501 5.5.4 Parameter BODY has an unknown value (protocol-error)\n"},
	{rfc: "6531 3.4", send: "MAIL FROM:<a@b> SMTPUTF8=yes\n", want: "501 5.5.4 Parameter SMTPUTF8 takes no value (protocol-error)\n"},
	{rfc: "3461 4.3", send: "MAIL FROM:<a@b> RET=hdrs ENVID=QQ+2B1\n", want: "250 2.1.0 OK\n"},
	{rfc: "3461 4.3", send: "MAIL FROM:<a@b> RET=BODY\n", want: "501 5.5.4 Parameter RET has an unknown value (protocol-error)\n"},
	{rfc: "3461 4.4", send: "MAIL FROM:<a@b> ENVID=a+0D+0Ab\nMAIL FROM:<a@b> ENVID=+2b\nMAIL FROM:<a@b> ENVID=" + strings.Repeat("x", 101) + "\n",
		want:    strings.Repeat("501 5.5.4 Parameter ENVID is malformed (protocol-error)\n", 3),
		postfix: "5 2 5", why: "lower-case hexadecimal is not xtext (RFC 3461 section 4); Postfix reads it, and then has a sender already"},
	{rfc: "3461 4.1", send: "MAIL FROM:<a@b>\nRCPT TO:<c@d> NOTIFY=SUCCESS,failure,DELAY\nRCPT TO:<c@d> NOTIFY=never\n", want: "250 2.1.0 OK\n250 2.1.5 OK\n250 2.1.5 OK\n"},
	{rfc: "3461 4.1", send: "MAIL FROM:<a@b>\nRCPT TO:<c@d> NOTIFY=NEVER,DELAY\nRCPT TO:<c@d> NOTIFY=DELAY,DELAY\nRCPT TO:<c@d> NOTIFY=MAYBE\nRCPT TO:<c@d> NOTIFY\n",
		want: "250 2.1.0 OK\n501 5.5.4 NOTIFY=NEVER stands alone (protocol-error)\n501 5.5.4 Parameter NOTIFY names a case twice (protocol-error)\n" +
			"501 5.5.4 Parameter NOTIFY has an unknown value (protocol-error)\n501 5.5.4 Parameter NOTIFY has an unknown value (protocol-error)\n",
		postfix: "2 5 2 5 5", why: "RFC 3461 section 4.1 lists each case once; Postfix takes it twice"},
	{rfc: "3461 4.2", send: "MAIL FROM:<a@b>\nRCPT TO:<c@d> ORCPT=rfc822;x+2By@d\nRCPT TO:<c@d> ORCPT=x@d\nRCPT TO:<c@d> ORCPT=rfc822;a+0Ab\n",
		want:    "250 2.1.0 OK\n250 2.1.5 OK\n501 5.5.4 Parameter ORCPT is malformed (protocol-error)\n501 5.5.4 Parameter ORCPT is malformed (protocol-error)\n",
		postfix: "2 2 5 2", why: "decoded, it holds a line end, which no log or report should meet"},
	{rfc: "6533 3", send: "MAIL FROM:<a@b> SMTPUTF8\nRCPT TO:<c@d> ORCPT=utf-8;jürgen@d\nRCPT TO:<c@d> ORCPT=utf-8;j\\x{FC}rgen@d\nRCPT TO:<c@d> ORCPT=rfc822;jürgen@d\n",
		want:    "250 2.1.0 OK\n250 2.1.5 OK\n250 2.1.5 OK\n501 5.5.4 Parameter ORCPT is malformed (protocol-error)\n",
		postfix: "2 2 2 2", why: "the type rfc822 is ASCII (RFC 6533 section 3)"},
	{rfc: "8689 4.1", send: "MAIL FROM:<a@b> REQUIRETLS\n", want: "555 5.5.4 Parameter REQUIRETLS is not supported (protocol-error)\n"},
	{rfc: "4954 5", send: "MAIL FROM:<a@b> AUTH=<>\n", want: "555 5.5.4 Parameter AUTH is not supported (protocol-error)\n",
		postfix: "2", why: "Postfix ignores AUTH= where it does not offer AUTH; RFC 4954 section 5 has it with the extension only"},
	{rfc: "3461 4.3", bare: true, as: "plain", opts: func(o *Options) { o.Without = Without{true, true, true, true} }, send: "EHLO c\nMAIL FROM:<a@b> RET=FULL\nMAIL FROM:<a@b> SMTPUTF8\nMAIL FROM:<a@b> ENVID=x\nMAIL FROM:<a@b> BODY=BINARYMIME\nMAIL FROM:<a@b>\nRCPT TO:<c@d> NOTIFY=NEVER\nBDAT 4 LAST\nabc\r",
		want: "250-relay.example\n250-PIPELINING\n250-SIZE 52428800\n250-8BITMIME\n250-LIMITS RCPTMAX=1000\n250 ENHANCEDSTATUSCODES\n" +
			"555 5.5.4 Parameter RET is not supported (protocol-error)\n555 5.5.4 Parameter SMTPUTF8 is not supported (protocol-error)\n555 5.5.4 Parameter ENVID is not supported (protocol-error)\n" +
			"501 5.5.4 Parameter BODY has an unknown value (protocol-error)\n250 2.1.0 OK\n555 5.5.4 Parameter NOTIFY is not supported (protocol-error)\n502 5.5.1 Command not implemented (protocol-error)\n"},
}

var dataDialogs = []dialog{
	{rfc: "5321 4.1.1.4", send: begun + "DATA now\n", want: begunOK + "501 5.5.4 Command takes no arguments (protocol-error)\n"},
	{rfc: "5321 4.1.1.4", send: begun + "DATA\nSubject: x\n\nbody\n.\nNOOP\n", want: begunOK + go354 + "250 2.0.0 Queued\n250 2.0.0 OK\n", mail: 1},
	{rfc: "5321 4.1.1.4", send: begun + "DATA\n.\nNOOP\n", want: begunOK + go354 + "250 2.0.0 Queued\n250 2.0.0 OK\n", mail: 1},
	{rfc: "5321 4.1.1.4", send: begun + "DATA\nno end", want: begunOK + go354},
	{rfc: "5321 4.1.1.4", send: begun + "DATA\nno end\n.", want: begunOK + go354},
	{rfc: "5321 4.1.1.4", send: begun + "DATA\nx\n.\nDATA\n", want: begunOK + go354 + "250 2.0.0 Queued\n503 5.5.1 MAIL first (protocol-error)\n", mail: 1},
	{rfc: "5321 4.2", send: "MAIL FROM:<silent@b>\nRCPT TO:<c@d>\nDATA\nx\n.\nNOOP\n", want: begunOK + go354 + "451 4.3.0 Internal error, try again later (internal-error)\n250 2.0.0 OK\n", why: handlers},
	{rfc: "5321 4.2.1", send: "MAIL FROM:<lines@b>\nRCPT TO:<c@d>\nDATA\nx\n.\n", want: begunOK + go354 + "550-5.7.1 one\n550 5.7.1 two ??three\n", why: handlers},
	{rfc: "5321 4.2.1", send: "MAIL FROM:<lines@b> SMTPUTF8\nRCPT TO:<c@d>\nDATA\nx\n.\n", want: begunOK + go354 + "550-5.7.1 one\n550 5.7.1 two ü?three\n", why: handlers},
	{rfc: "5321 3.3", send: "MAIL FROM:<broken@b>\n", want: "451 4.3.0 Internal error, try again later (internal-error)\n", why: handlers},
	{rfc: "5321 3.3", send: "MAIL FROM:<early-no@b>\nRCPT TO:<c@d>\nDATA\nMAIL FROM:<x@y>\n.\nNOOP\n", want: begunOK + go354 + "554 5.6.0 Not wanted\n250 2.0.0 OK\n", why: handlers},
	// A yes without having read the message is none.
	{rfc: "5321 6.1", send: "MAIL FROM:<early-yes@b>\nRCPT TO:<c@d>\nDATA\nMAIL FROM:<x@y>\n.\nNOOP\n", want: begunOK + go354 + "451 4.3.0 Internal error, try again later (internal-error)\n250 2.0.0 OK\n", why: handlers},
	{rfc: "5321 6.1", send: "MAIL FROM:<panics@b>\nRCPT TO:<c@d>\nDATA\nMAIL FROM:<x@y>\n.\nNOOP\n", want: begunOK + go354 + "451 4.3.0 Internal error, closing (internal-error)\n", why: handlers},
	{rfc: "5321 6.1", send: "MAIL FROM:<panics-at-mail@b>\nNOOP\n", want: "451 4.3.0 Internal error, closing (internal-error)\n", why: handlers},
	{rfc: "5321 6.1", send: "MAIL FROM:<a@b>\nRCPT TO:<panics@d>\nNOOP\n", want: "250 2.1.0 OK\n451 4.3.0 Internal error, closing (internal-error)\n", why: handlers},
	{rfc: "5321 4.5.3.1.6", send: begun + "DATA\n" + strings.Repeat("x", 100000) + "\n.\n", want: begunOK + go354 + "250 2.0.0 Queued\n", mail: 1},
	// 1870 6.3: one octet more than the limit is too many, the limit is not.
	{rfc: "1870 6.3", opts: sizeLimit(10), bare: true, send: "HELO c\n" + begun + "DATA\n12345678\n.\n", want: "250 relay.example\n" + begunOK + go354 + "250 2.0.0 Queued\n", mail: 1},
	{rfc: "1870 6.3", opts: sizeLimit(10), bare: true, send: "HELO c\n" + begun + "DATA\n..345678\n.\n", want: "250 relay.example\n" + begunOK + go354 + "250 2.0.0 Queued\n", mail: 1},
	{rfc: "1870 6.3", opts: sizeLimit(10), bare: true, send: "HELO c\n" + begun + "DATA\n123456789\n.\nNOOP\n",
		want: "250 relay.example\n" + begunOK + go354 + "552 5.3.4 Message exceeds the limit of 10 octets (message-too-large)\n250 2.0.0 OK\n"},
	{rfc: "5321 2.3.8", send: begun + "DATA\na\x00b\n.\nNOOP\n", want: begunOK + go354 + "554 5.6.11 Message has a bare CR, a bare LF or a NUL (bare-newline)\n250 2.0.0 OK\n",
		postfix: "2 2 3 2 2", why: "Postfix lets NUL through; other servers stop reading there"},
	{rfc: "5321 2.3.8", send: begun + "DATA\na\rb\n.\nNOOP\n", want: begunOK + go354 + "554 5.6.11 Message has a bare CR, a bare LF or a NUL (bare-newline)\n250 2.0.0 OK\n",
		postfix: "2 2 3 2 2", why: "Postfix lets a bare CR through, which other servers take for the end of a line"},
	{rfc: "5321 2.3.8", as: "smtp", opts: normalize, send: begun + "DATA\na\rb\n.\nNOOP\n", want: begunOK + go354 + "250 2.0.0 Queued\n250 2.0.0 OK\n", mail: 1},
	{rfc: "5321 2.3.8", as: "smtp", opts: normalize, send: begun + "DATA\na\x00b\rc\n.\nNOOP\n", want: begunOK + go354 + "554 5.6.11 Message has a bare CR, a bare LF or a NUL (bare-newline)\n250 2.0.0 OK\n",
		postfix: "2 2 3 2 2", why: "a NUL has no meaning that normalising could give it; Postfix lets it through"},
}

func sizeLimit(n int64) func(*Options) { return func(o *Options) { o.Limits.MessageSize = n } }
func normalize(o *Options)             { o.BareNewline = Normalize }

var chunkDialogs = []dialog{
	{rfc: "3030 2", send: begun + "BDAT 6 LAST\nabcd\nNOOP\n", want: begunOK + "250 2.0.0 Queued\n250 2.0.0 OK\n", mail: 1},
	{rfc: "3030 2", send: begun + "BDAT 6\nabcd\nBDAT 3\nefg" + "BDAT 0 last\nNOOP\n", want: begunOK + "250 2.0.0 Chunk received\n250 2.0.0 Chunk received\n250 2.0.0 Queued\n250 2.0.0 OK\n", mail: 1},
	{rfc: "3030 2", send: begun + "BDAT 0 LAST\n", want: begunOK + "250 2.0.0 Queued\n", mail: 1},
	{rfc: "3030 2", send: begun + "BDAT 1000 LAST\nfourteen bytes", want: begunOK},
	{rfc: "3030 2", send: begun + "BDAT 6\nabcd\n", want: begunOK + "250 2.0.0 Chunk received\n"},
	{rfc: "3030 2", send: "BDAT 6 LAST\nabcd\nNOOP\n", want: "503 5.5.1 MAIL first (protocol-error)\n250 2.0.0 OK\n"},
	{rfc: "3030 2", send: "MAIL FROM:<a@b>\nRCPT TO:<550@b>\nBDAT 6 LAST\nQUIT\nNOOP\n", want: "250 2.1.0 OK\n550 5.1.1 No certificate for <550@b> (no-certificate)\n554 5.5.1 No valid recipients (protocol-error)\n250 2.0.0 OK\n"},
	{rfc: "3030 2", send: begun + "BDAT\nNOOP\n", want: begunOK + "501 5.5.4 Chunk size expected; closing, as the chunk's end is not known (protocol-error)\n"},
	{rfc: "3030 2", send: begun + "BDAT -1 LAST\nNOOP\n", want: begunOK + "501 5.5.4 Chunk size expected; closing, as the chunk's end is not known (protocol-error)\n"},
	{rfc: "3030 2", send: begun + "BDAT 99999999999999999999\nNOOP\n", want: begunOK + "501 5.5.4 Chunk size expected; closing, as the chunk's end is not known (protocol-error)\n"},
	{rfc: "3030 2", send: begun + "BDAT 2\nabBDAT x\nNOOP\n", want: begunOK + "250 2.0.0 Chunk received\n501 5.5.4 Chunk size expected; closing, as the chunk's end is not known (protocol-error)\n"},
	{rfc: "3030 2", send: begun + "BDAT 2 FIRST\nNOOP\n", want: begunOK + "501 5.5.4 Chunk size expected; closing, as the chunk's end is not known (protocol-error)\n"},
	// RSET between chunks: the verdict of a message never goes to another.
	{rfc: "3030 2", send: begun + "BDAT 2\nabRSET\n" + begun + "BDAT 2 LAST\ncd", want: begunOK + "250 2.0.0 Chunk received\n250 2.0.0 OK\n" + begunOK + "250 2.0.0 Queued\n", mail: 1},
	{rfc: "3030 2", send: begun + "BDAT 2\nabQUIT\n", want: begunOK + "250 2.0.0 Chunk received\n221 2.0.0 Bye\n"},
	{rfc: "3030 2", send: begun + "BDAT 2\nabEHLO c\nBDAT 2 LAST\ncdNOOP\n", want: begunOK + "250 2.0.0 Chunk received\n" + ehloReply + "503 5.5.1 MAIL first (protocol-error)\n250 2.0.0 OK\n"},
	{rfc: "3030 2", send: begun + "BDAT 2\nabDATA\nMAIL FROM:<x@y>\nNOOP\nBDAT 2 LAST\ncd", want: begunOK + "250 2.0.0 Chunk received\n503 5.5.1 BDAT or RSET expected (protocol-error)\n503 5.5.1 BDAT or RSET expected (protocol-error)\n250 2.0.0 OK\n250 2.0.0 Queued\n", mail: 1},
	// What is pipelined behind a failed chunk is read, and gets the same answer.
	{rfc: "3030 2", send: "MAIL FROM:<after-one@b>\nRCPT TO:<c@d>\nBDAT 6\nQUIT\nBDAT 6\nQUIT\nBDAT 6 LAST\nQUIT\nBDAT 2 LAST\nabNOOP\n",
		want: begunOK + strings.Repeat("554 5.6.0 Read one\n", 3) + "503 5.5.1 MAIL first (protocol-error)\n250 2.0.0 OK\n", why: handlers},
	{rfc: "3030 2", send: "MAIL FROM:<after-one@b>\nRCPT TO:<c@d>\nBDAT 2\nab" + begun + "BDAT 2 LAST\ncd", want: begunOK + "554 5.6.0 Read one\n" + begunOK + "250 2.0.0 Queued\n", mail: 1, why: handlers},
	{rfc: "3030 2", send: "MAIL FROM:<after-one@b>\nRCPT TO:<c@d>\nBDAT 2\nabRSET\nBDAT 2 LAST\ncd", want: begunOK + "554 5.6.0 Read one\n250 2.0.0 OK\n503 5.5.1 MAIL first (protocol-error)\n", why: handlers},
	{rfc: "3030 2", send: "MAIL FROM:<early-yes@b>\nRCPT TO:<c@d>\nBDAT 2\nabBDAT 2 LAST\nab", want: begunOK + strings.Repeat("451 4.3.0 Internal error, try again later (internal-error)\n", 2), why: handlers},
	{rfc: "3030 3", send: "MAIL FROM:<a@b> BODY=BINARYMIME\nRCPT TO:<c@d>\nDATA\nBDAT 8 LAST\na\r\rb\x00c\n", want: begunOK + "503 5.5.1 BINARYMIME goes with BDAT (protocol-error)\n250 2.0.0 Queued\n", mail: 1,
		postfix: "5 5 5 5", why: "Postfix does not know BINARYMIME"},
	{rfc: "5321 2.3.8", send: begun + "BDAT 4 LAST\na\rbcNOOP\n", want: begunOK + "554 5.6.11 Message has a bare CR, a bare LF or a NUL (bare-newline)\n250 2.0.0 OK\n",
		postfix: "2 2 2 2", why: "as with DATA: Postfix lets a bare CR through"},
	{rfc: "5321 2.3.8", send: begun + "BDAT 2\na\rBDAT 2 LAST\nbcNOOP\n", want: begunOK + "250 2.0.0 Chunk received\n554 5.6.11 Message has a bare CR, a bare LF or a NUL (bare-newline)\n250 2.0.0 OK\n",
		postfix: "2 2 2 2 2", why: "as above"},
	{rfc: "5321 2.3.8", send: begun + "BDAT 2 LAST\na\rNOOP\n", want: begunOK + "554 5.6.11 Message has a bare CR, a bare LF or a NUL (bare-newline)\n250 2.0.0 OK\n",
		postfix: "2 2 2 2", why: "as above"},
	{rfc: "5321 2.3.8", as: "smtp", opts: normalize, send: begun + "BDAT 2\na\rBDAT 2 LAST\nbcNOOP\n", want: begunOK + "250 2.0.0 Chunk received\n250 2.0.0 Queued\n250 2.0.0 OK\n", mail: 1},
	{rfc: "1870 6.3", opts: sizeLimit(10), bare: true, send: "HELO c\n" + begun + "BDAT 10 LAST\n1234567890", want: "250 relay.example\n" + begunOK + "250 2.0.0 Queued\n", mail: 1},
	{rfc: "1870 6.3", opts: sizeLimit(10), bare: true, send: "HELO c\n" + begun + "BDAT 6\n123456BDAT 5\n78901BDAT 2 LAST\n23NOOP\n", want: "250 relay.example\n" + begunOK + "250 2.0.0 Chunk received\n" + strings.Repeat("552 5.3.4 Message exceeds the limit of 10 octets (message-too-large)\n", 2) + "250 2.0.0 OK\n"},
}

func lmtp(o *Options) { o.Protocol = LMTP }

var lmtpDialogs = []dialog{
	{rfc: "2033 4.1", opts: lmtp, bare: true, send: "EHLO c\nHELO c\nMAIL FROM:<a@b>\n", want: "500 5.5.2 Command not recognized (protocol-error)\n500 5.5.2 Command not recognized (protocol-error)\n503 5.5.1 Greet first (protocol-error)\n"},
	{rfc: "2033 4.2", opts: lmtp, send: "MAIL FROM:<a@b>\nRCPT TO:<550@b>\nDATA\n", want: "250 2.1.0 OK\n550 5.1.1 No certificate for <550@b> (no-certificate)\n503 5.5.1 RCPT first (protocol-error)\n"},
	{rfc: "2033 4.2", opts: lmtp, send: "MAIL FROM:<a@b>\nRCPT TO:<x@b>\nRCPT TO:<550@b>\nRCPT TO:<full@b>\nRCPT TO:<z@b>\nDATA\nx\n.\nNOOP\n", mail: 1,
		want: "250 2.1.0 OK\n250 2.1.5 OK\n550 5.1.1 No certificate for <550@b> (no-certificate)\n250 2.1.5 OK\n250 2.1.5 OK\n" + go354 +
			"250 2.0.0 Queued\n452 4.2.2 Mailbox full\n250 2.0.0 Queued\n250 2.0.0 OK\n"},
	{rfc: "2033 4.2", opts: lmtp, send: "MAIL FROM:<a@b>\nRCPT TO:<x@b>\nRCPT TO:<y@b>\nDATA\nx\x00\n.\nNOOP\n",
		want: "250 2.1.0 OK\n250 2.1.5 OK\n250 2.1.5 OK\n" + go354 + strings.Repeat("554 5.6.11 Message has a bare CR, a bare LF or a NUL (bare-newline)\n", 2) + "250 2.0.0 OK\n"},
	{rfc: "2033 4.2", opts: lmtp, send: "MAIL FROM:<silent@b>\nRCPT TO:<x@b>\nRCPT TO:<y@b>\nDATA\nx\n.\n",
		want: "250 2.1.0 OK\n250 2.1.5 OK\n250 2.1.5 OK\n" + go354 + strings.Repeat("451 4.3.0 Internal error, try again later (internal-error)\n", 2)},
	{rfc: "2033 4.2", opts: lmtp, send: "MAIL FROM:<a@b>\nRCPT TO:<x@b>\nRCPT TO:<y@b>\nBDAT 2\nabBDAT 2 LAST\ncd", mail: 1,
		want: "250 2.1.0 OK\n250 2.1.5 OK\n250 2.1.5 OK\n250 2.0.0 Chunk received\n250 2.0.0 Queued\n250 2.0.0 Queued\n"},
	{rfc: "2033 4.2", opts: lmtp, send: "MAIL FROM:<after-one@b>\nRCPT TO:<x@b>\nRCPT TO:<y@b>\nBDAT 2\nabBDAT 2 LAST\ncd",
		want: "250 2.1.0 OK\n250 2.1.5 OK\n250 2.1.5 OK\n554 5.6.0 Read one\n554 5.6.0 Read one\n554 5.6.0 Read one\n"},
}

var policyDialogs = []dialog{
	{rfc: "5321 4.5.3.1.10", as: "few", opts: func(o *Options) { o.Limits.Recipients = 2 }, bare: true, send: "HELO c\n" + begun + "RCPT TO:<550@b>\nRCPT TO:<c@b>\nRCPT TO:<d@b>\nDATA\nx\n.\n", mail: 1,
		want: "250 relay.example\n" + begunOK + "550 5.1.1 No certificate for <550@b> (no-certificate)\n250 2.1.5 OK\n452 4.5.3 Too many recipients (too-many-recipients)\n" + go354 + "250 2.0.0 Queued\n"},
	{rfc: "3207 4", as: "require TLS", opts: withTLS(TLSRequire), bare: true, send: "NOOP\nMAIL FROM:<a@b>\nVRFY a\nBDAT 6 LAST\nQUIT\nQUIT\n",
		want: "250 2.0.0 OK\n530 5.7.0 Must issue a STARTTLS command first (tls-required)\n530 5.7.0 Must issue a STARTTLS command first (tls-required)\n530 5.7.0 Must issue a STARTTLS command first (tls-required)\n221 2.0.0 Bye\n"},
	{rfc: "3207 6", as: "starttls", opts: withTLS(TLSStart), bare: true, once: true, send: "HELO c\nSTARTTLS\nMAIL FROM:<a@b>\n", want: "250 relay.example\n554 5.5.1 Commands were sent behind STARTTLS (protocol-error)\n",
		postfix: "2 2", why: "Postfix throws away what came behind STARTTLS; whoever injected it should be seen"},
	{rfc: "3207 4", as: "starttls", opts: withTLS(TLSStart), bare: true, send: "STARTTLS now\n", want: "501 5.5.4 Command takes no arguments (protocol-error)\n"},
	{rfc: "4954 4", as: "smtp", opts: func(o *Options) { o.Auth = nobody }, send: "AUTH PLAIN AGEAYg==\nAUTH LOGIN\n", want: strings.Repeat("538 5.7.11 Encryption required for requested authentication mechanism (auth-needs-tls)\n", 2)},
	{rfc: "XFORWARD", send: "XFORWARD NAME=x\nXCLIENT NAME=x\n", want: strings.Repeat("500 5.5.2 Command not recognized (protocol-error)\n", 2)},
	{rfc: "XFORWARD", as: "smtp", opts: foreignX, send: "XFORWARD NAME=x\nXCLIENT NAME=x\n", want: strings.Repeat("550 5.7.1 Insufficient authorization (relay-denied)\n", 2)},
}
