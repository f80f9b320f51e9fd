package main

import (
	"time"

	"sealpost/internal/certificate"
	"sealpost/lookup"
)

// A mailboxKeys is what is remembered of the keys of an address, as `keys
// --json` and `lookup --json` show it.
type mailboxKeys struct {
	Address  string               `json:"address"`
	State    string               `json:"state"` // accepted; held when a key waits
	Accepted []keyReport          `json:"accepted"`
	Held     []keyReport          `json:"held"`
	Replaced []lookup.Fingerprint `json:"replaced"` // keys
	Refused  []lookup.Fingerprint `json:"refused"`  // keys
	Error    string               `json:"error,omitempty"`
}

// A keyReport is one key, with the newest certificate that it was seen in.
type keyReport struct {
	KeySHA256 lookup.Fingerprint `json:"key_sha256"`
	SHA256    lookup.Fingerprint `json:"sha256"` // of the certificate
	Subject   string             `json:"subject"`
	Issuer    string             `json:"issuer"`
	Serial    string             `json:"serial"`
	NotBefore time.Time          `json:"not_before"`
	NotAfter  time.Time          `json:"not_after"`
	Key       string             `json:"key"`
	Since     time.Time          `json:"since"`
	Source    string             `json:"source"`
}

// newMailboxKeys shows what is known; err is why that could not be read.
func newMailboxKeys(mailbox string, known lookup.KnownKeys, err error) mailboxKeys {
	m := mailboxKeys{
		Address: mailbox, State: "accepted", Accepted: keyReports(known.Accepted), Held: keyReports(known.Held),
		Replaced: append([]lookup.Fingerprint{}, known.Retired...), Refused: append([]lookup.Fingerprint{}, known.Refused...),
	}
	if len(known.Held) > 0 {
		m.State = "held"
	}
	if err != nil {
		m.State, m.Error = "damaged", err.Error()
	}
	return m
}

func keyReports(keys []lookup.KnownKey) []keyReport {
	out := []keyReport{}
	for _, k := range keys {
		r := keyReport{KeySHA256: k.Key, Since: k.Since, Source: k.Source}
		if c, err := certificate.Parse(k.DER); err == nil {
			r.SHA256, r.Subject, r.Issuer, r.Key = c.Fingerprint(), c.Subject, c.Issuer, c.KeyName
			r.NotBefore, r.NotAfter, r.Serial = c.NotBefore, c.NotAfter, serialText(c)
		}
		out = append(out, r)
	}
	return out
}

func serialText(c *certificate.Certificate) string {
	if c.Serial == nil {
		return ""
	}
	return c.Serial.Text(16)
}

// print writes one address with all that is known of its keys.
func (m mailboxKeys) print(p *paper, now time.Time) {
	headline, c := "the key in use", plain
	switch {
	case m.Error != "":
		headline, c = m.Error, red
	case len(m.Held) > 1:
		headline, c = "new keys wait until somebody accepts one", yellow
	case len(m.Held) == 1:
		headline, c = "a new key waits until somebody accepts it", yellow
	case len(m.Accepted) == 0:
		headline = "no key is in use"
	}
	p.headline(m.Address, c, headline)
	for _, k := range m.Accepted {
		k.print(p, "in use", green, now)
	}
	for _, k := range m.Held {
		k.print(p, "waits", yellow, now)
	}
	m.printPast(p)
}

// nothing reports that nothing is known.
func (m mailboxKeys) nothing() bool {
	return len(m.Accepted)+len(m.Held)+len(m.Replaced)+len(m.Refused) == 0 && m.Error == ""
}

// printShort writes one address in a list: its keys, one a line.
func (m mailboxKeys) printShort(p *paper) {
	p.line(0, bold, m.Address)
	if m.Error != "" {
		p.line(2, red, m.Error)
	}
	for _, k := range m.Accepted {
		k.printShort(p, "in use", plain)
	}
	for _, k := range m.Held {
		k.printShort(p, "waits", yellow)
	}
}

func (k keyReport) printShort(p *paper, state string, c ink) {
	p.labelled(2, state, 8, c, k.KeySHA256.String()+"  since "+k.Since.UTC().Format(time.DateOnly)+", "+k.Source)
}

// printPast lists the keys that are not used any more.
func (m mailboxKeys) printPast(p *paper) {
	for _, f := range m.Replaced {
		p.field(2, "replaced", faint, "key "+grouped(f.String()))
	}
	for _, f := range m.Refused {
		p.field(2, "refused", faint, "key "+grouped(f.String()))
	}
}

func (k keyReport) print(p *paper, state string, c ink, now time.Time) {
	const indent = 4
	p.line(2, c, state+" since "+minute(k.Since)+", from "+k.Source)
	if k.Key == "" {
		p.field(indent, "damaged", red, "its certificate cannot be read; it is not used")
		p.readAloud(indent, "of its key", k.KeySHA256)
		return
	}
	p.field(indent, "subject", plain, k.Subject)
	p.field(indent, "issuer", plain, k.Issuer)
	valid, ink := validity(k.NotBefore, k.NotAfter, now)
	p.field(indent, "valid", ink, valid)
	p.field(indent, "key", plain, k.Key)
	p.field(indent, "serial", plain, k.Serial)
	p.readAloud(indent, "SHA-256", k.SHA256)
	p.readAloud(indent, "of its key", k.KeySHA256)
}

// readAloud writes a fingerprint in two lines of eight groups.
func (p *paper) readAloud(indent int, name string, f lookup.Fingerprint) {
	hexed := f.String()
	p.field(indent, name, plain, grouped(hexed[:len(hexed)/2]))
	p.field(indent, " ", plain, grouped(hexed[len(hexed)/2:]))
}
