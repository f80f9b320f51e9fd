package claim_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"sealpost/directory/claim"
	"sealpost/directory/keybox"
	"sealpost/directory/store"
	"sealpost/internal/testkit"
)

const good = `a "long" passphrase $1 \ %`

// What is taken home is the key, its certificate and the authority's.
func TestPKCS12(t *testing.T) {
	w := newWorld(t)
	secret, _, id := w.enter(t, anna)
	for _, format := range []claim.Format{claim.Modern, claim.Legacy} {
		file, err := w.engine.PKCS12(t.Context(), secret, good, format)
		if err != nil {
			t.Fatal(err)
		}
		key, cert, chain, err := pkcs12.DecodeChain(file, good)
		if err != nil {
			t.Fatal(err)
		}
		if !key.(*rsa.PrivateKey).Equal(id.Key) || !cert.Equal(id.Cert) || len(chain) != 1 || !chain[0].Equal(w.ca.Cert) {
			t.Errorf("%s: another key, certificate or chain", format)
		}
		if _, _, _, err := pkcs12.DecodeChain(file, good+"."); err == nil {
			t.Errorf("%s: opens with another passphrase", format)
		}
		inOpenSSL(t, file, id)
		inNSS(t, file, id)
	}
	if _, err := w.engine.PKCS12(t.Context(), secret, good, "odd"); err == nil {
		t.Error("an unknown format")
	}
	s, err := w.engine.Session(t.Context(), secret)
	if err != nil || !s.Claimed.Equal(w.now) || !s.KeyThere {
		t.Errorf("%+v, %v", s, err)
	}
	if kinds := w.audit(t); kinds != "issued provisioned key-used claimed key-used claimed" {
		t.Errorf("the audit log: %s", kinds)
	}
}

// inOpenSSL has OpenSSL read the file, and open with what is in it what OpenSSL
// has sealed.
func inOpenSSL(t *testing.T, file []byte, id *testkit.Identity) {
	t.Helper()
	testkit.Need(t, "openssl")
	dir := t.TempDir()
	p12, pass := filepath.Join(dir, "key.p12"), filepath.Join(dir, "pass")
	write(t, p12, file)
	write(t, pass, []byte(good+"\n"))
	args := []string{"pkcs12", "-in", p12, "-passin", "file:" + pass, "-nodes"}
	out, err := exec.Command("openssl", args...).Output()
	if err != nil { // the old form needs its algorithms switched on
		out, err = exec.Command("openssl", append(args, "-legacy")...).Output()
	}
	if err != nil {
		t.Fatalf("openssl: %v", err)
	}
	found := &testkit.Identity{}
	certificates := 0
	for block, rest := pem.Decode(out); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certificates++
			if bytes.Equal(block.Bytes, id.Cert.Raw) {
				found.Cert, found.CertPEM = id.Cert, pem.EncodeToMemory(block)
			}
			continue
		}
		found.KeyPEM = pem.EncodeToMemory(block)
	}
	if certificates != 2 || found.CertPEM == nil || found.KeyPEM == nil {
		t.Fatalf("openssl sees %d certificates:\n%s", certificates, out)
	}
	if text := testkit.OpenSSLOpen(t, sealed(t, id), found); string(text) != statement {
		t.Errorf("openssl opens %q", text)
	}
}

// inNSS does the same with the library of Thunderbird.
func inNSS(t *testing.T, file []byte, id *testkit.Identity) {
	t.Helper()
	testkit.Need(t, "certutil", "pk12util", "cmsutil")
	dir := t.TempDir()
	in, out, p12, pass := filepath.Join(dir, "in"), filepath.Join(dir, "out"), filepath.Join(dir, "key.p12"), filepath.Join(dir, "pass")
	write(t, p12, file)
	write(t, pass, []byte(good))
	write(t, in, testkit.CMS(t, sealed(t, id)))
	db := "sql:" + dir
	run(t, "certutil", "-N", "-d", db, "--empty-password")
	run(t, "pk12util", "-i", p12, "-d", db, "-K", "", "-w", pass)
	run(t, "cmsutil", "-D", "-d", db, "-i", in, "-o", out)
	text, err := os.ReadFile(out)
	if err != nil || string(text) != statement {
		t.Errorf("NSS opens %q, %v", text, err)
	}
}

const statement = "Content-Type: text/plain\r\n\r\nYour statement.\r\n"

func sealed(t testing.TB, id *testkit.Identity) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out, cert := filepath.Join(dir, "in"), filepath.Join(dir, "out"), filepath.Join(dir, "cert")
	write(t, in, []byte(statement))
	write(t, cert, id.CertPEM)
	run(t, "openssl", "cms", "-encrypt", "-aes256", "-binary", "-in", in, "-out", out, "-outform", "DER", cert)
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func TestPassphrases(t *testing.T) {
	w := newWorld(t)
	secret, _, _ := w.enter(t, anna)
	for p, rule := range map[string]claim.PassphraseRule{
		"":                            claim.PassphraseShort,
		"elevenchars":                 claim.PassphraseShort,
		strings.Repeat("abcdefg8", 9): claim.PassphraseLong,
		"Gruesse aus Köln 17":         claim.PassphraseCharacter,
		"tab\tin the middle":          claim.PassphraseCharacter,
		"abcabcabcabcabc":             claim.PassphraseSimple,
		"Anna@example.org":            claim.PassphraseObvious,
		"example.org2026":             claim.PassphraseObvious,
	} {
		_, err := w.engine.PKCS12(t.Context(), secret, p, claim.Modern)
		var refused *claim.PassphraseError
		if !errors.As(err, &refused) || refused.Rule != rule {
			t.Errorf("%q: %v, want %s", p, err, rule)
		}
	}
	if kinds := w.audit(t); strings.Contains(kinds, "key-used") {
		t.Errorf("a refused passphrase had the key taken out: %s", kinds)
	}
	if contains(w.log.Bytes(), "Köln") {
		t.Error("a passphrase is in the log")
	}
}

