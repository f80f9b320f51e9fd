package lookup_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// pkitsRefused are tests of the suite that must come out valid and are
// refused here, each for a reason that errs on the safe side.
var pkitsRefused = map[string]string{
	"ValidDSA":                            "DSA is no longer believed",
	"ValidNameChainingWhitespace":         "names are compared byte for byte",
	"ValidNameChainingCapitalization":     "names are compared byte for byte",
	"ValidRolloverfromPrintableString":    "names are compared byte for byte",
	"ValidUTF8StringCaseInsensitiveMatch": "names are compared byte for byte",
	"ValidDNnameConstraints":              "constraints on directory names are not understood",
	"ValidDNandRFC822nameConstraints":     "constraints on directory names are not understood",
	"ValidRFC822nameConstraintsTest25":    "crypto/x509 takes an excluded host for the hosts below it too",
	"ValidURInameConstraintsTest36":       "the same",
	"ValidSelfIssuedpathLenConstraint":    "self-issued certificates count for the length of the path",
	"ValidcRLIssuerTest29":                "crypto/x509 does not read names relative to the issuer",
	"ValiddistributionPointTest4":         "the same",
	"ValiddistributionPointTest5":         "the same",
}

// pkitsLater are what the suite calls invalid for a reason of revocation;
// lookup/revocation runs those.
var pkitsLater = []string{
	"MissingCRL", "Revoked", "BadCRL", "WrongCRL", "UnknownCRL", "OldCRLnextUpdate", "pre2000CRLnextUpdate", "LongSerialNumber", "SeparateCertificate",
	"BasicSelfIssued", "keyUsageCriticalcRLSignFalse", "keyUsageNotCriticalcRLSignFalse", "distributionPoint", "onlyContains", "onlySomeReasons",
	"IDPwithindirectCRL", "cRLIssuer", "deltaCRL",
}

// pkitsPolicies are the tests without a verdict in their name: these do not
// validate, whatever policies a user asks for.
var pkitsPolicies = []string{"DifferentPoliciesTest4", "DifferentPoliciesTest5", "DifferentPoliciesTest7", "DifferentPoliciesTest8", "DifferentPoliciesTest9", "DifferentPoliciesTest12"}

// The paths of the NIST suite, with every certificate of the suite beside the
// one in question: chains are found in a bundle of hundreds.
func TestPKITS(t *testing.T) {
	dir := testkit.NeedPKITS(t)
	files, _ := filepath.Glob(filepath.Join(dir, "certs", "*.crt"))
	if len(files) != 405 {
		t.Fatalf("%d certificates: the suite is not whole", len(files))
	}
	var beside []lookup.Candidate
	certs := map[string]*certificate.Certificate{}
	for _, f := range files {
		der, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c := read(t, der)
		certs[strings.TrimSuffix(filepath.Base(f), ".crt")] = c
		beside = append(beside, lookup.Candidate{Cert: c})
	}
	root, err := certs["TrustAnchorRootCertificate"].X509()
	if err != nil {
		t.Fatal(err)
	}
	source := trusted(t, always(found()), lookup.TrustOptions{
		Roots: []*x509.Certificate{root}, Clock: func() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) },
	})
	tests := 0
	for name, c := range certs {
		if !strings.HasSuffix(name, "EE") {
			continue
		}
		tests++
		token, why := source.Chain(c, beside)
		if want, late := pkitsWants(name); !late && want != (token == reason.None) {
			t.Errorf("%s: %s (%s), want it accepted: %v", name, token, why, want)
		}
	}
	if tests != 223 {
		t.Errorf("%d paths", tests)
	}
}

// pkitsWants says whether a chain must be accepted; late when that hangs on
// revocation.
func pkitsWants(name string) (accepted, late bool) {
	begins := func(words []string, prefix string) bool {
		for _, w := range words {
			if strings.HasPrefix(name, prefix+w) {
				return true
			}
		}
		return false
	}
	for prefix := range pkitsRefused {
		if strings.HasPrefix(name, prefix) {
			return false, false
		}
	}
	return !strings.HasPrefix(name, "Invalid") && !begins(pkitsPolicies, ""), begins(pkitsLater, "Invalid")
}
