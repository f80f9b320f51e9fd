package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
	"sealpost/relay/queue"
)

// A maker is somebody else's directory that makes keys: what it gives for an
// address, and what it does instead.
type maker struct {
	*httptest.Server
	in *installation

	mu    sync.Mutex
	made  map[string]*testkit.Identity
	asked []keydb.ProvisionRequest
	does  func(w http.ResponseWriter, to string) // nil: make a key
}

func newMaker(t testing.TB, in *installation) *maker {
	t.Helper()
	m := &maker{in: in, made: map[string]*testkit.Identity{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+keydb.PathCertificates, func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		who := r.URL.Query().Get("email")
		if id := m.made[who]; id != nil {
			give(w, http.StatusOK, who, id)
			return
		}
		problem(w, http.StatusNotFound, reason.NoCertificate)
	})
	mux.HandleFunc("POST "+keydb.PathKeys, func(w http.ResponseWriter, r *http.Request) {
		var q keydb.ProvisionRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Header.Get("Authorization") != "Bearer makes-keys" {
			problem(w, http.StatusUnauthorized, reason.TokenRequired)
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.asked = append(m.asked, q)
		if m.does != nil {
			m.does(w, q.Address)
			return
		}
		if m.made[q.Address] == nil {
			m.made[q.Address] = in.ca.For(t, q.Address)
		}
		give(w, http.StatusCreated, q.Address, m.made[q.Address])
	})
	m.Server = httptest.NewUnstartedServer(mux)
	m.Config.ErrorLog = log.New(io.Discard, "", 0) // it breaks off on purpose
	m.Start()
	t.Cleanup(m.Close)
	in.write(t, "keys.token", "makes-keys\n")
	return m
}

func give(w http.ResponseWriter, status int, who string, ids ...*testkit.Identity) {
	a := keydb.Answer{Address: who, Certificates: []keydb.Certificate{}}
	for _, id := range ids {
		a.Certificates = append(a.Certificates, keydb.Certificate{DER: id.Cert.Raw, SHA256: sha256.Sum256(id.Cert.Raw)})
	}
	w.Header().Set("Content-Type", keydb.TypeJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a)
}

func problem(w http.ResponseWriter, status int, token reason.Token) {
	w.Header().Set("Content-Type", keydb.TypeProblem)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(keydb.Problem{Status: status, Title: "no", Reason: token})
}

// lookups is the section lookup with this directory.
func (m *maker) lookups() string {
	return fmt.Sprintf("lookup:\n  sources:\n    - {name: keys, type: directory, url: %q, token_file: keys.token}\n", m.URL)
}

const provisionPolicy = "policy:\n  - {name: everybody, no_key: provision}\n"

// Somebody whom no directory knows: explain and lookup say what would happen and
// make nothing; the mail goes out sealed at once; the second one uses the same
// key; the secret stands nowhere.
func TestProvisionedByADirectory(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	m := newMaker(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, m.lookups()+provisionPolicy)
	in.start(t)
	const walter = "walter@nokey.example"
	e := in.explained(t, "", "statements@bank.example", walter)[walter]
	if e.Action != "provision" || !strings.HasPrefix(e.Rcpt, "250") || !strings.Contains(e.Parcel, "would be provisioned") {
		t.Errorf("explain: %+v", e)
	}
	out, _, code := sealpost(t, "", "lookup", "--json", "--config", in.config, walter)
	var report lookupReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || code == exitOK || len(report.Provision) != 1 || report.Provision[0] != "everybody" {
		t.Errorf("lookup: %d, %v\n%s", code, err, out)
	}
	if text, _, _ := sealpost(t, "", "lookup", "--config", in.config, walter); !strings.Contains(text, "would be provisioned by everybody") {
		t.Errorf("lookup: %s", text)
	}
	if len(m.asked) != 0 {
		t.Fatalf("a key was made for a question: %v", m.asked)
	}

	canary, secret, reference := testkit.NewCanary(t), testkit.NewCanary(t), testkit.NewCanary(t)
	message := sampleMail(canary)
	own := "X-Sealpost-Secret: " + string(secret) + "\r\nX-Sealpost-Reference: " + string(reference) + "\r\n"
	d := in.dial(t)
	for range 2 {
		if got := d.submit(t, own+message, walter); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
	}
	got := sink.Wait(t, 2)
	in.enroll(walter, m.made[walter])
	for _, g := range got {
		in.opened(t, g.Raw, walter, message)
	}
	for _, c := range []testkit.Canary{canary, secret, reference} {
		in.nowhere(t, c, sink.Wire())
	}
	if len(m.asked) != 1 {
		t.Fatalf("asked %d times", len(m.asked))
	}
	if q := m.asked[0]; q.Address != walter || q.Secret != string(secret) || len(q.References) != 1 || q.References[0] != string(reference) || q.Sender != "statements@bank.example" {
		t.Errorf("asked with %#v", struct{ keydb.ProvisionRequest }{q})
	}
	in.waitLog(t, "msg=recipient", "to=<"+walter+">", "action=sealed", "provisioned=created")
	if n := in.metric(t, `sealpost_provisioned_total{result="created"}`); n != 1 {
		t.Errorf("%v keys are counted", n)
	}
}

// Whatever the directory does but give a key that can be used: nothing leaves,
// and only its own decisions are final.
func TestProvisionInTrouble(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	m := newMaker(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, m.lookups()+provisionPolicy+"on_trouble: defer\n")
	in.start(t)
	day := time.Now().AddDate(0, 0, -1)
	other := in.ca.For(t, "other@example.org")
	says := func(status int, token reason.Token) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) { problem(w, status, token) }
	}
	const unavailable = "451 4.4.3"
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	for _, c := range []struct {
		name string
		does func(http.ResponseWriter, string)
		want string
	}{
		{"excluded", says(403, reason.ProvisionExcluded), "550 5.7.1"},
		{"role", says(403, reason.ProvisionRole), "550 5.7.1"},
		{"rate", says(429, reason.ProvisionRate), "451 4.7.1"},
		{"scope", says(403, reason.TokenScope), unavailable},
		{"busy", says(503, reason.ServerBusy), unavailable},
		{"no-reason", says(403, ""), unavailable},
		{"malformed", says(400, reason.RequestMalformed), unavailable},
		{"html", func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, "<html>Sign in") }, unavailable},
		{"hangup", func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, unavailable},
		{"nothing", func(w http.ResponseWriter, to string) { give(w, 201, to) }, unavailable},
		{"other", func(w http.ResponseWriter, to string) { give(w, 201, to, other) }, unavailable},
		{"other-address", func(w http.ResponseWriter, _ string) { give(w, 201, "other@example.org", other) }, unavailable},
		{"expired", func(w http.ResponseWriter, to string) {
			give(w, 200, to, in.ca.Issue(t, testkit.Leaf{Addresses: []string{to}, NotAfter: day}))
		}, unavailable},
		{"weak", func(w http.ResponseWriter, to string) {
			give(w, 200, to, in.ca.Issue(t, testkit.Leaf{Addresses: []string{to}, Key: "rsa1024"}))
		}, unavailable},
	} {
		m.mu.Lock()
		m.does = c.does
		m.mu.Unlock()
		if got := d.submit(t, message, c.name+"@nokey.example"); !strings.HasPrefix(got, c.want+" <"+c.name+"@") {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	m.Close()
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "451 4.4.3", "RCPT TO:<away@nokey.example>")
	if got := sink.Messages(); len(got) != 0 {
		t.Errorf("%d messages left:\n%s", len(got), got[0].Raw)
	}
	in.nowhere(t, canary)
}

