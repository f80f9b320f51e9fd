package claim

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/unicode/norm"

	"sealpost/directory/store"
)

// KeySize is the length of the key that tokens and codes are computed with, in
// bytes.
const KeySize = 32

// idSize is the length of a notice's number in bytes.
const idSize = 16

// alphabet has no characters that look alike when they are read or sound alike
// when they are spelled: no 0, 1, I, L, O, U.
const alphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ"

// codeSize is how many characters a code has: 39 bits, of which somebody who
// guesses gets a few.
const codeSize = 8

// newSecret gives 256 random bits, as text for a cookie or an identifier.
func (e *Engine) newSecret() (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(e.opts.Rand, b[:]); err != nil {
		return "", fmt.Errorf("claim: no random numbers: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// newID numbers a notice.
func (e *Engine) newID() (string, error) {
	var b [idSize]byte
	if _, err := io.ReadFull(e.opts.Rand, b[:]); err != nil {
		return "", fmt.Errorf("claim: no random numbers: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// mac is what only the holder of the key can compute.
func (e *Engine) mac(purpose string, about []byte) []byte {
	h := hmac.New(sha256.New, e.opts.Key)
	h.Write([]byte("sealpost claim 1 " + purpose + "\n"))
	h.Write(about)
	return h.Sum(nil)
}

// token is what the link of a notice ends with: its number, and 256 bits that
// prove it.
func (e *Engine) token(id string) string {
	number, err := hex.DecodeString(id)
	if err != nil || len(number) != idSize {
		panic("claim: a notice without a number") // newID made it
	}
	return base64.RawURLEncoding.EncodeToString(append(number, e.mac("link", number)...))
}

// readToken gives the number of the notice that a link belongs to. The error is
// ErrToken.
func (e *Engine) readToken(token string) (id string, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != idSize+sha256.Size {
		return "", ErrToken
	}
	if !hmac.Equal(b[idSize:], e.mac("link", b[:idSize])) {
		return "", ErrToken
	}
	return hex.EncodeToString(b[:idSize]), nil
}

// code is what the recipient of a notice types. It belongs to what the notice is
// about too: who can write to the database, and has a notice of his own, must not
// make it one about somebody else's key.
func (e *Engine) code(n *store.Notice) string {
	code := make([]byte, 0, codeSize)
	for round := byte(0); len(code) < codeSize; round++ {
		for _, b := range e.mac("code", append([]byte{round}, about(n)...)) {
			// What is beyond the last whole alphabet would make some characters likelier.
			if int(b) < 256-256%len(alphabet) && len(code) < codeSize {
				code = append(code, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(code)
}

// spelled is a code as it stands in a letter.
func spelled(code string) string { return code[:codeSize/2] + "-" + code[codeSize/2:] }

// plainCode takes away how a code was typed: blanks, hyphens, small letters, and
// the wide forms of East Asian keyboards.
func plainCode(typed string) string {
	const longest = 100 // bytes; nobody types as many by mistake
	typed = strings.ToUpper(norm.NFKC.String(typed[:min(len(typed), longest)]))
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '-', '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2212':
			return -1
		}
		return r
	}, typed)
}

// isCode compares in constant time.
func (e *Engine) isCode(n *store.Notice, plain string) bool {
	return subtle.ConstantTimeCompare([]byte(e.code(n)), []byte(plain)) == 1
}

// about is which notice it is, and whose key it is about.
func about(n *store.Notice) []byte {
	b := append([]byte(n.ID+"\n"), n.Fingerprint[:]...)
	return append(b, n.Address...)
}

// proof is what only the portal can write beside a session: that it began it,
// for whom, and whether nothing is left to be proven.
func (e *Engine) proof(c store.ClaimSession) [32]byte {
	what := append(c.Hash[:], 0)
	if c.Complete {
		what[len(what)-1] = 1
	}
	return [32]byte(e.mac("session", append(what, about(&c.Notice)...)))
}

// hashOf is how the secret of a session is stored. A slow hash would gain
// nothing: 256 random bits cannot be guessed.
func hashOf(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// csrf is what the forms of a session carry. It needs no place in the database,
// and changes with the secret.
func (e *Engine) csrf(secret string) string {
	return base64.RawURLEncoding.EncodeToString(e.mac("csrf", []byte(secret)))
}
