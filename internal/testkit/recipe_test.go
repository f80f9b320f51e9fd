package testkit

import (
	"bytes"
	"net/smtp"
	"strings"
	"testing"

	smtpserver "github.com/emersion/go-smtp"
)

// filterHost is a Postfix with the recipe "filter". Where Sealpost belongs,
// stands a server that passes every message on: these tests are about
// Postfix's half of the recipe.
type filterHost struct {
	*Postfix
	filter   string // where Postfix looks for the filter
	reinject string
}

func startFilterHost(t *testing.T, main string) filterHost {
	t.Helper()
	h := filterHost{filter: FreeAddr(t), reinject: FreeAddr(t)}
	r := PostfixRecipe(t, "filter").With(t, "127.0.0.1:10025", h.filter, "127.0.0.1:10026", h.reinject)
	h.Postfix = StartPostfix(t, PostfixOptions{Main: main + r.Main, Master: r.Master})
	return h
}

// startFilter starts the stand-in.
func (h filterHost) startFilter(t *testing.T) *Sink {
	t.Helper()
	return StartSink(t, SinkOptions{Addr: h.filter, Lenient: true, Accept: func(m Received) error {
		return smtp.SendMail(h.reinject, nil, m.From, addresses(m.To), m.Raw)
	}})
}

func addresses(to []Recipient) []string {
	var all []string
	for _, r := range to {
		all = append(all, r.Address)
	}
	return all
}

func send(t *testing.T, addr, message string, to ...string) {
	t.Helper()
	if err := smtp.SendMail(addr, nil, "bank@bank.example", to, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

func TestFilterRecipePassesEveryRecipientAlone(t *testing.T) {
	h := startFilterHost(t, "")
	filter := h.startFilter(t)
	message := oddMessage + strings.Repeat("x", 5000) + "\r\n"
	send(t, h.Addr, message, "anna@example.org", "bert@example.org", "carl@example.net")
	for _, d := range h.WaitDelivered(t, 3) {
		if !bytes.HasSuffix(d.Raw, []byte(message)) {
			t.Errorf("%s got another message:\n%.300q", d.To, d.Raw)
		}
	}
	seen := filter.Messages()
	if len(seen) != 3 {
		t.Errorf("the filter saw %d messages, want one for each recipient, and none twice", len(seen))
	}
	for _, m := range seen {
		if len(m.To) != 1 {
			t.Errorf("one transaction for %v", m.To)
		}
	}
}

func TestFilterRecipeHoldsForLocalPrograms(t *testing.T) {
	h := startFilterHost(t, "")
	filter := h.startFilter(t)
	h.Sendmail(t, []byte("Subject: cron\n\nx\n"), "root@bank.example", "anna@example.org")
	h.WaitDelivered(t, 1)
	if len(filter.Messages()) != 1 {
		t.Error("mail of sendmail(1) went past the filter")
	}
}

func TestFilterRecipeWaitsForTheFilter(t *testing.T) {
	fallback := StartSink(t, SinkOptions{Lenient: true})
	h := startFilterHost(t, "smtp_fallback_relay = "+bracketed(fallback.Addr)+"\n")
	send(t, h.Addr, oddMessage, "anna@example.org")
	h.WaitLog(t, "status=deferred")
	if len(fallback.Messages())+len(h.Sink.Messages()) != 0 {
		t.Fatal("the message went on without the filter")
	}
	h.startFilter(t)
	h.Flush(t)
	h.WaitDelivered(t, 1)
}

func TestFilterRecipeBouncesWithoutTheText(t *testing.T) {
	h := startFilterHost(t, "")
	canary := NewCanary(t)
	StartSink(t, SinkOptions{Addr: h.filter, Lenient: true, Accept: func(Received) error {
		return &smtpserver.SMTPError{Code: 550, EnhancedCode: smtpserver.EnhancedCode{5, 7, 1}, Message: "no-certificate"}
	}})
	send(t, h.Addr, oddMessage+string(canary)+"\r\n", "anna@example.org")
	bounce := h.WaitDelivered(t, 1)[0]
	if bounce.From != "" || bounce.To != "bank@bank.example" || !bytes.Contains(bounce.Raw, []byte("no-certificate")) {
		t.Errorf("this is not the bounce: %q", bounce)
	}
	canary.Absent(t, "the bounce", bounce.Raw)
}

func TestFilterRecipeHasRoomForTheSealedSize(t *testing.T) {
	h := startFilterHost(t, "")
	h.startFilter(t)
	line := strings.Repeat("x", 76) + "\r\n"
	if err := smtp.SendMail(h.Addr, nil, "bank@bank.example", []string{"anna@example.org"},
		[]byte(oddMessage+strings.Repeat(line, 10_300_000/len(line)))); code(err) != 552 {
		t.Errorf("more than the limit at the door: %v", err)
	}
	sealed := 10_240_000 * 137 / 100
	send(t, h.reinject, oddMessage+strings.Repeat(line, sealed/len(line)), "anna@example.org")
	h.WaitDelivered(t, 1)
}

func TestSmarthostRecipeTakesSealpostsMail(t *testing.T) {
	upstream := FreeAddr(t)
	r := PostfixRecipe(t, "smarthost").With(t, "127.0.0.1:10026", upstream, "10.0.0.5:25", FreeAddr(t))
	p := StartPostfix(t, PostfixOptions{Main: r.Main, Master: r.Master})
	WaitPort(t, upstream)
	send(t, upstream, oddMessage, "anna@example.org", "bert@example.org")
	for _, d := range p.WaitDelivered(t, 2) {
		if !bytes.HasSuffix(d.Raw, []byte(oddMessage)) {
			t.Errorf("%s got another message:\n%q", d.To, d.Raw)
		}
	}
}
