package testkit

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// An OpenSSLCA is an authority kept with the openssl command: its own database,
// lists made by `openssl ca`, and responders of `openssl ocsp`.
type OpenSSLCA struct {
	Cert *x509.Certificate
	Dir  string
}

const opensslCAConfig = `[ca]
default_ca = own
[own]
dir = DIR
database = DIR/index.txt
new_certs_dir = DIR
serial = DIR/serial
crlnumber = DIR/crlnumber
certificate = DIR/ca.pem
private_key = DIR/ca.key
default_md = sha256
default_days = 2
default_crl_days = 1
policy = any
unique_subject = no
[any]
commonName = supplied
[list]
authorityKeyIdentifier = keyid
[person]
basicConstraints = critical,CA:FALSE
keyUsage = critical,keyAgreement
extendedKeyUsage = emailProtection
subjectAltName = email:${ENV::MAILBOX}
crlDistributionPoints = URI:${ENV::CRL}
authorityInfoAccess = OCSP;URI:${ENV::OCSP}
[responder]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,OCSPSigning
noCheck = ignored
[impostor]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = emailProtection
noCheck = ignored
[req]
distinguished_name = dn
[dn]
`

// NewOpenSSLCA makes a root.
func NewOpenSSLCA(t testing.TB) *OpenSSLCA {
	t.Helper()
	Need(t, "openssl")
	ca := &OpenSSLCA{Dir: t.TempDir()}
	for name, text := range map[string]string{
		"ca.cnf": strings.ReplaceAll(opensslCAConfig, "DIR", ca.Dir), "index.txt": "", "serial": "1000\n", "crlnumber": "01\n",
	} {
		if err := os.WriteFile(ca.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca.run(t, nil, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca.path("ca.key"), "-out", ca.path("ca.pem"),
		"-days", "3", "-subj", "/CN=OpenSSL Test Root", "-config", ca.path("ca.cnf"),
		"-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext", "subjectKeyIdentifier=hash")
	ca.Cert = ca.read(t, "ca.pem")
	return ca
}

func (ca *OpenSSLCA) path(name string) string { return filepath.Join(ca.Dir, name) }

func (ca *OpenSSLCA) run(t testing.TB, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = ca.Dir
	cmd.Env = append(append(os.Environ(), "MAILBOX=none@example.invalid", "CRL=http://none.invalid/", "OCSP=http://none.invalid/"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (ca *OpenSSLCA) read(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(ca.path(name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("%s holds no PEM", name)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Person issues a certificate that names a list and a responder.
func (ca *OpenSSLCA) Person(t testing.TB, mailbox, crl, ocsp string) *x509.Certificate {
	t.Helper()
	ca.issue(t, mailbox, "person", "MAILBOX="+mailbox, "CRL="+crl, "OCSP="+ocsp)
	return ca.read(t, mailbox+".pem")
}

func (ca *OpenSSLCA) issue(t testing.TB, name, section string, env ...string) {
	t.Helper()
	ca.run(t, env, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca.path(name+".key"), "-out", ca.path(name+".csr"),
		"-subj", "/CN="+name, "-config", ca.path("ca.cnf"))
	ca.run(t, env, "ca", "-batch", "-notext", "-config", ca.path("ca.cnf"), "-extensions", section, "-in", ca.path(name+".csr"), "-out", ca.path(name+".pem"))
}

// Revoke withdraws a person's certificate for a reason of `openssl ca`.
func (ca *OpenSSLCA) Revoke(t testing.TB, mailbox, reason string) {
	t.Helper()
	ca.run(t, nil, "ca", "-config", ca.path("ca.cnf"), "-revoke", ca.path(mailbox+".pem"), "-crl_reason", reason)
}

// List makes the revocation list, as DER; args go to `openssl ca -gencrl`.
// Without -crlexts it is one of version 1.
func (ca *OpenSSLCA) List(t testing.TB, args ...string) []byte {
	t.Helper()
	ca.run(t, nil, append([]string{"ca", "-gencrl", "-config", ca.path("ca.cnf"), "-out", ca.path("list.pem")}, args...)...)
	ca.run(t, nil, "crl", "-in", ca.path("list.pem"), "-outform", "DER", "-out", ca.path("list.der"))
	der, err := os.ReadFile(ca.path("list.der"))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Responder starts `openssl ocsp` and gives its URL. section says who signs:
// "" the root, "responder" somebody whom it appointed, "impostor" somebody with
// an ordinary certificate of it. The responder knows
// what the database holds now, and ends with the test, or by stop.
func (ca *OpenSSLCA) Responder(t testing.TB, section string, args ...string) (url string, stop func()) {
	t.Helper()
	signer := "ca"
	if section != "" {
		signer = "the-" + section
		ca.issue(t, signer, section)
	}
	cmd := exec.Command("openssl", append([]string{"ocsp", "-port", "0", "-index", ca.path("index.txt"), "-CA", ca.path("ca.pem"),
		"-rsigner", ca.path(signer + ".pem"), "-rkey", ca.path(signer + ".key"), "-ignore_err"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	ready := make(chan string, 1)
	go func() {
		accept := regexp.MustCompile(`ACCEPT .*:(\d+)`)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := accept.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
		close(ready)
	}()
	port, ok := <-ready
	if !ok {
		t.Fatal("openssl ocsp did not start")
	}
	return fmt.Sprintf("http://127.0.0.1:%s/", port), stop
}
