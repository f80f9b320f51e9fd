package smimea_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sealpost/internal/testkit"
	"sealpost/lookup/smimea"
)

// liesByMessage are replies with one thing wrong.
func liesByMessage() map[string]func(q *dns.Msg) *dns.Msg {
	with := func(change func(m *dns.Msg)) func(q *dns.Msg) *dns.Msg {
		return func(q *dns.Msg) *dns.Msg {
			m := secure(q, record)
			if q.Question[0].Qtype == dns.TypeSMIMEA {
				change(m)
			}
			return m
		}
	}
	deny := func(change func(m *dns.Msg)) func(q *dns.Msg) *dns.Msg {
		return func(q *dns.Msg) *dns.Msg { m := denied(q); change(m); return m }
	}
	lies := map[string]func(q *dns.Msg) *dns.Msg{
		"another identifier":        with(func(m *dns.Msg) { m.Id++ }),
		"another identifier, none":  deny(func(m *dns.Msg) { m.Id++ }),
		"another name":              with(func(m *dns.Msg) { m.Question[0].Name = "example.com." }),
		"another name, none":        deny(func(m *dns.Msg) { m.Question[0].Name = "example.com." }),
		"another type":              deny(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTLSA }),
		"another class":             deny(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
		"two questions":             deny(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		"no question":               deny(func(m *dns.Msg) { m.Question = nil }),
		"a question":                deny(func(m *dns.Msg) { m.Response = false }),
		"a notification":            deny(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }),
		"none without proof":        deny(func(m *dns.Msg) { m.Ns = m.Ns[:1] }),
		"none at all":               deny(func(m *dns.Msg) { m.Ns = nil }),
		"nothing":                   with(func(m *dns.Msg) { m.Answer = nil }),
		"not there, and there":      with(func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }),
		"somebody else's":           with(func(m *dns.Msg) { m.Answer = []dns.RR{rr("x." + owner + " 60 IN SMIMEA 3 0 0 30")} }),
		"another class's":           with(func(m *dns.Msg) { r := dns.Copy(record); r.Header().Class = dns.ClassHESIOD; m.Answer = []dns.RR{r} }),
		"in the additional section": with(func(m *dns.Msg) { m.Extra, m.Answer = m.Answer, nil }),
		"cut in TCP too":            with(func(m *dns.Msg) { m.Truncated = true }),
		"none, cut in TCP too":      deny(func(m *dns.Msg) { m.Truncated = true }),
		"an alias to itself":        with(func(m *dns.Msg) { m.Answer = []dns.RR{rr(owner + " 60 IN CNAME " + owner)} }),
		"an alias beside a record":  with(func(m *dns.Msg) { m.Answer = append(m.Answer, rr(owner+" 60 IN CNAME a.example.")) }),
		"two aliases": with(func(m *dns.Msg) {
			m.Answer = []dns.RR{rr(owner + " 60 IN CNAME a.example."), rr(owner + " 60 IN CNAME b.example.")}
		}),
		"an endless alias": with(func(m *dns.Msg) {
			m.Answer = []dns.RR{rr(owner + " 60 IN CNAME a1.example.")}
			for i := 1; i < 200; i++ {
				m.Answer = append(m.Answer, rr(fmt.Sprintf("a%d.example. 60 IN CNAME a%d.example.", i, i+1)))
			}
			m.Answer = append(m.Answer, rr("a200.example. 60 IN SMIMEA 3 0 0 30"))
		}),
		"a thousand records": with(func(m *dns.Msg) {
			for i := range 1000 {
				m.Answer = append(m.Answer, rr(fmt.Sprintf("%s 60 IN SMIMEA 3 0 0 %08X", owner, i)))
			}
		}),
		"BADVERS": deny(func(m *dns.Msg) { m.SetEdns0(1232, true); m.Rcode = dns.RcodeBadVers }),
	}
	for _, code := range []int{dns.RcodeServerFailure, dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeRefused, dns.RcodeYXDomain, dns.RcodeNXRrset, dns.RcodeNotAuth, dns.RcodeNotZone, 15} {
		lies[dns.RcodeToString[code]+fmt.Sprint(code)] = deny(func(m *dns.Msg) { m.Rcode = code })
		lies[fmt.Sprint("bare ", code)] = deny(func(m *dns.Msg) { m.Rcode, m.Question, m.Ns = code, nil, nil })
	}
	return lies
}

