package cms

import (
	"crypto/cipher"
	"encoding/binary"
)

// gcm is AES-GCM in constant memory. The standard library encrypts and
// authenticates in one call, which is right for a content of one chunk. A longer
// one is encrypted in counter mode and authenticated here: the library's GCM of
// nothing, with a chunk of ciphertext as additional data, is the GHASH of that
// chunk at the speed of the hardware, and the hashes of the chunks are joined by
// one multiplication each.
//
// With blocks X1…Xn and hash key H (NIST SP 800-38D, 6.4):
//
//	GHASH(X) = X1·Hⁿ + X2·Hⁿ⁻¹ + … + Xn·H
//
// so that GHASH(X‖Y) = GHASH(X)·H^|Y| + GHASH(Y), with |Y| in blocks.
type gcm struct {
	block cipher.Block
	aead  cipher.AEAD
	nonce []byte

	stream cipher.Stream // nil while a single chunk is all there is
	mask   element       // the encrypted first counter block, which hides the hash
	h      element       // the hash key
	hChunk element       // h to the number of blocks of a whole chunk
	hash   element       // GHASH of the ciphertext so far, times h
	size   int64         // octets hashed
	tmp    [gcmTagSize]byte
}

func newGCM(block cipher.Block, nonce []byte) (*gcm, error) {
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &gcm{block: block, aead: aead, nonce: nonce}, nil
}

// start prepares for more than one chunk.
func (g *gcm) start() {
	var counter [16]byte
	copy(counter[:], g.nonce)
	counter[15] = 1
	g.block.Encrypt(g.tmp[:], counter[:])
	g.mask = toElement(g.tmp[:])
	counter[15] = 2
	g.stream = cipher.NewCTR(g.block, counter[:])
	clear(counter[:])
	g.block.Encrypt(g.tmp[:], counter[:])
	g.h = toElement(g.tmp[:])
	g.hChunk = g.h.power(chunkSize / 16)
}

func (g *gcm) chunk(p []byte) {
	if g.stream == nil {
		g.start()
	}
	g.stream.XORKeyStream(p, p)
	g.update(p, g.hChunk)
}

func (g *gcm) last(p []byte) (ciphertext, tag []byte) {
	if g.stream == nil {
		out := g.aead.Seal(p[:0], g.nonce, p, nil)
		return out[:len(p)], append([]byte(nil), out[len(p):]...)
	}
	g.stream.XORKeyStream(p, p)
	g.update(p, g.h.power((len(p)+15)/16))
	lengths := element{0, uint64(g.size) * 8}
	return p, g.hash.add(lengths.multiply(g.h)).add(g.mask).bytes()
}

// update adds a chunk of ciphertext to the hash; shift is h to the number of its
// blocks. The library's tag is (GHASH(p) + lengths)·h + mask; the lengths it adds
// are those of additional data, and are taken out again. The tag itself never
// leaves this function.
func (g *gcm) update(p []byte, shift element) {
	tag := toElement(g.aead.Seal(g.tmp[:0], g.nonce, nil, p))
	lengths := element{uint64(len(p)) * 8, 0}
	part := tag.add(g.mask).add(lengths.multiply(g.h))
	g.hash = g.hash.multiply(shift).add(part)
	g.size += int64(len(p))
}

// limit is what a counter of 32 bits allows (NIST SP 800-38D, 5.2.1.1).
func (g *gcm) limit() int64 { return (1<<32 - 2) * 16 }

// An element of GF(2¹²⁸) in the bit order of GCM: the first bit is the
// coefficient of x⁰ and the highest bit of hi.
type element struct{ hi, lo uint64 }

func toElement(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (x element) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.hi), x.lo)
}

func (x element) add(y element) element { return element{x.hi ^ y.hi, x.lo ^ y.lo} }

// multiply takes the same time whatever the values are: they depend on the key.
func (x element) multiply(y element) element {
	var z element
	for i := range 128 {
		word, bit := x.hi, 63-i
		if i >= 64 {
			word, bit = x.lo, 127-i
		}
		use := -(word >> bit & 1)
		z.hi ^= y.hi & use
		z.lo ^= y.lo & use
		reduce := -(y.lo & 1)
		y.lo = y.lo>>1 | y.hi<<63
		y.hi = y.hi>>1 ^ 0xe1<<56&reduce
	}
	return z
}

// power raises x to n, which is not secret.
func (x element) power(n int) element {
	z := element{1 << 63, 0}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			z = z.multiply(x)
		}
		x = x.multiply(x)
	}
	return z
}
