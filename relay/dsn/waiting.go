package dsn

import (
	"errors"
	"strings"
	"time"

	"sealpost/internal/address"
)

// Waiting is what a recipient is told, once, whose message waits because there
// is no certificate for the address. It names who wrote and until when the
// message waits, and nothing of the message itself.
type Waiting struct {
	Hostname string          // our name, a domain
	ID       string          // of the notice; letters, digits, ".", "_" and "-"
	Now      time.Time       // its Date
	From     address.Address // who sent the message that waits
	To       address.Address // whose it is
	Until    time.Time       // when it is given up
}

// SMTPUTF8 reports whether the notice has to be sent with SMTPUTF8.
func (w Waiting) SMTPUTF8() bool { return w.To.NeedsUTF8() || w.From.NeedsUTF8() }

// Compose writes the notice. The error is ErrReport, wrapped: something that
// it must say is missing.
func (w Waiting) Compose() (*Notice, error) {
	host, err := address.Domain(w.Hostname)
	if err != nil || w.To.IsNull() || w.From.IsNull() || strings.ContainsFunc(w.ID, notInToken) || w.ID == "" {
		return nil, errors.Join(ErrReport, err)
	}
	from, to := w.From.String(), w.To.String()
	b := &writer{wide: w.SMTPUTF8()}
	b.date("Date", w.Now)
	b.field("From", "Mail Delivery System <postmaster@"+host+">")
	b.exact("To", "<"+to+">")
	b.field("Subject", "A message is waiting for you")
	b.field("Message-ID", "<"+w.ID+"@"+host+">")
	b.field("Auto-Submitted", "auto-generated") // RFC 3834 section 5
	b.field("MIME-Version", "1.0")
	b.field("Content-Type", "text/plain; charset=utf-8")
	b.field("Content-Transfer-Encoding", "8bit")
	for _, line := range []string{
		"",
		"A message is waiting for you. It was sent by",
		"",
		"    " + from,
		"",
		"It may only travel encrypted, and no S/MIME certificate is known for your",
		"address",
		"",
		"    " + to,
		"",
		"As soon as there is one, the message is delivered by itself, encrypted. Ask",
		"the sender, or those who look after your mail, how to make your certificate",
		"known. If none appears by " + w.Until.UTC().Format("2 January 2006") + ", the message is given up and the",
		"sender is told.",
		"",
		"This notice was written by the mail server " + host + " and comes only once.",
	} {
		b.line(line)
	}
	return &Notice{b.Bytes()}, nil
}

// notInToken is what an id must not have in it.
func notInToken(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
}
