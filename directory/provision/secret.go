package provision

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// The cost of one hash of a secret (RFC 9106): 19 MiB, two passes. Secrets are
// customer numbers more than passwords, so that each guess must cost.
const (
	hashMemory = 19 << 10 // KiB
	hashTime   = 2
	hashLanes  = 1
	hashSize   = 32
	hashSalt   = 16
	// hashers is how many are computed at once, or a burst would take all memory.
	hashers = 4
)

// hash gives the slow hash of a secret in PHC form; empty for an empty one.
func (e *Engine) hash(ctx context.Context, secret string) (string, error) {
	if secret == "" {
		return "", nil
	}
	select {
	case e.hashing <- struct{}{}:
		defer func() { <-e.hashing }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return HashSecret(secret), nil
}

// HashSecret gives the argon2id hash of a secret in PHC form, for CheckSecret.
// How a secret is spelled hardly counts: Unicode forms, case, blanks and hyphens
// are made equal first.
func HashSecret(secret string) string {
	var salt [hashSalt]byte
	rand.Read(salt[:])
	sum := argon2.IDKey([]byte(plainSecret(secret)), salt[:], hashTime, hashMemory, hashLanes, hashSize)
	return slowHash{hashMemory, hashTime, hashLanes, salt[:], sum}.String()
}

// CheckSecret reports whether a secret is the one of a hash of HashSecret. It
// takes the same time and memory whether it is or not; what is no hash is
// nobody's.
func CheckSecret(hash, secret string) bool {
	h, ok := parseHash(hash)
	if !ok {
		return false
	}
	sum := argon2.IDKey([]byte(plainSecret(secret)), h.salt, h.time, h.memory, h.lanes, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// A slowHash is a hash in PHC form, read.
type slowHash struct {
	memory, time uint32
	lanes        uint8
	salt, sum    []byte
}

// String is the PHC form.
func (h slowHash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.sum))
}

// parseHash reads what String has written, and nothing else. What somebody put
// into the database must not take all memory, so cost has a bound.
func parseHash(s string) (h slowHash, ok bool) {
	const mostMemory, mostTime, mostLanes, mostBytes = 256 << 10, 16, 16, 64
	var version int
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return h, false
	}
	_, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &h.memory, &h.time, &h.lanes)
	if err != nil || version != argon2.Version {
		return h, false
	}
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return h, false
	}
	if h.sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return h, false
	}
	costs := h.memory >= 8 && h.memory <= mostMemory && h.time >= 1 && h.time <= mostTime && h.lanes >= 1 && h.lanes <= mostLanes
	sizes := len(h.salt) >= 8 && len(h.salt) <= mostBytes && len(h.sum) >= hashSalt && len(h.sum) <= mostBytes
	return h, costs && sizes && h.String() == s
}

// plainSecret makes equal what people see as equal.
func plainSecret(s string) string {
	s = strings.ToLower(norm.NFKC.String(s))
	return strings.NewReplacer(" ", "", "-", "", "\t", "", "\u2010", "", "\u2011", "", "\u2013", "").Replace(s)
}
