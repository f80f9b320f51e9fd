package api

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup"
	"sealpost/lookup/keydb"
)

// publishTypes are the bodies of POST /v1/certificates. What is inside decides
// between the forms that are not JSON: PEM is sent as DER and the reverse.
var publishTypes = []string{
	"application/json",
	"application/x-pem-file", "application/pem-certificate-chain",
	"application/pkix-cert", "application/x-x509-user-cert", "application/x-x509-email-cert",
	"application/pkcs7-mime", "application/x-pkcs7-certificates",
}

// publish is POST /v1/certificates: all certificates of the body, or none.
func (x *exchange) publish() error {
	if err := x.permit(store.ScopeWrite); err != nil {
		return err
	}
	if err := x.bodyType(publishTypes...); err != nil {
		return err
	}
	body, err := x.readBody(x.api.opts.Limits.Publication)
	if err != nil {
		return err
	}
	kind, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	publication, err := readPublication(kind, body)
	if err != nil {
		return x.warnOfKeys(err)
	}
	ctx, cancel := x.context()
	defer cancel()
	news, err := publication.judge(ctx, x.api.opts)
	if err != nil {
		return err
	}
	added, err := x.add(ctx, news)
	if err != nil {
		return err
	}
	return x.sendJSON(keydb.Added{Certificates: added})
}

// warnOfKeys tells the operator when somebody sends private keys about.
func (x *exchange) warnOfKeys(err error) error {
	if p := asRefusal(err); p.Reason == reason.PrivateKeyReceived {
		x.api.opts.Log.Warn("a private key was sent to be published; nothing of it was kept", "token", x.token)
	}
	return err
}

// readBody reads a whole body of at most so many bytes.
func (x *exchange) readBody(limit int64) ([]byte, error) {
	if x.r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(x, x.r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, malformed("The body breaks off.").because(err)
	}
	return body, nil
}

// A publication is what somebody wants to be found.
type publication struct {
	certs     []*certificate.Certificate // without those of authorities
	addresses []address.Address          // nil: those that each certificate names
}

// readPublication reads a body of one of publishTypes.
func readPublication(kind string, body []byte) (publication, error) {
	var p publication
	if kind == keydb.TypeJSON {
		var request keydb.Publication
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil {
			return p, badBody(err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return p, malformed("Something follows the JSON of the body.")
		}
		for _, text := range request.Addresses {
			a, err := address.Parse(text)
			if err != nil {
				return p, addressRefused(err)
			}
			p.addresses = append(p.addresses, a)
		}
		body = request.DER
	}
	certs, err := certificate.ParseAll(body)
	switch {
	case errors.Is(err, certificate.ErrPrivateKey) || isPrivateKey(body):
		return p, refuse(http.StatusUnprocessableEntity, reason.PrivateKeyReceived,
			"This is a private key, or has one beside the certificate. Nothing was stored. Private keys must never leave their owner: "+
				"treat this one as exposed, have its certificate revoked, make a new key, and publish the certificate alone.")
	case err != nil:
		return p, refuse(http.StatusUnprocessableEntity, reason.CertificateUnreadable, "%s", err)
	}
	for _, c := range certs {
		if !c.IsCA {
			p.certs = append(p.certs, c)
		}
	}
	switch {
	case len(p.certs) == 0:
		return p, refuse(http.StatusUnprocessableEntity, reason.CertificateCA, "These are certificates of authorities; nobody's mail can be sealed to them.")
	case len(p.certs) > 1 && p.addresses != nil:
		return p, malformed("With addresses there must be one certificate.")
	}
	return p, nil
}

// isPrivateKey recognises private keys that are no PEM: PKCS #8, PKCS #1, SEC 1,
// and PKCS #12 files, which have one inside as a rule.
func isPrivateKey(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return true
	}
	s := cryptobyte.String(der)
	var pfx cryptobyte.String
	var version int
	return s.ReadASN1(&pfx, asn1.SEQUENCE) && pfx.ReadASN1Integer(&version) && version == 3 && pfx.PeekASN1Tag(asn1.SEQUENCE)
}

