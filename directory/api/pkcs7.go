package api

import (
	encasn1 "encoding/asn1"
	"encoding/pem"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"sealpost/lookup/keydb"
)

var (
	oidSignedData = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidData       = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
)

// certsOnly writes certificates as a degenerate SignedData, which signs nothing
// (RFC 8551 section 3.8, RFC 5652 section 5.1). The SET is in the order given,
// the best certificate first, as other programs that write such files do; BER
// allows any order.
func certsOnly(certs []keydb.Certificate) ([]byte, error) {
	context0 := asn1.Tag(0).ContextSpecific().Constructed()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)                                      // version
				b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {})      // digestAlgorithms
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { // encapContentInfo
					b.AddASN1ObjectIdentifier(oidData)
				})
				b.AddASN1(context0, func(b *cryptobyte.Builder) {
					for _, c := range certs {
						b.AddBytes(c.DER)
					}
				})
				b.AddASN1(asn1.SET, func(*cryptobyte.Builder) {}) // signerInfos
			})
		})
	})
	return b.Bytes()
}

// appendPEM writes all certificates one after the other.
func appendPEM(b []byte, certs []keydb.Certificate) []byte {
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})...)
	}
	return b
}
