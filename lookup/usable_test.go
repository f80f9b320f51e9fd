package lookup_test

import (
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

func TestUsableRanks(t *testing.T) {
	ca := testkit.NewCA(t)
	start := time.Now().Add(-time.Hour)
	newCert := func(key string, age time.Duration) *certificate.Certificate {
		return issue(t, ca, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: key, NotBefore: start.Add(-age)})
	}
	rsaOld, rsaNew := newCert("rsa2048", 2*time.Hour), newCert("rsa3072", time.Hour)
	ecOld, ecNew, x := newCert("p256", 2*time.Hour), newCert("p384", 0), newCert("x25519", time.Hour)

	for name, test := range map[string]struct {
		certs []*certificate.Certificate
		max   int
		want  []*certificate.Certificate
	}{
		"nothing":                     {nil, 0, nil},
		"one":                         {[]*certificate.Certificate{ecOld}, 0, []*certificate.Certificate{ecOld}},
		"newest first":                {[]*certificate.Certificate{rsaOld, rsaNew}, 0, []*certificate.Certificate{rsaNew, rsaOld}},
		"at most one":                 {[]*certificate.Certificate{rsaOld, rsaNew}, 1, []*certificate.Certificate{rsaNew}},
		"RSA before EC":               {[]*certificate.Certificate{ecNew, rsaOld}, 0, []*certificate.Certificate{rsaOld}},
		"without RSA the newest's":    {[]*certificate.Certificate{x, ecOld, ecNew}, 0, []*certificate.Certificate{ecNew, ecOld}},
		"the same certificate twice":  {[]*certificate.Certificate{rsaOld, read(t, rsaOld.Raw)}, 0, []*certificate.Certificate{rsaOld}},
		"order of the source is moot": {[]*certificate.Certificate{ecOld, x, ecNew}, 0, []*certificate.Certificate{ecNew, ecOld}},
	} {
		got := usable(test.certs...).Usable(test.max)
		if len(got) != len(test.want) {
			t.Errorf("%s: %d certificates, want %d", name, len(got), len(test.want))
			continue
		}
		for i := range got {
			if got[i].Fingerprint() != test.want[i].Fingerprint() {
				t.Errorf("%s: certificate %d is %s of %v", name, i, got[i].KeyName, got[i].NotBefore)
			}
		}
	}
}

// Two certificates for one key: sealing to it once is enough.
func TestUsableOneKeyOnce(t *testing.T) {
	ca, other := testkit.NewCA(t), testkit.NewCA(t)
	var key []byte
	newCert := func(ca *testkit.CA, age time.Duration) *certificate.Certificate {
		c := read(t, testkit.Forged{Key: key, NotBefore: utcTime(time.Now().Add(-age)), Extensions: [][]byte{testkit.SAN(t, testkit.RFC822Name("anna@example.org"))}}.Sign(t, ca))
		key = c.RawPublicKey
		return c
	}
	old, renewed := newCert(ca, 2*time.Hour), newCert(other, time.Hour)
	got := usable(old, renewed).Usable(0)
	if len(got) != 1 || got[0] != renewed {
		t.Errorf("%d certificates", len(got))
	}
}

func utcTime(t time.Time) []byte {
	return testkit.TLV(0x17, []byte(t.UTC().Format("060102150405Z")))
}

func TestUsableOnlyWhenFound(t *testing.T) {
	c := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{"anna@example.org"}})
	if n := len(found(c).Usable(0)); n != 0 {
		t.Errorf("%d certificates that nobody judged", n)
	}
	for _, o := range []lookup.Outcome{lookup.Unavailable, lookup.None} {
		a := usable(c)
		a.Outcome = o
		if n := len(a.Usable(0)); n != 0 {
			t.Errorf("%v: %d certificates", o, n)
		}
	}
}

func TestNearest(t *testing.T) {
	var a lookup.Answer
	if _, ok := a.Nearest(); ok {
		t.Error("something refused in an empty answer")
	}
	for _, token := range []reason.Token{reason.CertificateAddress, reason.CertificateCA, reason.CertificateExpired, reason.CertificateUntrusted} {
		a.Candidates = append(a.Candidates, lookup.Candidate{Reason: token})
	}
	a.Candidates = append(a.Candidates, lookup.Candidate{Usable: true})
	if c, ok := a.Nearest(); !ok || c.Reason != reason.CertificateExpired {
		t.Errorf("nearest is %q", c.Reason)
	}
}

func TestZeroAnswerIsUnavailable(t *testing.T) {
	if got := (lookup.Answer{}).Outcome; got != lookup.Unavailable {
		t.Errorf("outcome %v", got)
	}
}
