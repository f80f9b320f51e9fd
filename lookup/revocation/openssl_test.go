package revocation_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup/revocation"
)

// An opensslCA is an authority that OpenSSL runs: `openssl ca` issues, withdraws
// and makes lists, `openssl ocsp` answers.
type opensslCA struct {
	dir  string
	ocsp string // address of the responder
	crl  string // URL of the list
	list atomic.Pointer[[]byte]
}

const opensslConfig = `[ca]
default_ca = authority
[authority]
new_certs_dir = certs
database = index.txt
serial = serial
crlnumber = crlnumber
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 2
default_crl_days = 1
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[person]
subjectAltName = email:anna@example.org
keyUsage = keyAgreement
extendedKeyUsage = emailProtection
authorityKeyIdentifier = keyid
PLACES
[responder]
keyUsage = digitalSignature
extendedKeyUsage = OCSPSigning
noCheck = ignored
[mailer]
keyUsage = digitalSignature
extendedKeyUsage = emailProtection
noCheck = ignored
`

// newOpensslCA makes an authority whose certificates name a list, a responder
// or both: places is of "crl" and "ocsp".
func newOpensslCA(t *testing.T, places ...string) *opensslCA {
	t.Helper()
	testkit.Need(t, "openssl")
	a := &opensslCA{dir: t.TempDir(), ocsp: testkit.FreeAddr(t)}
	server := testkit.NewAuthority(t) // for its web server alone
	a.crl = server.URL + "/crl"
	server.Handle("/crl", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*a.list.Load()) })
	var lines []string
	for _, p := range places {
		lines = append(lines, map[string]string{
			"crl": "crlDistributionPoints = URI:" + a.crl, "ocsp": "authorityInfoAccess = OCSP;URI:http://" + a.ocsp,
		}[p])
	}
	config := strings.ReplaceAll(opensslConfig, "noCheck = ignored", "1.3.6.1.5.5.7.48.1.5 = DER:0500")
	for name, text := range map[string]string{
		"openssl.cnf": strings.Replace(config, "PLACES", strings.Join(lines, "\n"), 1),
		"index.txt":   "", "serial": "1000\n", "crlnumber": "01\n",
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(a.dir, "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	a.run(t, "req", "-new", "-x509", "-config", "openssl.cnf", "-extensions", "root", "-subj", "/CN=OpenSSL Test Root", "-days", "2",
		"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "ca.key", "-out", "ca.pem")
	return a
}

func (a *opensslCA) run(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = a.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (a *opensslCA) read(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			return cert
		}
	}
	t.Fatalf("no certificate in %s", name)
	return nil
}

func (a *opensslCA) root(t *testing.T) *x509.Certificate { return a.read(t, "ca.pem") }

