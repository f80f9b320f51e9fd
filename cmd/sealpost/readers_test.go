package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// What leaves under each setting is opened by the readers that know the
// algorithms. smime/cms has the whole table; here is one of each, end to end.
func TestReadersOpenWhatLeaves(t *testing.T) {
	in := newInstallation(t)
	for _, kind := range []string{"rsa2048", "p256", "p384", "p521"} {
		in.personWith(t, kind+"@example.org", testkit.Leaf{Key: kind})
	}
	message := sampleMail(testkit.NewCanary(t))
	openers := map[string]func(testing.TB, []byte, *testkit.Identity) []byte{
		"openssl": testkit.OpenSSLOpen, "gpgsm": testkit.GPGSMOpen, "nss": testkit.NSSOpen,
	}
	for _, c := range []struct{ smime, to, readers, cipher string }{
		{"{}", "rsa2048", "openssl gpgsm nss", "aes-256-cbc"},
		{"{content: aes-128-cbc}", "rsa2048", "openssl", "aes-128-cbc"},
		{"{content: aes-256-gcm, rsa: oaep}", "rsa2048", "openssl", "aes-256-gcm"},
		{"{content: aes-128-gcm}", "p256", "openssl", "aes-128-gcm"},
		{"{kdf: sha256}", "p384", "openssl", "aes-256-cbc"},
		{"{kdf: sha512}", "p521", "openssl", "aes-256-cbc"},
	} {
		t.Run(c.smime+c.to, func(t *testing.T) {
			sink := testkit.StartSink(t, testkit.SinkOptions{})
			in.configure(t, sink.Addr, "smime: "+c.smime+"\n")
			in.start(t)
			if got := in.dial(t).submit(t, message, c.to+"@example.org"); !strings.HasPrefix(got, "250") {
				t.Fatal(got)
			}
			in.waitLog(t, "msg=recipient", "to=<"+c.to+"@", "cipher="+c.cipher)
			sealed := sink.Wait(t, 1)[0].Raw
			for _, reader := range strings.Fields(c.readers) {
				if got := openers[reader](t, sealed, in.identity(c.to+"@example.org")); string(got) != entityOf(message) {
					t.Errorf("%s opened %q", reader, got)
				}
			}
		})
	}
}

// AES-GCM by itself goes only to those whose certificate says that they can
// read it (RFC 4262).
func TestCipherByCapability(t *testing.T) {
	in := newInstallation(t, "old@example.org")
	in.personWith(t, "new@example.org", testkit.Leaf{Change: capableOfGCM(t)})
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	if got := in.dial(t).submit(t, message, "old@example.org", "new@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	in.waitLog(t, "to=<old@example.org>", "cipher=aes-256-cbc")
	in.waitLog(t, "to=<new@example.org>", "cipher=aes-256-gcm")
	for _, m := range sink.Wait(t, 2) {
		in.opened(t, m.Raw, m.To[0].Address, message)
	}
}

// capableOfGCM gives a certificate the extension SMIMECapabilities with
// AES-256-GCM.
func capableOfGCM(t testing.TB) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		gcm := testkit.TLV(0x30, testkit.OID(t, 2, 16, 840, 1, 101, 3, 4, 1, 46))
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}, Value: testkit.TLV(0x30, gcm)}}
	}
}
