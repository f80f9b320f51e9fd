package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/directory/api"
	"sealpost/directory/harvest"
	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// A directory is the API on a real store, behind a real HTTP server.
type directory struct {
	*httptest.Server
	store  *store.Store
	ca     *testkit.CA
	log    *logBuffer
	anna   *testkit.Identity // has a certificate in the store
	secret map[store.Scope]string
}

// logBuffer takes lines from many goroutines.
type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logBuffer) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

// newDirectory starts one that knows anna@example.org; change may be nil.
func newDirectory(t testing.TB, change func(*directory, *api.Options)) *directory {
	t.Helper()
	d := &directory{ca: testkit.NewCA(t), log: &logBuffer{}, secret: map[store.Scope]string{}}
	log := slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	d.store, err = store.Open(context.Background(), store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "directory.db"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.store.Close() })
	for _, s := range []store.Scope{store.ScopeRead, store.ScopeBatch, store.ScopeFeed, store.ScopeWrite, store.ScopeProvision, store.ScopeAdmin} {
		if d.secret[s], _, err = d.store.CreateToken(context.Background(), string(s), []store.Scope{s}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	d.anna = d.enter(t, testkit.Leaf{Addresses: []string{"anna@example.org"}})
	opts := api.Options{Store: d.store, Log: log, Harvester: fakeHarvester{}, Provisioner: fakeProvisioner{t, d}, Limits: api.Limits{PerSecond: -1}}
	if change != nil {
		change(d, &opts)
	}
	handler, err := api.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	d.Server = httptest.NewServer(handler)
	t.Cleanup(d.Close)
	return d
}

// enter puts a certificate into the store, as an import does.
func (d *directory) enter(t testing.TB, leaf testkit.Leaf) *testkit.Identity {
	t.Helper()
	id := d.ca.Issue(t, leaf)
	cert := parse(t, id.Cert.Raw)
	if _, err := d.store.Add(context.Background(), []store.New{{Cert: cert, Origin: store.OriginImport, Capabilities: []string{"2.16.840.1.101.3.4.1.46"}}}); err != nil {
		t.Fatal(err)
	}
	return id
}

func parse(t testing.TB, der []byte) *certificate.Certificate {
	t.Helper()
	cert, err := certificate.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A fakeHarvester learns the certificate that the message is (PEM), for the address
// in it; a message of "refuse" teaches nothing, one of "broken" fails.
type fakeHarvester struct{}

func (fakeHarvester) Read(_ context.Context, r io.Reader) (harvest.Learned, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return harvest.Learned{}, err
	}
	switch {
	case string(body) == "refuse":
		return harvest.Learned{}, &harvest.Refusal{Reason: reason.MessageNotSigned, Why: "The message is not signed."}
	case string(body) == "panic":
		panic("a mistake")
	}
	certs, err := certificate.ParseAll(body)
	if err != nil {
		return harvest.Learned{}, err
	}
	addr, err := address.Parse(certs[0].Addresses[0])
	return harvest.Learned{Address: addr, Certificate: certs[0], MessageID: "<1@example.org>", SigningTime: time.Now()}, err
}

// A fakeProvisioner takes what the store has, and issues by the test's CA, without
// a key; some names it refuses.
type fakeProvisioner struct {
	t testing.TB
	d *directory
}

func (f fakeProvisioner) Provision(ctx context.Context, r provision.Request) ([]store.Certificate, bool, error) {
	key := r.Address.Key()
	switch {
	case strings.HasPrefix(key, "excluded@"):
		return nil, false, &provision.Refusal{Reason: reason.ProvisionExcluded, Why: "no key is made for it"}
	case strings.HasPrefix(key, "often@"):
		return nil, false, &provision.Refusal{Reason: reason.ProvisionRate, Why: "ask later", RetryAfter: time.Minute}
	case len(r.References) == 2 && r.References[1] == "":
		return nil, false, fmt.Errorf("%w: an empty reference", provision.ErrRequest)
	case strings.HasPrefix(key, "broken@"):
		return nil, false, errors.New("the key service is away")
	}
	found, err := f.d.store.Lookup(ctx, []string{key})
	if err != nil || len(found[0]) > 0 {
		return found[0], false, err
	}
	cert := parse(f.t, f.d.ca.Issue(f.t, testkit.Leaf{Addresses: []string{key}, Key: "p256"}).Cert.Raw)
	p, err := f.d.store.Provision(ctx, store.NewKey{Cert: cert, Address: r.Address, Wrapped: []byte("wrapped"), Keeper: "test", Secret: r.Secret,
		References: r.References, Language: r.Language, Sender: r.Sender, Actor: r.Actor})
	return p.Certificates, p.Created, err
}

// An answer is what came back.
type answer struct {
	*http.Response
	body []byte
}

// call makes one request: "METHOD path", header lines, body.
func (d *directory) call(t testing.TB, what, header, body string) answer {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	req, err := http.NewRequest(method, d.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(header, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			req.Header.Add(name, value)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return answer{resp, data}
}

// with is the header line that carries a token.
func (d *directory) with(s store.Scope) string { return "Authorization: Bearer " + d.secret[s] }

// expect fails the test unless the answer has the status, and the reason when
// it is a problem.
func (a answer) expect(t testing.TB, status int, token reason.Token) answer {
	t.Helper()
	if a.StatusCode != status || token != "" && !strings.Contains(string(a.body), `"reason":"`+string(token)+`"`) {
		t.Fatalf("%s %s: %s, want %d %s: %s", a.Request.Method, a.Request.URL.Path, a.Status, status, token, a.body)
	}
	return a
}