// A key that takes the place of another one that is still valid waits for an
// operator here too, if that is what keys do.
func TestProvisionedKeyIsWatched(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	m := newMaker(t, in)
	const walter = "walter@nokey.example"
	old := in.ca.For(t, walter)
	in.enroll(walter, old)
	before := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  cache: {entries: 0}\n  sources:\n"+before.source("")+
		fmt.Sprintf("    - {name: maker, type: directory, url: %q, token_file: keys.token}\n", m.URL)+provisionPolicy+
		"trust: {on_key_change: hold, known_keys: known.keys}\ncontrol: control.sock\n")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	d := in.dial(t)
	for i := range 2 {
		if got := d.submit(t, message, walter); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
		if i == 0 {
			in.mu.Lock()
			delete(in.people, walter) // the other source does not know him any more
			in.mu.Unlock()
		}
	}
	in.enroll(walter, old)
	for _, got := range sink.Wait(t, 2) {
		in.opened(t, got.Raw, walter, message)
	}
	if len(m.asked) != 1 {
		t.Errorf("asked %d times", len(m.asked))
	}
	in.waitLog(t, "the key of an address has changed", "address="+walter)
}

// A directory that has trouble, and a process that is killed meanwhile: the
// message waits, sealed, and goes out when there is a key, made with the secret
// that came with it.
func TestProvisionWaitsForTheDirectory(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	m := newMaker(t, in)
	m.does = func(w http.ResponseWriter, _ string) { problem(w, http.StatusServiceUnavailable, reason.ServerBusy) }
	up := startRogue(t)
	in.spooled(t, up.addr, m.lookups()+provisionPolicy)
	in.start(t)
	const walter = "walter@nokey.example"
	canary, secret := testkit.NewCanary(t), testkit.NewCanary(t)
	message := sampleMail(canary)
	if got := in.mail(t, "statements@bank.example", "X-Sealpost-Secret: "+string(secret)+"\r\n"+message, walter); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	in.waitLog(t, "msg=recipient", "to=<"+walter+">", "action=held", "reason=provision-unavailable")
	if n := in.queued(t, queue.NoKey); n != 1 {
		t.Errorf("%d messages wait for a key", n)
	}
	_, id, _ := strings.Cut(in.waitLog(t, "msg=recipient", "action=held"), " id=")
	shown, errs, code := sealpost(t, "", "queue", "show", "--config", in.config, id[:strings.IndexByte(id, ' ')])
	if code != exitOK || !strings.Contains(shown, walter) {
		t.Errorf("queue show: %d, %s%s", code, shown, errs)
	}
	secret.Absent(t, "queue show", []byte(shown+errs))
	in.kill(t)
	for _, c := range []testkit.Canary{canary, secret} {
		in.nowhere(t, c)
	}
	m.mu.Lock()
	m.does = nil
	m.mu.Unlock()
	in.launch(t)
	got := up.wait(t, 1)[0]
	in.enroll(walter, m.made[walter])
	in.unsealed(t, got, message)
	in.waitEmpty(t)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.asked {
		if q.Secret != string(secret) {
			t.Error("asked without the secret")
		}
	}
	for _, c := range []testkit.Canary{canary, secret} {
		in.nowhere(t, c, got.raw)
	}
}
