package testkit

import (
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// code is the reply code inside an error of net/smtp; 0 for any other error.
func code(err error) int {
	var e *textproto.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestSinkIsSteered(t *testing.T) {
	s := StartSink(t, SinkOptions{})
	send := func(from, to string) error {
		return smtp.SendMail(s.Addr, nil, from, []string{to}, []byte("Subject: x\r\n\r\nx\r\n"))
	}
	for _, c := range []struct {
		from, to string
		code     int
	}{
		{"421@x.example", "anna@example.org", 421},
		{"bank@x.example", "451@example.org", 451},
		{"bank@x.example", "data-550@example.org", 550},
	} {
		if got := code(send(c.from, c.to)); got != c.code {
			t.Errorf("%s to %s: code %d", c.from, c.to, got)
		}
	}
	for _, to := range []string{"drop@example.org", "data-drop@example.org"} {
		if err := send("bank@x.example", to); err == nil || code(err) != 0 {
			t.Errorf("%s: the connection was not cut: %v", to, err)
		}
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d refused messages were kept", n)
	}
	if err := send("bank@x.example", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	m := s.Wait(t, 1)[0]
	if m.From != "bank@x.example" || len(m.To) != 1 || string(m.Raw) != "Subject: x\r\n\r\nx\r\n" || m.Conn != s.Connections() {
		t.Errorf("recorded %+v", m)
	}
	if !strings.Contains(string(s.Wire()), "RCPT TO:<anna@example.org>\r\n") {
		t.Error("the wire was not recorded")
	}
}

func TestSinkTLSAndAuth(t *testing.T) {
	ca := NewCA(t)
	s := StartSink(t, SinkOptions{TLS: ca.ServerTLS(t), Users: map[string]string{"relay": "secret"}, NeedAuth: true})
	c, err := smtp.Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, _ := c.Extension("AUTH"); ok {
		t.Error("AUTH is offered without TLS")
	}
	if err := c.StartTLS(ca.ClientTLS("127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("bank@x.example"); code(err) != 530 {
		t.Errorf("MAIL before AUTH: %v", err)
	}
	if err := c.Auth(smtp.PlainAuth("", "relay", "secret", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("bank@x.example"); err != nil {
		t.Fatal(err)
	}
}

func TestSinkWithoutExtensions(t *testing.T) {
	s := StartSink(t, SinkOptions{HeloOnly: true})
	c, err := smtp.Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, _ := c.Extension("SIZE"); ok {
		t.Error("SIZE is offered")
	}
	if !strings.Contains(string(s.Wire()), "HELO localhost\r\n") {
		t.Errorf("the client said %q", s.Wire())
	}
}

func TestSinkFindsFaults(t *testing.T) {
	for raw, want := range map[string][]string{
		"a\r\nb\r\n":                           nil,
		"a\nb\r\n":                             {"bare CR or LF"},
		"a\rb\r\n":                             {"bare CR or LF"},
		strings.Repeat("x", 998) + "\r\n":      nil,
		strings.Repeat("x", 999) + "\r\nx\r\n": {"a line of more than 998 bytes"},
		"\xe4\r\n":                             {"8-bit content without BODY=8BITMIME"},
	} {
		if got := faults([]byte(raw), ""); !slices.Equal(got, want) {
			t.Errorf("%.20q: %v, want %v", raw, got, want)
		}
	}
}

func TestFreeAddrIsFree(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		addr := FreeAddr(t)
		if seen[addr] {
			t.Fatalf("%s was given twice", addr)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
