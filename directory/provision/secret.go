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
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashLanes,
		base64.RawStdEncoding.EncodeToString(salt[:]), base64.RawStdEncoding.EncodeToString(sum))
}

// CheckSecret reports whether a secret is the one of a hash of HashSecret. It
// takes the same time and memory whether it is or not; what is no hash is
// nobody's.
func CheckSecret(hash, secret string) bool {
	var version, memory, time, lanes int
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &lanes); err != nil || version != argon2.Version {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	const most = 1 << 20 // KiB; what stands in the database must not take all memory
	if err != nil || len(want) < 16 || memory < 8 || memory > most || time < 1 || time > 16 || lanes < 1 || lanes > 16 {
		return false
	}
	sum := argon2.IDKey([]byte(plainSecret(secret)), salt, uint32(time), uint32(memory), uint8(lanes), uint32(len(want)))
	return subtle.ConstantTimeCompare(sum, want) == 1
}

// plainSecret makes equal what people see as equal.
func plainSecret(s string) string {
	s = strings.ToLower(norm.NFKC.String(s))
	return strings.NewReplacer(" ", "", "-", "", "\t", "", "\u2010", "", "\u2011", "", "\u2013", "").Replace(s)
}
