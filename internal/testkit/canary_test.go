package testkit

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"mime/quotedprintable"
	"strings"
	"testing"
)

func TestCanaryIsFound(t *testing.T) {
	c := NewCanary(t)
	for before := range 80 {
		for _, after := range []string{"", "z", "\xff\xff\xff"} {
			text := strings.Repeat("\xfc", before) + string(c) + after
			var qp bytes.Buffer
			w := quotedprintable.NewWriter(&qp)
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			for form, data := range map[string]string{
				"plain": text, "upper": strings.ToUpper(text), "qp": qp.String(),
				"base64": lines(base64.StdEncoding.EncodeToString([]byte(text)), "\r\n"),
				"url":    base64.RawURLEncoding.EncodeToString([]byte(text)),
				"hex":    lines(hex.EncodeToString([]byte(text)), "\n"),
			} {
				if c.FoundIn([]byte(data)) == "" {
					t.Fatalf("%s: not found behind %d bytes in %q", form, before, data)
				}
			}
		}
	}
	if c.FoundIn([]byte(NewCanary(t))) != "" {
		t.Error("another canary was taken for this one")
	}
}

// lines breaks text into lines of 76 characters.
func lines(text, end string) string {
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + end)
		text = text[76:]
	}
	return b.String() + text + end
}
