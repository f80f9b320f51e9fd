package main

import (
	"fmt"
	"strings"
	"time"
)

// print writes the report for a person.
func (r lookupReport) print(p *paper) {
	text, c := r.gist()
	p.headline(r.Address, c, text)
	if len(r.Provision) > 0 {
		p.line(2, plain, "would be provisioned by "+strings.Join(r.Provision, ", ")+" (no_key: provision): the directory makes a key when mail comes")
	}
	r.printSources(p)
	for i, cert := range r.Certificates {
		cert.print(p, i+1, r.Time)
	}
	if r.Cipher != "" {
		p.blank()
		p.line(0, bold, "Content cipher")
		p.line(2, plain, r.Cipher+": "+r.CipherWhy+". Which rule decides does not matter here.")
	}
	r.printRemembered(p)
}

// gist is the answer in one line.
func (r lookupReport) gist() (string, ink) {
	switch {
	case r.Outcome == "found" && r.Cipher == "":
		return "there are certificates, but none has a key that mail can be sealed to (" + r.Reason + ")", red
	case r.Outcome == "found":
		text := "mail is sealed with " + r.Cipher
		if r.Instead != "" {
			text += " to the certificate of " + r.Instead
		}
		return text, green
	case r.Outcome == "none":
		return "no usable certificate (" + r.Reason + ")", red
	}
	return "cannot be looked up now (" + r.Reason + "): " + r.Error, red
}

var outcomeInks = map[string]ink{"found": green, "unavailable": red, notAsked: faint}

func (r lookupReport) printSources(p *paper) {
	if len(r.Sources) == 0 {
		return
	}
	p.blank()
	p.line(0, bold, "Sources")
	names, types := 0, 0
	for _, s := range r.Sources {
		names, types = max(names, columnsOf(printable(s.Name))), max(types, columnsOf(printable(s.Type)))
	}
	for _, s := range r.Sources {
		took := ""
		if s.Outcome != notAsked {
			took = fmt.Sprintf("%.0f ms", s.Seconds*1000)
		}
		fmt.Fprintf(p.out, "  %s  %s  %s %8s", padded(printable(s.Name), names), p.in(faint, padded(printable(s.Type), types)),
			p.in(outcomeInks[s.Outcome], padded(printable(s.Outcome), len("unavailable"))), took)
		if s.Certificates > 0 {
			fmt.Fprintf(p.out, "   %s", count(s.Certificates, "certificate"))
		}
		p.blank()
		if s.Instead != "" {
			p.line(6, plain, "asked for "+s.Instead)
		}
		if s.Error != "" {
			p.line(6, red, s.Error)
		}
		for _, note := range s.Notes {
			p.line(6, faint, note)
		}
	}
}

// print writes one certificate, under its number.
func (r certificateReport) print(p *paper, n int, now time.Time) {
	const indent = 4
	mark, c := "not used", red
	switch {
	case r.Used:
		mark, c = "USED", green
	case r.Reason == "":
		c = plain
	}
	p.blank()
	fmt.Fprintf(p.out, "%s %s: %s\n", p.in(bold, fmt.Sprintf("Certificate %d", n)), p.in(bold, "of "+printable(r.Source)), p.in(c, mark))
	p.field(indent, "why", plain, r.because())
	p.field(indent, "subject", plain, r.Subject)
	p.field(indent, "issuer", plain, r.Issuer)
	valid, ink := validity(r.NotBefore, r.NotAfter, now)
	p.field(indent, "valid", ink, valid)
	p.field(indent, "key", plain, r.Key)
	p.field(indent, "usages", plain, r.usages())
	p.field(indent, "addresses", plain, strings.Join(r.Addresses, ", "))
	p.field(indent, "opens", plain, strings.Join(r.Capabilities, ", "))
	p.field(indent, "vouched by", plain, r.vouching())
	p.field(indent, "revocation", revocationInk(r.Revocation), r.Revocation.String())
	p.field(indent, "found in", plain, r.Where)
	p.field(indent, "serial", plain, r.Serial)
	p.field(indent, "SHA-256", plain, r.SHA256.String())
	p.field(indent, "of its key", plain, r.KeySHA256.String())
}