// liesByBytes are replies that are not messages.
func liesByBytes() map[string]func(q *dns.Msg) [][]byte {
	header := func(q *dns.Msg, answers byte) []byte { // a response with AD, one question
		return []byte{byte(q.Id >> 8), byte(q.Id), 0x81, 0xa0, 0, 1, 0, answers, 0, 0, 0, 0}
	}
	question := func(q *dns.Msg) []byte {
		raw, _ := (&dns.Msg{Question: q.Question}).Pack()
		return raw[12:]
	}
	return map[string]func(q *dns.Msg) [][]byte{
		"an empty packet":    func(*dns.Msg) [][]byte { return [][]byte{{}} },
		"half a header":      func(q *dns.Msg) [][]byte { return [][]byte{header(q, 0)[:7]} },
		"a header":           func(q *dns.Msg) [][]byte { return [][]byte{header(q, 0)} },
		"half a question":    func(q *dns.Msg) [][]byte { return [][]byte{append(header(q, 0), question(q)[:20]...)} },
		"half an answer":     func(q *dns.Msg) [][]byte { p := pack(secure(q, record))[0]; return [][]byte{p[:len(p)-3]} },
		"fewer answers":      func(q *dns.Msg) [][]byte { return [][]byte{append(header(q, 200), question(q)...)} },
		"a name in a circle": func(q *dns.Msg) [][]byte { return [][]byte{append(header(q, 0), 0xc0, 12, 0, 53, 0, 1)} },
		"a name beyond":      func(q *dns.Msg) [][]byte { return [][]byte{append(header(q, 0), 0xff, 0xff, 0, 53, 0, 1)} },
		"a label of 200":     func(q *dns.Msg) [][]byte { return [][]byte{append(header(q, 0), 0x80, 'a', 0, 0, 53, 0, 1)} },
		"data that lie": func(q *dns.Msg) [][]byte {
			return [][]byte{append(append(header(q, 1), question(q)...), 0xc0, 12, 0, 53, 0, 1, 0, 0, 0, 60, 0xff, 0xff, 3, 0, 0, 1)}
		},
		"data of two octets": func(q *dns.Msg) [][]byte {
			return [][]byte{append(append(header(q, 1), question(q)...), 0xc0, 12, 0, 53, 0, 1, 0, 0, 0, 60, 0, 2, 3, 0)}
		},
		"no data": func(q *dns.Msg) [][]byte {
			return [][]byte{append(append(header(q, 1), question(q)...), 0xc0, 12, 0, 53, 0, 1, 0, 0, 0, 60, 0, 0)}
		},
		"data of a key only": func(q *dns.Msg) [][]byte {
			return [][]byte{append(append(header(q, 1), question(q)...), 0xc0, 12, 0, 53, 0, 1, 0, 0, 0, 60, 0, 3, 3, 1, 0)}
		},
		"noise without end":    func(q *dns.Msg) [][]byte { return noise(q, 1000) },
		"64 KiB of zeros":      func(q *dns.Msg) [][]byte { return [][]byte{append(header(q, 255), make([]byte, 60000)...)} },
		"nothing, and hang up": func(*dns.Msg) [][]byte { return nil },
	}
}

// noise is packets that answer other questions.
func noise(q *dns.Msg, n int) (packets [][]byte) {
	for i := range n {
		packets = append(packets, pack(denied(q), func(m *dns.Msg) { m.Id += uint16(i + 1) })...)
	}
	return packets
}

// Whatever a resolver says, but for an authenticated denial, is never taken
// for one; nor for a record.
func TestLies(t *testing.T) {
	var all sync.WaitGroup
	lie := func(name string, answer func(q *dns.Msg, tcp bool) [][]byte) {
		for _, transport := range []smimea.Transport{smimea.UDP, smimea.TCP} {
			f := startFake(t, answer)
			all.Go(func() {
				a, err := f.ask(t, smimea.Options{Resolvers: []smimea.Resolver{{Address: f.addr, Transport: transport}}})
				if err == nil || len(a.Records) > 0 || a.Secure {
					t.Errorf("%s, transport %d: %+v, %v", name, transport, a, err)
				}
			})
		}
	}
	for name, change := range liesByMessage() {
		lie(name, func(q *dns.Msg, _ bool) [][]byte { return pack(change(q)) })
	}
	for name, answer := range liesByBytes() {
		lie(name, func(q *dns.Msg, _ bool) [][]byte { return answer(q) })
	}
	all.Wait()
}

