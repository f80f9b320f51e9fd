package testkit

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"net/url"
	"time"

	"sealpost/internal/reason"
)

func (c *cabinet) chains() {
	const (
		path       = "RFC 5280 section 6"
		untrusted  = reason.CertificateUntrusted
		unverified = reason.CertificateUnverified
	)
	below := func(change func(*x509.Certificate)) made {
		sub := c.ca.Intermediate(c, change)
		return c.leafOf(sub, Leaf{Key: "p256"}).with(sub.Cert.Raw)
	}
	pki := func(name, rfc string, verdict reason.Token, of made) { c.differ(name, rfc, verdict, reason.None, of) }
	pki("root that is not known", path, untrusted, c.leafOf(NewCA(c), Leaf{Key: "p256"}))
	pki("intermediate beside it", path, reason.None, below(nil))
	missing := below(nil)
	missing.certs = missing.certs[:1]
	pki("intermediate missing", path, untrusted, missing)
	pki("intermediate expired", path, untrusted, below(func(t *x509.Certificate) { t.NotAfter = time.Now().Add(-time.Minute) }))
	pki("intermediate that is no authority", "RFC 5280 section 4.2.1.9", untrusted, below(func(t *x509.Certificate) {
		t.IsCA, t.KeyUsage = false, x509.KeyUsageDigitalSignature
	}))
	pki("intermediate that may not sign certificates", "RFC 5280 section 4.2.1.3", untrusted, below(func(t *x509.Certificate) { t.KeyUsage = x509.KeyUsageCRLSign }))
	pki("intermediate for web servers", "RFC 5280 section 4.2.1.12", untrusted, below(func(t *x509.Certificate) {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}))
	pki("intermediate with a critical extension that nobody knows", "RFC 5280 section 4.2", unverified, below(func(t *x509.Certificate) {
		t.ExtraExtensions = append(t.ExtraExtensions, extension(true, []byte{5, 0}, 1, 2, 3, 4))
	}))
	first := c.ca.Intermediate(c, func(t *x509.Certificate) { t.MaxPathLenZero = true })
	second := first.Intermediate(c, func(t *x509.Certificate) { t.Subject.CommonName = "Sealpost Test Issuer" })
	pki("path longer than its authority allows", "RFC 5280 section 4.2.1.9", untrusted, c.leafOf(second, Leaf{Key: "p256"}).with(second.Cert.Raw, first.Cert.Raw))
	c.constrained()
	forged := c.leaf(Leaf{Key: "p256"})
	der := bytes.Clone(forged.certs[0])
	der[len(der)-1] ^= 1
	pki("signature that is wrong", path, untrusted, made{[][]byte{der}, forged.key})
	pki("signed with SHA-1", "RFC 8550 section 4.3", unverified, c.forged(Forged{Hash: crypto.SHA1}))
	c.pss()
	c.selfSigned()
	pinned := c.leafOf(NewCA(c), Leaf{Key: "p256"})
	c.put("pinned, and of no root that is known", "", reason.None, pinned).Pinned = true
	long := c.ca
	chain := made{}
	for range 20 {
		long = long.Intermediate(c, func(t *x509.Certificate) { t.Subject.CommonName = "Sealpost Test " + t.SerialNumber.String() })
		chain.certs = append(chain.certs, long.Cert.Raw)
	}
	end := c.leafOf(long, Leaf{Key: "p256"})
	pki("chain of twenty authorities", "", untrusted, end.with(chain.certs...))
}

