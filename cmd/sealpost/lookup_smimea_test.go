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
		source(`resolver: "` + dns.Server + `"`):                                          "source dns: FAILED: resolver " + dns.Server + ": it does not vouch for the root",
		source(`resolver: "tls://127.0.0.1:` + port + `", server_name: resolver.example`): "source dns: FAILED: resolver tls://",
	} {
		in.configure(t, "", yaml)
		out, errs, code := sealpost(t, "", "check", "--probe", "--config", in.config)
		if (code == exitOK) != strings.Contains(says, "ok") || !strings.Contains(out, says) {
			t.Errorf("%d: no %q in\n%s%s", code, says, out, errs)
		}
	}
}

// Only what DNSSEC has proved moves mail: a denial lets the rule decide, even
// for the clear; everything else is 451.
func TestMailByTheDNS(t *testing.T) {
	in := newInstallation(t)
	person := func(address string) string {
		id := in.ca.For(t, address)
		in.enroll(address, id)
		return dnsRecord(t, address, "3 0 0", id.Cert.Raw)
	}
	dns := testkit.StartDNS(t, testkit.DNSOptions{Zones: []testkit.Zone{
		{Name: "signed.example", Records: []string{person("anna@signed.example"), person("ben@signed.example")}},
		{Name: "unsigned.example", Unsigned: true, Records: []string{person("anna@unsigned.example")}},
		{Name: "expired.example", Expired: true, Records: []string{person("anna@expired.example")}},
		{Name: "lame.example", Lame: true},
	}})
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 10s\n  sources:\n    - {name: dns, type: smimea, resolver: \""+dns.Resolver+"\"}\n"+
		"policy: [{name: lax, no_key: plaintext}]\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	sealed, clear := sampleMail(canary), sampleMail(testkit.NewCanary(t))
	d := in.dial(t)
	for i, to := range []string{"anna@expired.example", "nobody@expired.example", "anna@lame.example", "1@lame.example", "2@lame.example", "3@lame.example", "4@lame.example"} {
		d.say(t, "250", "MAIL FROM:<statements@bank.example>")
		d.say(t, "451 4.4.3", "RCPT TO:<"+to+">")
		d.say(t, "250", "RSET")
		if i > 0 {
			continue
		}
		if got := d.submit(t, sealed, "anna@signed.example"); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
		in.opened(t, sink.Wait(t, 1)[0].Raw, "anna@signed.example", sealed)
	}
	for n, to := range []string{"nobody@signed.example", "anna@unsigned.example"} {
		if got := d.submit(t, clear, to); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
		if m := sink.Wait(t, n+2)[n+1]; !strings.HasSuffix(string(m.Raw), clear) {
			t.Errorf("%s: what a rule lets pass was changed:\n%s", to, m.Raw)
		}
	}
	dns.StopResolver(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "451 4.4.3", "RCPT TO:<ben@signed.example>")
	in.nowhere(t, canary, sink.Wire())
}
