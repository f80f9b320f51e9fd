package relay

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"sealpost/lookup/keydb"
	"sealpost/smime"
)

func readExtras(t testing.TB, header string) (ProvisionRequest, bool) {
	t.Helper()
	m, err := smime.ReadMessage(strings.NewReader(header+"\r\n"), smime.Limits{})
	if err != nil {
		t.Skip(err)
	}
	out, refusal := extras(m.Header)
	if refusal != nil && !refusal.Reply.Permanent() {
		t.Errorf("%q: %v", header, refusal.Reply)
	}
	return out, refusal == nil
}

func TestExtras(t *testing.T) {
	for _, c := range []struct {
		name, header string
		want         ProvisionRequest
	}{
		{"nothing", "From: a@b.example\r\n", ProvisionRequest{}},
		{"secret", "X-Sealpost-Secret: 4711\r\n", ProvisionRequest{Secret: "4711"}},
		{"in any case, folded", "x-sealpost-SECRET:\r\n 47\r\n 11\r\n", ProvisionRequest{Secret: "47 11"}},
		{"encoded", "X-Sealpost-Secret: =?utf-8?q?M=C3=BCller?=\r\n", ProvisionRequest{Secret: "Müller"}},
		{"references", "X-Sealpost-Reference: Contract 12\r\nX-Sealpost-Reference: Ms =?utf-8?b?V2ViZXI=?=\r\n",
			ProvisionRequest{References: []string{"Contract 12", "Ms Weber"}}},
		{"empty references", "X-Sealpost-Reference: \r\nX-Sealpost-Reference: 1\r\nX-Sealpost-Reference:\r\n", ProvisionRequest{References: []string{"1"}}},
		{"language", "Content-Language: zh-Hans, en\r\n", ProvisionRequest{Language: "zh-Hans"}},
		{"no language", "Content-Language: (a comment)\r\n", ProvisionRequest{}},
	} {
		got, ok := readExtras(t, c.header)
		if !ok || got.Secret != c.want.Secret || strings.Join(got.References, "|") != strings.Join(c.want.References, "|") || got.Language != c.want.Language {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
	}
	for name, header := range map[string]string{
		"two secrets":      "X-Sealpost-Secret: 1\r\nX-Sealpost-Secret: 1\r\n",
		"an empty secret":  "X-Sealpost-Secret: \r\n",
		"a long secret":    "X-Sealpost-Secret: " + strings.Repeat("1", keydb.MaxSecret+1) + "\r\n",
		"only hyphens":     "X-Sealpost-Secret: - -\r\n",
		"no text":          "X-Sealpost-Secret: \xff\r\n",
		"control":          "X-Sealpost-Secret: =?utf-8?q?a=07?=\r\n",
		"unknown charset":  "X-Sealpost-Secret: =?x-none?q?a?=\r\n",
		"three references": strings.Repeat("X-Sealpost-Reference: 1\r\n", 3),
		"a long reference": "X-Sealpost-Reference: " + strings.Repeat("1", keydb.MaxReference+1) + "\r\n",
	} {
		if got, ok := readExtras(t, header); ok || got.Secret != "" {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

// Whatever stands there: what is taken from it is short, printable text.
func FuzzExtras(f *testing.F) {
	f.Add("X-Sealpost-Secret: =?utf-8?q?M=C3=BCller?=\r\nX-Sealpost-Reference: 1\r\nContent-Language: de\r\n")
	f.Add("X-Sealpost-Reference: =?iso-8859-1?q?=E4?=\r\n")
	f.Fuzz(func(t *testing.T, header string) {
		got, _ := readExtras(t, header)
		if len(got.References) > keydb.MaxReferences || len(got.Secret) > keydb.MaxSecret {
			t.Fatalf("%+v", got)
		}
		for _, s := range append(got.References, got.Secret, got.Language) {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > keydb.MaxSecret || s != strings.TrimSpace(s) {
				t.Fatalf("%q", s)
			}
		}
	})
}
