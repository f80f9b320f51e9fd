package enrol

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"sealpost/directory/harvest"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/smime"
)

// A letter is what the sender is told: nothing in it is of his message.
type letter struct {
	subject string
	lines   []string // paragraphs
}

func (s *Server) letterLearned(l harvest.Learned, a store.Added) letter {
	if l.Certificate == nil {
		return letter{}
	}
	c := l.Certificate
	said := letter{subject: "Your certificate has been learned", lines: []string{
		fmt.Sprintf("Hello,\n\nthank you. %s has learned your certificate from your signed message, and mail to %s can now be encrypted for you.", s.opts.Name, l.Address),
	}}
	switch {
	case a.Status == store.StatusHeld:
		said.subject = "Your certificate waits for a confirmation"
		said.lines[0] = fmt.Sprintf("Hello,\n\nthank you. %s has read your certificate. Another one is known for %s, and it stays in use until a person at %s has confirmed the new one.", s.opts.Name, l.Address, s.opts.Name)
	case a.Known:
		said.subject = "Your certificate is known"
		said.lines[0] = fmt.Sprintf("Hello,\n\nthank you. %s knew this certificate already. Mail to %s can be encrypted for you; there is nothing else to do.", s.opts.Name, l.Address)
	}
	said.lines = append(said.lines,
		fmt.Sprintf("Certificate:  %s\nIssued by:    %s\nValid until:  %s\nKey:          %s\nSHA-256:      %x",
			c.Subject, c.Issuer, c.NotAfter.UTC().Format("2 January 2006"), c.KeyName, c.Fingerprint()),
		"If this is not the certificate that you read your mail with, send a message that is signed with the right one, and that includes it.")
	return said
}

func (s *Server) letterRefused(no *harvest.Refusal) letter {
	said := letter{subject: "No certificate could be learned from your message", lines: []string{
		fmt.Sprintf("Hello,\n\n%s could not learn a certificate from the message that you sent to %s.", s.opts.Name, s.opts.Mailbox),
		no.Why + "\n(reason: " + string(no.Reason) + ")",
	}}
	if do := advice(no.Reason); do != "" {
		said.lines = append(said.lines, do)
	}
	return said
}

// advice is what the sender can do himself.
func advice(why reason.Token) string {
	switch why {
	case reason.MessageNotSigned:
		return "Write a new message, switch on signing with S/MIME in your mail program, and send it directly rather than over a mailing list. Its text does not matter."
	case reason.SignatureTime, reason.SignatureOld:
		return "Look at the date and time of your computer, and send a new message."
	case reason.SignatureMismatch, reason.SignatureInvalid:
		return "Some mail server may have changed the message on its way, such as one that adds a footer. Send a new one, if you can by another way."
	case reason.SignatureWeak, reason.SignatureUnsupported:
		return "Set your mail program to sign with SHA-256."
	case reason.SignerMissing, reason.EncryptionCertMissing, reason.EncryptionCertForeign:
		return "Set your mail program to include your certificates in signed messages."
	case reason.CertificateExpired, reason.CertificateRevoked, reason.CertificateWeakKey:
		return "You need a new certificate; whoever issued this one can tell you how to get it."
	case reason.CertificateAddress:
		return "Send the message from the address that stands in your certificate."
	case reason.CertificateUntrusted, reason.CertificateUnverified:
		return "Who issued your certificate is not trusted there. Ask the people you correspond with whether they can add it."
	case reason.CertificateUsage, reason.CertificateKeyKind:
		return "You need a certificate that allows encrypting mail. If you have one, set your mail program to include it in signed messages."
	}
	return ""
}

// compose makes a message of the letter (RFC 3834 section 3).
func (s *Server) compose(to address.Address, h *smime.Header, text letter) []byte {
	var b bytes.Buffer
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	field("From", "<"+s.opts.Mailbox.String()+">")
	field("To", "<"+to.String()+">")
	field("Subject", mime.QEncoding.Encode("utf-8", text.subject))
	field("Date", s.opts.Clock().Format(time.RFC1123Z))
	field("Message-ID", "<"+rand.Text()+"@"+s.opts.Hostname+">")
	if id := h.Get("Message-ID"); isMessageID(id) {
		field("In-Reply-To", id)
		field("References", id)
	}
	field("Auto-Submitted", "auto-replied")
	field("MIME-Version", "1.0")
	field("Content-Type", "text/plain; charset=utf-8")
	field("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	body := strings.Join(text.lines, "\n\n") + "\n\n-- \nThis answer was written by a program.\n"
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(strings.ReplaceAll(body, "\n", "\r\n"))) // to memory
	_ = q.Close()
	return b.Bytes()
}

// isMessageID accepts what may be repeated in a field.
func isMessageID(id string) bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	return len(id) <= 200 && strings.HasPrefix(id, "<") && strings.HasSuffix(id, ">") && !strings.ContainsFunc(id, odd)
}
