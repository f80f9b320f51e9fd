package config

import (
	"path/filepath"
	"testing"

	"sealpost/lookup/smimea"
)

// One resolver is written without a list, and DNSSEC decides unless the file
// says otherwise.
func TestSMIMEASource(t *testing.T) {
	file := filepath.Join(workFolder(t), "sealpost.yaml")
	c, _, err := parse(file, []byte(withBase("lookup:\n  sources:\n    - {name: dns, type: smimea, resolver: \"127.0.0.1:53\"}\n"+
		"    - {name: more, type: smimea, resolver: [\"tls://dns.example:853\", \"192.0.2.1:53\"], trusted_resolvers: [\"192.0.2.1:53\"]}\n")), around())
	if err != nil {
		t.Fatal(err)
	}
	one, more := c.Lookup.Sources[0], c.Lookup.Sources[1]
	if r := one.Resolvers(); len(r) != 1 || r[0].String() != "127.0.0.1:53" || r[0].Trusted {
		t.Errorf("%+v", r)
	}
	if one.Trust != "source" || one.Unsigned != "none" || c.Lookup.Sources[1].Unsigned != "none" {
		t.Errorf("trust %s, unsigned %s", one.Trust, one.Unsigned)
	}
	r := more.Resolvers()
	if len(r) != 2 || r[0].Transport != smimea.TLS || r[0].Trusted || !r[1].Trusted {
		t.Errorf("%+v", r)
	}
}
