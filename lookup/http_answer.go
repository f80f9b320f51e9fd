package lookup

import (
	"errors"
	"fmt"
	"mime"
	"net/http"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup/fetch"
	"sealpost/lookup/keydb"
)

// errTooMany is why an answer with status 200 is not believed.
var errTooMany = errors.New("the answer has too many certificates")

// read takes an answer with status 200.
func (h *HTTP) read(resp *http.Response, addr address.Address) (Answer, error) {
	body, err := fetch.ReadBody(resp, h.opts.MaxAnswer)
	if err != nil {
		return Answer{}, err
	}
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return Answer{}, fmt.Errorf("the answer's Content-Type: %w", err)
	}
	var certs []*certificate.Certificate
	switch {
	case kind == "application/json" && !h.store:
		return h.readJSON(body, addr, resp.Request.URL.Redacted())
	case kind == "multipart/mixed":
		certs, err = readParts(body, params["boundary"], h.opts.MaxCertificates)
	case holdsCertificates(kind):
		certs, err = certificate.ParseAll(body)
	default:
		return Answer{}, fmt.Errorf("the answer is %q, not certificates", kind)
	}
	return h.found(certs, err, resp.Request.URL.Redacted())
}

// holdsCertificates reports a media type that is certificates and nothing else.
func holdsCertificates(kind string) bool {
	switch kind {
	case "application/pkix-cert", "application/x-x509-user-cert", "application/x-x509-email-cert", "application/x-x509-ca-cert",
		"application/x-pem-file", "application/pem-certificate-chain",
		"application/pkcs7-mime", "application/x-pkcs7-mime", "application/x-pkcs7-certificates":
		return true
	}
	return false
}

// found makes an answer of what could be read; err is what could not.
func (h *HTTP) found(certs []*certificate.Certificate, err error, where string) (Answer, error) {
	if len(certs) > h.opts.MaxCertificates {
		return Answer{}, errTooMany
	}
	if len(certs) == 0 {
		return Answer{}, err
	}
	a := Answer{Outcome: Found, Reason: reason.None, Err: err}
	for _, c := range certs {
		a.Candidates = append(a.Candidates, Candidate{Cert: c, Where: where})
	}
	return a, nil
}

// readJSON reads the JSON of the directory API; see keydb.ReadAnswer.
func (h *HTTP) readJSON(body []byte, addr address.Address, where string) (Answer, error) {
	answer, err := keydb.ReadAnswer(body, addr)
	switch {
	case err != nil:
		return Answer{}, err
	case len(answer.Certificates) == 0:
		return none(), nil
	case len(answer.Certificates) > h.opts.MaxCertificates:
		return Answer{}, errTooMany
	}
	candidates, err := candidatesOf(answer.Certificates, where)
	if len(candidates) == 0 {
		return Answer{}, err
	}
	return Answer{Outcome: Found, Candidates: candidates, Err: err}, nil
}
