package revocation

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// withoutEnd is how long an answer counts that does not say when the next one
// is due: such a responder knows more at any time (RFC 6960 section 4.2.2.1).
const withoutEnd = time.Hour

// Why an OCSP answer is of no use.
var (
	errOtherCert    = errors.New("it is about another certificate")
	errResponder    = errors.New("its responder was not appointed by the certificate's issuer")
	errResponderEKU = errors.New("its responder's certificate is not for signing OCSP answers")
	errResponderAge = errors.New("its responder's certificate is not valid now")
	errResponderID  = errors.New("it names another responder than the one that signed it")
	errNotKnown     = errors.New("the responder says that it does not know the certificate")
	errNotSaid      = errors.New("the responder gives no answer")
)

// An answer is a verified OCSP answer about one certificate.
type answer struct {
	verdict  Verdict // Good or Revoked; Until is when it ends
	from     time.Time
	delegate *x509.Certificate // a delegated responder that can be revoked itself
}

func (a *answer) current(now time.Time) bool {
	return a != nil && now.Before(a.verdict.Until.Add(skew))
}

// request asks about one certificate (RFC 6960 section 4.1). SHA-1 is only a
// name for the issuer here, the one that every responder knows.
func request(c, issuer *x509.Certificate) ([]byte, error) { return ocsp.CreateRequest(c, issuer, nil) }

// readAnswer reads and verifies what a responder said about c. No nonce is
// asked for: responders that prepare their answers cannot give one, and the
// answer's times bound its age.
func readAnswer(der []byte, c, issuer *x509.Certificate, now time.Time) (*answer, error) {
	// Without the issuer, the library leaves the choice of the signer to us.
	r, err := ocsp.ParseResponseForCert(der, c, nil)
	var status ocsp.ResponseError
	switch {
	case errors.As(err, &status):
		return nil, fmt.Errorf("%w (%v)", errNotSaid, status.Status)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	a := &answer{from: r.ThisUpdate}
	if err := checkIDs(r.TBSResponseData, c, issuer); err != nil {
		return nil, err
	}
	if a.delegate, err = checkResponder(r, issuer, now); err != nil {
		return nil, err
	}
	until := r.NextUpdate
	if until.IsZero() {
		until = r.ThisUpdate.Add(withoutEnd)
	}
	if err := checkTimes(r.ThisUpdate, until, now); err != nil {
		return nil, err
	}
	switch r.Status {
	case ocsp.Good:
		a.verdict = Verdict{Status: Good, Until: until}
	case ocsp.Revoked:
		a.verdict = revokedVerdict(r.RevokedAt, r.RevocationReason, until)
	default:
		return nil, errNotKnown
	}
	return a, nil
}

// checkResponder wants the signer to be the issuer, or somebody whom the
// issuer itself has appointed for this (RFC 6960 section 4.2.2.2). It gives
// the certificate of the latter, unless its issuer vouches that it need not be
// asked about.
func checkResponder(r *ocsp.Response, issuer *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	if forgeable(r.SignatureAlgorithm) {
		return nil, fmt.Errorf("%w (%v)", errForgeable, r.SignatureAlgorithm)
	}
	d := r.Certificate
	if d == nil {
		if err := r.CheckSignatureFrom(issuer); err != nil {
			return nil, fmt.Errorf("%w: %w", errSigner, err)
		}
		return nil, checkResponderID(r, issuer)
	}
	// The library has seen that d's key made the signature.
	if bytes.Equal(d.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
		return nil, checkResponderID(r, issuer)
	}
	switch {
	case !bytes.Equal(d.RawIssuer, issuer.RawSubject):
		return nil, errResponder
	case forgeable(d.SignatureAlgorithm):
		return nil, fmt.Errorf("%w (%v, of the responder's certificate)", errForgeable, d.SignatureAlgorithm)
	case issuer.CheckSignature(d.SignatureAlgorithm, d.RawTBSCertificate, d.Signature) != nil:
		return nil, errResponder
	case !slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return nil, errResponderEKU
	case d.KeyUsage != 0 && d.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return nil, errResponderEKU
	case now.Before(d.NotBefore.Add(-skew)) || now.After(d.NotAfter.Add(skew)):
		return nil, errResponderAge
	case len(d.UnhandledCriticalExtensions) > 0:
		return nil, fmt.Errorf("%w (%v, of the responder's certificate)", errCritical, d.UnhandledCriticalExtensions[0])
	}
	if err := checkResponderID(r, d); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(d.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNoCheck) }) {
		return nil, nil
	}
	return d, nil
}

var oidNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5} // RFC 6960 section 4.2.2.2.1

func checkResponderID(r *ocsp.Response, signer *x509.Certificate) error {
	if r.RawResponderName != nil {
		if !bytes.Equal(r.RawResponderName, signer.RawSubject) {
			return errResponderID
		}
		return nil
	}
	key, err := publicKeyBits(signer)
	if sum := sha1.Sum(key); err != nil || !bytes.Equal(r.ResponderKeyHash, sum[:]) {
		return errResponderID
	}
	return nil
}

// publicKeyBits is what key hashes are made of: the key without its algorithm.
func publicKeyBits(c *x509.Certificate) ([]byte, error) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil, err
	}
	return spki.Key.RightAlign(), nil
}
