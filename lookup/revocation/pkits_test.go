package revocation

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup/outbound"
)

// pkitsTime is within the dates of the test suite.
func pkitsTime() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }

// pkits is NIST's Public Key Interoperability Test Suite: certificates and
// lists, by file name.
type pkits struct {
	certs map[string]*x509.Certificate
	lists map[string][]byte
}

func readPKITS(t *testing.T) pkits {
	dir := testkit.NeedPKITS(t)
	p := pkits{map[string]*x509.Certificate{}, map[string][]byte{}}
	certs, _ := filepath.Glob(filepath.Join(dir, "certs", "*.crt"))
	lists, _ := filepath.Glob(filepath.Join(dir, "crls", "*.crl"))
	for _, f := range append(certs, lists...) {
		der, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f)
		if c, err := x509.ParseCertificate(der); err == nil {
			p.certs[strings.TrimSuffix(name, ".crt")] = c
		} else if strings.HasSuffix(name, ".crl") {
			p.lists[strings.TrimSuffix(name, ".crl")] = der
		}
	}
	if len(p.certs) < 300 || len(p.lists) < 150 {
		t.Fatalf("%d certificates and %d lists: the suite is not whole", len(p.certs), len(p.lists))
	}
	return p
}

// chain goes from a certificate to the suite's root, by names and signatures.
func (p pkits) chain(c *x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{c}
	for len(chain) < 8 && !bytes.Equal(c.RawIssuer, c.RawSubject) {
		next := p.issuer(c)
		if next == nil {
			return nil
		}
		c = next
		chain = append(chain, c)
	}
	return chain
}

func (p pkits) issuer(c *x509.Certificate) *x509.Certificate {
	for _, i := range p.certs {
		if i.IsCA && bytes.Equal(i.RawSubject, c.RawIssuer) && i.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil && !i.Equal(c) {
			return i
		}
	}
	return nil
}

// status asks every list of the suite that carries the issuer's name, at each
// distribution point of a certificate: the suite's own are entries of an LDAP
// directory.
func (p pkits) status(t *testing.T, chain []*x509.Certificate) Verdict {
	client := outbound.New(outbound.Options{})
	defer client.Close()
	c, err := New(Options{Client: client, Clock: pkitsTime})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	worst := Verdict{Status: Good}
	for i, cert := range chain[:len(chain)-1] {
		v, pending := c.askLists(cert, chain[i+1], p.points(c, cert, chain[i+1]))
		if pending != nil {
			t.Fatal("something is being fetched")
		}
		if v.Status == Revoked {
			return v
		}
		if v.Status == Unknown {
			worst = v
		}
	}
	return worst
}

func (p pkits) points(c *Checker, cert, issuer *x509.Certificate) []point {
	given := pointersOf(cert).points
	if len(given) == 0 {
		given = []point{{reasons: allReasons}}
	}
	var out []point
	for name, der := range p.lists {
		url := "http://pkits.example/" + name
		e := c.listEntry(url, issuer)
		e.next, e.failures = pkitsTime().Add(time.Hour), 1
		if e.list, e.err = readList(der, issuer, pkitsTime()); e.err != nil {
			continue
		}
		for _, g := range given {
			g.urls = []string{url}
			out = append(out, g)
		}
	}
	return out
}

// pkitsSections are the names of the suite's tests about revocation: sections
// 4.4, 4.5, 4.7.4 to 4.7.5, 4.14 and 4.15.
var pkitsSections = regexp.MustCompile(`^(Valid|Invalid)(MissingCRL|RevokedCA|RevokedEE|BadCRL.*|WrongCRL|TwoCRLs|UnknownCRL.*|.*CRLnextUpdate|` +
	`NegativeSerialNumber|LongSerialNumber|SeparateCertificateandCRLKeys|BasicSelfIssued.*|keyUsage.*cRLSignFalse|distributionPoint|` +
	`NoissuingDistributionPoint|onlyContains.*|onlySomeReasons|IDPwithindirectCRL|cRLIssuer|deltaCRL.*)Test\d+EE$`)

// pkitsKnown are the tests that come out otherwise than the suite wants, by
// choice. All but the last two are unknown instead of good.
var pkitsKnown = map[string]Status{
	"ValidSeparateCertificateandCRLKeysTest19EE": Unknown, // separate signers of lists are not looked for
	"ValidBasicSelfIssuedOldWithNewTest1EE":      Unknown, // the same: a list signed with the new key, certificates with the old
	"ValidBasicSelfIssuedNewWithOldTest4EE":      Unknown,
	"ValidBasicSelfIssuedCRLSigningKeyTest6EE":   Unknown,
	"ValidIDPwithindirectCRLTest24EE":            Unknown, // lists signed by somebody else
	"ValidIDPwithindirectCRLTest25EE":            Unknown,
	"ValidcRLIssuerTest28EE":                     Unknown,
	"ValidcRLIssuerTest30EE":                     Unknown,
	"ValidcRLIssuerTest33EE":                     Unknown,
	"ValiddistributionPointTest7EE":              Unknown, // names relative to the issuer
	"ValiddeltaCRLTest5EE":                       Revoked, // on hold in the full list, and off it in the delta list, which is not applied
	"InvaliddeltaCRLTest4EE":                     Good,    // withdrawn in the delta list only
}

// pkitsRevoked are those of which a list at hand must be believed.
var pkitsRevoked = []string{
	"InvalidRevokedCATest2EE", "InvalidRevokedEETest3EE", "InvalidLongSerialNumberTest18EE", "InvaliddistributionPointTest2EE",
	"InvalidonlySomeReasonsTest15EE", "InvalidonlySomeReasonsTest16EE", "InvalidonlySomeReasonsTest20EE", "InvalidonlySomeReasonsTest21EE",
	"InvalidIDPwithindirectCRLTest23EE", "InvaliddeltaCRLTest3EE", "InvaliddeltaCRLTest9EE",
}

// The paths of the NIST suite about revocation. Nothing that the suite calls
// invalid is good, and nothing that it calls valid is revoked, but for delta
// lists.
func TestPKITS(t *testing.T) {
	p := readPKITS(t)
	tests := 0
	for name, c := range p.certs {
		if !pkitsSections.MatchString(name) {
			continue
		}
		chain := p.chain(c)
		if chain == nil {
			continue // refused for its chain, before anybody asks
		}
		tests++
		got := p.status(t, chain)
		known, exception := pkitsKnown[name]
		switch valid := strings.HasPrefix(name, "Valid"); {
		case exception && got.Status != known:
			t.Errorf("%s: %v (%s), and %v was known: is the list of exceptions out of date?", name, got.Status, got.Why, known)
		case exception:
		case valid != (got.Status == Good):
			t.Errorf("%s: %v (%s)", name, got.Status, got.Why)
		case slices.Contains(pkitsRevoked, name) && got.Status != Revoked:
			t.Errorf("%s: %v (%s), not revoked", name, got.Status, got.Why)
		}
	}
	if tests != pkitsTests {
		t.Errorf("%d paths, and there are %d", tests, pkitsTests)
	}
}

const pkitsTests = 70
