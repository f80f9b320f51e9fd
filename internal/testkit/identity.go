package testkit

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A CA issues the certificates of one test.
type CA struct {
	Cert *x509.Certificate
	PEM  []byte
	key  crypto.Signer
}

// A Leaf says what certificate a test wants. The zero value of each field is
// what an ordinary S/MIME certificate has.
type Leaf struct {
	Name      string   // common name; default: the first address
	Addresses []string // rfc822Name
	DNSNames  []string
	Key       string // rsa2048 (default), rsa3072, rsa4096, rsa1024, p256, p384, p521, x25519, ed25519
	NotBefore time.Time
	NotAfter  time.Time
	Usage     x509.KeyUsage                    // default: what suits the key
	ExtUsage  []x509.ExtKeyUsage               // default: emailProtection
	Change    func(template *x509.Certificate) // last word on the template
}

// An Identity is a certificate with its private key.
type Identity struct {
	Cert    *x509.Certificate
	Key     crypto.PrivateKey
	CertPEM []byte
	KeyPEM  []byte // PKCS#8
}

// NewCA makes a root that is valid for an hour.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key := Key(t, "p256").(*ecdsa.PrivateKey)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "Sealpost Test Root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{Cert: cert, PEM: pemBlock("CERTIFICATE", der), key: key}
}

// Issue makes a key and its certificate.
func (ca *CA) Issue(t testing.TB, leaf Leaf) *Identity {
	t.Helper()
	if leaf.Key == "" {
		leaf.Key = "rsa2048"
	}
	key := Key(t, leaf.Key)
	der, err := ca.create(leaf.template(t), public(key))
	if err != nil {
		t.Fatal(err)
	}
	id := &Identity{Key: key, CertPEM: pemBlock("CERTIFICATE", der)}
	if id.Cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id.KeyPEM = pemBlock("PRIVATE KEY", pkcs8)
	return id
}

// create is x509.CreateCertificate, and for X25519 keys, which that refuses,
// a certificate for an Ed25519 key whose algorithm is exchanged before it is
// signed again: the two differ in one byte (RFC 8410).
func (ca *CA) create(template *x509.Certificate, pub crypto.PublicKey) ([]byte, error) {
	x, ok := pub.(*ecdh.PublicKey)
	if !ok {
		return x509.CreateCertificate(rand.Reader, template, ca.Cert, pub, ca.key)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, ed25519.PublicKey(x.Bytes()), ca.key)
	if err != nil {
		return nil, err
	}
	var cert struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		return nil, err
	}
	tbs := bytes.Replace(cert.TBS.FullBytes, []byte{0x06, 0x03, 0x2b, 0x65, 0x70}, []byte{0x06, 0x03, 0x2b, 0x65, 0x6e}, 1)
	cert.TBS = asn1.RawValue{FullBytes: tbs}
	digest := sha256.Sum256(tbs)
	sig, err := ca.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	cert.Signature = asn1.BitString{Bytes: sig, BitLength: len(sig) * 8}
	return asn1.Marshal(cert)
}

// For issues an ordinary RSA certificate for one mailbox.
func (ca *CA) For(t testing.TB, address string) *Identity {
	t.Helper()
	return ca.Issue(t, Leaf{Addresses: []string{address}})
}

func (leaf Leaf) template(t testing.TB) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: leaf.Name},
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, EmailAddresses: leaf.Addresses, DNSNames: leaf.DNSNames,
		KeyUsage: leaf.Usage, ExtKeyUsage: leaf.ExtUsage, BasicConstraintsValid: true,
	}
	if c.Subject.CommonName == "" && len(leaf.Addresses) > 0 {
		c.Subject.CommonName = leaf.Addresses[0]
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(12 * time.Hour)
	}
	if c.KeyUsage == 0 {
		switch leaf.Key {
		case "rsa1024", "rsa2048", "rsa3072", "rsa4096":
			c.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature
		case "ed25519":
			c.KeyUsage = x509.KeyUsageDigitalSignature
		case "x25519":
			c.KeyUsage = x509.KeyUsageKeyAgreement
		default:
			c.KeyUsage = x509.KeyUsageKeyAgreement | x509.KeyUsageDigitalSignature
		}
	}
	if c.ExtKeyUsage == nil {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	}
	if leaf.Change != nil {
		leaf.Change(c)
	}
	return c
}

// WriteFiles puts NAME.pem and NAME.key into dir and gives their paths.
func (id *Identity) WriteFiles(t testing.TB, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, data := range map[string][]byte{cert: id.CertPEM, key: id.KeyPEM} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// RSA keys are slow to make; tests take turns with these.
var rsaKeys struct {
	sync.Mutex
	made map[string][]*rsa.PrivateKey
	next map[string]int
}

const rsaKeysEach = 4

func rsaKey(t testing.TB, bits int, kind string) *rsa.PrivateKey {
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	if rsaKeys.made == nil {
		rsaKeys.made, rsaKeys.next = map[string][]*rsa.PrivateKey{}, map[string]int{}
	}
	n := rsaKeys.next[kind]
	rsaKeys.next[kind]++
	if n >= rsaKeysEach {
		return rsaKeys.made[kind][n%rsaKeysEach]
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	rsaKeys.made[kind] = append(rsaKeys.made[kind], key)
	return key
}

// Key makes a private key of the kind that Leaf.Key names. RSA keys come from
// a small set, so two of five are the same.
func Key(t testing.TB, kind string) crypto.PrivateKey {
	t.Helper()
	var key crypto.PrivateKey
	var err error
	switch kind {
	case "rsa1024":
		t.Setenv("GODEBUG", "rsa1024min=0")
		key = rsaKey(t, 1024, kind)
	case "rsa2048":
		key = rsaKey(t, 2048, kind)
	case "rsa3072":
		key = rsaKey(t, 3072, kind)
	case "rsa4096":
		key = rsaKey(t, 4096, kind)
	case "p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "x25519":
		key, err = ecdh.X25519().GenerateKey(rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no such kind of key: %s", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(key crypto.PrivateKey) crypto.PublicKey {
	return key.(interface{ Public() crypto.PublicKey }).Public()
}

func serial(t testing.TB) *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	return n.Add(n, big.NewInt(1))
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