// constrained are certificates whose authority may certify some mailboxes only.
func (c *cabinet) constrained() {
	const rfc, utf8 = "RFC 5280 section 4.2.1.10", "RFC 9598 section 6"
	under := func(name, rfc string, pki reason.Token, change func(*x509.Certificate), names ...[]byte) *Specimen {
		sub := c.ca.Intermediate(c, change)
		key := Key(c, "rsa2048").(*rsa.PrivateKey)
		der := Forged{Key: publicDER(c, key), Extensions: [][]byte{SAN(c, names...)}}.Sign(c, sub)
		return c.differ(name, rfc, pki, reason.None, made{[][]byte{der, sub.Cert.Raw}, privatePEM(c, key)})
	}
	permit := func(s string) func(*x509.Certificate) {
		return func(t *x509.Certificate) { t.PermittedEmailAddresses = []string{s} }
	}
	exclude := func(s string) func(*x509.Certificate) {
		return func(t *x509.Certificate) { t.ExcludedEmailAddresses = []string{s} }
	}
	const no = reason.CertificateUntrusted
	anna := RFC822Name(specimenAddress)
	under("authority for this domain", rfc, reason.None, permit("example.org"), anna)
	under("authority for another domain", rfc, no, permit("example.net"), anna)
	under("authority for all but this domain", rfc, no, exclude("example.org"), anna)
	under("authority for the domains below", rfc, no, permit(".example.org"), anna)
	under("authority for this mailbox", rfc, reason.None, permit(specimenAddress), anna)
	änna := SmtpUTF8Mailbox(c, "änna@example.org")
	under("SmtpUTF8Mailbox, authority for this domain", utf8, reason.None, permit("example.org"), änna).Address = "änna@example.org"
	under("SmtpUTF8Mailbox, authority for another domain", utf8, no, permit("example.net"), änna).Address = "änna@example.org"
	under("SmtpUTF8Mailbox, authority for all but this domain", utf8, no, exclude("example.org"), änna).Address = "änna@example.org"
	idn := SmtpUTF8Mailbox(c, "änna@bücher.example")
	under("SmtpUTF8Mailbox, authority for its IDN", utf8, reason.None, permit("xn--bcher-kva.example"), idn).Address = "änna@bücher.example"
	under("another name that the authority may not certify", rfc, no, permit("example.org"), anna, RFC822Name("bob@example.net"))

	sub := c.ca.Intermediate(c, permit("example.net"))
	key := Key(c, "rsa2048").(*rsa.PrivateKey)
	der := Forged{Key: publicDER(c, key), Subject: c.emailSubject(specimenAddress), Extensions: [][]byte{}}.Sign(c, sub)
	s := c.differ("address in the subject, authority for another domain", rfc, no, reason.None, made{[][]byte{der, sub.Cert.Raw}, privatePEM(c, key)})
	s.Allow = "trust.subject_address"
}

// pss are chains signed with RSASSA-PSS, as the German energy market has them.
func (c *cabinet) pss() {
	root := &CA{key: Key(c, "rsa2048").(*rsa.PrivateKey)}
	root.Cert = c.ca.Cert
	sub := c.ca.intermediateFor(c, root.key, nil)
	sub.PEM = pemBlock("CERTIFICATE", sub.Cert.Raw)
	signed := func(saltlen string) made {
		was := c.ca
		c.ca = sub
		defer func() { c.ca = was }()
		m := c.openSSL("-algorithm EC -pkeyopt ec_paramgen_curve:prime256v1", "subjectAltName=email:"+specimenAddress,
			"-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:"+saltlen)
		return m.with(sub.Cert.Raw)
	}
	c.differ("signed with RSASSA-PSS", "RFC 8551 section 2.2", reason.None, reason.None, signed("32"))
	c.differ("signed with RSASSA-PSS, salt of another length", "RFC 4055 section 3.1", reason.CertificateUnverified, reason.None, signed("20"))
}

// selfSigned are certificates that people make for themselves.
func (c *cabinet) selfSigned() {
	const rfc = "RFC 5280 section 4.2.1.9"
	mail := "subjectAltName=email:" + specimenAddress
	c.differ("self-signed by `openssl req -x509` (CA:TRUE)", rfc, reason.CertificateCA, reason.None, c.selfMade(mail))
	c.differ("self-signed, CA:TRUE, with the usages of a mailbox", rfc, reason.CertificateCA, reason.None,
		c.selfMade(mail, "keyUsage=digitalSignature,keyEncipherment", "extendedKeyUsage=emailProtection"))
	c.differ("self-signed, CA:FALSE", rfc, reason.CertificateUntrusted, reason.None, c.selfMade(mail, "basicConstraints=critical,CA:FALSE"))
	c.put("self-signed, CA:TRUE, that may sign certificates", rfc, reason.CertificateCA, c.selfMade(mail, "keyUsage=keyEncipherment,keyCertSign"))
	c.put("self-signed, CA:TRUE, of another", rfc, reason.CertificateCA, c.selfMade("subjectAltName=email:bob@example.org"))
	c.put("self-signed, CA:TRUE, for web servers", rfc, reason.CertificateCA, c.selfMade(mail, "extendedKeyUsage=serverAuth")).Source = reason.CertificateUsage
	c.put("self-signed, CA:TRUE, pinned", rfc, reason.None, c.selfMade(mail)).Pinned = true
	c.put("the root itself", rfc, reason.CertificateCA, made{certs: [][]byte{c.ca.Cert.Raw}})
	sub := c.ca.Intermediate(c, func(t *x509.Certificate) { t.EmailAddresses = []string{specimenAddress} })
	c.put("an authority with the address", rfc, reason.CertificateCA, made{certs: [][]byte{sub.Cert.Raw}})
}