func revocationInk(r *revocationReport) ink {
	switch {
	case r == nil || r.Status == "good":
		return plain
	case r.Status == "revoked":
		return red
	}
	return yellow
}

// because says why the certificate is used or not.
func (r certificateReport) because() string {
	text := "it " + r.Why
	if r.Why == "" {
		text = "it names the address, is valid, and somebody vouches for it"
	}
	if r.Reason != "" {
		text += " (" + r.Reason + "; " + r.Rule + ")"
	}
	return text
}

// usages are what the certificate says that its key is for.
func (r certificateReport) usages() string {
	var parts []string
	switch {
	case r.KeyUsage == nil:
		parts = append(parts, "any key usage")
	case len(r.KeyUsage) == 0:
		parts = append(parts, "no key usage")
	default:
		parts = append(parts, strings.Join(r.KeyUsage, ", "))
	}
	if len(r.Purposes) > 0 {
		parts = append(parts, "for "+strings.Join(r.Purposes, ", "))
	} else {
		parts = append(parts, "for any purpose")
	}
	return strings.Join(parts, "; ")
}

// printRemembered writes what the running server knows by heart.
func (r lookupReport) printRemembered(p *paper) {
	p.blank()
	p.line(0, bold, "Remembered")
	if r.Server.Error != "" {
		c := yellow
		if !r.Server.Running {
			c = plain
		}
		p.line(2, c, r.Server.Error)
	}
	for _, m := range r.Remembered {
		name := ""
		if m.Address != r.Address {
			name = m.Address + ": "
		}
		if m.Cache != nil {
			text, c := m.Cache.text(r.Time)
			p.line(2, c, name+text)
			if m.Cache.Error != "" {
				p.line(4, red, "the sources could not be asked again: "+m.Cache.Error)
			}
			for _, f := range m.Cache.Used {
				p.line(4, plain, f)
			}
		}
		if m.Keys != nil {
			m.Keys.printBrief(p, name)
		}
	}
}

// text says how a remembered answer stands.
func (c cacheReport) text(now time.Time) (string, ink) {
	if c.State == "nothing" {
		return "the server's cache holds nothing", plain
	}
	where := "the server's cache holds"
	if c.File {
		where = "the server's cache file holds"
	}
	what := fmt.Sprintf("%s %q, found out %s ago", where, c.Outcome, span(now.Sub(*c.Time)))
	if c.Reason != "" {
		what = fmt.Sprintf("%s %q (%s), found out %s ago", where, c.Outcome, c.Reason, span(now.Sub(*c.Time)))
	}
	switch c.State {
	case "fresh":
		what += ": fresh, the sources are asked again after " + minute(*c.Until)
		if c.StaleUntil != nil {
			what += ", and while they are unavailable it is used until " + minute(*c.StaleUntil)
		}
		return what, plain
	case "stale":
		return what + ": stale, used only while the sources are unavailable, until " + minute(*c.StaleUntil), yellow
	}
	return what + ": past its time, not used any more", plain
}

// printBrief lists the keys that are known.
func (m mailboxKeys) printBrief(p *paper, name string) {
	p.line(2, plain, name+"keys that are known of the address")
	if m.Error != "" {
		p.line(4, red, m.Error)
	}
	for _, k := range m.Accepted {
		p.line(4, plain, k.KeySHA256.String()+" in use since "+minute(k.Since)+", from "+k.Source)
	}
	for _, k := range m.Held {
		p.line(4, yellow, k.KeySHA256.String()+" waits since "+minute(k.Since)+", from "+k.Source+": sealpost keys show")
	}
	for _, f := range m.Replaced {
		p.line(4, faint, f.String()+" was replaced")
	}
	for _, f := range m.Refused {
		p.line(4, faint, f.String()+" was refused")
	}
}
