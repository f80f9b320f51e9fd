package reader_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"sealpost/internal/testkit"
)

// pdf is an attachment: a PDF that opens, and after it every byte.
func pdf(canary testkit.Canary) []byte {
	b := []byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n% " + string(canary) + "\n")
	for i := range 150_000 {
		b = append(b, byte(i), byte(i>>8))
	}
	return b
}

// logo is a picture that the HTML shows.
func logo() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 144, 48))
	for x := range 144 {
		for y := range 48 {
			c := color.RGBA{0x0b, 0x53, 0x94, 0xff}
			if (x/24+y/24)%2 == 0 {
				c = color.RGBA{0x7f, 0xb8, 0xee, 0xff}
			}
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func lines64(data []byte) string {
	text := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return b.String() + text + "\r\n"
}

const statementHTML = `<html><head><style>td{padding:6px 14px 6px 0;border-bottom:1px solid #d8dde3}.r{text-align:right}</style></head>
<body style="font-family:sans-serif">
<img src="cid:logo@bank.example" alt="Example Bank" width="144" height="48">
<h1 style="font-size:22px">Your statement for November</h1>
<p>Dear Anna,</p><p>here is what happened on your account <b>DE02 1203 0000 0000 2020 51</b>.</p>
<table cellspacing="0"><tr><td>2 Nov</td><td>Salary</td><td class="r">3 120,00 €</td></tr>
<tr><td>5 Nov</td><td>Rent</td><td class="r">−870,00 €</td></tr>
<tr><td>17 Nov</td><td>Bookshop at the Bridge</td><td class="r">−31,45 €</td></tr>
<tr><td></td><td><b>Balance</b></td><td class="r"><b>2 418,55 €</b></td></tr></table>
<p>The statement is attached. Questions? <a href="https://bank.example/help">bank.example/help</a></p>
<p style="color:#697683;font-size:13px">%s</p></body></html>
`

// statement is a mail as a bank sends it.
func statement(canary testkit.Canary) []byte {
	return mail(fmt.Sprintf(statementHTML, canary), "Your balance is 2 418,55 €. "+string(canary), "Statement November.pdf", pdf(canary))
}

// mail is one with a text in two forms, a picture and an attachment.
func mail(html, text, name string, attachment []byte) []byte {
	return []byte(strings.ReplaceAll(`From: Example Bank <statements@bank.example>
To: Anna Example <anna@example.org>
Subject: Your statement for November
Date: Mon, 23 Nov 2026 10:00:00 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=mixed

--mixed
Content-Type: multipart/alternative; boundary=alternative

--alternative
Content-Type: text/plain; charset=utf-8

`+text+`
--alternative
Content-Type: multipart/related; boundary=related

--related
Content-Type: text/html; charset=utf-8

`+html+`
--related
Content-Type: image/png; name=logo.png
Content-ID: <logo@bank.example>
Content-Disposition: inline
Content-Transfer-Encoding: base64

`+lines64(logo())+`
--related--
--alternative--
--mixed
Content-Type: application/pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="`+name+`"

`+lines64(attachment)+`
--mixed--
`, "\n", "\r\n"))
}
