package portal_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"

	"sealpost/directory/claim"
	"sealpost/directory/escrow"
	"sealpost/directory/keybox"
	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// An office is the real engine on a real store, with a key for Anna whose notice
// has been sent.
type office struct {
	server      *httptest.Server
	store       *store.Store
	engine      *claim.Engine
	ca          *testkit.CA
	anna        *testkit.Identity
	token, code string

	mu     sync.Mutex
	letter []byte // the last notice
}

// Send makes an office the mail server of its notices.
func (o *office) Send(_ context.Context, _, _ address.Address, message []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.letter = message
	return nil
}

// must ends the test when there is an error.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// openOffice gives Anna's key this second secret; empty: none is asked for.
func openOffice(t testing.TB, secret string) *office {
	t.Helper()
	o, dir, ctx := &office{ca: testkit.NewCA(t)}, t.TempDir(), context.Background()
	master := filepath.Join(dir, "master.key")
	if _, err := escrow.CreateFile(master, time.Now()); err != nil {
		t.Fatal(err)
	}
	keeper := must[*escrow.File](t)(escrow.OpenFile(master, nil))
	o.store = must[*store.Store](t)(store.Open(ctx, store.Options{URL: "sqlite:" + filepath.Join(dir, "keys.db")}))
	t.Cleanup(func() {
		if err := o.store.Close(); err != nil {
			t.Error(err)
		}
	})
	o.server = httptest.NewUnstartedServer(nil)
	o.anna = o.ca.Issue(t, testkit.Leaf{Addresses: []string{anna}})
	cert := must[*certificate.Certificate](t)(certificate.Parse(o.anna.Cert.Raw))
	n := store.NewKey{Cert: cert, Address: must[address.Address](t)(address.Parse(anna)), Actor: "test", References: []string{"K-4711", "R-2026-11"}}
	if secret != "" {
		n.Secret = provision.HashSecret(secret)
	}
	var err error
	if n.Wrapped, n.Keeper, err = escrow.Seal(ctx, keeper, o.anna.Key.(crypto.Signer), cert.Fingerprint(), n.Address.Key()); err != nil {
		t.Fatal(err)
	}
	must[store.Provisioned](t)(o.store.Provision(ctx, n))
	o.engine = must[*claim.Engine](t)(claim.New(claim.Options{
		Store: o.store, Keeper: keeper, Chain: []*x509.Certificate{o.ca.Cert}, URL: "http://" + o.server.Listener.Addr().String(),
		Key: bytes.Repeat([]byte{1}, claim.KeySize), CheckSecret: provision.CheckSecret, Mailer: o,
		From: must[address.Address](t)(address.Parse("keys@bank.example")), Name: "Bank of Examples", Log: slog.New(slog.DiscardHandler),
	}))
	if err := o.engine.Notify(ctx, claim.Notice{Address: anna}); err != nil {
		t.Fatal(err)
	}
	if err := o.engine.SendDue(ctx); err != nil {
		t.Fatal(err)
	}
	o.read(t)
	p := newPortal(t, o.engine, "http://"+o.server.Listener.Addr().String())
	p.Mount(http.NotFoundHandler())
	o.server.Config.Handler = p
	o.server.Start()
	t.Cleanup(o.server.Close)
	return o
}

var (
	linkInLetter = regexp.MustCompile(`/claim\?t=([A-Za-z0-9_-]+)`)
	codeInLetter = regexp.MustCompile(`(?m)^\s+([2-9A-Z]{4}-[2-9A-Z]{4})\s*$`)
)

// read finds the link and the code in the notice.
func (o *office) read(t testing.TB) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	r := must[*mail.Reader](t)(mail.CreateReader(bytes.NewReader(o.letter)))
	part := must[*mail.Part](t)(r.NextPart())
	text := string(must[[]byte](t)(io.ReadAll(part.Body)))
	link, code := linkInLetter.FindStringSubmatch(text), codeInLetter.FindStringSubmatch(text)
	if link == nil || code == nil {
		t.Fatalf("no link or no code in\n%s", text)
	}
	o.token, o.code = link[1], code[1]
}

