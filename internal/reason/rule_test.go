package reason

import (
	"strings"
	"testing"
)

// Whoever is told that a certificate is not used is told by which rule.
func TestEveryRefusalOfACertificateHasItsRule(t *testing.T) {
	for _, token := range All() {
		rule := Rule(token)
		ofCertificate := strings.HasPrefix(string(token), "certificate-") || token == RevocationUnknown
		if (rule != "") != ofCertificate {
			t.Errorf("%s: %q", token, rule)
		}
		for part := range strings.SplitSeq(rule, ", ") {
			if rule != "" && !strings.HasPrefix(part, "RFC ") && !strings.HasPrefix(part, "trust.") {
				t.Errorf("%s: %q is neither an RFC nor a key", token, part)
			}
		}
	}
}
