package claim_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"

	"sealpost/directory/claim"
	"sealpost/directory/escrow"
	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

const (
	anna = "anna@example.org"
	bert = "bert@example.net"
)

// home is a client that nobody else is.
var home = netip.MustParseAddr("192.0.2.7")

// A world is a directory with an engine, and the mail that went out.
type world struct {
	store  *store.Store
	keeper *escrow.File
	ca     *testkit.CA
	post   *post
	engine *claim.Engine
	opts   claim.Options
	log    *bytes.Buffer
	dir    string
	mu     sync.Mutex
	now    time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// newWorld starts nothing in the background.
func newWorld(t testing.TB, change ...func(*claim.Options)) *world {
	t.Helper()
	w := &world{now: time.Now().Truncate(time.Second), ca: testkit.NewCA(t), post: &post{}, log: &bytes.Buffer{}, dir: t.TempDir()}
	master := filepath.Join(w.dir, "escrow.key")
	if _, err := escrow.CreateFile(master, w.now); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.opts, err = w.options(master, w.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	w.opts.Chain = []*x509.Certificate{w.ca.Cert}
	w.opts.Log = slog.New(slog.NewTextHandler(w.log, nil))
	for _, c := range change {
		c(&w.opts)
	}
	w.engine = w.build(t, w.opts)
	return w
}

// options opens the database and the master key.
func (w *world) options(master string, clock func() time.Time) (o claim.Options, err error) {
	if w.keeper, err = escrow.OpenFile(master, nil); err != nil {
		return o, err
	}
	w.store, err = store.Open(context.Background(), store.Options{URL: "sqlite:" + filepath.Join(w.dir, "directory.db"), Clock: clock})
	if err != nil {
		return o, err
	}
	from, err := address.Parse("keys@example.com")
	return claim.Options{
		Store: w.store, Keeper: w.keeper, URL: "https://keys.example.com", Key: bytes.Repeat([]byte{7}, claim.KeySize),
		CheckSecret: provision.CheckSecret, Mailer: w.post, From: from, Name: "Example Bank", Clock: clock,
		Log: slog.New(slog.DiscardHandler),
	}, err
}

func (w *world) build(t testing.TB, o claim.Options) *claim.Engine {
	t.Helper()
	e, err := claim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// provision makes a key for an address as directory/provision does.
func (w *world) provision(t testing.TB, addr, secret string, change ...func(*store.NewKey)) *testkit.Identity {
	t.Helper()
	named := addr
	if parse(t, addr).NeedsUTF8() { // testkit's certificates name none of these
		named = "somebody@example.org"
	}
	id := w.ca.Issue(t, testkit.Leaf{Addresses: []string{named}, NotBefore: w.now.Add(-time.Minute), NotAfter: w.now.Add(20 * time.Hour)})
	cert, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	n := store.NewKey{Cert: cert, Address: parse(t, addr), References: []string{"K-7f3a91", "R-2c8e44"}, Language: "en",
		Sender: "billing@example.com", Actor: "token 1"}
	if secret != "" {
		n.Secret = provision.HashSecret(secret)
	}
	if n.Wrapped, n.Keeper, err = escrow.Seal(context.Background(), w.keeper, id.Key.(crypto.Signer), cert.Fingerprint(), n.Address.Key()); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&n)
	}
	if p, err := w.store.Provision(context.Background(), n); err != nil || !p.Created {
		t.Fatalf("provision: %v, created %v", err, p.Created)
	}
	return id
}

// A post is a mail server that keeps what it is given.
type post struct {
	mu   sync.Mutex
	fail error
	sent []sent
}

type sent struct {
	from, to string
	message  []byte
}

func (p *post) Send(_ context.Context, from, to address.Address, message []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.sent = append(p.sent, sent{from.String(), to.String(), message})
	return nil
}

func (p *post) all() []sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sent(nil), p.sent...)
}

// A letter is what its reader sees of a notice.
type letter struct {
	subject, text, html string
	token, code         string
	header              mail.Header
}

