package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"net/url"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/lookup/keydb"
)

// search is GET /certificates/search.cgi, the certificate store of RFC 4387.
//
// Of its attributes (section 2.2) there is "uri", which for S/MIME is the mail
// address, and "email" (section 2.3), by which clients ask too. The others are
// not offered: "name", "iHash" and "sHash" would list people, and "certHash",
// "iAndSHash" and "sKIDHash" are for certificates that one knows already. They
// are answered 400, since 404 would say that there is no such certificate.
func (x *exchange) search() error {
	if err := x.permitOpen(store.ScopeRead, x.api.opts.RequireToken, costLookup); err != nil {
		return err
	}
	addr, err := readSearch(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	x.cacheable()
	certs, err := x.api.opts.Finder.Find(x.r.Context(), addr)
	switch {
	case err != nil:
		return err
	case len(certs) == 0:
		return unknown()
	case len(certs) == 1:
		return x.sendTagged(mediaTypes[formDER], certs[0].DER)
	}
	kind, body, err := multipartOf(certs)
	if err != nil {
		return internal(err)
	}
	return x.sendTagged(kind, body)
}

// readSearch reads a query of RFC 4387.
func readSearch(query string) (address.Address, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return address.Address{}, malformed("The query cannot be read.")
	}
	if len(values) != 1 {
		return address.Address{}, malformed("Ask with ?uri=ADDRESS, and nothing beside it.")
	}
	for name, all := range values {
		switch {
		case name != "uri" && name != "email":
			return address.Address{}, malformed("The only attributes of RFC 4387 that can be asked for here are uri and email.")
		case len(all) != 1:
			return address.Address{}, malformed("Give %s once.", name)
		}
		a, err := address.Parse(all[0])
		if err != nil {
			return address.Address{}, addressRefused(err)
		}
		return a, nil
	}
	return address.Address{}, malformed("Ask with ?uri=ADDRESS.")
}

// multipartOf writes several certificates as RFC 4387 wants them: a
// multipart/mixed of application/pkix-cert. The boundary comes from the
// content, so that the same answer has the same bytes and the same tag.
func multipartOf(certs []keydb.Certificate) (kind string, body []byte, err error) {
	hash := sha256.New()
	for _, c := range certs {
		hash.Write(c.SHA256[:])
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary(hex.EncodeToString(hash.Sum(nil))); err != nil {
		return "", nil, err
	}
	for _, c := range certs {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {mediaTypes[formDER]}})
		if err != nil {
			return "", nil, err
		}
		if _, err := part.Write(c.DER); err != nil {
			return "", nil, err
		}
	}
	if err := w.Close(); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("multipart/mixed; boundary=%s", w.Boundary()), b.Bytes(), nil
}
