package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// A slowKeyserver takes a tenth of a second for each answer, and notes how it is
// asked.
type slowKeyserver struct {
	mu        sync.Mutex
	asked     map[string]int
	now, most int
}

func (k *slowKeyserver) serve(pem func(address string) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		address := r.URL.Query().Get("email")
		k.mu.Lock()
		k.asked[address]++
		k.now++
		k.most = max(k.most, k.now)
		k.mu.Unlock()
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
		k.mu.Lock()
		k.now--
		k.mu.Unlock()
		body := pem(address)
		if body == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = w.Write(body)
	}
}

// A thousand recipients at once, each in two sessions, and a key server that is
// slow: it is asked once for each, over few connections; and a recipient who is
// remembered, and one of another source, do not wait behind them.
func TestThousandRecipientsAtASlowKeyserver(t *testing.T) {
	const people, sessions = 1000, 20
	in := newInstallation(t, "pinned@example.org")
	k := &slowKeyserver{asked: map[string]int{}}
	everybody := in.ca.For(t, "known@example.org")
	in.enroll("known@example.org", everybody)
	server := httptest.NewServer(k.serve(func(address string) []byte {
		if address == "known@example.org" {
			return everybody.CertPEM
		}
		return nil
	}))
	defer server.Close()
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 60s\n  sources:\n    - {name: pinned, type: files, dir: certs}\n"+
		"    - {name: keys, type: http, url: \""+server.URL+"/?email={address}\", trust: source}\n")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	d := in.dial(t)
	if got := d.submit(t, message, "known@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	var crowd sync.WaitGroup
	for s := range 2 * sessions {
		c := in.dial(t)
		var lines strings.Builder
		lines.WriteString("MAIL FROM:<statements@bank.example>\r\n")
		for i := s % sessions; i < people; i += sessions {
			fmt.Fprintf(&lines, "RCPT TO:<p%d@example.org>\r\n", i)
		}
		c.send(t, lines.String())
		crowd.Go(func() {
			c.expect(t, "250")
			for range people / sessions {
				c.expect(t, "550 5.7.1")
			}
		})
	}
	testkit.Poll(t, "the key server to be busy", func() bool { k.mu.Lock(); defer k.mu.Unlock(); return k.now >= 10 })
	for _, to := range []string{"known@example.org", "pinned@example.org"} {
		if got := d.submit(t, message, to); !strings.HasPrefix(got, "250") {
			t.Error(got)
		}
	}
	k.mu.Lock()
	if k.now == 0 {
		t.Error("they waited until the crowd was through")
	}
	k.mu.Unlock()
	crowd.Wait()
	for address, n := range k.asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", address, n)
		}
	}
	if len(k.asked) != people+1 || k.most > 16 {
		t.Errorf("%d addresses were asked for, %d at a time", len(k.asked), k.most)
	}
}
