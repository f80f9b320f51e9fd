package revocation_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"sealpost/internal/testkit"
	"sealpost/lookup/outbound"
	"sealpost/lookup/revocation"
)

type answerCase struct {
	name   string
	answer []byte
	status revocation.Status
	words  string
}

func TestAnswers(t *testing.T) {
	a := testkit.NewAuthority(t)
	l := leaf(t, a, "ocsp")
	for _, part := range [][]answerCase{answerForms(t, a, l), answerTimes(t, a, l), answerResponders(t, a, l)} {
		for _, c := range part {
			a.Serve("/ocsp", c.answer)
			want(t, c.name, ask(checker(t, revocation.Options{}), l, a.Cert), c.status, c.words)
		}
	}
}

func answerForms(t *testing.T, a *testkit.Authority, l *x509.Certificate) []answerCase {
	const unknown = revocation.Unknown
	good := a.Says(l.SerialNumber)
	with := func(change func(*ocsp.Response)) []byte {
		r := good
		change(&r)
		return a.Answer(t, r)
	}
	fine := a.Answer(t, good)
	forged := append([]byte(nil), fine...)
	forged[len(forged)-1] ^= 1
	other := testkit.NewCA(t).Intermediate(t, func(c *x509.Certificate) { c.Subject.CommonName = "Somebody" })
	otherName := *other.Cert
	otherName.PublicKey, otherName.RawSubjectPublicKeyInfo = a.Cert.PublicKey, a.Cert.RawSubjectPublicKeyInfo
	return []answerCase{
		{"good", fine, revocation.Good, "/ocsp"},
		{"good, by SHA-256", with(func(r *ocsp.Response) { r.IssuerHash = crypto.SHA256 }), revocation.Good, ""},
		{"good, by SHA-512", with(func(r *ocsp.Response) { r.IssuerHash = crypto.SHA512 }), revocation.Good, ""},
		{"revoked", with(func(r *ocsp.Response) {
			r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, time.Now().Add(-time.Hour), 6
		}), revocation.Revoked, "certificateHold"},
		{"unknown is not good", with(func(r *ocsp.Response) { r.Status = ocsp.Unknown }), unknown, "does not know"},
		{"another serial number", a.Answer(t, a.Says(big.NewInt(7))), unknown, ""},
		{"another issuer with this serial number", a.AnswerFor(t, &otherName, good), unknown, "another certificate"},
		{"forged signature", forged, unknown, ""},
		{"truncated", fine[:len(fine)/2], unknown, "malformed"},
		{"nothing", nil, unknown, "malformed"},
		{"a page", []byte("<html>Welcome</html>"), unknown, "malformed"},
		{"unauthorized", ocsp.UnauthorizedErrorResponse, unknown, "no answer"},
		{"try later", ocsp.TryLaterErrorResponse, unknown, "no answer"},
		{"internal error", ocsp.InternalErrorErrorResponse, unknown, "no answer"},
		{"critical extension", with(func(r *ocsp.Response) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), unknown, ""},
	}
}

func answerTimes(t *testing.T, a *testkit.Authority, l *x509.Certificate) []answerCase {
	const unknown = revocation.Unknown
	now := time.Now().UTC()
	of := func(from, to time.Time) []byte {
		r := a.Says(l.SerialNumber)
		r.ThisUpdate, r.NextUpdate = from, to
		return a.Answer(t, r)
	}
	return []answerCase{
		{"expired", of(now.Add(-2*time.Hour), now.Add(-time.Hour)), unknown, "out of date"},
		{"just expired", of(now.Add(-2*time.Hour), now.Add(-time.Minute)), revocation.Good, ""},
		{"of the future", of(now.Add(time.Hour), now.Add(2*time.Hour)), unknown, "clock"},
		{"without an end, fresh", of(now.Add(-time.Minute), time.Time{}), revocation.Good, ""},
		{"without an end, old", of(now.Add(-2*time.Hour), time.Time{}), unknown, "out of date"},
	}
}

