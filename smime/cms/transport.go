package cms

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"
)

// transport protects keys with RSA (KeyTransRecipientInfo, RFC 5652, 6.2.1).
type transport struct {
	key  *rsa.PublicKey
	oaep bool
}

func (t transport) version() int { return 0 }

func (t transport) recipientInfo(rid, cek []byte) ([]byte, error) {
	encrypted, err := t.encrypt(cek)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(rid)
		if t.oaep {
			b.AddBytes(algorithmDER(oidRSAESOAEP, oaepParameters()))
		} else {
			b.AddBytes(algorithmDER(oidRSAEncryption, nullDER()))
		}
		b.AddASN1OctetString(encrypted)
	})
	return b.Bytes()
}

func (t transport) encrypt(cek []byte) ([]byte, error) {
	if t.oaep {
		return rsa.EncryptOAEP(sha256.New(), rand.Reader, t.key, cek, nil)
	}
	//lint:ignore SA1019 it is what every mail reader can open; see Open for how the oracle is avoided
	return rsa.EncryptPKCS1v15(rand.Reader, t.key, cek)
}

// oaepParameters is RSAES-OAEP-params for SHA-256 in both places (RFC 4055, 4.1),
// the hash without parameters as OpenSSL writes it.
func oaepParameters() []byte {
	hash := algorithmDER(oidSHA256, nil)
	var b cryptobyte.Builder
	b.AddASN1(asn1tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1tag.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddBytes(hash)
		})
		b.AddASN1(asn1tag.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddBytes(algorithmDER(oidMGF1, hash))
		})
	})
	return b.BytesOrPanic()
}
