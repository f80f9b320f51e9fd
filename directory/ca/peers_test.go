package ca_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/directory/ca"
	"sealpost/internal/testkit"
)

// A desk is a folder with the files of an authority, as others use them.
type desk struct {
	*world
	dir string
	url string
}

func newDesk(t *testing.T, kind string) *desk {
	t.Helper()
	w := newWorld(t, kind)
	srv := httptest.NewServer(w.Handler(w.source))
	t.Cleanup(srv.Close)
	d := &desk{world: w, dir: t.TempDir(), url: srv.URL}
	d.put(t, "issuer.pem", w.Chain()[0])
	d.put(t, "root.pem", w.Chain()[1])
	return d
}

func (d *desk) put(t *testing.T, name string, c *x509.Certificate) string {
	t.Helper()
	return d.write(t, name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func (d *desk) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(d.dir, name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// lists writes the two lists as PEM.
func (d *desk) lists(t *testing.T) string {
	t.Helper()
	h := d.Handler(d.source)
	var text []byte
	for _, path := range []string{ca.PathCRL, ca.PathRootList} {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: get(t, h, path).Body.Bytes()})...)
	}
	return d.write(t, "lists.pem", text)
}

func (d *desk) run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = d.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// OpenSSL believes the chain for mail, and the lists; its client believes OCSP.
func TestOpenSSL(t *testing.T) {
	testkit.Need(t, "openssl")
	for _, kind := range []string{"rsa-2048", "p-256"} {
		d := newDesk(t, kind)
		good, _ := d.issue(t, "anna@example.org", "rsa")
		bad, _ := d.issue(t, "bert@example.org", "p-256")
		d.revoke(bad, "key-compromise: stolen")
		d.put(t, "good.pem", good)
		d.put(t, "bad.pem", bad)
		d.lists(t)
		verify := []string{"verify", "-x509_strict", "-purpose", "smimesign", "-verify_email", "anna@example.org", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "issuer.pem", "-CRLfile", "lists.pem"}
		if out, err := d.run(t, "openssl", append(verify, "good.pem")...); err != nil {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
		verify[5] = "bert@example.org"
		if out, err := d.run(t, "openssl", append(verify, "bad.pem")...); err == nil || !strings.Contains(out, "certificate revoked") {
			t.Errorf("%s: the revoked one: %v: %s", kind, err, out)
		}
		for file, want := range map[string]string{"good.pem": "good.pem: good", "bad.pem": "bad.pem: revoked"} {
			out, err := d.run(t, "openssl", "ocsp", "-issuer", "issuer.pem", "-cert", file, "-url", d.url+ca.PathOCSP, "-CAfile", "root.pem", "-verify_other", "issuer.pem", "-no_nonce")
			if err != nil || !strings.Contains(out, want) || !strings.Contains(out, "Response verify OK") {
				t.Errorf("%s: %v: %s", file, err, out)
			}
		}
	}
}

// GnuTLS believes them too.
func TestGnuTLS(t *testing.T) {
	testkit.Need(t, "certtool", "ocsptool")
	d := newDesk(t, "rsa-2048")
	good, _ := d.issue(t, "anna@example.org", "rsa")
	bad, _ := d.issue(t, "bert@example.org", "rsa")
	d.revoke(bad, "superseded")
	d.put(t, "good.pem", good)
	d.put(t, "bad.pem", bad)
	d.lists(t)
	verify := func(file string) (string, error) {
		return d.run(t, "certtool", "--verify", "--load-ca-certificate", "root.pem", "--load-crl", "lists.pem", "--verify-purpose", "1.3.6.1.5.5.7.3.4", "--verify-profile", "medium", "--infile", file)
	}
	for name, c := range map[string]*x509.Certificate{"good": good, "bad": bad} {
		chain := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Chain()[0].Raw})...)
		out, err := verify(d.write(t, name+"-chain.pem", chain))
		if (err == nil) != (name == "good") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if name == "bad" && !strings.Contains(out, "revoked") {
			t.Errorf("%s", out)
		}
	}
}

// NSS, which Thunderbird stands on, takes the root and believes the certificate
// for mail.
func TestNSS(t *testing.T) {
	testkit.Need(t, "certutil", "crlutil")
	for _, kind := range []string{"rsa-2048", "p-256"} {
		d := newDesk(t, kind)
		good, _ := d.issue(t, "anna@example.org", "rsa")
		bad, _ := d.issue(t, "bert@example.org", "p-256")
		d.revoke(bad, "left")
		d.put(t, "good.pem", good)
		d.put(t, "bad.pem", bad)
		list := d.write(t, "issuer.crl", get(t, d.Handler(d.source), ca.PathCRL).Body.Bytes())
		db := "sql:" + d.dir
		for _, args := range [][]string{
			{"certutil", "-N", "-d", db, "--empty-password"},
			{"certutil", "-A", "-d", db, "-n", "root", "-t", ",C,", "-i", "root.pem"},
			{"certutil", "-A", "-d", db, "-n", "issuer", "-t", ",,", "-i", "issuer.pem"},
			{"certutil", "-A", "-d", db, "-n", "good", "-t", ",,", "-i", "good.pem"},
			{"certutil", "-A", "-d", db, "-n", "bad", "-t", ",,", "-i", "bad.pem"},
			{"crlutil", "-I", "-d", db, "-i", list, "-t", "1"},
		} {
			if out, err := d.run(t, args[0], args[1:]...); err != nil {
				t.Fatalf("%q: %v: %s", args, err, out)
			}
		}
		for _, usage := range []string{"S", "R"} { // sign mail, receive mail
			if out, err := d.run(t, "certutil", "-V", "-d", db, "-n", "good", "-u", usage, "-e"); err != nil {
				t.Errorf("%s: usage %s: %v: %s", kind, usage, err, out)
			}
			if out, err := d.run(t, "certutil", "-V", "-d", db, "-n", "bad", "-u", usage, "-e"); err == nil {
				t.Errorf("%s: the revoked one, usage %s: %s", kind, usage, out)
			}
		}
	}
}