// What is right gets through, with whatever noise before it.
func TestTruth(t *testing.T) {
	big := func(q *dns.Msg) *dns.Msg {
		return secure(q, rr(owner+" 60 IN SMIMEA 3 0 0 "+strings.Repeat("30", 5000)))
	}
	for name, test := range map[string]struct {
		answer  func(q *dns.Msg, tcp bool) [][]byte
		records int
	}{
		"a record": {func(q *dns.Msg, _ bool) [][]byte { return pack(secure(q, record)) }, 1},
		"a denial": {func(q *dns.Msg, _ bool) [][]byte { return pack(denied(q)) }, 0},
		"behind noise": {func(q *dns.Msg, tcp bool) [][]byte {
			return append(noise(q, map[bool]int{false: 20}[tcp]), pack(secure(q, record))...)
		}, 1},
		"in capitals": {func(q *dns.Msg, _ bool) [][]byte {
			return pack(secure(q, rr(strings.ToUpper(owner)+" 60 IN SMIMEA 3 0 0 30")))
		}, 1},
		"a shuffled alias": {func(q *dns.Msg, _ bool) [][]byte {
			return pack(secure(q, rr("b.example. 60 IN SMIMEA 3 0 0 30"), rr("a.example. 60 IN CNAME b.example."), rr(owner+" 60 IN CNAME a.example.")))
		}, 1},
		"too big for a packet": {func(q *dns.Msg, tcp bool) [][]byte {
			if !tcp {
				return pack(secure(q), func(m *dns.Msg) { m.Truncated = true })
			}
			return pack(big(q))
		}, 1},
		"a packet beyond what was asked for": {func(q *dns.Msg, _ bool) [][]byte { return pack(big(q), func(m *dns.Msg) { m.Answer = m.Answer[:1] }) }, 1},
	} {
		f := startFake(t, test.answer)
		transports := []smimea.Transport{smimea.UDP, smimea.TCP}
		if strings.HasPrefix(name, "a packet beyond") { // larger than our buffer too
			transports = transports[1:]
		}
		for _, transport := range transports {
			a, err := f.ask(t, smimea.Options{Timeout: testkit.Patience, Resolvers: []smimea.Resolver{{Address: f.addr, Transport: transport}}})
			if err != nil || !a.Secure || len(a.Records) != test.records || a.Resolver == "" {
				t.Errorf("%s, transport %d: %d records, %v", name, transport, len(a.Records), err)
			}
		}
	}
}

// A packet that is lost is sent again.
func TestResends(t *testing.T) {
	var mu sync.Mutex
	first := true
	f := startFake(t, func(q *dns.Msg, _ bool) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if first {
			first = false
			return nil
		}
		return pack(secure(q, record))
	})
	if a, err := f.ask(t, smimea.Options{Timeout: testkit.Patience}); err != nil || len(a.Records) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

// "Not signed" counts only from a resolver that has shown that it validates,
// and that is asked of it again after a while.
func TestUnsignedWantsProof(t *testing.T) {
	var mu sync.Mutex
	var validates bool
	probes := 0
	f := startFake(t, func(q *dns.Msg, _ bool) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if q.Question[0].Qtype == dns.TypeNS {
			probes++
			return pack(secure(q), func(m *dns.Msg) { m.AuthenticatedData = validates })
		}
		return pack(denied(q), func(m *dns.Msg) { m.AuthenticatedData = false })
	})
	var offset time.Duration
	c, err := smimea.New(smimea.Options{
		Resolvers: []smimea.Resolver{{Address: f.addr}}, Timeout: testkit.Patience, Clock: func() time.Time { return time.Now().Add(offset) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []struct {
		validates bool
		wait      time.Duration
		want      error
		probes    int
	}{
		{false, 0, smimea.ErrNotValidating, 1}, {false, 0, smimea.ErrNotValidating, 2}, {true, 0, nil, 3},
		{true, 0, nil, 3}, {false, 0, nil, 3}, {false, time.Hour, smimea.ErrNotValidating, 4}, {true, time.Hour, nil, 5},
	} {
		mu.Lock()
		validates = step.validates
		mu.Unlock()
		offset = step.wait
		a, err := c.Ask(context.Background(), owner)
		mu.Lock()
		if !errors.Is(err, step.want) || a.Secure || probes != step.probes {
			t.Errorf("%+v: %+v, %v after %d probes", step, a, err, probes)
		}
		mu.Unlock()
	}
}
