package relay

import (
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/relay/intake"
	"sealpost/relay/policy"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
	"sealpost/smime/cms"
)

// The two lines of a message to one recipient.
func BenchmarkLog(b *testing.B) {
	to, err := address.Parse("anna@example.org")
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	t := &transaction{
		relay:  New(Options{Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}),
		client: &intake.Client{Remote: netip.MustParseAddrPort("192.0.2.1:40000"), Hello: "mailer.example", ESMTP: true},
		mail:   intake.Mail{From: to}, id: newID(now), arrived: now.Add(-3 * time.Millisecond),
		rcpts: []*recipient{{
			rcpt:     intake.Rcpt{To: to},
			decision: Decision{Rule: &policy.Rule{Name: "default"}, Action: Sealed, Cipher: cms.AES256CBC},
			outcome: &upstream.Outcome{
				Server: "192.0.2.2:25", Started: now, Transmit: time.Millisecond,
				Reply: reply.New(250, reply.Enhanced{2, 0, 0}, "Ok: queued as 4SnkTk1a2bz3"),
			},
		}},
	}
	m := &message{transaction: t, received: now.Add(-time.Millisecond), size: 5000}
	b.ReportAllocs()
	for b.Loop() {
		t.logMessage(m)
	}
}
