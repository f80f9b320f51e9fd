package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sealpost/directory/store"
)

func parseFingerprint(s string) (fp [32]byte, err error) {
	digits := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(s))
	if n, err := hex.Decode(fp[:], []byte(digits[:min(len(digits), 64)])); err != nil || n != 32 || len(digits) != 64 {
		return fp, usageError{fmt.Errorf("sealpost: %q %w", s, errFingerprint)}
	}
	return fp, nil
}

// An entryReport is what list and show tell of one certificate.
type entryReport struct {
	SHA256       string    `json:"sha256"`
	Status       string    `json:"status"`
	Why          string    `json:"why,omitempty"`
	Origin       string    `json:"origin"`
	Addresses    []string  `json:"addresses"`
	Subject      string    `json:"subject"`
	Issuer       string    `json:"issuer"`
	Serial       string    `json:"serial"`
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	Key          string    `json:"key"`
	FirstSeen    time.Time `json:"first_seen"`
	LastSeen     time.Time `json:"last_seen"`
	Capabilities []string  `json:"capabilities,omitempty"`
	MessageID    string    `json:"message_id,omitempty"`
	Signer       string    `json:"signer,omitempty"`
	Verdict      string    `json:"verdict,omitempty"`
	SignedAt     time.Time `json:"signed_at,omitzero"`
	Sequence     uint64    `json:"sequence"`

	Escrow *escrowEntry `json:"escrow,omitempty"` // only in show
}

func newEntryReport(c store.Certificate) entryReport {
	fp := c.Cert.Fingerprint()
	return entryReport{
		SHA256: hex.EncodeToString(fp[:]), Status: string(c.Status), Why: c.Why, Origin: string(c.Origin),
		Addresses: c.Addresses, Subject: c.Cert.Subject, Issuer: c.Cert.Issuer, Serial: fmt.Sprintf("%x", c.Cert.Serial),
		NotBefore: c.Cert.NotBefore, NotAfter: c.Cert.NotAfter, Key: c.Cert.KeyName,
		FirstSeen: c.FirstSeen, LastSeen: c.LastSeen, Capabilities: c.Capabilities,
		MessageID: c.Evidence.MessageID, Signer: c.Evidence.Signer, Verdict: c.Evidence.Verdict, SignedAt: c.Evidence.At,
		Sequence: c.Seq,
	}
}

// print writes it for people. Names come from strangers, so they are quoted
// where they hold what a terminal might obey.
func (r entryReport) print(w io.Writer) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, printable(value))
		}
	}
	fmt.Fprintf(w, "%s\n", r.SHA256)
	status := r.Status
	if r.Why != "" {
		status += ": " + r.Why
	}
	line("status", status)
	line("addresses", strings.Join(r.Addresses, ", "))
	line("subject", r.Subject)
	line("issuer", r.Issuer)
	line("serial", r.Serial)
	line("valid", r.NotBefore.Format(time.DateOnly)+" to "+r.NotAfter.Format(time.DateOnly))
	line("key", r.Key)
	line("came by", r.Origin)
	line("seen", r.FirstSeen.Format(time.DateOnly)+" to "+r.LastSeen.Format(time.DateOnly))
	line("capable of", strings.Join(r.Capabilities, ", "))
	line("signed by", r.Signer)
	line("in message", r.MessageID)
	line("verdict", r.Verdict)
	if r.Escrow != nil {
		line("escrow", r.Escrow.String())
	}
}

type directoryShowCommand struct {
	directoryAccess
	JSON   bool     `help:"Write JSON, one object a line."`
	Things []string `arg:"" name:"what" help:"Mail addresses, or SHA-256 fingerprints."`
}

// Run shows certificates of every status. The exit code is 1 when there is
// nothing about one of the things asked for.
func (c directoryShowCommand) Run(ctx context.Context, s streams) error {
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, text := range c.Things {
		t, err := parseThing(text)
		if err != nil {
			return err
		}
		found, err := t.find(ctx, db)
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		for _, one := range found {
			r := newEntryReport(one)
			if r.Escrow, err = findEscrow(ctx, db, one); err != nil {
				return err
			}
			if err := writeReport(s.Out, r, c.JSON); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t thing) find(ctx context.Context, db *store.Store) ([]store.Certificate, error) {
	if !t.isAddress {
		one, err := db.ByFingerprint(ctx, t.fingerprint)
		return []store.Certificate{one}, err
	}
	found, err := db.Show(ctx, t.address.Key())
	if err == nil && len(found) == 0 {
		err = errors.New("the directory has nothing about this address")
	}
	return found, err
}

func writeReport(w io.Writer, r entryReport, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	r.print(w)
	return nil
}
