package lookup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

// Why an answer with status 200 is not believed.
var (
	errAnswerTooLarge = errors.New("the answer is too large")
	errCompressed     = errors.New("the answer is compressed, which nobody asked for")
	errTooMany        = errors.New("the answer has too many certificates")
	errJSON           = errors.New("the answer is not the JSON of the directory API")
	errJSONAddress    = errors.New("the answer is for another address")
)

// read takes an answer with status 200.
func (h *HTTP) read(resp *http.Response, addr address.Address) (Answer, error) {
	if resp.Header.Get("Content-Encoding") != "" {
		return Answer{}, errCompressed
	}
	if resp.ContentLength > h.opts.MaxAnswer {
		return Answer{}, errAnswerTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, h.opts.MaxAnswer+1))
	if err != nil {
		return Answer{}, fmt.Errorf("the answer breaks off: %w", err)
	}
	if int64(len(body)) > h.opts.MaxAnswer {
		return Answer{}, errAnswerTooLarge
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return Answer{}, fmt.Errorf("the answer's Content-Type: %w", err)
	}
	var certs []*certificate.Certificate
	switch kind {
	case "application/json":
		var empty bool
		if certs, empty, err = readJSON(body, addr, h.opts.MaxCertificates); empty {
			return none(), nil
		}
	case "application/pkix-cert", "application/x-x509-user-cert", "application/x-x509-email-cert", "application/x-x509-ca-cert",
		"application/x-pem-file", "application/pem-certificate-chain",
		"application/pkcs7-mime", "application/x-pkcs7-mime", "application/x-pkcs7-certificates":
		certs, err = certificate.ParseAll(body)
	default:
		return Answer{}, fmt.Errorf("the answer is %q, not certificates", kind)
	}
	return h.found(certs, err, resp.Request.URL.Redacted())
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

// readJSON reads the JSON of the directory API (GET /v1/certificates):
//
//	{
//	  "address": "anna@example.org",
//	  "certificates": [
//	    {"der": "MIIC…"}
//	  ]
//	}
//
// address is the one that was asked for, in either spelling of its domain; der
// is one certificate, base64 with padding (RFC 4648 section 4). The best
// certificate comes first. Both members must be there; an empty list (not
// null) says that the address has none, as status 404 does. Members that are
// not known are passed over, so that the API can grow.
func readJSON(body []byte, addr address.Address, most int) (certs []*certificate.Certificate, empty bool, err error) {
	var answer struct {
		Address      string `json:"address"`
		Certificates []struct {
			DER []byte `json:"der"`
		} `json:"certificates"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&answer); err != nil {
		return nil, false, fmt.Errorf("%w: %w", errJSON, err)
	}
	if _, err := decoder.Token(); err != io.EOF || answer.Certificates == nil {
		return nil, false, errJSON
	}
	if about, err := address.Parse(answer.Address); err != nil || about.Key() != addr.Key() {
		return nil, false, errJSONAddress
	}
	if len(answer.Certificates) > most {
		return nil, false, errTooMany
	}
	var errs []error
	for i, c := range answer.Certificates {
		cert, err := certificate.Parse(c.DER)
		if err != nil {
			errs = append(errs, fmt.Errorf("certificate %d: %w", i+1, err))
			continue
		}
		certs = append(certs, cert)
	}
	return certs, len(answer.Certificates) == 0, errors.Join(errs...)
}
