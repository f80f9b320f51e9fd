package smime

import (
	"errors"
	"net/mail"
	"strings"
	"testing"
)

func fromOf(t testing.TB, header string) (string, error) {
	t.Helper()
	m, err := ReadMessage(strings.NewReader(header), Limits{})
	if err != nil {
		return "", err
	}
	a, err := From(m.Header)
	return a.String(), err
}

func TestFrom(t *testing.T) {
	for _, value := range []string{
		"anna@example.org", "<anna@example.org>", "Anna <anna@example.org>", "Anna von Berg <anna@example.org>",
		"\"Berg, Anna (Bank)\" <anna@example.org>", "\"anna@example.org\" <anna@example.org>", "\"Anna\"<anna@example.org>",
		"=?utf-8?q?Anna_M=C3=BCller?= <anna@example.org>", "=?iso-8859-1?Q?M=FCller=2C_Anna?=\r\n =?utf-8?B?w7w=?= <anna@example.org>",
		"\"=?UTF-8?B?QW5uYQ==?=\" <anna@example.org>", "\"Anna\"\r\n\t<anna@example.org>", "\r\n anna@example.org", "Anna M\u00fcller <anna@example.org>",
		"=?utf-8?q?anna=40example.org?= <anna@example.org>", "\"Anna's\" <anna@example.org>", "J. R. <anna@example.org>",
	} {
		if got, err := fromOf(t, "Subject: x\r\nFrom: "+value+"\r\nTo: b@example.org\r\n\r\n"); err != nil || got != "anna@example.org" {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

// TestFromRefuses: each of these is read in two ways by some two programs, or
// shows a person another sender than the one it names.
func TestFromRefuses(t *testing.T) {
	const good = "From: anna@example.org\r\n"
	for name, header := range map[string]string{
		"none":                     "To: b@example.org\r\n\r\n",
		"two":                      good + "Subject: x\r\nFROM: bob@example.org\r\n\r\n",
		"two alike":                good + good + "\r\n",
		"a blank before the colon": "From : anna@example.org\r\n\r\n",
		"two, one with a blank":    good + "From\t: bob@example.org\r\n\r\n",
		"no blank line":            good,
		"a line that is no field":  good + "no field\r\nFrom: bob@example.org\r\n\r\n",
		"empty":                    "From: \r\n\r\n",
		"list":                     "From: anna@example.org, bob@example.org\r\n\r\n",
		"list in brackets":         "From: <anna@example.org>, <bob@example.org>\r\n\r\n",
		"two brackets":             "From: <anna@example.org> <bob@example.org>\r\n\r\n",
		"nested brackets":          "From: <anna@example.org <bob@example.org>>\r\n\r\n",
		"open bracket":             "From: Anna <anna@example.org\r\n\r\n",
		"behind the bracket":       "From: <anna@example.org> Anna\r\n\r\n",
		"group":                    "From: Friends: anna@example.org;\r\n\r\n",
		"empty group":              "From: undisclosed:;\r\n\r\n",
		"comment":                  "From: anna@example.org (Anna)\r\n\r\n",
		"comment in the address":   "From: anna(x)@example.org\r\n\r\n",
		"comment before":           "From: (bob@example.org) anna@example.org\r\n\r\n",
		"comment in the name":      "From: Anna (x) <anna@example.org>\r\n\r\n",
		"route":                    "From: <@relay.example:anna@example.org>\r\n\r\n",
		"percent":                  "From: <anna%example.org@relay.example>\r\n\r\n",
		"two at signs":             "From: <anna@example.org@relay.example>\r\n\r\n",
		"quoted local part":        "From: \"anna\"@example.org\r\n\r\n",
		"quoted address":           "From: <\"anna@example.org\"@relay.example>\r\n\r\n",
		"literal":                  "From: anna@[192.0.2.1]\r\n\r\n",
		"blank in the address":     "From: <anna @example.org>\r\n\r\n",
		"fold in the address":      "From: <anna@\r\n example.org>\r\n\r\n",
		"fold with an empty line":  "From: Anna\r\n \r\n <anna@example.org>\r\n\r\n",
		"another address as name":  "From: \"bob@example.org\" <anna@example.org>\r\n\r\n",
		"address as bare name":     "From: bob@example.org <anna@example.org>\r\n\r\n",
		"brackets in the name":     "From: \"Bob <bob@example.org>\" <anna@example.org>\r\n\r\n",
		"escaped quote":            "From: \"a\\\" <bob@example.org>, \\\"b\" <anna@example.org>\r\n\r\n",
		"quote in the name":        "From: Anna \"x\" <anna@example.org>\r\n\r\n",
		"two quoted strings":       "From: \"A\" \"B\" <anna@example.org>\r\n\r\n",
		"encoded address":          "From: =?utf-8?q?bob=40example.org?= <anna@example.org>\r\n\r\n",
		"encoded brackets":         "From: =?utf-8?b?PGJvYkBleGFtcGxlLm9yZz4=?= <anna@example.org>\r\n\r\n",
		"encoded, all of it":       "From: =?utf-8?q?anna=40example.org?=\r\n\r\n",
		"encoded line end":         "From: =?utf-8?q?x=0D=0AFrom:_bob?= <anna@example.org>\r\n\r\n",
		"damaged encoded word":     "From: =?utf-8?q?x=4?= <anna@example.org>\r\n\r\n",
		"encoded words run into":   "From: =?utf-8?q?x?==?utf-8?q?=40?= <anna@example.org>\r\n\r\n",
		"encoded within a word":    "From: x=?utf-8?q?=40?= <anna@example.org>\r\n\r\n",
		"encoded in unknown way":   "From: =?utf-8?x?x?= <anna@example.org>\r\n\r\n",
		"escape":                   "From: \x1b[2J <anna@example.org>\r\n\r\n",
		"not UTF-8":                "From: M\xfcller <anna@example.org>\r\n\r\n",
		"no domain":                "From: anna\r\n\r\n",
		"null":                     "From: <>\r\n\r\n",
	} {
		if got, err := fromOf(t, header); !errors.Is(err, ErrFrom) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzFrom: what From accepts, net/mail reads as the same one address where it
// can read it at all.
func FuzzFrom(f *testing.F) {
	for _, s := range []string{"anna@example.org", "Anna <anna@example.org>", "\"a, b\" <anna@example.org>", "=?utf-8?q?a?= <anna@example.org>",
		"<anna@example.org>, bob@example.org", "a: anna@example.org;", "\"x\r\n y\" <anna@example.org>", "anna@example.org (c)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		m, err := ReadMessage(strings.NewReader("From:"+value+"\r\n\r\n"), Limits{})
		if err != nil || m.Header.Count("From") != 1 || strings.Count(m.Header.Raw(), ":") == 0 {
			return
		}
		a, err := From(m.Header)
		if err != nil {
			return
		}
		list, err := mail.ParseAddressList(m.Header.Get("From"))
		if err == nil && (len(list) != 1 || !strings.EqualFold(list[0].Address, a.String())) && !a.NeedsUTF8() {
			t.Errorf("%q: %q here, %v in net/mail", value, a, list)
		}
	})
}