// judge refuses what nobody could be written with: the judgement is the one of
// a relay that takes this directory's word for whose certificate it is.
func (p publication) judge(ctx context.Context, opts Options) ([]store.New, error) {
	news := make([]store.New, len(p.certs))
	for i, c := range p.certs {
		addrs := p.addresses
		if addrs == nil {
			addrs = readable(c.Addresses)
		}
		if len(addrs) == 0 {
			return nil, refuse(http.StatusUnprocessableEntity, reason.CertificateAddress,
				"The certificate of %s names no mail address in its subject alternative name.", c.Subject)
		}
		for _, a := range addrs {
			if err := judge(ctx, c, a, opts); err != nil {
				return nil, err
			}
		}
		news[i] = store.New{Cert: c, Addresses: addrs, Origin: store.OriginAPI, Supersede: true}
	}
	return news, nil
}

func readable(texts []string) (addrs []address.Address) {
	for _, s := range texts {
		if a, err := address.Parse(s); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// one is a source that has one certificate.
type one struct{ cert *certificate.Certificate }

// Lookup finds it for everybody.
func (o one) Lookup(context.Context, address.Address) lookup.Answer {
	return lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{{Cert: o.cert}}}
}

func judge(ctx context.Context, c *certificate.Certificate, a address.Address, opts Options) error {
	trusted, err := lookup.NewTrusted(one{c}, lookup.TrustOptions{Vouch: lookup.Itself, Clock: opts.Clock})
	if err != nil {
		return internal(err)
	}
	for _, candidate := range trusted.Lookup(ctx, a).Candidates {
		// What will be valid can be published before it is.
		if !candidate.Usable && candidate.Reason != reason.CertificateNotYetValid {
			return refuse(http.StatusUnprocessableEntity, candidate.Reason, "The certificate of %s for %s %s.", c.Subject, a, candidate.Why)
		}
	}
	return nil
}

// add stores, and waits until lookups find it.
func (x *exchange) add(ctx context.Context, news []store.New) ([]keydb.AddedCertificate, error) {
	added, err := x.api.opts.Store.Add(ctx, news)
	if err != nil {
		return nil, err
	}
	if err := x.settle(ctx); err != nil {
		return nil, err
	}
	all := make([]keydb.AddedCertificate, len(added))
	for i, one := range added {
		all[i] = keydb.AddedCertificate{SHA256: one.Fingerprint, Status: string(one.Status), Known: one.Known}
		for _, a := range news[i].Addresses {
			all[i].Addresses = append(all[i].Addresses, a.Key())
		}
		for _, s := range one.Superseded {
			all[i].Superseded = append(all[i].Superseded, s)
		}
	}
	return all, nil
}

// settle lets the one who wrote find what he wrote.
func (x *exchange) settle(ctx context.Context) error {
	seq, err := x.api.opts.Store.Sequence(ctx)
	if err == nil {
		x.api.opts.Finder.settle(ctx, seq)
	}
	return err
}

func (x *exchange) sendJSON(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return internal(err)
	}
	x.Header().Set("Cache-Control", "no-store")
	return x.send(keydb.TypeJSON, body)
}

// revoke is DELETE /v1/certificates/{sha256}. It is kept, as revoked, so that
// it does not come back by the next signed mail.
func (x *exchange) revoke() error {
	if err := x.permit(store.ScopeWrite); err != nil {
		return err
	}
	var fingerprint keydb.Fingerprint
	if fingerprint.UnmarshalText([]byte(x.arg)) != nil {
		return malformed("A certificate is named by the SHA-256 of its DER, %d hexadecimal digits.", hex.EncodedLen(len(fingerprint)))
	}
	ctx, cancel := x.context()
	defer cancel()
	err := x.api.opts.Store.SetStatus(ctx, fingerprint, store.StatusRevoked, "by the API, token "+x.token)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(http.StatusNotFound, reason.NotFound, "The directory has no certificate with this fingerprint.")
	}
	if err != nil {
		return err
	}
	if err := x.settle(ctx); err != nil {
		return err
	}
	x.WriteHeader(http.StatusNoContent)
	return nil
}
