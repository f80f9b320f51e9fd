package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A keyserver is an HTTP source of certificates: that of the installation's
// people, as PEM. Everybody at trouble.example gets trouble, of the kind that
// the local part names.
type keyserver struct {
	*httptest.Server
	in   *installation
	over chan struct{} // ends those who wait

	mu    sync.Mutex
	asked []string
}

// newKeyserver runs until the test ends. It answers for the people that the
// installation has when the question comes, files or not.
func newKeyserver(t testing.TB, in *installation) *keyserver {
	t.Helper()
	k := &keyserver{in: in, over: make(chan struct{})}
	k.Server = httptest.NewUnstartedServer(http.HandlerFunc(k.serve))
	k.Config.ErrorLog = log.New(io.Discard, "", 0) // it breaks off on purpose
	k.Start()
	t.Cleanup(func() { close(k.over); k.Close() })
	return k
}

// source is the line of the configuration. Further keys come behind it.
func (k *keyserver) source(more string) string {
	return fmt.Sprintf("    - {name: keys, type: http, url: \"%s/?email={address}\", trust: source%s}\n", k.URL, more)
}

// queries are the addresses that were asked for so far.
func (k *keyserver) queries() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.asked...)
}

func (k *keyserver) serve(w http.ResponseWriter, r *http.Request) {
	address := r.URL.Query().Get("email")
	k.mu.Lock()
	k.asked = append(k.asked, address)
	k.mu.Unlock()
	if kind, ok := strings.CutSuffix(address, "@trouble.example"); ok {
		k.trouble(w, r, kind)
		return
	}
	id := k.in.identity(address)
	if id == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(id.CertPEM)
}

// troubles are the kinds of trouble that serve makes.
var troubles = []string{"slow", "stalls", "500", "403", "302", "garbage", "html", "other", "other-json", "loop", "large", "endless", "cut", "hangup"}

func (k *keyserver) trouble(w http.ResponseWriter, r *http.Request, kind string) {
	other := k.in.identity("other@example.org").CertPEM
	pem := func(body []byte) {
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = w.Write(body)
	}
	switch kind {
	case "slow":
		k.wait(r)
	case "stalls":
		pem(other[:100])
		w.(http.Flusher).Flush()
		k.wait(r)
	case "500":
		http.Error(w, "database is down", http.StatusInternalServerError)
	case "403":
		http.Error(w, "no", http.StatusForbidden)
	case "302":
		w.WriteHeader(http.StatusFound)
	case "garbage":
		pem(bytes.Repeat([]byte{0x30, 0x82}, 500))
	case "html":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>Sign in to continue"))
	case "other":
		pem(other)
	case "other-json":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"address":"other@example.org","certificates":[]}`))
	case "loop":
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
	case "large":
		w.Header().Set("Content-Length", "104857600")
		pem(other)
	case "endless":
		k.endless(w)
	case "cut":
		w.Header().Set("Content-Length", "50000")
		pem(other)
	case "hangup":
		panic(http.ErrAbortHandler)
	}
}

// wait does nothing until the client or the test goes.
func (k *keyserver) wait(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-k.over:
	case <-time.After(time.Minute):
	}
}

// endless sends 100 MB to whoever reads them.
func (k *keyserver) endless(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/x-pem-file")
	line := bytes.Repeat([]byte("A"), 1<<16)
	for range 1600 {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}
