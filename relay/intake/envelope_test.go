package intake

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"

	"sealpost/internal/address"
)

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What the handler gets is what was said, decoded.
func TestEnvelope(t *testing.T) {
	s, box := newTestServer(t, nil)
	run(t, s, strings.ReplaceAll(`EHLO client.example
MAIL FROM:<@a,@b:jürgen@bücher.example> SIZE=77 BODY=8BITMIME SMTPUTF8 RET=hdrs ENVID=Q+2B1
RCPT TO:<"a b"@example.org> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@example.org
RCPT TO:<postmaster> ORCPT=utf-8;jürgen@x NOTIFY=NEVER
DATA
x
.
`, "\n", "\r\n"), 0)
	if len(box.letters) != 1 {
		t.Fatal("the message did not come through")
	}
	got := box.letters[0]
	want := Mail{From: parse(t, "jürgen@bücher.example"), Size: 77, Body: Body8BitMIME, UTF8: true, Ret: "HDRS", EnvID: "Q+1"}
	if got.mail != want {
		t.Errorf("got  %+v\nwant %+v", got.mail, want)
	}
	rcpts := []Rcpt{
		{To: parse(t, `"a b"@example.org`), Notify: []string{"SUCCESS", "DELAY"}, ORcpt: "rfc822;a+b@example.org"},
		{To: parse(t, "postmaster@relay.example"), Notify: []string{"NEVER"}, ORcpt: `utf-8;j\x{FC}rgen@x`},
	}
	if !reflect.DeepEqual(got.rcpts, rcpts) {
		t.Errorf("got  %+v\nwant %+v", got.rcpts, rcpts)
	}
	c := box.client(0)
	if c.Hello != "client.example" || !c.ESMTP || c.LMTP || c.With() != "UTF8SMTP" || c.Remote.String() != "127.0.0.1:9" || len(c.ID) != 13 {
		t.Errorf("client %+v, with %s", c, c.With())
	}
}

func TestWith(t *testing.T) {
	state := &tls.ConnectionState{}
	for want, c := range map[string]Client{
		"SMTP":       {},
		"ESMTP":      {ESMTP: true},
		"ESMTPS":     {ESMTP: true, TLS: state},
		"ESMTPA":     {ESMTP: true, User: "anna"},
		"ESMTPSA":    {ESMTP: true, TLS: state, User: "anna"},
		"LMTP":       {LMTP: true, ESMTP: true},
		"LMTPSA":     {LMTP: true, ESMTP: true, TLS: state, User: "anna"},
		"UTF8SMTP":   {ESMTP: true, utf8: true},
		"UTF8SMTPSA": {ESMTP: true, utf8: true, TLS: state, User: "anna"},
		"UTF8LMTPS":  {LMTP: true, ESMTP: true, utf8: true, TLS: state},
	} {
		if got := c.With(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestIDs(t *testing.T) {
	ids := newIDSource()
	last := ""
	for range 10000 {
		id := ids.next()
		if id <= last || len(id) != len(last) && last != "" {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"no hostname": {Handler: &postbox{}},
		"bad name":    {Handler: &postbox{}, Hostname: "a b"},
		"no handler":  {Hostname: "relay.example"},
		"negative":    {Hostname: "relay.example", Handler: &postbox{}, Limits: Limits{MessageSize: -1}},
		"no TLS":      {Hostname: "relay.example", Handler: &postbox{}, TLS: TLSRequire},
	} {
		if _, err := NewServer(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
