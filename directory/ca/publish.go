package ca

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Where Handler answers.
const (
	PathRoot     = "/ca/root.cer"   // the root's certificate, DER
	PathIssuer   = "/ca/issuer.cer" // the issuing certificate, DER
	PathRootList = "/ca/root.crl"   // the authorities that the root has revoked (RFC 5280 section 5)
	PathCRL      = "/ca/crl"        // the certificates that the issuing authority has revoked
	PathOCSP     = "/ca/ocsp"       // RFC 6960 and RFC 5019
)

// Prefix is where all of the paths begin.
const Prefix = "/ca/"

const (
	// maxQuestion bounds a request of OCSP, in bytes; a usual one has 80.
	maxQuestion = 10 << 10
	// What others may keep a list or an answer for: so long a revocation may stay
	// unknown behind a cache, however long the signature is good.
	keepList = time.Hour
	keepCert = 24 * time.Hour
)

// Handler publishes the certificates, the lists and the answers of OCSP: all that
// stands under Prefix. It is for everybody, over plain HTTP too: what it gives is
// signed.
func (a *Authority) Handler(source Source) http.Handler {
	return &publisher{authority: a, lists: &lister{authority: a, source: source}, ocsp: newResponder(a, source)}
}

type publisher struct {
	authority *Authority
	lists     *lister
	ocsp      *responder
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case path == PathOCSP && r.Method == http.MethodPost:
		p.asked(w, r)
	case strings.HasPrefix(path, PathOCSP+"/") && reads(r):
		p.looked(w, r)
	case path == PathOCSP:
		refuseMethod(w, "POST")
	case !p.known(path):
		http.NotFound(w, r)
	case !reads(r):
		refuseMethod(w, "GET, HEAD")
	default:
		p.file(w, r)
	}
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

func refuseMethod(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
}

func (p *publisher) known(path string) bool {
	switch path {
	case PathRoot, PathIssuer, PathCRL:
		return true
	case PathRootList:
		return p.authority.rootList != nil
	}
	return false
}

// file gives one of the certificates or lists.
func (p *publisher) file(w http.ResponseWriter, r *http.Request) {
	a := p.authority
	switch r.URL.Path {
	case PathRoot:
		give(w, r, "application/pkix-cert", a.root.Raw, a.root.NotBefore, keepCert)
	case PathIssuer:
		give(w, r, "application/pkix-cert", a.issuer.Raw, a.issuer.NotBefore, keepCert)
	case PathRootList:
		give(w, r, "application/pkix-crl", a.rootList, time.Time{}, keepCert)
	case PathCRL:
		l, err := p.lists.get(r.Context())
		if err != nil {
			a.opts.Log.Error("the list of revoked certificates cannot be made", "error", err)
			w.Header().Set("Retry-After", "30")
			http.Error(w, "the list cannot be made now", http.StatusServiceUnavailable)
			return
		}
		give(w, r, "application/pkix-crl", l.der, l.made, keepList)
	}
}

// asked is OCSP by POST.
func (p *publisher) asked(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuestion))
	if err != nil {
		body = nil // answered as malformed
	}
	answer, _ := p.ocsp.respond(r.Context(), body)
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(answer)
}

// looked is OCSP by GET: the request stands in the path, in base64, which may
// hold slashes, and of which clients escape this or that.
func (p *publisher) looked(w http.ResponseWriter, r *http.Request) {
	var body []byte
	text, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), PathOCSP+"/"))
	if err == nil && len(text) <= maxQuestion {
		body, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		body = nil
	}
	answer, made := p.ocsp.respond(r.Context(), body)
	if made.IsZero() {
		w.Header().Set("Content-Type", "application/ocsp-response")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(answer)
		return
	}
	give(w, r, "application/ocsp-response", answer, made, keepList)
}

// give answers with bytes that may be kept for a time.
func give(w http.ResponseWriter, r *http.Request, kind string, body []byte, made time.Time, keep time.Duration) {
	sum := sha256.Sum256(body)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(keep.Seconds())))
	http.ServeContent(w, r, "", made, bytes.NewReader(body))
}
