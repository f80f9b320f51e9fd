package main

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// openedWith is the certificate that each recipient's copy is sealed to, when
// all may be used that docs/addresses.md speaks of.
var openedWith = map[string]string{
	"anna@example.org":       "anna@example.org",
	"anna+bills@example.org": "anna@example.org",
	"dora+own@example.org":   "dora+own@example.org",
	"bob@example.org":        "domain-confidentiality-authority@example.org",
	"bob+x@example.org":      "domain-confidentiality-authority@example.org",
}

func standIns(t *testing.T, trust string) (*installation, *testkit.Sink) {
	t.Helper()
	in := newInstallation(t)
	for _, address := range openedWith {
		in.personWith(t, address, testkit.Leaf{Key: "p256"})
	}
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, trust)
	return in, sink
}

func TestCertificatesOfOthersWhereAllowed(t *testing.T) {
	in, sink := standIns(t, "trust: {tag_fallback: true, allow_domain_certificate: true}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	var to []string
	for address := range openedWith {
		to = append(to, address)
	}
	if got := in.dial(t).submit(t, message, to...); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	for _, m := range sink.Wait(t, len(to)) {
		address := m.To[0].Address
		entity := testkit.OpenSSLOpen(t, m.Raw, in.people[openedWith[address]])
		if !bytes.Equal(entity, []byte(entityOf(message))) {
			t.Errorf("%s: opened with the key of %s it is another entity", address, openedWith[address])
		}
		line := in.waitLog(t, "recipient", "to=<"+address+">")
		if own := openedWith[address] == address; strings.Contains(line, "certificate_of=<"+openedWith[address]+">") == own {
			t.Errorf("the log says of %s: %s", address, line)
		}
	}
	in.nowhere(t, canary, sink.Wire())
}

func TestCertificatesOfOthersAreShown(t *testing.T) {
	in, _ := standIns(t, "trust: {tag_fallback: true, allow_domain_certificate: true}\n")
	for address, whose := range openedWith {
		out, _, code := sealpost(t, "", "lookup", "--json", "--config", in.config, address)
		var report lookupReport
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK {
			t.Fatalf("%s: %d, %v\n%s", address, code, err, out)
		}
		instead := whose
		if whose == address {
			instead = ""
		}
		if last := report.Sources[len(report.Sources)-1]; report.Instead != instead || last.Instead != instead {
			t.Errorf("%s: the certificate of %q, asked for %q", address, report.Instead, last.Instead)
		}
		text, _, _ := sealpost(t, "", "lookup", "--config", in.config, address)
		if strings.Contains(text, "to the certificate of "+whose) == (instead == "") {
			t.Errorf("%s:\n%s", address, text)
		}
		if e := in.explained(t, "", "statements@bank.example", address)[address]; e.Instead != instead {
			t.Errorf("explain says %q of %s", e.Instead, address)
		}
	}
}

// An old certificate has its address in the subject only.
func TestAddressInTheSubject(t *testing.T) {
	in := newInstallation(t)
	in.personWith(t, "erna@example.org", testkit.Leaf{Addresses: []string{}, Key: "p256", Change: func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "erna@example.org"}}
	}})
	for trust, want := range map[string]int{"": exitFailed, "trust: {subject_address: true}\n": exitOK} {
		in.configure(t, "127.0.0.1:25", trust)
		out, _, code := sealpost(t, "", "lookup", "--config", in.config, "erna@example.org")
		if refused := strings.Contains(out, "trust.subject_address"); code != want || refused != (want == exitFailed) {
			t.Errorf("%q: exit code %d\n%s", trust, code, out)
		}
	}
}

func TestCertificatesOfOthersAreOffUnlessAskedFor(t *testing.T) {
	in, _ := standIns(t, "")
	for address, whose := range openedWith {
		want := exitFailed
		if whose == address {
			want = exitOK
		}
		if out, _, code := sealpost(t, "", "lookup", "--config", in.config, address); code != want {
			t.Errorf("%s: exit code %d\n%s", address, code, out)
		}
	}
}
