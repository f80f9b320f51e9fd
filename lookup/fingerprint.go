package lookup

import (
	"errors"
	"strings"

	"sealpost/lookup/keydb"
)

// A Fingerprint is a SHA-256; its text is 64 hexadecimal digits in lower case.
type Fingerprint = keydb.Fingerprint

// ErrFingerprint says that a text is no SHA-256.
var ErrFingerprint = errors.New("is not a SHA-256 of 64 hexadecimal digits")

// ParseFingerprint reads 64 hexadecimal digits in either case, with or without
// colons and blanks between them.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	if f.UnmarshalText([]byte(strings.NewReplacer(":", "", " ", "").Replace(s))) != nil {
		return Fingerprint{}, ErrFingerprint
	}
	return f, nil
}
