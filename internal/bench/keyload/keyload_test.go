package keyload

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
)

func corpus(t *testing.T, n int) *Corpus {
	t.Helper()
	c, err := New(n)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each certificate names its own address and has a serial number of its own.
func TestCorpus(t *testing.T) {
	c := corpus(t, 3)
	serials := map[string]bool{}
	for i := range 3 {
		cert, err := x509.ParseCertificate(bytes.Clone(c.DER(i)))
		if err != nil {
			t.Fatal(err)
		}
		serials[cert.SerialNumber.String()] = true
		if len(cert.EmailAddresses) != 1 || cert.EmailAddresses[0] != Address(i) || len(cert.Raw) < 1000 || len(cert.Raw) > 1400 {
			t.Errorf("%d: %v, %d bytes", i, cert.EmailAddresses, len(cert.Raw))
		}
	}
	if len(serials) != 3 {
		t.Errorf("serial numbers: %v", serials)
	}
}

// The search that is sent is one that an LDAP library reads as it is meant.
func TestSearch(t *testing.T) {
	p := ber.DecodePacket(LDAP{}.One("a@example.org"))
	if p == nil || len(p.Children) != 2 {
		t.Fatal("no LDAP message")
	}
	filter := p.Children[1].Children[6]
	if base := p.Children[1].Children[0].Data.String(); base != Suffix || filter.Children[1].Data.String() != "a@example.org" {
		t.Errorf("base %q, filter %v", base, filter)
	}
}

// A run counts what it was answered, and ends with an error when an answer does
// not have what is there.
func TestRunHTTP(t *testing.T) {
	const known = 100
	lies := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, err := fmt.Sscanf(r.URL.Query().Get("email"), "u%d@", &n)
		if err != nil || n >= known && !lies {
			http.NotFound(w, r)
			return
		}
		body := `{"address":"x","certificates":[{"der":"` + strings.Repeat("A", 100000) + `"}]}`
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		fmt.Fprint(w, body)
	}))
	defer server.Close()
	o := Options{Addr: server.Listener.Addr().String(), Protocol: HTTP{}, Known: known, Connections: 2, Batch: 1, Time: 200 * time.Millisecond}
	r, err := Run(t.Context(), o)
	if err != nil || r.Addresses == 0 || r.Found == 0 || r.Found >= r.Addresses {
		t.Errorf("%+v, %v", r, err)
	}
	lies = true
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("answers about nobody went unnoticed")
	}
}

func TestReadLDAP(t *testing.T) {
	entry := tlv(0x30, []byte{2, 1, 1}, tlv(0x64, bytes.Repeat([]byte{0}, 300)))
	done := tlv(0x30, []byte{2, 1, 1}, tlv(0x65, []byte{10, 1, 0, 4, 0, 4, 0}))
	a, b := net.Pipe()
	go func() {
		defer a.Close()
		a.Write(entry) // the reader says what is wrong
		a.Write(done)
		a.Write(done)
	}()
	if found, err := (LDAP{}).Read(bufio.NewReader(b), 2); found != 1 || err != nil {
		t.Errorf("%d, %v", found, err)
	}
}