var (
	linkPattern = regexp.MustCompile(`https://keys\.example\.com/claim\?t=([A-Za-z0-9_-]+)`)
	codePattern = regexp.MustCompile(`(?m)^\s+([2-9A-Z]{4}-[2-9A-Z]{4})\s*$`)
)

func read(t testing.TB, message []byte) letter {
	t.Helper()
	r, err := mail.CreateReader(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	l := letter{header: r.Header}
	if l.subject, err = r.Header.Subject(); err != nil {
		t.Fatal(err)
	}
	for {
		p, err := r.NextPart()
		if err != nil {
			break
		}
		h, ok := p.Header.(*mail.InlineHeader)
		if !ok {
			t.Fatal("the notice has an attachment")
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(p.Body); err != nil {
			t.Fatal(err)
		}
		if kind, _, _ := h.ContentType(); kind == "text/html" {
			l.html = b.String()
		} else {
			l.text = b.String()
		}
	}
	link, code := linkPattern.FindStringSubmatch(l.text), codePattern.FindStringSubmatch(l.text)
	if link == nil || code == nil {
		t.Fatalf("the notice has no link or no code:\n%s", l.text)
	}
	l.token, l.code = link[1], code[1]
	return l
}

// notice has the notice of an address sent, and reads it.
func (w *world) notice(t testing.TB, addr string) letter {
	t.Helper()
	before := len(w.post.all())
	if err := w.engine.Notify(context.Background(), claim.Notice{Address: addr}); err != nil {
		t.Fatal(err)
	}
	if err := w.engine.SendDue(context.Background()); err != nil {
		t.Fatal(err)
	}
	all := w.post.all()
	if len(all) != before+1 || all[before].to != addr {
		t.Fatalf("%d notices were sent, want one to %s", len(all)-before, addr)
	}
	return read(t, all[before].message)
}

// enter provisions, reads the notice and types its code.
func (w *world) enter(t testing.TB, addr string) (string, claim.Session, *testkit.Identity) {
	t.Helper()
	id := w.provision(t, addr, "")
	l := w.notice(t, addr)
	secret, s, err := w.engine.Prove(context.Background(), claim.Proof{Token: l.token, Code: l.code, Client: home})
	if err != nil {
		t.Fatal(err)
	}
	return secret, s, id
}

// audit lists the kinds of the audit log from a record on, and holds it to its
// chain.
func (w *world) audit(t testing.TB) string {
	t.Helper()
	if _, err := w.store.VerifyAudit(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	list, err := w.store.AuditLog(context.Background(), 0, 5000)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, a := range list {
		kinds = append(kinds, string(a.Kind))
	}
	return strings.Join(kinds, " ")
}

func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want: %v", what, err, want)
	}
}

func fingerprint(id *testkit.Identity) [32]byte { return sha256.Sum256(id.Cert.Raw) }

// resend asks for another notice as the page does, and reads it.
func (w *world) resend(t testing.TB, addr string) letter {
	t.Helper()
	before := len(w.post.all())
	w.engine.Start()
	defer w.engine.Close()
	if err := w.engine.Resend(t.Context(), addr, home); err != nil {
		t.Fatal(err)
	}
	testkit.Poll(t, "another notice", func() bool { return len(w.post.all()) > before })
	return read(t, w.post.all()[before].message)
}

func contains(data []byte, text string) bool {
	return bytes.Contains(bytes.ToLower(data), bytes.ToLower([]byte(text)))
}

// inFiles looks through everything that is on disk.
func inFiles(t testing.TB, dir, what, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "directory.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if contains(data, text) {
			t.Errorf("%s has the %s", filepath.Base(f), what)
		}
	}
}

// wrapAs wraps a key for an address.
func wrapAs(t testing.TB, w *world, id *testkit.Identity, addr string) []byte {
	t.Helper()
	wrapped, _, err := escrow.Seal(t.Context(), w.keeper, id.Key.(crypto.Signer), fingerprint(id), addr)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}
