package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"sealpost/directory/store"
	"sealpost/lookup/keydb"
)

// lookup is GET /v1/certificates.
func (x *exchange) lookup() error {
	if err := x.permitOpen(store.ScopeRead, x.api.opts.RequireToken, costLookup); err != nil {
		return err
	}
	form, err := negotiate(x.r.Header["Accept"])
	if err != nil {
		return err
	}
	addr, err := readEmail(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	x.cacheable()
	x.Header()["Vary"] = varyAccept
	certs, err := x.api.opts.Finder.Find(x.r.Context(), addr)
	if err != nil {
		return err
	}
	if len(certs) == 0 {
		return unknown()
	}
	return x.sendCertificates(form, addr.Key(), certs)
}

var varyAccept = []string{"Accept"}

// cacheable sets Cache-Control, for known and unknown addresses alike.
func (x *exchange) cacheable() { x.Header()["Cache-Control"] = x.api.cacheControl }

// cacheControl is the value for all lookups of an API.
func cacheControl(o *Options) []string {
	who := "public"
	if o.RequireToken {
		who = "private"
	}
	return []string{who + ", max-age=" + strconv.Itoa(int(o.CacheFor.Seconds()))}
}

// bodies are buffers for answers.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

const maxPooled = 4 << 20

// withBody runs f with an empty buffer that is used again afterwards.
func withBody(f func(b []byte) ([]byte, error)) error {
	buf := bodies.Get().(*[]byte)
	b, err := f((*buf)[:0])
	if cap(b) <= maxPooled {
		*buf = b
		bodies.Put(buf)
	}
	return err
}

func (x *exchange) sendCertificates(f form, key string, certs []keydb.Certificate) error {
	return withBody(func(b []byte) ([]byte, error) {
		var err error
		switch f {
		case formPEM:
			b = appendPEM(b, certs)
		case formDER:
			b = append(b, certs[0].DER...)
		case formPKCS7:
			var der []byte
			der, err = certsOnly(certs)
			b = append(b, der...)
		default:
			b = keydb.AppendAnswer(b, key, certs)
		}
		if err != nil {
			return b, internal(err)
		}
		return b, x.sendTagged(mediaTypes[f], b)
	})
}

// sendTagged sends a body with its strong entity tag (RFC 9110 section 8.8.3),
// or 304 to who has it already.
func (x *exchange) sendTagged(mediaType string, body []byte) error {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	h := x.Header()
	h["Etag"] = []string{tag}
	if matches(x.r.Header["If-None-Match"], tag) {
		x.WriteHeader(http.StatusNotModified)
		return nil
	}
	return x.send(mediaType, body)
}

func (x *exchange) send(mediaType string, body []byte) error {
	h := x.Header()
	h["Content-Type"] = []string{mediaType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, _ = x.Write(body) // who has gone has gone
	return nil
}

// matches compares If-None-Match with our tag, weakly as RFC 9110 section
// 13.1.2 wants.
func matches(fields []string, tag string) bool {
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}
