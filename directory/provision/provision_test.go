package provision_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/directory/ca"
	"sealpost/directory/escrow"
	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

const anna = "anna@example.org"

// postgres is the server of all tests.
var postgres testkit.SharedPostgres

func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		fmt.Fprintln(os.Stderr, work(url))
		os.Exit(1)
	}
	code := m.Run()
	if err := postgres.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// keys makes a P-256 key each time.
type keys struct{}

func (keys) Take(context.Context) (crypto.Signer, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// A world is a database, a master key, and an authority.
type world struct {
	url    string
	master string
	issuer issuer
	now    time.Time

	mu      sync.Mutex
	notices []provision.Notice
}

func newWorld(t testing.TB) *world {
	t.Helper()
	i, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{url: "sqlite:" + filepath.Join(t.TempDir(), "directory.db"), master: filepath.Join(t.TempDir(), "escrow.key"), issuer: i, now: time.Now()}
	if _, err := escrow.CreateFile(w.master, w.now); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) open(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{URL: w.url, Clock: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (w *world) keeper(t testing.TB) escrow.Keeper {
	t.Helper()
	k, err := escrow.OpenFile(w.master, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *world) engine(t testing.TB, s provision.Store, change func(*provision.Options)) *provision.Engine {
	t.Helper()
	opts := provision.Options{
		Store: s, Issuer: w.issuer, Pool: keys{}, Keeper: w.keeper(t), Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return w.now },
		Notify: func(_ context.Context, n provision.Notice) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.notices = append(w.notices, n)
		},
	}
	if change != nil {
		change(&opts)
	}
	e, err := provision.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func ask(t testing.TB, e *provision.Engine, addr string) ([]store.Certificate, bool) {
	t.Helper()
	certs, created, err := e.Provision(t.Context(), provision.Request{Address: parse(t, addr), Actor: "test"})
	if err != nil || len(certs) == 0 {
		t.Fatalf("%s: %d certificates, %v", addr, len(certs), err)
	}
	return certs, created
}

// unwrap opens the key of a certificate as a claim does.
func unwrap(t testing.TB, s *store.Store, k escrow.Keeper, c *certificate.Certificate) error {
	t.Helper()
	key, err := s.UseKey(context.Background(), c.Fingerprint(), "test", "to see whether it opens")
	if err != nil {
		return err
	}
	_, err = escrow.Open(context.Background(), k, key.Wrapped, key.Fingerprint, key.Address, c.PublicKey)
	return err
}

func TestProvision(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	e := w.engine(t, s, func(o *provision.Options) { o.Keep = time.Hour })
	request := provision.Request{
		Address: parse(t, anna), Secret: "K-4711 x", References: []string{"invoice 7"}, Language: "de", Sender: "bank@example.com", Actor: "token 1",
	}
	certs, created, err := e.Provision(t.Context(), request)
	if err != nil || !created || len(certs) != 1 {
		t.Fatalf("%d certificates, created %v: %v", len(certs), created, err)
	}
	if err := unwrap(t, s, w.keeper(t), certs[0].Cert); err != nil {
		t.Error(err)
	}
	k, err := s.KeyOf(t.Context(), certs[0].Cert.Fingerprint())
	if err != nil || !k.Expires.Equal(certs[0].Cert.NotAfter.Add(time.Hour)) || k.Sender != "bank@example.com" || k.References[0] != "invoice 7" {
		t.Errorf("%+v, %v", k, err)
	}
	if !provision.CheckSecret(k.Secret, "k4711X") || provision.CheckSecret(k.Secret, "k4711") || strings.Contains(k.Secret, "4711") {
		t.Errorf("the secret is kept as %s", k.Secret)
	}
	request.References, request.Secret = []string{"invoice 8"}, "another"
	again, created, err := e.Provision(t.Context(), request)
	if err != nil || created || again[0].Cert.Fingerprint() != certs[0].Cert.Fingerprint() {
		t.Errorf("again: created %v, %v", created, err)
	}
	if k, _ := s.KeyOf(t.Context(), k.Fingerprint); provision.CheckSecret(k.Secret, "another") {
		t.Error("a later request changes the secret")
	}
	if len(w.notices) != 2 || !w.notices[0].Created || w.notices[1].Created || w.notices[1].References[0] != "invoice 8" || w.notices[0].Fingerprint != k.Fingerprint {
		t.Errorf("notices: %+v", w.notices)
	}
	if err := s.ClaimKey(t.Context(), k.Fingerprint, "portal", ""); err != nil {
		t.Fatal(err)
	}
	if ask(t, e, anna); len(w.notices) != 2 {
		t.Error("a notice for a key that was claimed")
	}
	if text := fmt.Sprintf("%v %+v %#v", request, request, request); strings.Contains(text, "another") {
		t.Errorf("the secret shows: %s", text)
	}
}

// Who has a certificate of his own gets none, and no notice.
func TestOwnCertificate(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	e := w.engine(t, s, func(o *provision.Options) { o.Exclude = []string{"*"} })
	cert, err := certificate.Parse(testkit.NewCA(t).For(t, anna).Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), []store.New{{Cert: cert, Origin: store.OriginImport}}); err != nil {
		t.Fatal(err)
	}
	if certs, created := ask(t, e, anna); created || certs[0].Cert.Fingerprint() != cert.Fingerprint() || len(w.notices) != 0 {
		t.Errorf("created %v, %d notices", created, len(w.notices))
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	e := w.engine(t, w.open(t), func(o *provision.Options) {
		o.Exclude, o.DenyRoles = []string{"*@Partner.example", "b?b@*", "*@bücher.example"}, true
		o.Rate = provision.Rate{PerHour: 60, Burst: 2}
	})
	for addr, want := range map[string]reason.Token{
		"x@partner.example": reason.ProvisionExcluded, "bob@example.org": reason.ProvisionExcluded,
		"x@xn--bcher-kva.example": reason.ProvisionExcluded, "x@BÜCHER.example": reason.ProvisionExcluded,
		"info@example.org": reason.ProvisionRole, "Postmaster@example.org": reason.ProvisionRole, "sales+de@example.org": reason.ProvisionRole,
		"list-request@example.org": reason.ProvisionRole,
	} {
		_, _, err := e.Provision(t.Context(), provision.Request{Address: parse(t, addr)})
		var no *provision.Refusal
		if !errors.As(err, &no) || no.Reason != want || no.RetryAfter != 0 {
			t.Errorf("%s: %v", addr, err)
		}
		if ok, err := e.Allowed(parse(t, addr)); ok || !errors.As(err, &no) {
			t.Errorf("%s is allowed: %v", addr, err)
		}
	}
	for _, addr := range []string{"x@partner.example.org", "bobb@example.org", "informa@example.org"} {
		if ok, err := e.Allowed(parse(t, addr)); !ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
	ask(t, e, "one@example.org")
	ask(t, e, "two@example.org")
	third := provision.Request{Address: parse(t, "three@example.org")}
	_, _, err := e.Provision(t.Context(), third)
	var no *provision.Refusal
	if !errors.As(err, &no) || no.Reason != reason.ProvisionRate || no.RetryAfter <= 0 || no.RetryAfter > time.Minute {
		t.Fatalf("a third one: %v", err)
	}
	ask(t, e, "one@example.org") // costs nothing
	w.now = w.now.Add(no.RetryAfter)
	ask(t, e, "three@example.org")
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	e := w.engine(t, w.open(t), nil)
	a := parse(t, anna)
	for name, r := range map[string]provision.Request{
		"no address": {}, "long secret": {Address: a, Secret: strings.Repeat("x", 257)}, "blank secret": {Address: a, Secret: " - "},
		"three references": {Address: a, References: []string{"1", "2", "3"}}, "empty reference": {Address: a, References: []string{""}},
		"long reference": {Address: a, References: []string{strings.Repeat("x", 129)}},
		"language":       {Address: a, Language: strings.Repeat("x", 36)}, "sender": {Address: a, Sender: strings.Repeat("x", 513)},
	} {
		if _, _, err := e.Provision(t.Context(), r); !errors.Is(err, provision.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// trouble is a part that fails.
type trouble struct{ err error }

func (f trouble) Take(context.Context) (crypto.Signer, error)                     { return nil, f.err }
func (f trouble) Issue(ca.Request) ([]byte, error)                                { return nil, f.err }
func (f trouble) Wrap(context.Context, []byte, []byte) ([]byte, error)            { return nil, f.err }
func (f trouble) Unwrap(context.Context, []byte, []byte) ([]byte, error)          { return nil, f.err }
func (f trouble) ID() string                                                      { return "trouble" }
func (f trouble) Lookup(context.Context, []string) ([][]store.Certificate, error) { return nil, f.err }
func (f trouble) Provision(context.Context, store.NewKey) (store.Provisioned, error) {
	return store.Provisioned{}, f.err
}
func (f trouble) WrapAnew(context.Context, [32]byte, []byte, []byte, string, string) error {
	return f.err
}
func (f trouble) KeyOf(context.Context, [32]byte) (store.Key, error) { return store.Key{}, f.err }

// half is a store of which one half fails.
type half struct {
	provision.Store
	trouble
}

func (h half) Lookup(ctx context.Context, keys []string) ([][]store.Certificate, error) {
	return h.Store.Lookup(ctx, keys)
}
func (h half) Provision(ctx context.Context, n store.NewKey) (store.Provisioned, error) {
	return h.trouble.Provision(ctx, n)
}
func (h half) KeyOf(ctx context.Context, f [32]byte) (store.Key, error) { return h.Store.KeyOf(ctx, f) }
func (h half) WrapAnew(ctx context.Context, f [32]byte, old, wrapped []byte, keeper, actor string) error {
	return h.Store.WrapAnew(ctx, f, old, wrapped, keeper, actor)
}

// odd issues something that is no certificate for the address.
type odd struct {
	issuer
	der  []byte
	addr address.Address
}

func (o odd) Issue(r ca.Request) ([]byte, error) {
	if o.der != nil {
		return o.der, nil
	}
	r.Address = o.addr
	return o.issuer.Issue(r)
}

// Whatever fails, the error is no refusal, nothing is stored, and the next request
// succeeds.
func TestTrouble(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	broken := trouble{errors.New("the disk is gone")}
	for name, change := range map[string]func(*provision.Options){
		"no key":          func(o *provision.Options) { o.Pool = broken },
		"no certificate":  func(o *provision.Options) { o.Issuer = broken },
		"no wrapping":     func(o *provision.Options) { o.Keeper = broken },
		"no lookup":       func(o *provision.Options) { o.Store = broken },
		"no storing":      func(o *provision.Options) { o.Store = half{s, broken} },
		"not DER":         func(o *provision.Options) { o.Issuer = odd{der: []byte("x")} },
		"another address": func(o *provision.Options) { o.Issuer = odd{issuer: w.issuer, addr: parse(t, "bob@example.org")} },
	} {
		e := w.engine(t, s, change)
		_, _, err := e.Provision(t.Context(), provision.Request{Address: parse(t, anna), Secret: "x"})
		var no *provision.Refusal
		if err == nil || errors.As(err, &no) || errors.Is(err, provision.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
		if all, err := s.Show(t.Context(), anna); err != nil || len(all) != 0 {
			t.Errorf("%s: %d certificates are stored, %v", name, len(all), err)
		}
	}
	if len(w.notices) != 0 {
		t.Errorf("notices of keys that are not there: %+v", w.notices)
	}
	ask(t, w.engine(t, s, nil), anna)
	if _, err := provision.New(provision.Options{}); err == nil {
		t.Error("an engine of nothing")
	}
}

// Who asks may leave; the key is made for the next one.
func TestAskerLeaves(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	slow := slowKeys{release}
	e := w.engine(t, w.open(t), func(o *provision.Options) { o.Pool = slow })
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, _, err := e.Provision(ctx, provision.Request{Address: parse(t, anna)})
		left <- err
	}()
	release <- struct{}{} // it has asked for a key
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(release)
	if certs, _ := ask(t, e, anna); len(certs) != 1 {
		t.Errorf("%d certificates", len(certs))
	}
}

type slowKeys struct{ release chan struct{} }

func (s slowKeys) Take(ctx context.Context) (crypto.Signer, error) {
	<-s.release
	<-s.release
	return keys{}.Take(ctx)
}

func TestSecretHashes(t *testing.T) {
	hash := provision.HashSecret("Kunde 12-34 ÄÖ")
	for secret, want := range map[string]bool{
		"Kunde 12-34 ÄÖ": true, "kunde1234äö": true, "KUNDE 1234 A\u0308O\u0308": true, "Ｋunde1234äö": true, "kunde1235äö": false, "": false,
	} {
		if provision.CheckSecret(hash, secret) != want {
			t.Errorf("%q: want %v", secret, want)
		}
	}
	for _, bad := range []string{"", "$argon2id$", "x", strings.Replace(hash, "m=19456", "m=99999999", 1), strings.Replace(hash, "t=2", "t=0", 1),
		strings.Replace(hash, "v=19", "v=16", 1), hash[:len(hash)-40], strings.Replace(hash, "p=1$", "p=1$!", 1), hash + "!"} {
		if provision.CheckSecret(bad, "kunde1234äö") {
			t.Errorf("%q is a hash", bad)
		}
	}
	if first := provision.HashSecret("x"); first == provision.HashSecret("x") {
		t.Error("two hashes are the same")
	}
}
