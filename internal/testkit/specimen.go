package testkit

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/reason"
)

// A Specimen is a certificate of a kind that exists in the world, and what is
// to be thought of it when its source is asked for one address.
type Specimen struct {
	Theme  string
	Name   string   // what is special about it, for people
	RFC    string   // where that is said; "" where nobody but us says it
	Certs  [][]byte // DER: what the source answers with; it is about the first one
	Key    []byte   // PEM: the private key of the first, where it can be sealed to
	Unread string   // why the OpenSSL that is installed opens no message to it; "" where it does

	Address    string // that the source is asked for
	Allow      string // key of the configuration that is set to true; "" for none
	Pinned     bool   // trust.pins has it
	Revocation string // what is known of its chain: "", good, revoked, unknown, and the last with hard

	PKI    reason.Token // the verdict where the source needs a chain to a root; None: usable
	Source reason.Token // the verdict where the source vouches itself
}

// Themes are the parts of the collection, in order.
func Themes() []string {
	return []string{"Validity", "Usages", "Keys", "Addresses", "Addresses, loosened", "Chains", "Revocation", "Encodings"}
}

const specimenAddress = "anna@example.org"

// A cabinet is the collection while it is made.
type cabinet struct {
	testing.TB
	ca    *CA
	theme string
	all   []Specimen
}

// Specimens makes the collection anew; every chain in it that is good ends at
// the CA.
func Specimens(t testing.TB) (*CA, []Specimen) {
	t.Helper()
	Need(t, "openssl")
	c := &cabinet{TB: t, ca: NewCA(t)}
	for i, fill := range []func(){
		c.validity, c.usages, c.keys, c.addresses, c.loosened, c.chains, c.revocation, c.encodings,
	} {
		c.theme = Themes()[i]
		fill()
	}
	return c.ca, c.all
}

// put adds one; the same verdict stands for both kinds of trust.
func (c *cabinet) put(name, rfc string, verdict reason.Token, of made) *Specimen {
	return c.differ(name, rfc, verdict, verdict, of)
}

// differ adds one on which a source that vouches and a root do not agree.
func (c *cabinet) differ(name, rfc string, pki, source reason.Token, of made) *Specimen {
	c.all = append(c.all, Specimen{
		Theme: c.theme, Name: name, RFC: rfc, Certs: of.certs, Key: of.key, Address: specimenAddress, PKI: pki, Source: source,
	})
	return &c.all[len(c.all)-1]
}

// made is a certificate, what came with it, and its private key.
type made struct {
	certs [][]byte
	key   []byte
}

func (m made) with(certs ...[]byte) made {
	m.certs = append(m.certs, certs...)
	return m
}

// leaf is made by crypto/x509.
func (c *cabinet) leaf(leaf Leaf) made { return c.leafOf(c.ca, leaf) }

func (c *cabinet) leafOf(ca *CA, leaf Leaf) made {
	if leaf.Addresses == nil {
		leaf.Addresses = []string{specimenAddress}
	}
	id := ca.Issue(c, leaf)
	return made{[][]byte{id.Cert.Raw}, id.KeyPEM}
}

// forged is made byte by byte, for an RSA key unless it brings its own, and
// names the address unless it has extensions.
func (c *cabinet) forged(f Forged) made { return c.forgedFor(f, Key(c, "rsa2048").(*rsa.PrivateKey)) }

func (c *cabinet) forgedFor(f Forged, key any) made {
	if f.Key == nil {
		f.Key = publicDER(c, key)
	}
	if f.Extensions == nil {
		f.Extensions = [][]byte{c.san()}
	}
	return made{[][]byte{f.Sign(c, c.ca)}, privatePEM(c, key)}
}

func (c *cabinet) san() []byte { return SAN(c, RFC822Name(specimenAddress)) }

// curve is forgedFor a P-256 key in another encoding.
func (c *cabinet) curve(spki func(key *ecdsa.PrivateKey, point []byte) []byte) made {
	key := Key(c, "p256").(*ecdsa.PrivateKey)
	point, err := key.PublicKey.ECDH()
	if err != nil {
		c.Fatal(err)
	}
	return c.forgedFor(Forged{Key: spki(key, point.Bytes())}, key)
}

// openSSL has the certificate made by OpenSSL: the arguments of genpkey, then
// the lines of the extensions, then what else `openssl x509 -new` is told.
func (c *cabinet) openSSL(genpkey, extensions string, more ...string) made {
	dir := c.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data []byte) {
		if err := os.WriteFile(file(name), data, 0o600); err != nil {
			c.Fatal(err)
		}
	}
	write("ca.pem", c.ca.PEM)
	write("ca.key", privatePEM(c, c.ca.key))
	write("ext", []byte(extensions))
	c.run("genpkey", append(strings.Fields(genpkey), "-out", file("key"))...)
	c.run("pkey", "-in", file("key"), "-pubout", "-out", file("public"))
	c.run("x509", append([]string{"-new", "-force_pubkey", file("public"), "-CA", file("ca.pem"), "-CAkey", file("ca.key"),
		"-subj", "/CN=Anna", "-days", "1", "-extfile", file("ext"), "-out", file("cert")}, more...)...)
	return made{[][]byte{c.readPEM(file("cert"))}, readFile(c, file("key"))}
}

// selfMade is what `openssl req -x509` makes.
func (c *cabinet) selfMade(extensions ...string) made {
	dir := c.TempDir()
	key, cert := filepath.Join(dir, "key"), filepath.Join(dir, "cert")
	args := []string{"-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=Anna", "-days", "1", "-keyout", key, "-out", cert}
	for _, e := range extensions {
		args = append(args, "-addext", e)
	}
	c.run("req", args...)
	return made{[][]byte{c.readPEM(cert)}, readFile(c, key)}
}

func (c *cabinet) run(command string, args ...string) {
	c.Helper()
	if out, err := exec.Command("openssl", append([]string{command}, args...)...).CombinedOutput(); err != nil {
		c.Fatalf("openssl %s %q: %v\n%s", command, args, err, out)
	}
}

func (c *cabinet) readPEM(path string) []byte {
	block, _ := pem.Decode(readFile(c, path))
	if block == nil {
		c.Fatalf("%s holds no PEM", path)
	}
	return block.Bytes
}

// bare takes both usages out of a template.
func bare(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = 0, nil }
