package revocation_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/lookup/revocation"
)

// Lists of `openssl ca`, of both versions.
func TestOpenSSLLists(t *testing.T) {
	ca := testkit.NewOpenSSLCA(t)
	var list atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list.Load().([]byte)) }))
	defer server.Close()
	good := ca.Person(t, anna, server.URL, "http://127.0.0.1:1/")
	held := ca.Person(t, "held@example.org", server.URL, "http://127.0.0.1:1/")
	bad := ca.Person(t, "bad@example.org", server.URL, "http://127.0.0.1:1/")
	ca.Revoke(t, "bad@example.org", "keyCompromise")
	ca.Revoke(t, "held@example.org", "certificateHold")
	for name, args := range map[string][]string{"version 2": {"-crlexts", "list"}, "version 1": nil} {
		list.Store(ca.List(t, args...))
		c := checker(t, revocation.Options{})
		want(t, name+", good", ask(c, good, ca.Cert), revocation.Good)
		want(t, name+", revoked", ask(c, bad, ca.Cert), revocation.Revoked, "keyCompromise")
		want(t, name+", suspended", ask(c, held, ca.Cert), revocation.Revoked, "certificateHold")
	}
	list.Store(ca.List(t, "-crlexts", "list", "-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z"))
	want(t, "expired", ask(checker(t, revocation.Options{}), bad, ca.Cert), revocation.Unknown, "out of date since 2020-02-01")
	list.Store(testkit.NewOpenSSLCA(t).List(t, "-crlexts", "list"))
	want(t, "a namesake's", ask(checker(t, revocation.Options{}), bad, ca.Cert), revocation.Unknown, "signature")
}

// The responder of `openssl ocsp`: the root itself, one that it appointed, and
// one that has an ordinary certificate of it. It is asked through a server that
// certificates can name before it runs.
func TestOpenSSLResponder(t *testing.T) {
	ca := testkit.NewOpenSSLCA(t)
	var target atomic.Pointer[url.URL]
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target.Load()) }, ErrorLog: log.New(io.Discard, "", 0)})
	defer front.Close()
	good := ca.Person(t, anna, "ldap:///", front.URL)
	bad := ca.Person(t, "bad@example.org", "ldap:///", front.URL)
	ca.Revoke(t, "bad@example.org", "superseded")
	for section, believed := range map[string]bool{"": true, "responder": true, "impostor": false} {
		for name, args := range map[string][]string{"with an end": {"-nmin", "5"}, "without an end": nil, "by key": {"-resp_key_id"}, "no certificate": {"-resp_no_certs"}} {
			at, stop := ca.Responder(t, section, args...)
			u, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			target.Store(u)
			what := section + ", " + name
			c := checker(t, revocation.Options{})
			if believed && (section == "" || name != "no certificate") {
				want(t, what, ask(c, good, ca.Cert), revocation.Good)
				want(t, what, ask(c, bad, ca.Cert), revocation.Revoked, "superseded")
			} else {
				want(t, what, ask(c, good, ca.Cert), revocation.Unknown, "responder")
				want(t, what, ask(c, bad, ca.Cert), revocation.Unknown, "responder")
			}
			stop()
			want(t, what+", stopped", ask(checker(t, revocation.Options{}), good, ca.Cert), revocation.Unknown, "responder")
		}
	}
}
