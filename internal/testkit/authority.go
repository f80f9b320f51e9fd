package testkit

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// An Authority is a CA with a web server on loopback that tells who was
// withdrawn: a revocation list at /crl, an OCSP responder at /ocsp, and its own
// certificate at /ca. Each can be made to fail, to stall and to lie.
type Authority struct {
	*CA
	URL string // without a slash at the end

	server    *httptest.Server
	mu        sync.Mutex
	withdrawn map[string]Withdrawn
	number    int64
	handlers  map[string]http.HandlerFunc
	hits      map[string]int

	// What the authority says of itself; to be changed before it is asked.
	ListLife, AnswerLife time.Duration // until the next update, default one hour
	Responder            *Identity     // signs OCSP answers; default: the CA itself
}

// Withdrawn is one revoked certificate.
type Withdrawn struct {
	Serial *big.Int
	At     time.Time // default: an hour ago
	Reason int       // RFC 5280 section 5.3.1
}

// NewAuthority makes a root with its server.
func NewAuthority(t testing.TB) *Authority { return NewCA(t).Authority(t) }

// Authority gives a CA a server.
func (ca *CA) Authority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{
		CA: ca, withdrawn: map[string]Withdrawn{}, hits: map[string]int{},
		ListLife: time.Hour, AnswerLife: time.Hour,
	}
	a.handlers = map[string]http.HandlerFunc{
		"/crl":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(a.List(t, List{})) },
		"/ca":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(a.Cert.Raw) },
		"/ocsp": func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(a.answer(t, r)) },
	}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	a.URL = a.server.URL
	t.Cleanup(a.Stop)
	return a
}

// Stop ends the server; connections to it are refused from then on.
func (a *Authority) Stop() {
	closed := make(chan struct{})
	go func() { a.server.Close(); close(closed) }()
	for { // a connection may come just before the listener closes
		a.server.CloseClientConnections()
		select {
		case <-closed:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (a *Authority) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.hits[r.URL.Path]++
	h := a.handlers[r.URL.Path]
	a.mu.Unlock()
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16)) // or r.Context would not notice that the client has left
	r.Body = io.NopCloser(bytes.NewReader(body))
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h(w, r)
}

// Handle puts another handler at a path, nil for none.
func (a *Authority) Handle(path string, h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handlers[path] = h
}

// Serve puts fixed bytes at a path.
func (a *Authority) Serve(path string, body []byte) {
	a.Handle(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
}

// Hits counts requests for a path.
func (a *Authority) Hits(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hits[path]
}

// Withdraw puts a certificate on the list and makes the responder say so.
func (a *Authority) Withdraw(cert *x509.Certificate, reason int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.withdrawn[cert.SerialNumber.String()] = Withdrawn{Serial: cert.SerialNumber, At: time.Now().Add(-time.Hour), Reason: reason}
}

// Restore takes a certificate off the list.
func (a *Authority) Restore(cert *x509.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.withdrawn, cert.SerialNumber.String())
}

// Points makes a Leaf.Change that names the authority's places: any of "crl",
// "ocsp" and "ca".
func (a *Authority) Points(places ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, p := range places {
			switch p {
			case "crl":
				c.CRLDistributionPoints = append(c.CRLDistributionPoints, a.URL+"/crl")
			case "ocsp":
				c.OCSPServer = append(c.OCSPServer, a.URL+"/ocsp")
			case "ca":
				c.IssuingCertificateURL = append(c.IssuingCertificateURL, a.URL+"/ca")
			}
		}
	}
}

// A List says what revocation list a test wants. The zero value is the
// authority's own, of now.
type List struct {
	Revoked    []Withdrawn // default: those of the authority
	From, To   time.Time
	Number     int64 // default: counts up
	Signer     *CA   // default: the authority; its name stands on the list
	Extensions []pkix.Extension
	Algorithm  x509.SignatureAlgorithm
	Entries    []x509.RevocationListEntry // beside Revoked, as they stand
}

// List makes a revocation list, as DER.
func (a *Authority) List(t testing.TB, l List) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.number++
	template := &x509.RevocationList{
		Number: big.NewInt(a.number), ThisUpdate: l.From, NextUpdate: l.To,
		ExtraExtensions: l.Extensions, SignatureAlgorithm: l.Algorithm, RevokedCertificateEntries: l.Entries,
	}
	if l.Number != 0 {
		template.Number = big.NewInt(l.Number)
	}
	if l.From.IsZero() {
		template.ThisUpdate = time.Now().Add(-time.Second)
	}
	if l.To.IsZero() {
		template.NextUpdate = time.Now().Add(a.ListLife)
	}
	if l.Revoked == nil {
		for _, w := range a.withdrawn {
			l.Revoked = append(l.Revoked, w)
		}
	}
	for _, w := range l.Revoked {
		if w.At.IsZero() {
			w.At = time.Now().Add(-time.Hour)
		}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: w.Serial, RevocationTime: w.At, ReasonCode: w.Reason})
	}
	signer := l.Signer
	if signer == nil {
		signer = a.CA
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, signer.Cert, signer.key)
	if err != nil {
		t.Error(err)
	}
	return der
}

// answer is what the responder says to a request.
func (a *Authority) answer(t testing.TB, r *http.Request) []byte {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	req, err := ocsp.ParseRequest(body)
	if err != nil {
		return ocsp.MalformedRequestErrorResponse
	}
	return a.Answer(t, a.Says(req.SerialNumber))
}

// Says is what the responder knows of a serial number, for Answer.
func (a *Authority) Says(serial *big.Int) ocsp.Response {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := ocsp.Response{Status: ocsp.Good, SerialNumber: serial, ThisUpdate: time.Now().Add(-time.Second).UTC(), NextUpdate: time.Now().Add(a.AnswerLife).UTC()}
	if w, ok := a.withdrawn[serial.String()]; ok {
		out.Status, out.RevokedAt, out.RevocationReason = ocsp.Revoked, w.At.UTC(), w.Reason
	}
	return out
}

// Answer signs an OCSP answer with the authority's responder.
func (a *Authority) Answer(t testing.TB, says ocsp.Response) []byte {
	cert, key := a.Cert, a.key
	if a.Responder != nil {
		cert, key = a.Responder.Cert, a.Responder.Key.(crypto.Signer)
		says.Certificate = cert
	}
	return signAnswer(t, a.Cert, cert, key, says)
}

func signAnswer(t testing.TB, issuer, responder *x509.Certificate, key crypto.Signer, says ocsp.Response) []byte {
	if says.IssuerHash == 0 {
		says.IssuerHash = crypto.SHA1
	}
	der, err := ocsp.CreateResponse(issuer, responder, says, key)
	if err != nil {
		t.Error(err)
	}
	return bytes.Clone(der)
}

// AnswerFor signs an answer about a certificate of another issuer.
func (a *Authority) AnswerFor(t testing.TB, issuer *x509.Certificate, says ocsp.Response) []byte {
	return signAnswer(t, issuer, a.Cert, a.key, says)
}
