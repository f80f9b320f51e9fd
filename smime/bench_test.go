package smime

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// The header of an ordinary statement, and one that many servers have added to.
func BenchmarkReadMessage(b *testing.B) {
	ordinary := "From: Bank <statements@bank.example>\r\nTo: anna@example.org\r\nSubject: Your statement\r\n" +
		"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@bank.example>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=\"b\"\r\n"
	long := strings.Repeat("Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example with ESMTPS id 1;\r\n\tnow\r\n", 20) + ordinary
	for _, c := range []struct{ name, header string }{{"ordinary", ordinary}, {"long", long}} {
		b.Run(c.name, func(b *testing.B) {
			message := []byte(c.header + "\r\n" + strings.Repeat("A line of the body.\r\n", 50))
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for b.Loop() {
				m, err := ReadMessage(bytes.NewReader(message), Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, m.Body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