func (o *office) signIn(t testing.TB) *visitor {
	t.Helper()
	return visit(t, o.server.URL).get("/claim?t="+o.token).expect(200, "/claim", "a…a@example.org", "127.0.0.1").post("/claim", "code", strings.ToLower(o.code))
}

const passphrase = "correct horse battery staple"

// The real engine: the two kinds of file open with OpenSSL and hold Anna's key;
// the reader gets the same one; and what was done stands in the audit log.
func TestTakeHome(t *testing.T) {
	testkit.Need(t, "openssl")
	o := openOffice(t, "4711")
	v := o.signIn(t).expect(200, "/claim/second")
	v.post("/claim/second", "answer", "0815").expect(403, "/claim/second", "Tries left: 4")
	v.post("/claim/second", "answer", "4711").expect(200, "/claim/choose", anna, "/read?lang=en")
	want := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(o.anna.Key))
	for _, format := range []string{"modern", "legacy"} {
		v.get("/claim/take").post("/claim/take", "format", format, "passphrase", passphrase, "again", passphrase).expect(200, "/claim/take")
		file := filepath.Join(t.TempDir(), "key.p12")
		if err := os.WriteFile(file, []byte(v.page), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"pkcs12", "-in", file, "-passin", "pass:" + passphrase, "-nodes"}
		out, err := exec.Command("openssl", append(args, "-nocerts")...).Output()
		if err != nil {
			t.Fatalf("%s: openssl does not open it: %v", format, err)
		}
		file += ".pem"
		if err := os.WriteFile(file, out, 0o600); err != nil {
			t.Fatal(err)
		}
		if der := must[[]byte](t)(exec.Command("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", file, "-outform", "DER").Output()); !bytes.Equal(der, want) {
			t.Errorf("%s: the key in the file is another one", format)
		}
		if certs := must[[]byte](t)(exec.Command("openssl", append(args, "-nokeys")...).Output()); bytes.Count(certs, []byte("BEGIN CERTIFICATE")) != 2 {
			t.Errorf("%s: not the certificate and its issuer:\n%s", format, certs)
		}
	}
	opener := must[*keybox.Opener](t)(keybox.NewOpener())
	v.get("/claim/take")
	v.post("/claim/key", "public", opener.Public(), "csrf", v.hidden("/claim/take").Get("csrf")).expect(200, "/claim/key")
	if key, cert, err := opener.Open([]byte(v.page)); err != nil || !o.anna.Key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) || cert.Fingerprint() != sha256.Sum256(o.anna.Cert.Raw) {
		t.Errorf("the box for the reader: %v", err)
	}
	v.get("/claim/delete").post("/claim/delete", "when", "now", "sure", "yes").expect(200, "/claim/choose", "Our copy of the key is deleted")
	v.get("/claim/take").expect(410, "/claim/take")
	v.get("/claim?t="+o.token).expect(200, "/claim", "has been used")
	replay := visit(t, o.server.URL).get("/claim")
	replay.post("/claim", "t", o.token, "code", o.code).expect(410, "/claim", "has been used")
	if left, err := o.store.KeysOf(t.Context(), anna); err != nil || len(left) == 1 && left[0].Deleted.IsZero() {
		t.Errorf("the key is still there: %v, %v", left, err)
	}
	if _, err := o.store.VerifyAudit(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// The real engine: a scanner that opens and presses all there is uses nothing
// up, a private key is refused, and an own certificate takes the place of ours.
func TestOwnCertificate(t *testing.T) {
	o := openOffice(t, "")
	before := must[store.AuditState](t)(o.store.VerifyAudit(t.Context(), nil))
	if n := scan(visit(t, o.server.URL), "/claim?t="+o.token, " "); n < 8 {
		t.Fatalf("the scanner saw only %d pages", n)
	}
	v := o.signIn(t).expect(200, "/claim/choose")
	if n := scan(v, "/claim/choose", ""); n < 20 {
		t.Fatalf("only %d pages", n)
	}
	for _, a := range must[[]store.Audit](t)(o.store.AuditLog(t.Context(), before.Records, 100)) {
		if a.Kind == "key-used" || a.Kind == "claimed" || a.Kind == "key-deleted" {
			t.Errorf("looking around left %s in the audit log", a.Kind)
		}
	}
	own := o.ca.Issue(t, testkit.Leaf{Addresses: []string{anna}, Name: "Anna's own", Key: "p256"})
	other := o.ca.Issue(t, testkit.Leaf{Addresses: []string{"bert@example.org"}, Key: "p256"})
	dir := t.TempDir()
	_, keyFile := own.WriteFiles(t, dir, "own")
	secret, ownPEM, otherPEM := must[[]byte](t)(os.ReadFile(keyFile)), asPEM(own), asPEM(other)
	for name, content := range map[string][]byte{"a key": secret, "both": append(bytes.Clone(ownPEM), secret...)} {
		v.get("/claim/own").upload("/claim/own", content).expect(422, "/claim/own", "holds a private key")
		if strings.Contains(v.page, "BEGIN") {
			t.Errorf("%s comes back", name)
		}
	}
	v.get("/claim/own").upload("/claim/own", otherPEM).expect(422, "/claim/own", "does not name the address "+anna)
	v.get("/claim/own").upload("/claim/own", []byte("hello")).expect(422, "/claim/own", "neither PEM")
	v.get("/claim/own").upload("/claim/own", ownPEM).expect(200, "/claim/choose", "Your certificate is published")
	found := must[[][]store.Certificate](t)(o.store.Lookup(t.Context(), []string{anna}))
	if len(found[0]) != 1 || found[0][0].Cert.Fingerprint() != sha256.Sum256(own.Cert.Raw) {
		t.Errorf("the address has %d certificates, and the first is not his own", len(found[0]))
	}
}

func asPEM(id *testkit.Identity) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.Cert.Raw})
}

