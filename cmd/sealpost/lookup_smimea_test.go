package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"sealpost/internal/address"
	"sealpost/internal/testkit"
	"sealpost/lookup/smimea"
)

// dnsRecord is a line of the zone file that address belongs to.
func dnsRecord(t testing.TB, mailbox, params string, data []byte) string {
	t.Helper()
	a, err := address.Parse(mailbox)
	if err != nil {
		t.Fatal(err)
	}
	name, err := smimea.OwnerName(a)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s SMIMEA %s %X", name, params, data)
}

// What an operator sees of a source in the DNS: who has a certificate, who has
// none, whose domain is in trouble; and what the probe makes of resolvers.
func TestLookupInTheDNS(t *testing.T) {
	in := newInstallation(t)
	anna := in.ca.For(t, "anna@signed.example").Cert.Raw
	dns := testkit.StartDNS(t, testkit.DNSOptions{TLS: in.ca.Server(t, "resolver.example"), Zones: []testkit.Zone{
		{Name: "signed.example", Records: []string{
			dnsRecord(t, "anna@signed.example", "3 0 0", anna), dnsRecord(t, "known@signed.example", "1 0 0", in.ca.For(t, "known@signed.example").Cert.Raw),
			dnsRecord(t, "hash@signed.example", "3 0 1", anna[:32]),
		}},
		{Name: "unsigned.example", Unsigned: true},
		{Name: "expired.example", Expired: true},
	}})
	upstream := "upstream:\n  - {address: \"" + testkit.StartSink(t, testkit.SinkOptions{}).Addr + "\", tls: none}\n"
	source := func(keys string) string {
		return upstream + "lookup:\n  timeout: 10s\n  sources:\n    - {name: dns, type: smimea, " + keys + "}\n"
	}
	_, port, _ := net.SplitHostPort(dns.ResolverTLS)
	plain := source(`resolver: "` + dns.Resolver + `"`)
	overTLS := source(`resolver: "tls://127.0.0.1:` + port + `", server_name: resolver.example, tls_roots: [root.pem]`)
	for _, test := range []struct {
		yaml, address string
		code          int
		says          string
	}{
		{plain, "anna@signed.example", exitOK, "mail is sealed with"},
		{overTLS, "anna@signed.example", exitOK, "_smimecert.signed.example. from tls://127.0.0.1:" + port + ", SMIMEA record 1 (3 0 0)"},
		{plain, "known@signed.example", exitFailed, "no root is configured"},
		{plain + "trust: {roots: [root.pem]}\n", "known@signed.example", exitOK, "mail is sealed with"},
		{plain, "nobody@signed.example", exitFailed, "no usable certificate (no-certificate)"},
		{plain, "hash@signed.example", exitFailed, "SMIMEA record 1 (3 0 1) holds a hash only"},
		{plain, "anna@unsigned.example", exitFailed, "no usable certificate (no-certificate)"},
		{plain, "anna@unsigned.example", exitFailed, "the domain is not signed with DNSSEC"},
		{source(`resolver: "` + dns.Resolver + `", unsigned: unavailable`), "anna@unsigned.example", exitFailed, "cannot be looked up now (lookup-unavailable)"},
		{plain, "anna@expired.example", exitFailed, "SERVFAIL"},
	} {
		in.configure(t, "", test.yaml)
		out, errs, code := sealpost(t, "", "lookup", "--config", in.config, test.address)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("%s: exit code %d, no %q in\n%s%s", test.address, code, test.says, out, errs)
		}
	}
	for yaml, says := range map[string]string{
		plain: "source dns: ok (none,", overTLS: "source dns: ok (none,",
		source(`resolver: "` + dns.Server + `"`):                                  "source dns: FAILED: resolver " + dns.Server + ": it does not vouch for the root",
		source(`resolver: "tls://127.0.0.1:` + port + `", server_name: resolver.example`): "source dns: FAILED: resolver tls://",
	} {
		in.configure(t, "", yaml)
		out, errs, code := sealpost(t, "", "check", "--probe", "--config", in.config)
		if (code == exitOK) != strings.Contains(says, "ok") || !strings.Contains(out, says) {
			t.Errorf("%d: no %q in\n%s%s", code, says, out, errs)
		}
	}
}
