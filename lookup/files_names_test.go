package lookup_test

import (
	"context"
	"encoding/pem"
	"testing"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// Files are found by what their certificates name, whatever the files are
// called: addresses in the subject, where there are no others, and domains.
func TestFilesFindOddNames(t *testing.T) {
	ca := testkit.NewCA(t)
	file := func(f testkit.Forged) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Sign(t, ca)})
	}
	inSubject := testkit.Forged{Extensions: [][]byte{}, Subject: testkit.TLV(0x30, testkit.TLV(0x31, testkit.TLV(0x30,
		testkit.OID(t, 1, 2, 840, 113549, 1, 9, 1), testkit.TLV(0x16, []byte(anna)))))}
	names := func(name string) testkit.Forged {
		return testkit.Forged{Extensions: [][]byte{testkit.SAN(t, testkit.RFC822Name(name))}}
	}
	f := newFolder(t, map[string][]byte{
		"subject.pem": file(inSubject), "a.pem": file(names("@a.example")), "b.pem": file(names("*@b.example")), "c.pem": file(names("c.example")),
		"d.pem": file(names("domain-confidentiality-authority@d.example")), "e.pem": file(names("@")),
	})
	strict, loose := lookup.TrustOptions{Vouch: lookup.Itself}, lookup.TrustOptions{Vouch: lookup.Itself, SubjectAddress: true, WholeDomain: true}
	for addr, want := range map[string]reason.Token{
		anna: reason.CertificateAddress,
		"domain-confidentiality-authority@a.example": reason.CertificateAddress, "domain-confidentiality-authority@b.example": reason.CertificateAddress,
		"domain-confidentiality-authority@c.example": reason.CertificateAddress, "domain-confidentiality-authority@d.example": reason.None,
	} {
		for name, opts := range map[string]lookup.TrustOptions{"strict": strict, "loose": loose} {
			a := trusted(t, f.files, opts).Lookup(context.Background(), parse(t, addr))
			token, outcome := want, lookup.None
			if name == "loose" || want == reason.None {
				token, outcome = reason.None, lookup.Found
			}
			if a.Outcome != outcome || a.Reason != token {
				t.Errorf("%s, %s: %v, %q", addr, name, a.Outcome, a.Reason)
			}
		}
	}
	for _, addr := range []string{"bob@a.example", "domain-confidentiality-authority@sub.a.example"} {
		if a := trusted(t, f.files, loose).Lookup(context.Background(), parse(t, addr)); a.Outcome != lookup.None || len(a.Candidates) > 0 {
			t.Errorf("%s: %v, %d candidates", addr, a.Outcome, len(a.Candidates))
		}
	}
}