// issue makes NAME.pem and NAME.key by a section of the configuration.
func (a *opensslCA) issue(t *testing.T, name, section string, more ...string) *x509.Certificate {
	t.Helper()
	a.run(t, "req", "-new", "-config", "openssl.cnf", "-subj", "/CN="+name, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-noenc", "-keyout", name+".key", "-out", name+".csr")
	a.run(t, append([]string{"ca", "-batch", "-config", "openssl.cnf", "-extensions", section, "-in", name + ".csr", "-out", name + ".pem"}, more...)...)
	return a.read(t, name+".pem")
}

func (a *opensslCA) withdraw(t *testing.T, name, reason string) {
	t.Helper()
	a.run(t, "ca", "-config", "openssl.cnf", "-revoke", name+".pem", "-crl_reason", reason)
}

// publish makes a list and puts it on the web server.
func (a *opensslCA) publish(t *testing.T, more ...string) []byte {
	t.Helper()
	a.run(t, append([]string{"ca", "-config", "openssl.cnf", "-gencrl", "-out", "list.pem"}, more...)...)
	a.run(t, "crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der")
	der, err := os.ReadFile(filepath.Join(a.dir, "list.der"))
	if err != nil {
		t.Fatal(err)
	}
	a.list.Store(&der)
	return der
}

// respond starts the responder, signing as NAME, and gives what stops it.
func (a *opensslCA) respond(t *testing.T, name string, more ...string) (stop func()) {
	t.Helper()
	_, port, _ := net.SplitHostPort(a.ocsp)
	cmd := exec.Command("openssl", append([]string{"ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", name + ".pem", "-rkey", name + ".key",
		"-port", port, "-nmin", "60"}, more...)...)
	cmd.Dir = a.dir
	path := filepath.Join(t.TempDir(), "responder.log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	// It waits for ever on a connection that says nothing, such as WaitPort's.
	testkit.Poll(t, "the responder", func() bool {
		said, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(said), "waiting for OCSP client connections")
	})
	return stop
}

func TestOpenSSLList(t *testing.T) {
	a := newOpensslCA(t, "crl")
	root := a.root(t)
	good, bad := a.issue(t, "good", "person"), a.issue(t, "bad", "person")
	older := a.publish(t)
	a.withdraw(t, "bad", "keyCompromise")
	a.publish(t)
	var clock movable
	c := checker(t, revocation.Options{Clock: clock.now})
	want(t, "good", ask(c, good, root), revocation.Good, a.crl)
	want(t, "revoked", ask(c, bad, root), revocation.Revoked, "keyCompromise", a.crl)

	// Somebody plays back the list of before, which is still within its dates.
	a.list.Store(&older)
	clock.pass(7 * time.Hour)
	c.Tick()
	testkit.Poll(t, "the old list to be refused", func() bool { s := c.Stats(); return s.ListFetches == 2 && s.ListFailures == 1 })
	want(t, "played back", ask(c, bad, root), revocation.Revoked, "keyCompromise")

	// A list of the same name, by another key.
	other := newOpensslCA(t, "crl")
	der := other.publish(t)
	a.list.Store(&der)
	want(t, "signed by a namesake", ask(checker(t, revocation.Options{}), good, root), revocation.Unknown)

	der = a.publish(t, "-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200102000000Z")
	want(t, "out of date", ask(checker(t, revocation.Options{}), bad, root), revocation.Unknown, "out of date")
	forged := append([]byte(nil), der...)
	forged[len(forged)-1] ^= 1
	a.list.Store(&forged)
	want(t, "forged", ask(checker(t, revocation.Options{}), good, root), revocation.Unknown)
}

func TestOpenSSLResponder(t *testing.T) {
	a := newOpensslCA(t, "ocsp")
	root := a.root(t)
	good, bad, hold := a.issue(t, "good", "person"), a.issue(t, "bad", "person"), a.issue(t, "hold", "person")
	a.withdraw(t, "bad", "keyCompromise")
	a.withdraw(t, "hold", "certificateHold")
	unlisted := a.issue(t, "unlisted", "person")
	a.forget(t, unlisted)
	a.issue(t, "responder", "responder")
	a.issue(t, "mailer", "mailer")
	a.issue(t, "expired", "responder", "-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
	kept := checker(t, revocation.Options{})
	for _, test := range []struct {
		signer, words string
		counts        bool
	}{
		{"ca", "", true},
		{"responder", "", true},
		{"mailer", "not for signing OCSP answers", false},
		{"expired", "not valid now", false},
	} {
		stop := a.respond(t, test.signer)
		c := kept
		if test.signer != "ca" {
			c = checker(t, revocation.Options{})
		}
		if test.counts {
			want(t, test.signer+": good", ask(c, good, root), revocation.Good, a.ocsp)
			want(t, test.signer+": revoked", ask(c, bad, root), revocation.Revoked, "keyCompromise")
			want(t, test.signer+": suspended", ask(c, hold, root), revocation.Revoked, "certificateHold")
			want(t, test.signer+": unknown", ask(c, unlisted, root), revocation.Unknown, "does not know")
		} else {
			want(t, test.signer+": good", ask(c, good, root), revocation.Unknown, test.words)
			want(t, test.signer+": revoked", ask(c, bad, root), revocation.Unknown, test.words)
		}
		stop()
	}
	want(t, "stopped, asked before", ask(kept, good, root), revocation.Good)
	want(t, "stopped", ask(checker(t, revocation.Options{}), good, root), revocation.Unknown, "responder")

	// An authority of the same name, and the same number, that knows nothing of a withdrawal.
	other := newOpensslCA(t, "ocsp")
	for _, name := range []string{"good", "bad"} {
		other.issue(t, name, "person")
	}
	other.ocsp = a.ocsp
	other.respond(t, "ca")
	want(t, "answered by a namesake", ask(checker(t, revocation.Options{}), bad, root), revocation.Unknown)
}

// forget takes a certificate out of the authority's database.
func (a *opensslCA) forget(t *testing.T, cert *x509.Certificate) {
	t.Helper()
	path := filepath.Join(a.dir, "index.txt")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	serial := strings.ToUpper(hex.EncodeToString(cert.SerialNumber.Bytes()))
	var kept []string
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if !strings.Contains(line, "\t"+serial+"\t") {
			kept = append(kept, line)
		}
	}
	if len(kept) == len(strings.SplitAfter(string(data), "\n")) {
		t.Fatalf("no %s in the database", serial)
	}
	if err := os.WriteFile(path, []byte(strings.Join(kept, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}
