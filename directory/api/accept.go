package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"sealpost/internal/reason"
)

// A form is a way to write certificates.
type form int

// The forms, in the order in which we prefer them where the client does not care.
const (
	formJSON  form = iota
	formPEM        // all certificates
	formDER        // the best one
	formPKCS7      // all, certs-only (RFC 8551 section 3.8)
)

// mediaTypes are the types that the forms are sent as, by form.
var mediaTypes = [...]string{
	formJSON:  "application/json",
	formPEM:   "application/x-pem-file",
	formDER:   "application/pkix-cert",
	formPKCS7: "application/pkcs7-mime; smime-type=certs-only",
}

// spellings are the types under which a client may ask for a form.
var spellings = map[string]form{
	"application/json":                  formJSON,
	"application/x-pem-file":            formPEM,
	"application/pem-certificate-chain": formPEM,
	"application/pkix-cert":             formDER,
	"application/pkcs7-mime":            formPKCS7,
}

// negotiate chooses the form that Accept (RFC 9110 section 12.5.1) wants most.
// A range that cannot be read is passed over; when nothing is left that we can
// write, the error is 406.
func negotiate(accept []string) (form, error) {
	if len(accept) == 0 || len(accept) == 1 && (accept[0] == "" || accept[0] == "*/*" || accept[0] == "application/json") {
		return formJSON, nil
	}
	best, bestQ := formJSON, 0.0
	ranges := readRanges(accept)
	for f := range form(len(mediaTypes)) {
		if q := quality(ranges, f); q > bestQ {
			best, bestQ = f, q
		}
	}
	if bestQ == 0 {
		return 0, refuse(http.StatusNotAcceptable, reason.NotAcceptable,
			"The answer can be %s.", strings.Join(mediaTypes[:], ", ")).with("Vary", "Accept")
	}
	return best, nil
}

// A mediaRange is one element of Accept.
type mediaRange struct {
	kind      string // "*/*", "application/*", or a type
	certsOnly bool   // smime-type, where it is given, is ours
	q         float64
}

// maxRanges bounds the work for one header.
const maxRanges = 32

func readRanges(accept []string) []mediaRange {
	var ranges []mediaRange
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		if len(ranges) == maxRanges {
			break
		}
		kind, params, err := mime.ParseMediaType(part)
		if err != nil || !strings.Contains(kind, "/") {
			continue
		}
		r := mediaRange{kind: kind, certsOnly: true, q: 1}
		if text, ok := params["q"]; ok {
			if r.q, err = strconv.ParseFloat(text, 64); err != nil || !(r.q >= 0 && r.q <= 1) {
				continue
			}
		}
		if s, ok := params["smime-type"]; ok {
			r.certsOnly = strings.EqualFold(s, "certs-only")
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// quality is what the most specific range that fits says about a form.
func quality(ranges []mediaRange, f form) float64 {
	q, rank := 0.0, 0
	for _, r := range ranges {
		n := 0
		switch as, ok := spellings[r.kind]; {
		case ok && as == f && (f != formPKCS7 || r.certsOnly):
			n = 3
		case r.kind == "application/*":
			n = 2
		case r.kind == "*/*":
			n = 1
		}
		switch {
		case n > rank:
			q, rank = r.q, n
		case n == rank && n > 0:
			q = max(q, r.q) // two spellings of one form
		}
	}
	return q
}