func answerResponders(t *testing.T, a *testkit.Authority, l *x509.Certificate) []answerCase {
	const unknown = revocation.Unknown
	var table []answerCase
	add := func(name string, by *testkit.CA, leaf testkit.Leaf, status revocation.Status, words string) {
		leaf.Key = "p256"
		if leaf.ExtUsage == nil {
			leaf.ExtUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		}
		if leaf.Usage == 0 {
			leaf.Usage = x509.KeyUsageDigitalSignature
		}
		leaf.Name = "Responder"
		old := a.Responder
		a.Responder = by.Issue(t, leaf)
		table = append(table, answerCase{name, a.Answer(t, a.Says(l.SerialNumber)), status, words})
		a.Responder = old
	}
	hour := time.Hour
	now := time.Now()
	any := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	mail := []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	stranger := testkit.NewCA(t) // with the very name of the authority
	below := a.Intermediate(t, nil)
	add("delegated", a.CA, testkit.Leaf{Change: noCheck}, revocation.Good, "")
	add("delegated, can be withdrawn, names no list", a.CA, testkit.Leaf{}, revocation.Good, "")
	add("without OCSPSigning", a.CA, testkit.Leaf{ExtUsage: mail, Change: noCheck}, unknown, "not for signing")
	add("for any purpose", a.CA, testkit.Leaf{ExtUsage: any, Change: noCheck}, unknown, "not for signing")
	add("key usage of an encryption key", a.CA, testkit.Leaf{Usage: x509.KeyUsageKeyAgreement, Change: noCheck}, unknown, "not for signing")
	add("expired", a.CA, testkit.Leaf{NotBefore: now.Add(-3 * hour), NotAfter: now.Add(-hour), Change: noCheck}, unknown, "not valid now")
	add("not yet valid", a.CA, testkit.Leaf{NotBefore: now.Add(hour), NotAfter: now.Add(2 * hour), Change: noCheck}, unknown, "not valid now")
	add("appointed by a namesake", stranger, testkit.Leaf{Change: noCheck}, unknown, "appointed")
	add("appointed by an authority below", below, testkit.Leaf{Change: noCheck}, unknown, "appointed")
	add("critical extension", a.CA, testkit.Leaf{Change: func(c *x509.Certificate) {
		noCheck(c)
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
	}}, unknown, "critical")
	return table
}

func noCheck(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}})
}

// A recipient whose certificate itself may sign OCSP answers must not answer
// for the others; and a responder that was withdrawn answers for nobody.
func TestResponderWithdrawn(t *testing.T) {
	a := testkit.NewAuthority(t)
	l := leaf(t, a, "ocsp")
	responder := testkit.Leaf{
		Name: "Responder", Key: "p256", Usage: x509.KeyUsageDigitalSignature,
		ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, Change: a.Points("crl"),
	}
	a.Responder = a.Issue(t, responder)
	want(t, "not withdrawn", ask(checker(t, revocation.Options{}), l, a.Cert), revocation.Good)
	a.Withdraw(a.Responder.Cert, 1)
	want(t, "withdrawn", ask(checker(t, revocation.Options{}), l, a.Cert), revocation.Unknown, "its own certificate")
	a.Handle("/crl", nil)
	want(t, "nobody knows", ask(checker(t, revocation.Options{}), l, a.Cert), revocation.Good)
}

// An older answer does not take the place of a newer one.
func TestAnswerPlayedBack(t *testing.T) {
	a := testkit.NewAuthority(t)
	var clock movable
	l := leaf(t, a, "ocsp")
	r := a.Says(l.SerialNumber)
	r.ThisUpdate, r.NextUpdate = time.Now().Add(-time.Minute).UTC(), time.Now().Add(24*time.Hour).UTC()
	old := r
	old.ThisUpdate = r.ThisUpdate.Add(-time.Hour)
	r.Status, r.RevokedAt = ocsp.Revoked, old.ThisUpdate
	a.Serve("/ocsp", a.Answer(t, r))
	c := checker(t, revocation.Options{Clock: clock.now})
	want(t, "fetched", ask(c, l, a.Cert), revocation.Revoked)
	a.Serve("/ocsp", a.Answer(t, old))
	clock.pass(7 * time.Hour)
	want(t, "asked again", ask(c, l, a.Cert), revocation.Revoked)
	testkit.Poll(t, "the second fetch", func() bool { return a.Hits("/ocsp") == 2 && c.Stats().AnswerFetches == 2 })
	want(t, "played back", ask(c, l, a.Cert), revocation.Revoked)
}

// What a responder does instead of answering.
func TestResponderMisbehaves(t *testing.T) {
	a := testkit.NewAuthority(t)
	l := leaf(t, a, "ocsp")
	client := outbound.New(outbound.Options{Networks: loopback, Timeout: 300 * time.Millisecond})
	defer client.Close()
	for name, h := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write(make([]byte, 4096)); err == nil; _, err = w.Write(make([]byte, 4096)) {
			}
		},
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"error":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/ocsp", http.StatusTemporaryRedirect)
		},
		"redirect a GET": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/crl", http.StatusFound) },
	} {
		a.Handle("/ocsp", h)
		want(t, name, ask(checker(t, revocation.Options{Client: client}), l, a.Cert), revocation.Unknown, "responder")
	}
}
