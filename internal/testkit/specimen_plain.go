package testkit

import (
	"crypto/x509"
	"encoding/asn1"
	"time"

	"sealpost/internal/reason"
)

func (c *cabinet) validity() {
	const rfc = "RFC 5280 section 4.1.2.5"
	now := time.Now()
	between := func(from, to time.Duration) made {
		return c.leaf(Leaf{NotBefore: now.Add(from), NotAfter: now.Add(to)})
	}
	day := 24 * time.Hour
	c.put("valid today", rfc, reason.None, between(-day, 12*time.Hour))
	c.put("expired a minute ago", rfc, reason.CertificateExpired, between(-2*day, -time.Minute))
	c.put("expired years ago", rfc, reason.CertificateExpired, between(-2000*day, -1000*day))
	c.put("valid from in a minute", rfc, reason.CertificateNotYetValid, between(time.Minute, day))
	c.put("ends before it begins", rfc, reason.CertificateNotYetValid, c.forged(Forged{
		NotBefore: marshal(c, now.Add(day).UTC()), NotAfter: marshal(c, now.Add(-day).UTC()),
	}))
	c.put("never ends (99991231235959Z)", rfc, reason.None, c.forged(Forged{NotAfter: TLV(0x18, []byte("99991231235959Z"))}))
	c.differ("end of validity with a fraction of a second", rfc, reason.CertificateUnverified, reason.None,
		c.forged(Forged{NotAfter: TLV(0x18, []byte("20400101000000.5Z"))}))
	c.put("times without seconds", rfc, reason.None, c.forged(Forged{NotAfter: TLV(0x17, []byte("4001010000Z"))}))
	c.put("times with an offset", rfc, reason.None, c.forged(Forged{NotAfter: TLV(0x17, []byte("400101000000+0200"))}))
}

func (c *cabinet) usages() {
	const (
		keyUsage = "RFC 8550 section 4.4.2"
		purpose  = "RFC 8550 section 4.4.4"
		no       = reason.CertificateUsage
	)
	usage := func(key string, u x509.KeyUsage) made { return c.leaf(Leaf{Key: key, Usage: u}) }
	extended := func(e ...x509.ExtKeyUsage) made { return c.leaf(Leaf{ExtUsage: e}) }
	c.put("RSA with keyEncipherment alone", keyUsage, reason.None, usage("rsa2048", x509.KeyUsageKeyEncipherment))
	c.put("RSA that signs only", keyUsage, no, usage("rsa2048", x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment))
	c.put("RSA with dataEncipherment instead", keyUsage, no, usage("rsa2048", x509.KeyUsageDataEncipherment))
	c.put("RSA with keyAgreement", keyUsage, no, usage("rsa2048", x509.KeyUsageKeyAgreement))
	c.put("EC with keyAgreement alone", keyUsage, reason.None, usage("p256", x509.KeyUsageKeyAgreement))
	c.put("EC with keyAgreement and encipherOnly", keyUsage, reason.None, usage("p256", x509.KeyUsageKeyAgreement|x509.KeyUsageEncipherOnly))
	c.put("EC with keyAgreement and decipherOnly", keyUsage, no, usage("p256", x509.KeyUsageKeyAgreement|x509.KeyUsageDecipherOnly))
	c.put("EC that signs only", keyUsage, no, usage("p256", x509.KeyUsageDigitalSignature))
	c.put("EC with keyEncipherment", keyUsage, no, usage("p256", x509.KeyUsageKeyEncipherment))
	c.put("no usage of any kind", keyUsage, reason.None, c.leaf(Leaf{Change: bare}))
	c.put("key usage that is damaged", keyUsage, no, c.forged(Forged{Extensions: [][]byte{c.san(), Extension(c, true, []byte("garbage"), 2, 5, 29, 15)}}))
	c.put("key usage without any bit", keyUsage, no, c.forged(Forged{Extensions: [][]byte{c.san(), Extension(c, true, TLV(0x03, []byte{0}), 2, 5, 29, 15)}}))
	c.put("for mail and web clients", purpose, reason.None, extended(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection))
	c.put("for any purpose", purpose, reason.None, extended(x509.ExtKeyUsageAny))
	c.put("for web clients only", purpose, no, extended(x509.ExtKeyUsageClientAuth))
	c.put("for web servers only", purpose, no, extended(x509.ExtKeyUsageServerAuth))
	c.put("for signing documents (Microsoft)", purpose, no, c.leaf(Leaf{Change: func(t *x509.Certificate) {
		t.ExtKeyUsage, t.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 10, 3, 12}}
	}}))
	c.put("list of purposes that is empty", purpose, no, c.forged(Forged{Extensions: [][]byte{c.san(), Extension(c, false, TLV(0x30), 2, 5, 29, 37)}}))
}

func (c *cabinet) revocation() {
	for _, r := range []struct {
		state string
		pki   reason.Token
	}{
		{"good", reason.None}, {"revoked", reason.CertificateRevoked}, {"unknown", reason.None}, {"unknown, hard", reason.RevocationUnknown},
		{"good, hard", reason.None}, {"revoked, hard", reason.CertificateRevoked},
	} {
		mode := "`revocation: soft`"
		if len(r.state) > 7 && r.state[len(r.state)-4:] == "hard" {
			mode = "`revocation: hard`"
		}
		name := map[byte]string{'g': "not withdrawn, ", 'r': "withdrawn by its authority, ", 'u': "nobody knows whether it was withdrawn, "}[r.state[0]] + mode
		c.differ(name, "RFC 5280 section 6.3, RFC 6960", r.pki, reason.None, c.leaf(Leaf{Key: "p256"})).Revocation = r.state
	}
}
