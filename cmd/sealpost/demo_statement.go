package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-message/mail"
)

const demoText = "Dear customer,\r\n\r\nyour balance on 31 October is " + demoSecret + ".\r\nThe statement is attached.\r\n"

// A demoPerson is somebody who gets a statement.
type demoPerson struct{ name, address string }

// demoStatement is what a statement mailer sends: a text and a PDF.
func demoStatement(to demoPerson, hidden ...string) (message, pdf []byte, err error) {
	pdf = demoPDF("Statement for October: " + demoSecret)
	var h mail.Header
	h.SetDate(time.Now())
	h.SetSubject("Your statement for October")
	h.SetAddressList("From", []*mail.Address{{Name: "Example Bank", Address: demoSender}})
	h.SetAddressList("To", []*mail.Address{{Name: to.name, Address: to.address}})
	for _, a := range hidden {
		h.SetAddressList("Bcc", []*mail.Address{{Address: a}})
	}
	if err := h.GenerateMessageIDWithHostname("bank.example"); err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	w, err := mail.CreateWriter(&b, h)
	if err != nil {
		return nil, nil, err
	}
	var text mail.InlineHeader
	text.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	tw, err := w.CreateSingleInline(text)
	if err != nil {
		return nil, nil, err
	}
	if _, err := tw.Write([]byte(demoText)); err != nil {
		return nil, nil, err
	}
	if err := tw.Close(); err != nil {
		return nil, nil, err
	}
	var attached mail.AttachmentHeader
	attached.SetContentType("application/pdf", nil)
	attached.SetFilename("statement.pdf")
	aw, err := w.CreateAttachment(attached)
	if err != nil {
		return nil, nil, err
	}
	if _, err := aw.Write(pdf); err != nil {
		return nil, nil, err
	}
	if err := aw.Close(); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), pdf, nil
}

// demoPDF is a page with one line, small but real.
func demoPDF(line string) []byte {
	content := fmt.Sprintf("BT /F1 14 Tf 72 770 Td (%s) Tj ET", line)
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var b strings.Builder
	b.WriteString("%PDF-1.4\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return []byte(b.String())
}
