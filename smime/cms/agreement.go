package cms

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// agreement protects keys with an ephemeral-static Diffie-Hellman agreement
// (KeyAgreeRecipientInfo, RFC 5652, 6.2.2; RFC 5753; RFC 8418).
type agreement struct {
	key    *ecdh.PublicKey
	scheme scheme
}

func (a agreement) version() int { return 3 }

func (a agreement) recipientInfo(rid, cek []byte) ([]byte, error) {
	ephemeral, err := a.key.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	secret, err := ephemeral.ECDH(a.key)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	keyInfo := a.keyWrap(len(cek))
	kek, err := a.scheme.derive(secret, keyInfo, nil, len(cek))
	if err != nil {
		return nil, err
	}
	defer clear(kek)
	wrapped, err := wrapKey(kek, cek)
	if err != nil {
		return nil, err
	}
	return a.encode(rid, ephemeral.PublicKey(), keyInfo, wrapped)
}

// keyWrap is the AlgorithmIdentifier of the key wrap, as strong as the key that
// is wrapped. Outlook writes and expects NULL parameters on the NIST curves;
// RFC 8418 wants them absent.
func (a agreement) keyWrap(size int) []byte {
	if a.key.Curve() == ecdh.X25519() {
		return algorithmDER(wrapOID(size), nil)
	}
	return algorithmDER(wrapOID(size), nullDER())
}

func (a agreement) originator() asn1.ObjectIdentifier {
	if a.key.Curve() == ecdh.X25519() {
		return oidX25519
	}
	return oidECPublicKey
}

func (a agreement) encode(rid []byte, ephemeral *ecdh.PublicKey, keyInfo, wrapped []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1tag.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		b.AddASN1(asn1tag.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1tag.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
				b.AddBytes(algorithmDER(a.originator(), nil))
				b.AddASN1BitString(ephemeral.Bytes())
			})
		})
		b.AddBytes(algorithmDER(a.scheme.oid, keyInfo))
		b.AddASN1(asn1tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(rid)
				b.AddASN1OctetString(wrapped)
			})
		})
	})
	return b.Bytes()
}
