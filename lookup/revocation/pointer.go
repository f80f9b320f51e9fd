package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"net/url"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds on what one certificate can make us ask.
const (
	maxPoints = 8 // distribution points
	maxURLs   = 4 // of one distribution point, and of responders
)

var (
	oidDistributionPoints = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidNoRevocation       = asn1.ObjectIdentifier{2, 5, 29, 56} // RFC 9608
)

// reasonMask is a set of reasons, by the bits of ReasonFlags (RFC 5280 section
// 4.2.1.13).
type reasonMask uint16

const (
	allReasons reasonMask = 0b1_1111_1110 // bits 1 to 8; bit 0 is unused
)

// A point is one distribution point: where a list is that speaks of a
// certificate, as far as some reasons go.
type point struct {
	urls    []string // alternatives, http or https
	names   [][]byte // DER of every GeneralName, to be compared with a list's own
	reasons reasonMask
	foreign bool // the list is signed by somebody else than the certificate's issuer
}

// pointers are where a certificate says that its status is to be found.
type pointers struct {
	points     []point
	responders []string
	ignored    int  // names with another scheme (ldap), and foreign points
	none       bool // says of itself that there is no such place (RFC 9608)
}

var (
	tagName      = cbasn1.Tag(0).Constructed().ContextSpecific()
	tagReasons   = cbasn1.Tag(1).ContextSpecific()
	tagCRLIssuer = cbasn1.Tag(2).Constructed().ContextSpecific()
	tagURI       = cbasn1.Tag(6).ContextSpecific()
	tagDirectory = cbasn1.Tag(4).Constructed().ContextSpecific()
)

// pointersOf reads what crypto/x509 gives only in part: it drops reasons and
// issuers of distribution points.
func pointersOf(c *x509.Certificate) pointers {
	var p pointers
	for _, e := range c.Extensions {
		switch {
		case e.Id.Equal(oidDistributionPoints):
			p.readPoints(e.Value, c.RawIssuer)
		case e.Id.Equal(oidNoRevocation):
			p.none = !c.IsCA
		}
	}
	for _, s := range c.OCSPServer {
		if !fetchable(s) {
			p.ignored++
		} else if len(p.responders) < maxURLs {
			p.responders = append(p.responders, s)
		}
	}
	return p
}

func fetchable(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https")) && u.Host != ""
}

// readPoints reads CRLDistributionPoints. What cannot be read is no place to
// look at; it never makes a certificate good.
func (p *pointers) readPoints(der cryptobyte.String, issuer []byte) {
	var list cryptobyte.String
	if !der.ReadASN1(&list, cbasn1.SEQUENCE) {
		return
	}
	for !list.Empty() && len(p.points) < maxPoints {
		var body cryptobyte.String
		if !list.ReadASN1(&body, cbasn1.SEQUENCE) {
			return
		}
		pt, ignored, ok := readPoint(body, issuer)
		p.ignored += ignored
		if ok {
			p.points = append(p.points, pt)
		}
	}
}

func readPoint(body cryptobyte.String, issuer []byte) (pt point, ignored int, ok bool) {
	var name, reasons, crlIssuer cryptobyte.String
	var hasName, hasReasons, hasIssuer bool
	if !body.ReadOptionalASN1(&name, &hasName, tagName) || !body.ReadOptionalASN1(&reasons, &hasReasons, tagReasons) ||
		!body.ReadOptionalASN1(&crlIssuer, &hasIssuer, tagCRLIssuer) || !body.Empty() {
		return pt, 0, false
	}
	pt.reasons = allReasons
	if hasReasons {
		if pt.reasons, ok = readReasons(reasons); !ok {
			return pt, 0, false
		}
	}
	if hasIssuer {
		pt.foreign = !namesDirectory(crlIssuer, issuer)
		pt.names = appendNames(pt.names, crlIssuer)
	}
	if hasName {
		var full cryptobyte.String
		if name.ReadASN1(&full, tagName) { // the other choice is relative to the issuer
			pt.names = appendNames(pt.names, full)
		}
	}
	for _, n := range pt.names {
		der := cryptobyte.String(n)
		var uri cryptobyte.String
		if !der.ReadASN1(&uri, tagURI) {
			continue
		}
		if !fetchable(string(uri)) {
			ignored++
		} else if len(pt.urls) < maxURLs {
			pt.urls = append(pt.urls, string(uri))
		}
	}
	return pt, ignored, true
}

// readReasons reads the content of an implicitly tagged BIT STRING.
func readReasons(content cryptobyte.String) (reasonMask, bool) {
	var unused uint8
	if !content.ReadUint8(&unused) || unused > 7 || len(content) == 0 {
		return 0, false
	}
	var mask reasonMask
	for i := range min(len(content)*8, 9) {
		if content[i/8]&(0x80>>(i%8)) != 0 {
			mask |= 1 << i
		}
	}
	return mask & allReasons, true
}

// appendNames gives each GeneralName of a list with its tag.
func appendNames(names [][]byte, list cryptobyte.String) [][]byte {
	for !list.Empty() && len(names) < 2*maxURLs {
		var element cryptobyte.String
		var tag cbasn1.Tag
		if !list.ReadAnyASN1Element(&element, &tag) {
			break
		}
		names = append(names, element)
	}
	return names
}

// namesDirectory reports whether GeneralNames hold the directory name.
func namesDirectory(names cryptobyte.String, name []byte) bool {
	for !names.Empty() {
		var content cryptobyte.String
		var tag cbasn1.Tag
		if !names.ReadAnyASN1(&content, &tag) {
			return false
		}
		if tag == tagDirectory && bytes.Equal(content, name) {
			return true
		}
	}
	return false
}
