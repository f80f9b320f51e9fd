package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/directory/ca"
	"sealpost/directory/store"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

const rootPassphrase = "correct horse battery staple"

// withAuthority is a directory whose authority has been made.
func withAuthority(t testing.TB, door string) *installation {
	t.Helper()
	in := aDirectory(t, "  ca: {certificate: ca.pem, key: ca.key, address: \""+door+"\", url: \"http://"+door+"\"}\n")
	in.write(t, "passphrase", rootPassphrase+"\n")
	in.directory(t, exitOK, in.makeAuthority()...)
	return in
}

func (in *installation) makeAuthority(more ...string) []string {
	return append([]string{"ca", "init", "--root-key", filepath.Join(in.dir, "root.age"), "--passphrase-file", filepath.Join(in.dir, "passphrase"),
		"--name", "Example Bank", "--organization", "Example Bank AG", "--country", "DE", "--issuing-key", "p-256"}, more...)
}

func (in *installation) read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(in.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// issued gives somebody a certificate of the authority, and stores it.
func (in *installation) issued(t testing.TB, who string) *x509.Certificate {
	t.Helper()
	a, err := ca.Open(ca.Options{Certificate: in.read(t, "ca.pem"), Key: in.read(t, "ca.key"), URL: "http://keys.bank.example"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := a.Issue(ca.Request{Address: parsed(t, who), PublicKey: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certificate.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(context.Background(), store.Options{URL: "sqlite:" + filepath.Join(in.dir, "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Add(t.Context(), []store.New{{Cert: cert, Origin: store.OriginIssued}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), store.Audit{Kind: store.AuditIssued, Address: who, Fingerprint: cert.Fingerprint(), Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	c, err := cert.X509()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func fetched(t testing.TB, url string) []byte {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, r.Status, err)
	}
	return body
}

// An authority is made, published through both doors, and what is revoked with
// the command is in its list and in OCSP; the audit log tells, and is whole.
func TestDirectoryAuthority(t *testing.T) {
	testkit.Need(t, "openssl")
	door := testkit.FreeAddr(t)
	in := withAuthority(t, door)
	cert := in.issued(t, "anna@example.org")
	in.start(t)
	in.waitLog(t, "audit head", `"records":1`)
	for _, base := range []string{"http://" + door, "http://" + in.keys} {
		root, err := x509.ParseCertificate(fetched(t, base+ca.PathRoot))
		if err != nil || root.Subject.Organization[0] != "Example Bank AG" {
			t.Fatal(root, err)
		}
	}
	if r, err := http.Get("http://" + door + "/v1/certificates?email=anna@example.org"); err != nil || r.StatusCode != http.StatusNotFound {
		t.Error("the authority's door gives more than that", err)
	}
	if n := in.metric(t, "sealpost_directory_issuer_expires_timestamp_seconds"); n < float64(cert.NotAfter.Unix()) {
		t.Errorf("the issuer is said to end at %v", n)
	}
	fingerprint := in.entryOf(t, cert)
	in.directory(t, exitOK, "revoke", "--reason", "key-compromise", "--why", "the laptop was stolen", fingerprint)
	testkit.Poll(t, "the revocation in the list", func() bool {
		l, err := x509.ParseRevocationList(fetched(t, "http://"+door+ca.PathCRL))
		return err == nil && len(l.RevokedCertificateEntries) == 1 && l.RevokedCertificateEntries[0].ReasonCode == 1
	})
	in.write(t, "anna.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	issuer, rest := pem.Decode(in.read(t, "ca.pem"))
	in.write(t, "issuer.pem", string(pem.EncodeToMemory(issuer)))
	root, _ := pem.Decode(rest)
	in.write(t, "root.pem", string(pem.EncodeToMemory(root)))
	cmd := exec.Command("openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "anna.pem", "-url", "http://"+in.keys+ca.PathOCSP, "-CAfile", "root.pem", "-verify_other", "issuer.pem")
	cmd.Dir = in.dir
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("anna.pem: revoked")) || !bytes.Contains(out, []byte("keyCompromise")) {
		t.Errorf("%v: %s", err, out)
	}
	list := in.directory(t, exitOK, "ca", "crl", "--pem")
	block, _ := pem.Decode([]byte(list))
	if l, err := x509.ParseRevocationList(block.Bytes); err != nil || len(l.RevokedCertificateEntries) != 1 {
		t.Error(err)
	}
	if said := in.directory(t, exitOK, "ca", "show"); !strings.Contains(said, "revoked  1") || !strings.Contains(said, "Example Bank S/MIME CA") || !strings.Contains(said, "EC P-256") {
		t.Error(said)
	}
	in.auditCommands(t, fingerprint)
}

func (in *installation) entryOf(t testing.TB, cert *x509.Certificate) string {
	t.Helper()
	all := listed(t, in.directory(t, exitOK, "list", "--json"))
	if len(all) != 1 || all[0].Origin != "issued" {
		t.Fatalf("%+v", all)
	}
	return all[0].SHA256
}

func (in *installation) auditCommands(t testing.TB, fingerprint string) {
	t.Helper()
	var kinds []string
	for line := range strings.Lines(in.directory(t, exitOK, "audit", "list", "--json")) {
		var r auditReport
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.SHA256 != fingerprint {
			t.Errorf("%v: %s", err, line)
		}
		kinds = append(kinds, string(r.Kind))
	}
	if strings.Join(kinds, " ") != "issued revoked" {
		t.Errorf("%q", kinds)
	}
	if said := in.directory(t, exitOK, "audit", "list", "--kind", "revoked", "--address", "anna@example.org"); strings.Count(said, "\n") != 1 || !strings.Contains(said, "laptop") {
		t.Error(said)
	}
	if said := in.directory(t, exitOK, "audit", "list", "--address", "bert@example.org"); said != "" {
		t.Error(said)
	}
	said := in.directory(t, exitOK, "audit", "verify")
	head := strings.Fields(said)[3]
	in.directory(t, exitOK, "audit", "verify", "--head", head)
	in.directory(t, exitFailed, "audit", "verify", "--head", strings.Repeat("ab", 32))
	in.directory(t, exitUsage, "audit", "verify", "--head", "abc")
}

func TestAuthorityIsMadeOnce(t *testing.T) {
	in := aDirectory(t, "  ca: {certificate: ca.pem, key: ca.key, url: \"http://keys.bank.example\"}\n")
	if out, errs, code := sealpost(t, "", "serve", "--config", in.config); code == exitOK || !strings.Contains(errs, "sealpost directory ca init") {
		t.Errorf("it serves without its authority: %d %s%s", code, out, errs)
	}
	in.directory(t, exitFailed, "ca", "show")
	if out, errs, code := sealpost(t, "", "check", "--config", in.config); code != exitOK || !strings.Contains(errs, "warning") {
		t.Errorf("check before there is an authority: %d %s%s", code, out, errs)
	}
	in.write(t, "passphrase", "short\n")
	in.directory(t, exitUsage, in.makeAuthority()...)
	in.write(t, "passphrase", rootPassphrase+"\n")
	in.directory(t, exitUsage, in.makeAuthority("--root-years", "3")...)
	in.directory(t, exitUsage, in.makeAuthority("--country", "Germany")...)
	for _, name := range []string{"ca.pem", "ca.key", "root.age"} {
		if _, err := os.Stat(filepath.Join(in.dir, name)); err == nil {
			t.Errorf("%s was made by a command that failed", name)
		}
	}
	if said := in.directory(t, exitOK, in.makeAuthority()...); !strings.Contains(said, "safe") {
		t.Error(said)
	}
	for name, mode := range map[string]os.FileMode{"ca.pem": 0o644, "ca.key": 0o600, "root.age": 0o600} {
		info, err := os.Stat(filepath.Join(in.dir, name))
		if err != nil || info.Mode().Perm()&^mode != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if bytes.Contains(in.read(t, "root.age"), []byte("PRIVATE")) {
		t.Error("the root's key is not encrypted")
	}
	before := in.read(t, "ca.key")
	in.checks(t, exitOK)
	whole := in.read(t, "ca.pem")
	issuer, _ := pem.Decode(whole)
	in.write(t, "ca.pem", string(pem.EncodeToMemory(issuer)))
	in.checks(t, exitUsage) // the root is missing
	in.write(t, "ca.pem", string(whole))
	in.directory(t, exitFailed, in.makeAuthority()...)
	if !bytes.Equal(before, in.read(t, "ca.key")) {
		t.Error("the key was overwritten")
	}
}

func (in *installation) checks(t testing.TB, want int) {
	t.Helper()
	if out, errs, code := sealpost(t, "", "check", "--config", in.config); code != want {
		t.Errorf("check: %d, want %d: %s%s", code, want, out, errs)
	}
}

// Every command that docs/ca.md shows works as it stands there, in that order.
func TestAuthorityPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/ca.md")
	if err != nil {
		t.Fatal(err)
	}
	in := aDirectory(t, "  ca: {certificate: ca.pem, key: ca.key, url: \"http://keys.bank.example\"}\n")
	in.write(t, "passphrase", rootPassphrase+"\n")
	ran := 0
	_, rest, found := strings.Cut(string(page), "```sh\n")
	for ; found; _, rest, found = strings.Cut(rest, "```sh\n") {
		block, _, _ := strings.Cut(rest, "```")
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
			in.asShown(t, line)
			ran++
		}
	}
	if ran != 6 {
		t.Errorf("%d commands stand on the page", ran)
	}
}

// asShown runs a line of the page with our names for its files.
func (in *installation) asShown(t testing.TB, line string) {
	t.Helper()
	if strings.Contains(line, " revoke ") { // of a certificate that is there
		line = strings.Replace(line, "SHA256", in.entryOf(t, in.issued(t, "anna@example.org")), 1)
	}
	head := strings.Fields(in.directory(t, exitOK, "audit", "verify"))[3]
	if strings.Contains(line, "/media/safe/root.age") { // typed, there
		line = strings.TrimSpace(line) + " --passphrase-file " + filepath.Join(in.dir, "passphrase")
	}
	line = strings.NewReplacer("HEX", head, "sealpost.yaml", in.config, "/media/safe/root.age", filepath.Join(in.dir, "root.age")).Replace(line)
	cmd := exec.Command("sh", "-c", strings.Replace(line, "sealpost ", `"$SEALPOST" `, 1))
	self := command(t)
	cmd.Env = append(self.Environ(), "SEALPOST="+self.Path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", line, err, out)
	}
}

// A folder that cannot be written leaves nothing half.
func TestAuthorityNotWritten(t *testing.T) {
	in := aDirectory(t, "  ca: {certificate: ca.pem, key: ca.key, url: \"http://keys.bank.example\"}\n")
	in.write(t, "passphrase", rootPassphrase+"\n")
	args := in.makeAuthority()
	args[3] = filepath.Join(in.dir, "nowhere", "root.age")
	in.directory(t, exitFailed, args...)
	names := []string{filepath.Join(in.dir, "root.age"), filepath.Join(in.dir, "ca.key"), filepath.Join(in.dir, "nowhere", "ca.pem")}
	if err := writeNew(names, [][]byte{{1}, {2}, {3}}, []os.FileMode{0o600, 0o600, 0o644}); err == nil {
		t.Error("written into a folder that is not there")
	}
	for _, name := range []string{"ca.key", "root.age"} {
		if _, err := os.Stat(filepath.Join(in.dir, name)); err == nil {
			t.Errorf("%s is there without the others", name)
		}
	}
}

func TestRenewIssuer(t *testing.T) {
	in := withAuthority(t, testkit.FreeAddr(t))
	args := []string{"ca", "renew-issuer", "--root-key", filepath.Join(in.dir, "root.age"), "--passphrase-file", filepath.Join(in.dir, "passphrase")}
	first, key := in.read(t, "ca.pem"), in.read(t, "ca.key")
	in.write(t, "passphrase", "another passphrase\n")
	in.directory(t, exitFailed, args...)
	if !bytes.Equal(first, in.read(t, "ca.pem")) {
		t.Fatal("changed with a wrong passphrase")
	}
	in.write(t, "passphrase", rootPassphrase+"\n")
	in.directory(t, exitOK, args...)
	second := in.read(t, "ca.pem")
	if bytes.Equal(first, second) || !bytes.Equal(key, in.read(t, "ca.key")) {
		t.Error("not renewed with the same key")
	}
	if kept, err := filepath.Glob(filepath.Join(in.dir, "ca.pem.before-*")); err != nil || len(kept) != 1 {
		t.Error(kept, err)
	}
	in.directory(t, exitOK, append(args, "--new-key", "p-256")...)
	if bytes.Equal(key, in.read(t, "ca.key")) {
		t.Error("the key is the old one")
	}
	if err := os.Remove(filepath.Join(in.dir, "ca.key")); err != nil { // lost
		t.Fatal(err)
	}
	in.checks(t, exitUsage)
	in.directory(t, exitFailed, args...)
	in.directory(t, exitOK, append(args, "--new-key", "rsa-2048")...)
	in.checks(t, exitOK)
	in.directory(t, exitOK, "ca", "show", "--json")
	// Where nobody can type, it says what to do.
	in.directory(t, exitUsage, "ca", "renew-issuer", "--root-key", filepath.Join(in.dir, "root.age"))
}
