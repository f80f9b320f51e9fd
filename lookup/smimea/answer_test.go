package smimea

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/miekg/dns"
)

const fuzzed = "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com."

// packed is a reply with AD to the question for fuzzed.
func packed(t testing.TB, rcode int, section func(m *dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(fuzzed, dns.TypeSMIMEA)
	m.Id, m.Response, m.AuthenticatedData, m.Compress = 0, true, true, true
	section(m)
	m.Rcode = rcode
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func line(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// Whatever comes over the wire, "there is none" is believed only of a whole
// reply to our question with AD, NOERROR or NXDOMAIN, and a proof in it; and
// records never go with NXDOMAIN, nor beyond the limit.
func FuzzReply(f *testing.F) {
	smimeaRR := line(f, fuzzed+" 60 IN SMIMEA 3 0 0 3003020101")
	nsec := line(f, "example.com. 60 IN NSEC x.example.com. NS SOA")
	cname := line(f, fuzzed+" 60 IN CNAME x.example.com.")
	for _, rcode := range []int{0, 2, 3, 5} {
		f.Add(packed(f, rcode, func(m *dns.Msg) { m.Answer = []dns.RR{smimeaRR, smimeaRR} }))
		f.Add(packed(f, rcode, func(m *dns.Msg) { m.Ns = []dns.RR{nsec} }))
		f.Add(packed(f, rcode, func(m *dns.Msg) { m.Answer, m.Ns = []dns.RR{cname}, []dns.RR{nsec} }))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		q := newQuestion(fuzzed, dns.TypeSMIMEA)
		q.Id = 0
		m := new(dns.Msg)
		if m.Unpack(raw) != nil || !answers(m, q) {
			return
		}
		a, err := interpret(m, fuzzed, 5)
		if err != nil {
			if a.Secure || len(a.Records) > 0 {
				t.Fatalf("an error and an answer: %+v", a)
			}
			return
		}
		flags, rcode := binary.BigEndian.Uint16(raw[2:]), raw[3]&15
		const qr, tc, ad = 0x8000, 0x0200, 0x0020
		if flags&qr == 0 || flags&tc != 0 || rcode != 0 && rcode != 3 || a.Secure != (flags&ad != 0) {
			t.Fatalf("flags %04x give %+v", flags, a)
		}
		if len(a.Records) > 5 || len(a.Records) > 0 && rcode == 3 {
			t.Fatalf("%d records with code %d", len(a.Records), rcode)
		}
		if len(a.Records) == 0 && a.Secure && binary.BigEndian.Uint16(raw[8:]) == 0 {
			t.Fatal("a denial without anything in its authority section")
		}
		for _, r := range a.Records {
			if len(r.Data) == 0 || !bytes.Contains(raw, append([]byte{byte(r.Usage), byte(r.Selector), byte(r.Matching)}, r.Data...)) {
				t.Fatalf("record %v is not in the reply", r)
			}
		}
	})
}

// The octets of a record are read as they stand there, or not at all.
func FuzzRecord(f *testing.F) {
	for _, seed := range [][]byte{{3, 0, 0, 0x30}, {3, 0, 0}, {3, 0}, {}, {0, 1, 2, 3}, {255, 255, 255, 0}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rdata []byte) {
		if len(rdata) > 60000 {
			return
		}
		raw := packed(t, 0, func(*dns.Msg) {})
		binary.BigEndian.PutUint16(raw[6:], 1)
		raw = append(raw, 0xc0, 12, 0, 53, 0, 1, 0, 0, 0, 60)
		raw = append(binary.BigEndian.AppendUint16(raw, uint16(len(rdata))), rdata...)
		m := new(dns.Msg)
		if err := m.Unpack(raw); err != nil {
			if len(rdata) > fixed {
				t.Fatalf("%x: %v", rdata, err)
			}
			return
		}
		a, err := interpret(m, fuzzed, 1)
		if (err == nil) != (len(rdata) > fixed) {
			t.Fatalf("%x: %v", rdata, err)
		}
		if err != nil {
			return
		}
		r := a.Records[0]
		if got := append([]byte{byte(r.Usage), byte(r.Selector), byte(r.Matching)}, r.Data...); !bytes.Equal(got, rdata) {
			t.Fatalf("%x is read as %x", rdata, got)
		}
		if sealable := r.Unusable() == ""; sealable != ((rdata[0] == 1 || rdata[0] == 3) && rdata[1] == 0 && rdata[2] == 0) {
			t.Fatalf("%v: %s", r, r.Unusable())
		}
	})
}
