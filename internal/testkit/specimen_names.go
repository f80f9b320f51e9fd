package testkit

import (
	"crypto/x509"
	"strings"

	"sealpost/internal/reason"
)

const (
	san       = "RFC 8550 section 3"
	utf8Names = "RFC 9598"
)

// named is a certificate with these names, asked for under an address.
func (c *cabinet) named(what, rfc, address string, verdict reason.Token, names ...[]byte) *Specimen {
	s := c.put(what, rfc, verdict, c.forged(Forged{Extensions: [][]byte{SAN(c, names...)}}))
	s.Address = address
	return s
}

// notVerified is named, for what crypto/x509 cannot read.
func (c *cabinet) notVerified(what, rfc, address string, names ...[]byte) {
	c.named(what, rfc, address, reason.None, names...).PKI = reason.CertificateUnverified
}

func (c *cabinet) addresses() {
	const (
		anna = specimenAddress
		no   = reason.CertificateAddress
	)
	mail, utf8 := RFC822Name, func(s string) []byte { return SmtpUTF8Mailbox(c, s) }
	c.named("the address", san, anna, reason.None, mail(anna))
	c.named("one of several addresses", san, anna, reason.None, mail("a@example.org"), mail(anna), mail("b@example.org"))
	c.named("domain in capitals", "RFC 5280 section 7.5", anna, reason.None, mail("anna@EXAMPLE.ORG"))
	c.named("another local part", san, anna, no, mail("bob@example.org"))
	c.named("another domain", san, anna, no, mail("anna@example.com"))
	c.named("a domain below", san, anna, no, mail("anna@mail.example.org"))
	c.named("a domain that ends alike", san, anna, no, mail("anna@notexample.org"))
	c.named("local part in capitals", san, anna, no, mail("ANNA@example.org"))
	c.named("with a tag", "RFC 5233", anna, no, mail("anna+bills@example.org"))
	c.named("without the tag that was asked for", "RFC 5233", "anna+bills@example.org", no, mail(anna))
	c.named("quotes that are not needed", "RFC 5321 section 4.1.2", anna, reason.None, mail(`"anna"@example.org`))
	c.named("quotes that are needed", "RFC 5321 section 4.1.2", `"anna smith"@example.org`, reason.None, mail(`"anna smith"@example.org`))
	c.named("address literal", "RFC 5321 section 4.1.3", "anna@[192.0.2.1]", reason.None, mail("anna@[192.0.2.1]"))
	c.named("final dot", "RFC 5321 section 4.1.2", anna, no, mail("anna@example.org."))
	c.named("space behind", san, anna, no, mail("anna@example.org "))
	c.named("angle brackets", san, anna, no, mail("<anna@example.org>"))
	c.named("mailto:", san, anna, no, mail("mailto:anna@example.org"))
	c.named("NUL and another domain behind", "CVE-2009-2408", anna, no, mail("anna@example.org\x00@evil.example"))
	c.named("NUL before the @", "CVE-2009-2408", anna, no, mail("anna\x00@example.org"))
	c.named("line feed in front", san, anna, no, mail("\nanna@example.org"))
	c.named("two @", san, anna, no, mail("anna@evil.example@example.org"))
	c.named("percent route", "RFC 5321 section 3.6.1", anna, no, mail("anna%example.org@evil.example"))
	c.named("no address at all", san, anna, no, TLV(0x82, []byte("example.org")))
	c.named("address as URI", san, anna, no, TLV(0x86, []byte("mailto:anna@example.org")))
	c.named("IDN in A-labels, asked in U-labels", utf8Names, "anna@bücher.example", reason.None, mail("anna@xn--bcher-kva.example"))
	c.named("SmtpUTF8Mailbox", utf8Names, "jürgen@bücher.example", reason.None, utf8("jürgen@bücher.example"))
	c.named("SmtpUTF8Mailbox, asked in A-labels", utf8Names, "jürgen@xn--bcher-kva.example", reason.None, utf8("jürgen@bücher.example"))
	c.named("SmtpUTF8Mailbox with an accent of its own", "Unicode form C", "jürgen@bücher.example", reason.None, utf8("ju\u0308rgen@bücher.example"))
	c.named("SmtpUTF8Mailbox without the accent", utf8Names, "jürgen@bücher.example", no, utf8("jurgen@bücher.example"))
	c.named("SmtpUTF8Mailbox of ASCII only", "RFC 9598 section 3", anna, reason.None, utf8(anna))
	c.named("Cyrillic letters that look alike", utf8Names, anna, no, utf8("аnnа@example.org"))
	c.named("full-width letters", utf8Names, anna, no, utf8("ａnna@example.org"))
	c.notVerified("rfc822Name beyond ASCII", "RFC 5280 section 4.2.1.6", "jürgen@bücher.example", mail("jürgen@bücher.example"))
	c.notVerified("unreadable URI beside the address", "RFC 5280 section 4.2.1.6", anna, TLV(0x86, []byte("http://[::1/%zz")), mail(anna))
	c.notVerified("IP address of three octets beside the address", "RFC 5280 section 4.2.1.6", anna, mail(anna), TLV(0x87, []byte{192, 0, 2}))
	many := make([][]byte, 0, 1001)
	for i := range 1000 {
		many = append(many, mail(strings.Repeat("x", i%50+1)+"@example.org"))
	}
	c.named("the last of a thousand addresses", san, anna, reason.None, append(many, mail(anna))...)
	c.put("address in the subject only", san, no, c.forged(Forged{Subject: c.emailSubject(anna), Extensions: [][]byte{}}))
	c.put("certificate for the whole domain", "RFC 3183", no, c.leaf(Leaf{Addresses: []string{"domain-confidentiality-authority@example.org"}}))
}

