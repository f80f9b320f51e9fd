package smimea

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"golang.org/x/text/unicode/norm"

	"sealpost/internal/address"
)

// Errors of OwnerName. Both say that no SMIMEA record can exist for the
// address, wherever one looks.
var (
	ErrNoDomain    = errors.New("the address has no domain name (it ends in an IP address), so the DNS holds nothing about it")
	ErrNameTooLong = errors.New("the domain is too long for the DNS to hold an SMIMEA record below it")
)

const (
	hashed  = 28  // octets of the hash in the name
	maxName = 255 // octets of a name on the wire, RFC 1035 section 2.3.4
)

// OwnerName is where the DNS has the records of an address (RFC 8162 section
// 3), in lower case and with the final dot:
//
//	c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com.
//
// The first label is SHA2-256 of the local part, cut to 28 octets, in
// hexadecimal. The local part is hashed in UTF-8 and without quoting, beyond
// ASCII in normalization form C, and otherwise as it is: case counts, because
// nobody but the recipient's server knows whether it does (section 4).
func OwnerName(addr address.Address) (string, error) {
	if addr.IsNull() {
		return "", address.ErrSyntax
	}
	if addr.IsLiteral() {
		return "", ErrNoDomain
	}
	sum := sha256.Sum256([]byte(norm.NFC.String(addr.Local())))
	name := hex.EncodeToString(sum[:hashed]) + "._smimecert." + addr.ASCIIDomain() + "."
	if len(name)+1 > maxName { // each label has its length, and the root one octet
		return "", ErrNameTooLong
	}
	return name, nil
}
