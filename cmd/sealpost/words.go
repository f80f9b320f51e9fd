package main

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"time"
)

// span says a duration as people do: by its largest unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Abs()
	switch {
	case d < 2*time.Second:
		return "a moment"
	case d < 2*time.Minute:
		return count(int(d/time.Second), "second")
	case d < 2*time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 2*day:
		return count(int(d/time.Hour), "hour")
	case d < 100*day:
		return count(int(d/day), "day")
	case d < 2*365*day:
		return count(int(d/(30*day)), "month")
	}
	return count(int(d/(365*day)), "year")
}

// minute is a time to the minute, for people.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

const expiresSoon = 30 * 24 * time.Hour

// validity says how a certificate's time stands, and whether that is worth a
// look.
func validity(notBefore, notAfter, now time.Time) (text string, c ink) {
	text = notBefore.UTC().Format(time.DateOnly) + " to " + notAfter.UTC().Format(time.DateOnly)
	switch {
	case now.Before(notBefore):
		return text + ", begins in " + span(notBefore.Sub(now)), red
	case !now.Before(notAfter):
		return text + ", expired " + span(now.Sub(notAfter)) + " ago", red
	case notAfter.Sub(now) < expiresSoon:
		return text + ", expires in " + span(notAfter.Sub(now)), yellow
	}
	return text + ", expires in " + span(notAfter.Sub(now)), plain
}

// keyUsages are the bits of RFC 5280 section 4.2.1.3, in its order and words.
var keyUsages = []struct {
	bit  x509.KeyUsage
	name string
}{
	{x509.KeyUsageDigitalSignature, "digitalSignature"}, {x509.KeyUsageContentCommitment, "nonRepudiation"},
	{x509.KeyUsageKeyEncipherment, "keyEncipherment"}, {x509.KeyUsageDataEncipherment, "dataEncipherment"},
	{x509.KeyUsageKeyAgreement, "keyAgreement"}, {x509.KeyUsageCertSign, "keyCertSign"}, {x509.KeyUsageCRLSign, "cRLSign"},
	{x509.KeyUsageEncipherOnly, "encipherOnly"}, {x509.KeyUsageDecipherOnly, "decipherOnly"},
}

func keyUsageNames(usage x509.KeyUsage) []string {
	names := []string{}
	for _, u := range keyUsages {
		if usage&u.bit != 0 {
			names = append(names, u.name)
		}
	}
	return names
}

// oidNames are the words for purposes (RFC 5280 section 4.2.1.12 and the
// systems that people have) and for what mail programs open (RFC 8551 section
// 2.5.2). What is not here is shown as its number.
var oidNames = map[string]string{
	"1.3.6.1.5.5.7.3.1": "serverAuth", "1.3.6.1.5.5.7.3.2": "clientAuth", "1.3.6.1.5.5.7.3.3": "codeSigning",
	"1.3.6.1.5.5.7.3.4": "emailProtection", "1.3.6.1.5.5.7.3.8": "timeStamping", "1.3.6.1.5.5.7.3.9": "OCSPSigning",
	"1.3.6.1.5.5.7.3.36": "documentSigning", "2.5.29.37.0": "anyExtendedKeyUsage",
	"1.3.6.1.4.1.311.20.2.2": "smartcardLogon", "1.3.6.1.4.1.311.10.3.12": "documentSigning (Microsoft)", "1.3.6.1.4.1.311.10.3.4": "encryptedFileSystem",
	"2.16.840.1.101.3.4.1.2": "aes-128-cbc", "2.16.840.1.101.3.4.1.22": "aes-192-cbc", "2.16.840.1.101.3.4.1.42": "aes-256-cbc",
	"2.16.840.1.101.3.4.1.6": "aes-128-gcm", "2.16.840.1.101.3.4.1.26": "aes-192-gcm", "2.16.840.1.101.3.4.1.46": "aes-256-gcm",
	"1.2.840.113549.3.7": "des-ede3-cbc", "1.2.840.113549.3.2": "rc2-cbc", "1.3.14.3.2.7": "des-cbc",
	"1.2.840.113549.1.9.16.3.18": "chacha20-poly1305", "1.2.840.113549.1.1.1": "rsa", "1.2.840.113549.1.1.7": "rsa-oaep",
	"2.16.840.1.101.3.4.1.5": "aes-128-wrap", "2.16.840.1.101.3.4.1.45": "aes-256-wrap",
}

func oidTexts(oids []asn1.ObjectIdentifier) []string {
	names := []string{}
	for _, oid := range oids {
		name, known := oidNames[oid.String()]
		switch {
		case len(oid) == 0:
			name = "unreadable"
		case !known:
			name = oid.String()
		}
		names = append(names, name)
	}
	return names
}

// grouped is hexadecimal text in fours, to be read aloud.
func grouped(hexed string) string {
	var b strings.Builder
	for i := 0; i < len(hexed); i += 4 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(hexed[i:min(i+4, len(hexed))])
	}
	return b.String()
}
