package relay_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/relay/policy"
	"sealpost/smime/cms"
)

func statement(canary testkit.Canary) string {
	return crlf(`From: Bank <statements@bank.example>
To: anna@example.org
Bcc: auditor@bank.example
Subject: Your statement
Message-ID: <1@bank.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8; name="` + string(canary) + `"
Content-Description: ` + string(canary) + `

Balance: ` + string(canary) + `
`)
}

func TestSealedForEachRecipientAlone(t *testing.T) {
	h := newHouse(t)
	canary := testkit.NewCanary(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	h.person(t, "auditor@bank.example", testkit.Leaf{Key: "p256"})
	said := h.send(t, testClient(), statement(canary), "anna@example.org", "auditor@bank.example")
	if len(said) != 1 || said[0].Code != 250 || !strings.Contains(said[0].Text, "queued as ") {
		t.Fatalf("answer: %v", said)
	}
	for _, got := range h.sink.Wait(t, 2) {
		canary.Absent(t, "a sealed copy", got.Raw)
		if bytes.Contains(got.Raw, []byte("\nBcc:")) {
			t.Errorf("Bcc left:\n%s", got.Raw)
		}
		if len(got.To) != 1 {
			t.Fatalf("a copy for %v", got.To)
		}
		to := got.To[0].Address
		if to == "anna@example.org" && bytes.Contains(got.Raw, []byte("auditor")) {
			t.Error("Anna's copy names the hidden recipient")
		}
		entity := testkit.OpenSSLOpen(t, got.Raw, h.people[to])
		if !bytes.Contains(entity, []byte("Balance: "+string(canary)+"\r\n")) {
			t.Errorf("%s opened something else:\n%s", to, entity)
		}
	}
	canary.Absent(t, "the log", h.log.Bytes())
}

func TestAnswersAtRcpt(t *testing.T) {
	h := newHouse(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	h.directory.down["bert@example.org"] = true
	_, said := h.begin(t, testClient(), "anna@example.org", "bert@example.org", "carl@example.org")
	for i, want := range []string{"250 2.1.5", "451 4.4.3 <bert@example.org>", "550 5.7.1 <carl@example.org>: no certificate"} {
		if !strings.HasPrefix(said[i].String(), want) {
			t.Errorf("got %q, want %q", said[i], want)
		}
	}
	if !strings.HasSuffix(said[1].Text, "(lookup-unavailable)") || !strings.HasSuffix(said[2].Text, "(no-certificate)") {
		t.Errorf("no reason: %q, %q", said[1], said[2])
	}
}

func TestRelayingDenied(t *testing.T) {
	h := newHouse(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	stranger := testClient()
	stranger.Listener = "another listener"
	if _, said := h.begin(t, stranger, "anna@example.org"); said[0].Code != 550 || !strings.HasSuffix(said[0].Text, "("+string(reason.RelayDenied)+")") {
		t.Errorf("stranger: %s", said[0])
	}
	stranger.User = "mailer"
	if _, said := h.begin(t, stranger, "anna@example.org"); said[0].Code != 250 {
		t.Errorf("authenticated: %s", said[0])
	}
}

// The bug that every gateway of this kind has had: a directory that is down is
// not a recipient without a key.
func TestPlaintextOnlyAfterAnAuthoritativeNone(t *testing.T) {
	h := newHouse(t, policy.Rule{Name: "old people", NoKey: policy.Plaintext})
	h.directory.down["bert@example.org"] = true
	_, said := h.begin(t, testClient(), "bert@example.org")
	if said[0].Code != 451 {
		t.Fatalf("directory down: %s", said[0])
	}
	canary := testkit.NewCanary(t)
	message := statement(canary)
	if said := h.send(t, testClient(), message, "carl@example.org"); said[0].Code != 250 {
		t.Fatalf("no key, allowed: %s", said[0])
	}
	got := h.sink.Wait(t, 1)[0]
	if !bytes.HasSuffix(got.Raw, []byte(message)) || !bytes.HasPrefix(got.Raw, []byte("Received: from ")) {
		t.Errorf("not what came in:\n%s", got.Raw)
	}
	canary.Absent(t, "the log", h.log.Bytes())
}

func TestTreatmentsSideBySide(t *testing.T) {
	h := newHouse(t,
		policy.Rule{Name: "own", Recipient: "*@bank.example", Encrypt: policy.Never},
		policy.Rule{Name: "default"})
	canary := testkit.NewCanary(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	h.person(t, "gina@example.org", testkit.Leaf{})
	h.capableOf("gina@example.org", cms.AES256GCM)
	message := statement(canary)
	said := h.send(t, testClient(), message, "one@bank.example", "anna@example.org", "two@bank.example", "gina@example.org")
	if said[0].Code != 250 {
		t.Fatal(said)
	}
	for _, got := range h.sink.Wait(t, 3) {
		switch to := got.To[0].Address; to {
		case "one@bank.example":
			if len(got.To) != 2 || !bytes.HasSuffix(got.Raw, []byte(message)) {
				t.Errorf("passed to %v:\n%s", got.To, got.Raw)
			}
		case "gina@example.org":
			if !bytes.Contains(got.Raw, []byte("smime-type=authEnveloped-data")) {
				t.Errorf("Gina can read GCM and got:\n%.600s", got.Raw)
			}
			canary.Absent(t, to, got.Raw)
		default:
			if !bytes.Contains(got.Raw, []byte("smime-type=enveloped-data")) {
				t.Errorf("Anna got:\n%.600s", got.Raw)
			}
			canary.Absent(t, to, got.Raw)
		}
	}
}

func TestJointAnswers(t *testing.T) {
	for _, c := range []struct {
		name string
		to   []string
		want string
	}{
		{"upstream refuses the only recipient", []string{"550@example.org"}, "550 "},
		{"upstream defers the only recipient", []string{"451@example.org"}, "451 "},
		{"refused after the data", []string{"data-554@example.org"}, "554 "},
		{"nothing taken, one for later", []string{"550@example.org", "451@example.org"}, "451 "},
		{"some taken, some not", []string{"anna@example.org", "550@example.org"}, "451 4.3.0 1 of 2 recipients"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			for _, to := range c.to {
				h.person(t, to, testkit.Leaf{})
			}
			said := h.send(t, testClient(), statement(testkit.NewCanary(t)), c.to...)
			if len(said) != 1 || !strings.HasPrefix(said[0].String(), c.want) {
				t.Errorf("got %v, want %s", said, c.want)
			}
		})
	}
}

func TestLMTPAnswersForEach(t *testing.T) {
	h := newHouse(t)
	to := []string{"anna@example.org", "550@example.org", "451@example.org"}
	for _, a := range to {
		h.person(t, a, testkit.Leaf{})
	}
	c := testClient()
	c.LMTP = true
	said := h.send(t, c, statement(testkit.NewCanary(t)), to...)
	if len(said) != 3 || said[0].Code != 250 || said[1].Code != 550 || said[2].Code != 451 {
		t.Errorf("%v", said)
	}
}

// Where upstream refuses one of several recipients of a copy that is passed as
// it came, the others still get it.
func TestPassedToTheRest(t *testing.T) {
	h := newHouse(t, policy.Rule{Name: "clear", Encrypt: policy.Never})
	c := testClient()
	c.LMTP = true
	said := h.send(t, c, statement(testkit.NewCanary(t)), "a@example.org", "550@example.org", "b@example.org")
	if said[0].Code != 250 || said[1].Code != 550 || said[2].Code != 250 {
		t.Errorf("%v", said)
	}
	if got := h.sink.Wait(t, 1); len(got) != 1 || len(got[0].To) != 2 {
		t.Errorf("upstream got %d messages", len(got))
	}
}

func TestHeaderRules(t *testing.T) {
	rules := []policy.Rule{
		{Name: "internal", Header: &policy.HeaderMatch{Name: "X-Class", Value: "internal"}, Encrypt: policy.Never},
		{Name: "default"},
	}
	h := newHouse(t, rules...)
	h.person(t, "anna@example.org", testkit.Leaf{})
	tx, said := h.begin(t, testClient(), "anna@example.org", "nokey@example.org")
	if said[0].Code != 250 || said[1].Code != 250 {
		t.Fatalf("the header may still allow both: %v", said)
	}
	answer := tx.Data(t.Context(), strings.NewReader("Subject: x\r\n\r\nbody\r\n"))
	if len(answer) != 1 || answer[0].Code != 550 || !strings.Contains(answer[0].Text, "<nokey@example.org>") {
		t.Errorf("answer: %v", answer)
	}
	if got := h.sink.Messages(); len(got) != 0 {
		t.Errorf("something was sent though the message was refused: %d", len(got))
	}
	if said := h.send(t, testClient(), "X-Class: Internal\r\n\r\nbody\r\n", "nokey@example.org"); said[0].Code != 250 {
		t.Errorf("allowed by the header: %v", said)
	}
}

func TestHeaderRuleThatCannotHelpIsRefusedAtRcpt(t *testing.T) {
	h := newHouse(t,
		policy.Rule{Name: "secret", Header: &policy.HeaderMatch{Name: "X-Class", Value: "secret"}},
		policy.Rule{Name: "default"})
	if _, said := h.begin(t, testClient(), "nokey@example.org"); said[0].Code != 550 {
		t.Errorf("%v", said)
	}
}

func TestMailLoop(t *testing.T) {
	h := newHouse(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	for name, header := range map[string]string{
		"too many hops":   strings.Repeat("Received: from a by b; now\r\n", 51),
		"our own, folded": strings.Repeat("Received: from a\r\n\tby RELAY.bank.example\r\n\t(Sealpost) with ESMTP id X; now\r\n", 4),
	} {
		said := h.send(t, testClient(), header+"Subject: x\r\n\r\nbody\r\n", "anna@example.org")
		if said[0].Code != 554 || said[0].Enhanced.String() != "5.4.6" {
			t.Errorf("%s: %v", name, said)
		}
	}
}

func TestAlreadyEncryptedPassesUntouched(t *testing.T) {
	h := newHouse(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	h.send(t, testClient(), statement(testkit.NewCanary(t)), "anna@example.org")
	sealed := h.sink.Wait(t, 1)[0].Raw
	if said := h.send(t, testClient(), string(sealed), "anna@example.org"); said[0].Code != 250 {
		t.Fatal(said)
	}
	again := h.sink.Wait(t, 2)[1].Raw
	if !bytes.HasSuffix(again, sealed) || bytes.Count(again, []byte("application/pkcs7-mime")) != 1 {
		t.Errorf("not untouched:\n%.800s", again)
	}
}

func TestWhatOnlyClaimsToBeEncryptedIsSealed(t *testing.T) {
	for name, body := range map[string]string{
		"cleartext":  "Balance: %s\r\n",
		"base64":     "QmFsYW5jZTogMTIsMzQ1\r\n",
		"signedData": "MIIBBgkqhkiG9w0BBwKggfgwgfUCAQExADALBgkqhkiG9w0BBwE=\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			canary := testkit.NewCanary(t)
			h.person(t, "anna@example.org", testkit.Leaf{})
			body := strings.ReplaceAll(body, "%s", string(canary))
			message := "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n" +
				"Content-Transfer-Encoding: base64\r\n\r\n" + body
			if said := h.send(t, testClient(), message, "anna@example.org"); said[0].Code != 250 {
				t.Fatal(said)
			}
			got := h.sink.Wait(t, 1)[0].Raw
			canary.Absent(t, "the copy", got)
			if entity := testkit.OpenSSLOpen(t, got, h.people["anna@example.org"]); !bytes.HasSuffix(entity, []byte("\r\n\r\n"+body)) {
				t.Errorf("inside:\n%s", entity)
			}
		})
	}
}

func TestMalformedMessage(t *testing.T) {
	h := newHouse(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	said := h.send(t, testClient(), "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n", "anna@example.org")
	if said[0].Code != 554 || said[0].Enhanced.String() != "5.6.0" {
		t.Errorf("%v", said)
	}
}

// A body that breaks off is no message: nothing goes out.
func TestBrokenBodySendsNothing(t *testing.T) {
	h := newHouse(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	tx, _ := h.begin(t, testClient(), "anna@example.org")
	said := tx.Data(t.Context(), io.MultiReader(strings.NewReader("Subject: x\r\n\r\nhalf"), brokenReader{}))
	if said[0].Positive() || said[0].Permanent() {
		t.Errorf("%v", said)
	}
	if len(h.sink.Messages()) != 0 {
		t.Error("half a message was sent")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLargeMessageOnDiskIsCiphertext(t *testing.T) {
	h := newHouse(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	body := strings.Repeat(strings.Repeat("0123456789", 7)+"\r\n", 100_000)
	if said := h.send(t, testClient(), "Subject: big\r\n\r\n"+body, "anna@example.org"); said[0].Code != 250 {
		t.Fatal(said)
	}
	got := h.sink.Wait(t, 1)[0].Raw
	if entity := testkit.OpenSSLOpen(t, got, h.people["anna@example.org"]); !bytes.HasSuffix(entity, []byte(body)) {
		t.Error("the large message was changed")
	}
}