// The real engine: wrong codes end with a refusal, and the right one comes too
// late then; a session that was planted is none.
func TestGuessing(t *testing.T) {
	o := openOffice(t, "")
	v := visit(t, o.server.URL)
	v.setCookie("sealpost", "planted")
	for left := range 5 {
		v.get("/claim?t="+o.token).post("/claim", "code", "2222-2222").expect(403, "/claim", "Tries left: "+string(rune('4'-left)))
	}
	v.post("/claim", "t", o.token, "code", o.code)
	if v.resp.StatusCode == 200 || v.resp.Request.URL.Path != "/claim" {
		t.Errorf("%s at %s", v.resp.Status, v.resp.Request.URL)
	}
	v.get("/claim/choose").expect(200, "/claim")
	v.get("/claim?t="+o.token[:len(o.token)-1]).expect(200, "/claim", "not complete")
}

// The real engine: who asks about an address learns nothing, whether it is known
// or not: not by a code, and not by wanting a notice.
func TestNobodyIsNamed(t *testing.T) {
	o := openOffice(t, "")
	v := visit(t, o.server.URL)
	answer := func(addr string) (said string) {
		for _, f := range [][]string{{"/claim", "code", "2222-2222"}, {"/claim/again"}} {
			v.get(f[0]).post(f[0], append(f[1:], "address", addr)...)
			said += v.resp.Status + v.resp.Request.URL.String() + strings.ReplaceAll(v.page, addr, "X")
		}
		return said
	}
	if known, unknown := answer(anna), answer("nobody@example.org"); known != unknown {
		t.Errorf("known:\n%s\n\nunknown:\n%s", known, unknown)
	}
}
