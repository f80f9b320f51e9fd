package revocation

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	_ "crypto/sha1"   // the hashes that responders
	_ "crypto/sha256" // name issuers
	_ "crypto/sha512" // with
)

var certIDHashes = map[string]crypto.Hash{
	"1.3.14.3.2.26": crypto.SHA1, "2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// checkIDs looks at every single response with the serial number of c: the
// library takes the first, and compares nothing but the serial. Serial numbers
// are an issuer's own, so an answer about another issuer's certificate would
// pass for one about c.
func checkIDs(responseData cryptobyte.String, c, issuer *x509.Certificate) error {
	var body, responses cryptobyte.String
	var tag cbasn1.Tag
	var skipped cryptobyte.String
	ok := responseData.ReadASN1(&body, cbasn1.SEQUENCE) &&
		body.SkipOptionalASN1(tagName) && // version
		body.ReadAnyASN1(&skipped, &tag) && // responder
		body.SkipASN1(cbasn1.GeneralizedTime) && body.ReadASN1(&responses, cbasn1.SEQUENCE)
	if !ok {
		return errMalformed
	}
	want := integer(c.SerialNumber)
	found := false
	for !responses.Empty() {
		var single, id, algorithm, name, key, serial cryptobyte.String
		var oid asn1.ObjectIdentifier
		ok := responses.ReadASN1(&single, cbasn1.SEQUENCE) && single.ReadASN1(&id, cbasn1.SEQUENCE) &&
			id.ReadASN1(&algorithm, cbasn1.SEQUENCE) && algorithm.ReadASN1ObjectIdentifier(&oid) &&
			id.ReadASN1(&name, cbasn1.OCTET_STRING) && id.ReadASN1(&key, cbasn1.OCTET_STRING) && id.ReadASN1(&serial, cbasn1.INTEGER)
		if !ok {
			return errMalformed
		}
		if !bytes.Equal(canonical(serial), want) {
			continue
		}
		if !isIssuer(oid.String(), name, key, issuer) {
			return errOtherCert
		}
		found = true
	}
	if !found {
		return errOtherCert
	}
	return nil
}

func isIssuer(algorithm string, name, key []byte, issuer *x509.Certificate) bool {
	hash, known := certIDHashes[algorithm]
	bits, err := publicKeyBits(issuer)
	if !known || err != nil {
		return false
	}
	sum := func(b []byte) []byte {
		h := hash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	return bytes.Equal(name, sum(issuer.RawSubject)) && bytes.Equal(key, sum(bits))
}