func (c *cabinet) emailSubject(address string) []byte {
	return TLV(0x30, TLV(0x31, TLV(0x30, OID(c, 1, 2, 840, 113549, 1, 9, 1), TLV(0x16, []byte(address)))))
}

// loosened are those on which a setting decides.
func (c *cabinet) loosened() {
	const (
		fold, tag, subject, domain = "trust.fold_local_part", "trust.tag_fallback", "trust.subject_address", "trust.allow_domain_certificate"
		anna                       = specimenAddress
		no                         = reason.CertificateAddress
		gateway                    = "domain-confidentiality-authority@example.org"
	)
	mail, utf8 := RFC822Name, func(s string) []byte { return SmtpUTF8Mailbox(c, s) }
	with := func(setting string, s *Specimen) { s.Allow = setting }
	with(fold, c.named("local part in capitals", "RFC 5321 section 2.4", anna, reason.None, mail("ANNA@example.org")))
	with(fold, c.named("accented capital", utf8Names, "änna@example.org", reason.None, utf8("Änna@example.org")))
	with(fold, c.named("long s for s", utf8Names, "boss@example.org", no, utf8("boſs@example.org")))
	with(fold, c.named("another local part", san, anna, no, mail("annabel@example.org")))
	with(tag, c.named("without the tag", "RFC 5233", "anna+bills@example.org", reason.None, mail(anna)))
	with(tag, c.named("with another tag", "RFC 5233", "anna+bills@example.org", no, mail("anna+rent@example.org")))
	with(tag, c.named("of another, who has a tag", "RFC 5233", "anna+bills@example.org", no, mail("bob@example.org")))
	inSubject := func(what, address string, verdict reason.Token, extensions ...[]byte) {
		if extensions == nil {
			extensions = [][]byte{}
		}
		with(subject, c.put(what, san, verdict, c.forged(Forged{Subject: c.emailSubject(address), Extensions: extensions})))
	}
	inSubject("address in the subject only", anna, reason.None)
	inSubject("another's address in the subject", "bob@example.org", no)
	inSubject("address in the subject, another's beside it", anna, no, SAN(c, mail("bob@example.org")))
	inSubject("address in the subject, host name beside it", anna, reason.None, SAN(c, TLV(0x82, []byte("example.org"))))
	with(domain, c.named("RFC 3183's name", "RFC 3183", anna, reason.None, mail(gateway)))
	with(domain, c.named("RFC 3183's name in capitals", "RFC 3183", anna, reason.None, mail(strings.ToUpper(gateway))))
	with(domain, c.named("the domain after an @", "", anna, reason.None, mail("@example.org")))
	with(domain, c.named("the domain after an asterisk", "", anna, reason.None, mail("*@example.org")))
	with(domain, c.named("the domain alone", "", anna, reason.None, mail("example.org")))
	with(domain, c.named("one of the gateway's many domains", "RFC 3183", anna, reason.None, mail("domain-confidentiality-authority@example.com"), mail(gateway)))
	with(domain, c.put("RFC 3183's name in the subject only", "RFC 3183", no, c.forged(Forged{Subject: c.emailSubject(gateway), Extensions: [][]byte{}})))
	with(domain, c.named("the domain above", "RFC 3183", "anna@mail.example.org", no, mail(gateway)))
	with(domain, c.named("host name", "RFC 3183", anna, no, TLV(0x82, []byte("example.org"))))
	with(domain, c.named("all domains (*@*)", "", anna, no, mail("*@*")))
	with(domain, c.put("certificate of a web server", "", no, c.leaf(Leaf{Addresses: []string{}, DNSNames: []string{"example.org"}, Change: func(t *x509.Certificate) {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}})))
}