func (c *cabinet) encodings() {
	const unverified = reason.CertificateUnverified
	der := "RFC 5280 section 4.1"
	odd := func(name, rfc string, f Forged) *Specimen {
		return c.differ(name, rfc, unverified, reason.None, c.forged(f))
	}
	subject := func(tag byte, value string) Forged {
		return Forged{Subject: TLV(0x30, TLV(0x31, TLV(0x30, OID(c, 2, 5, 4, 3), TLV(tag, []byte(value)))))}
	}
	odd("negative serial number", "RFC 5280 section 4.1.2.2", Forged{Serial: []byte{0x80, 1}})
	odd("serial number with needless zeros", "RFC 5280 section 4.1.2.2", Forged{Serial: []byte{0, 0, 5}}).Unread = "OpenSSL cannot read the certificate"
	c.put("serial number zero", "RFC 5280 section 4.1.2.2", reason.None, c.forged(Forged{Serial: []byte{0}}))
	c.put("serial number of 40 octets", "RFC 5280 section 4.1.2.2", reason.None, c.forged(Forged{Serial: bytes.Repeat([]byte{1}, 40)}))
	odd("@ in a PrintableString", "X.680 section 41.4", subject(0x13, specimenAddress))
	odd("Latin-1 in a PrintableString", "X.680 section 41.4", subject(0x13, "J\xfcrgen"))
	c.put("name as BMPString", "RFC 5280 section 4.1.2.4", reason.None, c.forged(subject(0x1e, "\x00A\x00n\x00n\x00a")))
	c.put("name as TeletexString", "RFC 5280 section 4.1.2.4", reason.None, c.forged(subject(0x14, "J\xfcrgen")))
	c.put("empty subject", "RFC 5280 section 4.1.2.6", reason.None, c.forged(Forged{Subject: TLV(0x30)}))
	c.put("name of 30 000 letters", "", reason.None, c.forged(subject(0x0c, string(bytes.Repeat([]byte("x"), 30000)))))
	odd("the same extension twice", "RFC 5280 section 4.2", Forged{Extensions: [][]byte{c.san(), SAN(c, RFC822Name("bob@example.org"))}})
	c.put("address in the second of two equal extensions", "RFC 5280 section 4.2", reason.CertificateAddress,
		c.forged(Forged{Extensions: [][]byte{SAN(c, RFC822Name("bob@example.org")), c.san()}}))
	odd("list of names that is cut short", der, Forged{Extensions: [][]byte{Extension(c, false, TLV(0x30, RFC822Name(specimenAddress), []byte{0x81, 0x20}), 2, 5, 29, 17)}})
	critical := Extension(c, true, []byte{5, 0}, 1, 2, 3, 4)
	c.put("critical extension that nobody knows", "RFC 5280 section 4.2", unverified, c.forged(Forged{Extensions: [][]byte{c.san(), critical}}))
	c.put("extension that nobody knows", "RFC 5280 section 4.2", reason.None,
		c.forged(Forged{Extensions: [][]byte{c.san(), Extension(c, false, []byte{5, 0}, 1, 2, 3, 4)}}))
	qualified := Extension(c, true, TLV(0x30, TLV(0x30, OID(c, 0, 4, 0, 1862, 1, 1))), 1, 3, 6, 1, 5, 5, 7, 1, 3)
	c.put("critical statement of a qualified certificate", "RFC 3739", reason.None, c.forged(Forged{Extensions: [][]byte{c.san(), qualified}}))
	c.put("critical subject alternative name", "RFC 5280 section 4.2.1.6", reason.None,
		c.forged(Forged{Extensions: [][]byte{Extension(c, true, TLV(0x30, RFC822Name(specimenAddress)), 2, 5, 29, 17)}}))
	c.put("critical SmtpUTF8Mailbox and nothing else", "RFC 9598 section 3", reason.None,
		c.forged(Forged{Extensions: [][]byte{Extension(c, true, TLV(0x30, SmtpUTF8Mailbox(c, specimenAddress)), 2, 5, 29, 17)}}))
	capabilities := Extension(c, false, TLV(0x30, TLV(0x30, OID(c, 2, 16, 840, 1, 101, 3, 4, 1, 46))), 1, 2, 840, 113549, 1, 9, 15)
	c.put("with capabilities (AES-256-GCM)", "RFC 4262", reason.None, c.forged(Forged{Extensions: [][]byte{c.san(), capabilities}}))
	u := &url.URL{Scheme: "http", Host: "crl.example.org", Path: "/a.crl"}
	c.put("points to a list that is not there", "RFC 5280 section 4.2.1.13", reason.None, c.leaf(Leaf{Change: func(t *x509.Certificate) {
		t.CRLDistributionPoints = []string{u.String()}
		t.PolicyIdentifiers = []asn1.ObjectIdentifier{{2, 23, 140, 1, 5, 1, 1}}
	}}))
}
