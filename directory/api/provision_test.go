package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sealpost/directory/api"
	"sealpost/directory/store"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
)

const secretCanary = "canary-4711-secret"

// The client and the API mean the same: a key is made, found from then on, and the
// secret is in no log.
func TestProvisionWithTheClient(t *testing.T) {
	d := newDirectory(t, nil)
	c, err := keydb.New(keydb.Options{URL: d.URL, Token: func() (string, error) { return d.secret[store.ScopeProvision], nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := keydb.ProvisionRequest{Address: "new@EXAMPLE.org", Secret: secretCanary, References: []string{"invoice 7"}, Language: "zh", Sender: "Bank@Example.com"}
	a, created, err := c.Provision(t.Context(), request)
	if err != nil || !created || a.Address != "new@example.org" || a.Certificates[0].Origin != "issued" {
		t.Fatalf("%+v, created %v: %v", a, created, err)
	}
	d.call(t, "GET /v1/certificates?email=new@example.org", "", "").expect(t, 200, "")
	k, err := d.store.KeyOf(t.Context(), a.Certificates[0].SHA256)
	if err != nil || k.Sender != "Bank@example.com" || k.Language != "zh" || k.References[0] != "invoice 7" {
		t.Errorf("%+v, %v", k, err)
	}
	again, created, err := c.Provision(t.Context(), request)
	if err != nil || created || again.Certificates[0].SHA256 != a.Certificates[0].SHA256 {
		t.Errorf("again: created %v: %v", created, err)
	}
	log, err := d.store.AuditLog(t.Context(), 0, 10)
	if err != nil || len(log) != 2 || !strings.HasPrefix(log[0].Actor, "token ") || strings.Contains(log[0].Actor, "sealpost_") {
		t.Errorf("%+v, %v", log, err)
	}
	for address, want := range map[string]reason.Token{
		"excluded@example.org": reason.ProvisionExcluded, "often@example.org": reason.ProvisionRate, "broken@example.org": reason.LookupUnavailable,
	} {
		request.Address = address
		_, _, err := c.Provision(t.Context(), request)
		var p *keydb.Problem
		if !errors.As(err, &p) || p.Reason != want || p.IsRefusal() != (want != reason.LookupUnavailable) || keydb.IsTemporary(err) != (want != reason.ProvisionExcluded) {
			t.Errorf("%s: %v", address, err)
		}
		if want == reason.ProvisionRate && p.RetryAfter != time.Minute {
			t.Errorf("retry after %s", p.RetryAfter)
		}
	}
	if text := d.log.text(); strings.Contains(text, secretCanary) {
		t.Errorf("the secret is in the log:\n%s", text)
	}
}

func TestProvisionRefusesBadCalls(t *testing.T) {
	d := newDirectory(t, nil)
	const path, kind = "POST /v1/keys", "\nContent-Type: application/json"
	for body, want := range map[string]reason.Token{
		`{}`: reason.AddressInvalid, `{"address":"x"}`: reason.AddressInvalid, `{"address":"a%b@example.org"}`: reason.AddressRouting,
		`{"address":"a@example.org","sender":"x"}`:                      reason.RequestMalformed,
		`{"address":"a@example.org","references":["a",""]}`:             reason.RequestMalformed,
		`{"address":"a@example.org","secrets":"canary"}`:                reason.RequestMalformed,
		`{"address":"a@example.org"} {}`:                                reason.RequestMalformed,
		`{"address":"a@example.org","secret":["` + secretCanary + `"]}`: reason.RequestMalformed,
	} {
		a := d.call(t, path, d.with(store.ScopeProvision)+kind, body).expect(t, 400, want)
		if strings.Contains(string(a.body), secretCanary) {
			t.Errorf("the answer repeats the secret: %s", a.body)
		}
	}
	for _, scope := range []store.Scope{store.ScopeRead, store.ScopeBatch, store.ScopeFeed, store.ScopeWrite} {
		d.call(t, path, d.with(scope)+kind, `{"address":"a@example.org"}`).expect(t, 403, reason.TokenScope)
	}
	d.call(t, path, d.with(store.ScopeAdmin)+kind, `{"address":"a@example.org"}`).expect(t, 201, "")
	off := newDirectory(t, func(_ *directory, o *api.Options) { o.Provisioner = nil })
	off.call(t, path, off.with(store.ScopeAdmin)+kind, `{"address":"a@example.org"}`).expect(t, 404, reason.NotFound)
}

// What no directory would answer is believed by no client.
func TestProvisionAnswersThatAreNone(t *testing.T) {
	for name, say := range map[string]func(http.ResponseWriter){
		"no certificates": func(w http.ResponseWriter) {
			_ = json.NewEncoder(w).Encode(keydb.Answer{Address: "a@example.org", Certificates: []keydb.Certificate{}})
		},
		"another address": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"address":"b@example.org","certificates":[{"der":"MAA="}]}`))
		},
		"no JSON": func(w http.ResponseWriter) { _, _ = w.Write([]byte(`yes`)) },
	} {
		c := answering(t, func(w http.ResponseWriter) { w.Header().Set("Content-Type", keydb.TypeJSON); say(w) })
		if _, _, err := c.Provision(context.Background(), keydb.ProvisionRequest{Address: "a@example.org"}); err == nil || !keydb.IsTemporary(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := answering(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) })
	_, _, err := c.Provision(context.Background(), keydb.ProvisionRequest{Address: "a@example.org"})
	var p *keydb.Problem
	if !errors.As(err, &p) || p.IsRefusal() {
		t.Errorf("a server that provisions nothing: %v", err)
	}
	if _, _, err := c.Provision(context.Background(), keydb.ProvisionRequest{Address: "x"}); err == nil {
		t.Error("no address")
	}
}

// answering is a client of a server that always says the same.
func answering(t testing.TB, say func(http.ResponseWriter)) *keydb.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w) }))
	t.Cleanup(s.Close)
	c, err := keydb.New(keydb.Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
