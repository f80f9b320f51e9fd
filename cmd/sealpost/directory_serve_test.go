package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/address"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

// keydb is a client of the installation's directory.
func (in *installation) keydb(t testing.TB, token string, roots *x509.CertPool) *keydb.Client {
	t.Helper()
	scheme := "http://"
	if roots != nil {
		scheme = "https://"
	}
	opts := keydb.Options{URL: scheme + in.keys, AllowHTTP: roots == nil, RootCAs: roots}
	if token != "" {
		opts.Token = func() (string, error) { return token, nil }
	}
	c, err := keydb.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// token makes one in the installation's directory.
func (in *installation) token(t testing.TB, scopes string) string {
	t.Helper()
	out, errs, code := sealpost(t, "", "directory", "token", "create", "test", "--scope", scopes, "--config", in.config)
	if code != exitOK {
		t.Fatal(errs)
	}
	return strings.TrimSpace(out)
}

func parsed(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A directory alone: imports beside the running server are found, orders too,
// and it stops and starts with what it had.
func TestDirectoryAlone(t *testing.T) {
	in := aDirectory(t, "")
	in.person(t, "anna@example.org")
	in.start(t)
	client := in.keydb(t, in.token(t, "write,read,feed"), nil)
	who := parsed(t, "anna@example.org")
	if _, err := client.Lookup(t.Context(), who); !errors.Is(err, keydb.ErrNone) {
		t.Fatalf("before the import: %v", err)
	}
	in.directory(t, exitOK, "import", filepath.Join(in.dir, "certs"))
	testkit.Poll(t, "the import to be found", func() bool {
		a, err := client.Lookup(t.Context(), who)
		return err == nil && len(a.Certificates) == 1
	})
	bert := in.person(t, "bert@example.org")
	if _, err := client.Publish(t.Context(), keydb.Publication{DER: bert.Cert.Raw}); err != nil {
		t.Fatal(err)
	}
	if a, err := client.Lookup(t.Context(), parsed(t, "bert@example.org")); err != nil || len(a.Certificates) != 1 {
		t.Fatalf("published: %v, %v", a, err)
	}
	in.directory(t, exitOK, "revoke", in.fingerprint(t, "anna@example.org"))
	testkit.Poll(t, "the revocation to be felt", func() bool {
		_, err := client.Lookup(t.Context(), who)
		return errors.Is(err, keydb.ErrNone)
	})
	if line, _, code := sealpost(t, "", "health", "--config", in.config); code != exitOK {
		t.Error(line)
	}
	in.stop(t)
	in.launch(t)
	if a, err := client.Lookup(t.Context(), parsed(t, "bert@example.org")); err != nil || len(a.Certificates) != 1 {
		t.Errorf("after a restart: %v, %v", a, err)
	}
}

func (in *installation) fingerprint(t testing.TB, who string) string {
	t.Helper()
	return listed(t, in.directory(t, exitOK, "show", who, "--json"))[0].SHA256
}

// TLS from files; a new certificate comes with SIGHUP.
func TestDirectoryTLS(t *testing.T) {
	in := aDirectory(t, "  tls: {mode: files, cert: relay.pem, key: relay.key}\n")
	serial := func() string {
		roots := x509.NewCertPool()
		roots.AddCert(in.ca.Cert)
		conn, err := tls.Dial("tcp", in.keys, &tls.Config{RootCAs: roots, ServerName: "relay.bank.example"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	in.serverCertificate(t)
	in.start(t)
	first := serial()
	in.serverCertificate(t)
	in.signal(t, syscall.SIGHUP)
	in.waitLog(t, "configuration reloaded")
	if serial() == first {
		t.Error("the certificate is still the old one")
	}
}

// The OpenAPI file and the metrics of a directory are there from the start.
func TestDirectoryTellsOfItself(t *testing.T) {
	in := aDirectory(t, "")
	in.start(t)
	for url, want := range map[string]string{
		"http://" + in.keys + "/openapi.yaml": "openapi: 3.1",
		"http://" + in.monitor + "/metrics":   "sealpost_directory_requests_total",
		"http://" + in.keys + "/":             "keys.bank.example",
	} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, without %s", url, resp.Status, err, want)
		}
	}
}

// A node without a disk of its own looks up in the database, and makes no copy.
func TestDirectoryWithoutIndex(t *testing.T) {
	in := aDirectory(t, "  lookups: store\n")
	anna := in.ca.For(t, "anna@example.org")
	in.start(t)
	client := in.keydb(t, in.token(t, "write,read"), nil)
	if _, err := client.Publish(t.Context(), keydb.Publication{DER: anna.Cert.Raw}); err != nil {
		t.Fatal(err)
	}
	if a, err := client.Lookup(t.Context(), parsed(t, "anna@example.org")); err != nil || len(a.Certificates) != 1 {
		t.Errorf("%v, %v", a, err)
	}
	if files, err := filepath.Glob(filepath.Join(in.dir, "*.index*")); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
}

// A mail that OpenSSL has signed teaches its signer's certificate; the same
// mail, altered by a byte, teaches nothing.
func TestDirectoryLearns(t *testing.T) {
	in := aDirectory(t, "trust: {roots: [root.pem]}\n")
	out, _ := in.opensslSigned(t, "anna@example.org", "bank@bank.example", "I agree.")
	in.start(t)
	client := in.keydb(t, "", nil)
	var problem *keydb.Problem
	altered := strings.Replace(out, "I agree", "I refuse", 1)
	if _, err := client.Message(t.Context(), strings.NewReader(altered)); !errors.As(err, &problem) || problem.Status != 422 {
		t.Errorf("altered: %v", err)
	}
	learned, err := client.Message(t.Context(), strings.NewReader(out))
	if err != nil || learned.Address != "anna@example.org" {
		t.Fatalf("%+v, %v", learned, err)
	}
	shown := listed(t, in.directory(t, exitOK, "show", "anna@example.org", "--json"))
	if len(shown) != 1 || shown[0].Origin != "harvest" || shown[0].Verdict == "" {
		t.Errorf("%+v", shown)
	}
}