func TestSealedKey(t *testing.T) {
	w := newWorld(t)
	secret, _, id := w.enter(t, anna)
	page, err := keybox.NewOpener()
	if err != nil {
		t.Fatal(err)
	}
	public, err := keybox.ParsePublic(page.Public())
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.engine.SealedKey(t.Context(), secret, make([]byte, 5))
	is(t, "a public key that is none", err, keybox.ErrPublic)
	if kinds := w.audit(t); strings.Contains(kinds, "key-used") {
		t.Errorf("the key was taken out for nobody: %s", kinds)
	}
	box, err := w.engine.SealedKey(t.Context(), secret, public)
	if err != nil {
		t.Fatal(err)
	}
	key, cert, err := page.Open(box)
	if err != nil || !key.(*rsa.PrivateKey).Equal(id.Key) || cert.Fingerprint() != fingerprint(id) {
		t.Errorf("another key came out: %v", err)
	}
	s, err := w.engine.Session(t.Context(), secret)
	if err != nil || !s.Claimed.IsZero() {
		t.Errorf("reading here counts as taken home: %+v, %v", s, err)
	}
	if kinds := w.audit(t); kinds != "issued provisioned key-used" {
		t.Errorf("the audit log: %s", kinds)
	}
}

func TestDeleteKey(t *testing.T) {
	w := newWorld(t)
	secret, s, _ := w.enter(t, anna)
	if _, err := w.engine.PKCS12(t.Context(), secret, good, claim.Modern); err != nil {
		t.Fatal(err)
	}
	soon := w.now.Add(48 * time.Hour)
	for _, when := range []time.Time{soon, soon.Add(time.Hour)} { // and never later than was said before
		if err := w.engine.DeleteKey(t.Context(), secret, when); err != nil {
			t.Fatal(err)
		}
		if s, err := w.engine.Session(t.Context(), secret); err != nil || !s.KeyThere || !s.Deleting.Equal(soon) {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if err := w.engine.DeleteKey(t.Context(), secret, time.Time{}); err != nil {
		t.Fatal(err)
	}
	after, err := w.engine.Session(t.Context(), secret)
	if err != nil || after.KeyThere {
		t.Errorf("%+v, %v", after, err)
	}
	_, err = w.engine.PKCS12(t.Context(), secret, good, claim.Modern)
	is(t, "a deleted key", err, claim.ErrGone)
	is(t, "deleted again", w.engine.DeleteKey(t.Context(), secret, time.Time{}), claim.ErrGone)
	c, err := w.store.ByFingerprint(t.Context(), s.Fingerprint)
	if err != nil || c.Status != store.StatusActive {
		t.Errorf("the certificate of a key that was taken home is %s, %v", c.Status, err)
	}
}

func TestDeleteKeyThatNobodyTook(t *testing.T) {
	w := newWorld(t)
	secret, s, _ := w.enter(t, anna)
	if err := w.engine.DeleteKey(t.Context(), secret, w.now); err != nil {
		t.Fatal(err)
	}
	c, err := w.store.ByFingerprint(t.Context(), s.Fingerprint)
	if err != nil || c.Status != store.StatusRevoked {
		t.Errorf("mail is still sealed to a key that nobody has: %s, %v", c.Status, err)
	}
}

func TestDeleteAfterClaim(t *testing.T) {
	w := newWorld(t, func(o *claim.Options) { o.DeleteAfter = 72 * time.Hour })
	secret, _, _ := w.enter(t, anna)
	if _, err := w.engine.PKCS12(t.Context(), secret, good, claim.Legacy); err != nil {
		t.Fatal(err)
	}
	s, err := w.engine.Session(t.Context(), secret)
	if err != nil || !s.Deleting.Equal(w.now.Add(72*time.Hour)) {
		t.Errorf("%+v, %v", s, err)
	}
}

// A key that was put into another row of the database does not open, and the
// failure says nothing of it.
func TestSwappedKeys(t *testing.T) {
	w := newWorld(t)
	other := w.ca.For(t, bert)
	secret, _, _ := w.enter(t, anna)
	w2 := newWorld(t)
	w2.provision(t, bert, "", func(n *store.NewKey) { n.Wrapped = wrapAs(t, w2, other, anna) })
	l := w2.notice(t, bert)
	stolen, _, err := w2.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w2.engine.PKCS12(t.Context(), stolen, good, claim.Modern); err == nil {
		t.Error("a key that was wrapped for somebody else opens")
	}
	if _, err := w2.engine.Session(t.Context(), secret); !errors.Is(err, claim.ErrSession) {
		t.Errorf("a session of another directory: %v", err)
	}
	if der, _ := x509.MarshalPKCS8PrivateKey(other.Key); bytes.Contains(w2.log.Bytes(), der) {
		t.Error("the log has the key")
	}
}
