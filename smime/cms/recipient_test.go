package cms

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"

	"sealpost/internal/certificate"
)

// odd has an issuer and a serial number that no library would write.
func odd(cert *certificate.Certificate) *certificate.Certificate {
	c := *cert
	c.RawSerial = []byte{2, 4, 0, 0, 0, 5}
	name := tlv(tagSequence, tlv(tagSet, tlv(tagSequence, []byte{6, 3, 0x55, 4, 3}, []byte{0x13, 4, 'a', '@', 'b', 0xe9})))
	c.RawIssuer = name
	return &c
}

func TestIssuerAndSerialAreTheCertificates(t *testing.T) {
	for _, kind := range []string{"rsa2048", "p256", "x25519"} {
		id, cert := issue(t, kind)
		cert = odd(cert)
		message := seal(t, AES256CBC, []byte("x"), recipient(t, cert, KeyOptions{}))
		if want := tlv(tagSequence, cert.RawIssuer, cert.RawSerial); !bytes.Contains(message, want) {
			t.Errorf("%s: not in the message: %x", kind, want)
		}
		if got := open(t, message, id, cert); string(got) != "x" {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// TestFindsReencodedCertificate opens messages of senders that write the serial
// number or the issuer in their own way.
func TestFindsReencodedCertificate(t *testing.T) {
	id, cert := issue(t, "p256")
	theirs := *odd(cert)
	theirs.RawSerial = []byte{2, 1, 5}
	theirs.RawIssuer = bytes.Replace(theirs.RawIssuer, []byte{0x13, 4}, []byte{0x0c, 4}, 1)
	message := seal(t, AES256CBC, []byte("x"), recipient(t, &theirs, KeyOptions{}))
	if got := open(t, message, id, odd(cert)); string(got) != "x" {
		t.Errorf("%q", got)
	}
	theirs.RawSerial = []byte{2, 1, 6}
	message = seal(t, AES256CBC, []byte("x"), recipient(t, &theirs, KeyOptions{}))
	if _, err := Open(bytes.NewReader(message), OpenOptions{Certificate: odd(cert), Key: id.Key}); !errors.Is(err, ErrNoRecipient) {
		t.Errorf("another serial number: %v", err)
	}
}

func TestRefusedKeys(t *testing.T) {
	_, good := issue(t, "rsa2048")
	n := good.PublicKey.(*rsa.PublicKey).N
	_, signing := issue(t, "ed25519")
	change := func(f func(*certificate.Certificate)) *certificate.Certificate {
		c := *good
		f(&c)
		return &c
	}
	withRSA := func(n *big.Int, e int) *certificate.Certificate {
		return change(func(c *certificate.Certificate) { c.PublicKey = &rsa.PublicKey{N: n, E: e} })
	}
	huge := new(big.Int).Lsh(n, 16384)
	for name, cert := range map[string]*certificate.Certificate{
		"512 bits":         withRSA(new(big.Int).Rsh(n, 1536), 65537),
		"too many bits":    withRSA(huge.SetBit(huge, 0, 1), 65537),
		"exponent 1":       withRSA(n, 1),
		"even exponent":    withRSA(n, 65536),
		"negative":         withRSA(n, -3),
		"even modulus":     withRSA(new(big.Int).Sub(n, big.NewInt(1)), 65537),
		"signing only":     signing,
		"of another type":  change(func(c *certificate.Certificate) { c.PublicKey = "a key" }),
		"without a key":    change(func(c *certificate.Certificate) { c.PublicKey = nil }),
		"RSA by its value": change(func(c *certificate.Certificate) { c.PublicKey = *good.PublicKey.(*rsa.PublicKey) }),
	} {
		if _, err := NewRecipient(cert, KeyOptions{}); !errors.As(err, new(*KeyError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, cert := range map[string]*certificate.Certificate{
		"no issuer": change(func(c *certificate.Certificate) { c.RawIssuer = nil }),
		"no serial": change(func(c *certificate.Certificate) { c.RawSerial = []byte{5, 0} }),
	} {
		if _, err := NewRecipient(cert, KeyOptions{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewRecipient(good, KeyOptions{KDF: 17}); err == nil {
		t.Error("an unknown derivation is accepted")
	}
}

// TestForm holds what is written against what readers need.
func TestForm(t *testing.T) {
	_, rsaCert := issue(t, "rsa2048")
	_, ecCert := issue(t, "p256")
	_, xCert := issue(t, "x25519")
	rsaTo, ecTo, xTo := recipient(t, rsaCert, KeyOptions{}), recipient(t, ecCert, KeyOptions{}), recipient(t, xCert, KeyOptions{})
	for _, form := range []struct {
		name    string
		cipher  Cipher
		to      []Recipient
		version byte
		has     string // hexadecimal
	}{
		{"key transport", AES256CBC, []Recipient{rsaTo}, 0, "300d06092a864886f70d0101010500"},
		{"key agreement: version, originator", AES256CBC, []Recipient{ecTo}, 2, "020103a051a1"},
		{"key agreement: ephemeral key", AES256CBC, []Recipient{ecTo}, 2, "300906072a8648ce3d0201034200"},
		{"key agreement: wrap with NULL", AES128CBC, []Recipient{ecTo}, 2, "2b81051086483f0002300d06096086480165030401050500"},
		{"key agreement: wrap of 256 bits", AES256CBC, []Recipient{ecTo}, 2, "2b81051086483f0002300d060960864801650304012d0500"},
		{"X25519: wrap without parameters", AES256CBC, []Recipient{xTo}, 2, "060b2a864886f70d0109100313300b060960864801650304012d"},
		{"X25519: ephemeral key", AES256CBC, []Recipient{xTo}, 2, "300506032b656e032100"},
		{"both", AES256CBC, []Recipient{rsaTo, ecTo}, 2, ""},
		{"GCM", AES128GCM, []Recipient{rsaTo}, 0, "020110"},
		{"GCM and key agreement", AES256GCM, []Recipient{ecTo}, 0, "020110"},
	} {
		want := unhex(t, form.has)
		message := seal(t, form.cipher, []byte("x"), form.to...)
		l := take(t, message)
		if !bytes.Equal(l.version, []byte{2, 1, form.version}) {
			t.Errorf("%s: version %x", form.name, l.version)
		}
		if !bytes.Contains(message, want) {
			t.Errorf("%s: no %x in %x", form.name, want, message)
		}
		if !bytes.Equal(l.encode(tlv), message) {
			t.Errorf("%s: not the shortest form", form.name)
		}
	}
}

// TestKeyWrapVectors are those of RFC 3394, section 4.
func TestKeyWrapVectors(t *testing.T) {
	for _, v := range []struct{ kek, key, wrapped string }{
		{"000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF",
			"1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{"000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF0001020304050607",
			"031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		kek, key, want := unhex(t, v.kek), unhex(t, v.key), unhex(t, v.wrapped)
		got, err := wrapKey(kek, key)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("wrapped: %x, %v", got, err)
		}
		if back, ok := unwrapKey(kek, want); !ok || !bytes.Equal(back, key) {
			t.Errorf("unwrapped: %x, %v", back, ok)
		}
		for i := range want {
			damaged := slices.Clone(want)
			damaged[i] ^= 1
			if _, ok := unwrapKey(kek, damaged); ok {
				t.Errorf("octet %d damaged: unwrapped", i)
			}
		}
	}
	for _, wrapped := range [][]byte{nil, make([]byte, 8), make([]byte, 16), make([]byte, 25), make([]byte, 1<<10)} {
		if _, ok := unwrapKey(make([]byte, 16), wrapped); ok {
			t.Errorf("%d octets unwrapped", len(wrapped))
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNames(t *testing.T) {
	for _, c := range ciphers {
		if got, err := ParseCipher(c.String()); got != c || err != nil {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	for k := KDFSHA1; k <= KDFSHA512; k++ {
		if got, err := ParseKDF(k.String()); got != k || err != nil {
			t.Errorf("%v: %v, %v", k, got, err)
		}
	}
	for _, name := range []string{"", "auto", "3des-cbc", "AES-256-CBC", "Cipher(0)", "KDF(9)"} {
		if _, err := ParseCipher(name); err == nil {
			t.Errorf("cipher %q accepted", name)
		}
		if _, err := ParseKDF(name); err == nil {
			t.Errorf("derivation %q accepted", name)
		}
	}
	for _, c := range []Cipher{-1, 0, AES256GCM + 1} {
		if _, err := NewContent(c); err == nil {
			t.Errorf("%v accepted", c)
		}
	}
}
