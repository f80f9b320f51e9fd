package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/lookup"
	"sealpost/relay"
)

type lookupCommand struct {
	Config    string   `required:"" short:"c" help:"Configuration file." placeholder:"FILE"`
	JSON      bool     `help:"Write JSON, one object a line."`
	Addresses []string `arg:"" help:"Mail addresses."`
}

// Run asks the configured sources afresh. The exit code is 1 when some address
// has no usable certificate or could not be looked up.
func (c lookupCommand) Run(ctx context.Context, s streams) error {
	cfg, err := loadConfig(c.Config, nil)
	if err != nil {
		return configError(err)
	}
	r, err := openRooms(cfg, slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer r.close()
	found := true
	for _, text := range c.Addresses {
		a, err := address.Parse(text)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", text, err)}
		}
		report := newLookupReport(a, r.standIns(r.source).Lookup(ctx, a), r.settings.Decider)
		found = found && report.Outcome == lookup.Found.String()
		if c.JSON {
			if err := json.NewEncoder(s.Out).Encode(report); err != nil {
				return err
			}
			continue
		}
		report.print(s.Out)
	}
	if !found {
		return errors.New("not every address has a usable certificate that could be looked up")
	}
	return nil
}

// A lookupReport is what `sealpost lookup` shows of one address.
type lookupReport struct {
	Address      string              `json:"address"`
	Outcome      string              `json:"outcome"` // found, none, unavailable
	Reason       string              `json:"reason,omitempty"`
	Error        string              `json:"error,omitempty"`
	Cipher       string              `json:"cipher,omitempty"`          // content encryption that would be chosen
	Instead      string              `json:"certificates_of,omitempty"` // the address whose certificates stand in for those of this one
	Sources      []sourceReport      `json:"sources"`
	Certificates []certificateReport `json:"certificates"`
}

type sourceReport struct {
	Name    string   `json:"name"`
	Instead string   `json:"asked_for,omitempty"` // when not for the address itself
	Outcome string   `json:"outcome"`
	Seconds float64  `json:"seconds"`
	Error   string   `json:"error,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

type certificateReport struct {
	Source      string    `json:"source"`
	Where       string    `json:"where,omitempty"`
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Key         string    `json:"key"`
	Fingerprint string    `json:"sha256"`
	Addresses   []string  `json:"addresses"`
	Used        bool      `json:"used"`
	Reason      string    `json:"reason,omitempty"`
	Why         string    `json:"why,omitempty"`

	Revocation *revocationReport `json:"revocation,omitempty"`
}

func newLookupReport(a address.Address, answer lookup.Answer, d *relay.Decider) lookupReport {
	out := lookupReport{
		Address: a.String(), Outcome: answer.Outcome.String(), Reason: string(answer.Reason),
		Sources: []sourceReport{}, Certificates: []certificateReport{},
	}
	if answer.Err != nil {
		out.Error = answer.Err.Error()
	}
	for _, s := range answer.Asked {
		r := sourceReport{Name: s.Source, Outcome: s.Outcome.String(), Seconds: s.Took.Seconds(), Notes: s.Notes, Instead: s.Instead.String()}
		if s.Err != nil {
			r.Error = s.Err.Error()
		}
		out.Sources = append(out.Sources, r)
	}
	out.Instead = answer.Instead.String()
	used := map[*certificate.Certificate]bool{}
	chosen := answer.Usable(d.MaxCertificates)
	for _, c := range chosen {
		used[c] = true
	}
	if len(chosen) > 0 {
		out.Cipher = d.Content.Choose(chosen).String()
	}
	for _, c := range answer.Candidates {
		out.Certificates = append(out.Certificates, newCertificateReport(c, used[c.Cert]))
	}
	return out
}

func newCertificateReport(c lookup.Candidate, used bool) certificateReport {
	f := c.Cert.Fingerprint()
	r := certificateReport{
		Source: c.Source, Where: c.Where, Subject: c.Cert.Subject, Issuer: c.Cert.Issuer,
		NotBefore: c.Cert.NotBefore, NotAfter: c.Cert.NotAfter, Key: c.Cert.KeyName,
		Fingerprint: hex.EncodeToString(f[:]), Addresses: c.Cert.Addresses,
		Used: used, Reason: string(c.Reason), Why: c.Why,
	}
	if c.Cert.Serial != nil {
		r.Serial = c.Cert.Serial.Text(16)
	}
	r.Revocation = newRevocationReport(c.Revocation)
	if c.Usable && !used {
		r.Why = "is usable, but another key of the recipient is preferred"
	}
	return r
}

func (r lookupReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", r.Address, r.headline())
	for _, s := range r.Sources {
		fmt.Fprintf(w, "  source %-16s %-12s %6.0f ms", s.Name, s.Outcome, s.Seconds*1000)
		if s.Instead != "" {
			fmt.Fprintf(w, "  for %s", s.Instead)
		}
		if s.Error != "" {
			fmt.Fprintf(w, "  %s", s.Error)
		}
		fmt.Fprintln(w)
		for _, note := range s.Notes {
			fmt.Fprintf(w, "      %s\n", note)
		}
	}
	for _, c := range r.Certificates {
		c.print(w)
	}
	fmt.Fprintln(w)
}

func (r lookupReport) headline() string {
	switch r.Outcome {
	case "found":
		if r.Instead != "" {
			return "mail is sealed with " + r.Cipher + " to the certificate of " + r.Instead
		}
		return "mail is sealed with " + r.Cipher
	case "none":
		return "no usable certificate (" + r.Reason + ")"
	}
	return "cannot be looked up now (" + r.Reason + "): " + r.Error
}

func (r certificateReport) print(w io.Writer) {
	mark := "not used"
	if r.Used {
		mark = "USED"
	}
	fmt.Fprintf(w, "  %s  %s\n", mark, r.Subject)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "      %-11s %s\n", name, value)
		}
	}
	if r.Reason != "" {
		line("why", "it "+r.Why+" ("+r.Reason+")")
	} else {
		line("why", r.used())
	}
	line("issuer", r.Issuer)
	line("valid", r.NotBefore.UTC().Format(time.DateOnly)+" to "+r.NotAfter.UTC().Format(time.DateOnly))
	line("key", r.Key)
	line("addresses", strings.Join(r.Addresses, ", "))
	line("serial", r.Serial)
	line("revocation", r.Revocation.String())
	line("SHA-256", r.Fingerprint)
	line("from", strings.TrimSuffix(r.Source+", "+r.Where, ", "))
}

// used says why a usable certificate is used or not.
func (r certificateReport) used() string {
	if r.Why != "" {
		return "it " + r.Why
	}
	return "it names the address, is valid, and somebody vouches for it"
}
