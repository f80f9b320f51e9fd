package cms

import (
	"crypto/ecdh"
	"crypto/elliptic"
)

// agreementUnwrapper looks at the public part of a key agreement.
func agreementUnwrapper(info *recipientInfo, key *ecdh.PrivateKey) (unwrapper, error) {
	scheme, ok := findScheme(info.algorithm.oid)
	if !ok {
		return nil, malformed(fieldKeyEncryption, "%v is not supported", info.algorithm.oid)
	}
	wrap, ok := parseAlgorithm(info.algorithm.params)
	kekSize := wrapKeySize(wrap.oid)
	if !ok || kekSize == 0 {
		return nil, malformed(fieldKeyEncryption, "the key wrap %v is not supported", wrap.oid)
	}
	if info.ephemeral.point == nil {
		return nil, malformed("originator", "only ephemeral keys are supported")
	}
	a := agreed{info, key, scheme, wrap, kekSize}
	return func(encrypted []byte, keySize int) ([]byte, bool) {
		cek, ok := a.unwrap(encrypted)
		if !ok || len(cek) != keySize {
			return randomKey(keySize), false
		}
		return cek, true
	}, nil
}

// agreed is the recipient's side of a key agreement.
type agreed struct {
	info    *recipientInfo
	key     *ecdh.PrivateKey
	scheme  scheme
	wrap    algorithmIdentifier
	kekSize int
}

func (a agreed) unwrap(wrapped []byte) ([]byte, bool) {
	public, ok := a.info.ephemeral.publicKey(a.key.Curve())
	if !ok {
		return nil, false
	}
	secret, err := a.key.ECDH(public)
	if err != nil {
		return nil, false
	}
	defer clear(secret)
	// Some senders derive without the NULL that they write, or the other way
	// round; the key wrap's integrity check tells.
	for _, keyInfo := range [][]byte{a.wrap.raw, algorithmDER(a.wrap.oid, nil), algorithmDER(a.wrap.oid, nullDER())} {
		kek, err := a.scheme.derive(secret, keyInfo, a.info.ukm, a.kekSize)
		if err != nil {
			return nil, false
		}
		cek, ok := unwrapKey(kek, wrapped)
		clear(kek)
		if ok {
			return cek, true
		}
	}
	return nil, false
}

// publicKey reads the sender's point, which must be on the curve of the
// recipient's key; compressed points are expanded.
func (o *originatorKey) publicKey(curve ecdh.Curve) (*ecdh.PublicKey, bool) {
	if (curve == ecdh.X25519()) != o.algorithm.Equal(oidX25519) {
		return nil, false
	}
	point := o.point
	if curve != ecdh.X25519() && len(point) > 0 && (point[0] == 2 || point[0] == 3) {
		point = expandPoint(curve, point)
	}
	key, err := curve.NewPublicKey(point)
	return key, err == nil
}

func expandPoint(curve ecdh.Curve, point []byte) []byte {
	named := map[ecdh.Curve]elliptic.Curve{ecdh.P256(): elliptic.P256(), ecdh.P384(): elliptic.P384(), ecdh.P521(): elliptic.P521()}[curve]
	x, y := elliptic.UnmarshalCompressed(named, point)
	if x == nil {
		return nil
	}
	size := (named.Params().BitSize + 7) / 8
	out := make([]byte, 1+2*size)
	out[0] = 4
	x.FillBytes(out[1 : 1+size])
	y.FillBytes(out[1+size:])
	return out
}
