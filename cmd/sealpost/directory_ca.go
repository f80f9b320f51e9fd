package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/config"
	"sealpost/directory/ca"
	"sealpost/internal/certificate"
)

// directoryCACommand is about the directory's own authority.
type directoryCACommand struct {
	Init        caInitCommand  `cmd:"" help:"Make a root and an issuing authority. The root's key is then for a safe."`
	Show        caShowCommand  `cmd:"" help:"Show the authority's certificates."`
	RenewIssuer caRenewCommand `cmd:"" name:"renew-issuer" help:"Make another issuing certificate with the root's key, brought back from its safe."`
	CRL         caCRLCommand   `cmd:"" name:"crl" help:"Write the list of revoked certificates to standard output."`
}

// errNoAuthority says where an authority begins.
var errNoAuthority = errors.New("there is no section directory.ca: write ca: {certificate: ca.pem, key: ca.key} into the section directory")

// authoritySection gives the sections directory and directory.ca.
func (a directoryAccess) authoritySection() (*config.Config, *config.DirectoryCA, error) {
	return subsection(a, func(d *config.Directory) *config.DirectoryCA { return d.CA }, errNoAuthority)
}

// openAuthority reads the files of the directory's authority; nil where the
// configuration has none.
func openAuthority(cfg *config.Config, log *slog.Logger) (*ca.Authority, error) {
	c := cfg.Directory.CA
	if c == nil {
		return nil, nil
	}
	chain, err := os.ReadFile(string(c.Certificate))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("directory.ca.certificate: %w: make the authority with sealpost directory ca init", err)
	}
	if err != nil {
		return nil, fmt.Errorf("directory.ca.certificate: %w", err)
	}
	key, err := os.ReadFile(string(c.Key))
	if err != nil {
		return nil, fmt.Errorf("directory.ca.key: %w", err)
	}
	a, err := ca.Open(ca.Options{Certificate: chain, Key: key, URL: c.URL, Lifetime: c.Lifetime, Log: log})
	if err != nil {
		return nil, fmt.Errorf("directory.ca: %w", err)
	}
	return a, nil
}

// countAuthority lets monitoring see when the authority must be renewed.
func countAuthority(a *ca.Authority, metrics prometheus.Registerer) error {
	if a == nil {
		return nil
	}
	return metrics.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "sealpost", Subsystem: "directory", Name: "issuer_expires_timestamp_seconds",
		Help: "When the issuing certificate of the directory's authority ends.",
	}, func() float64 { return float64(a.Chain()[0].NotAfter.Unix()) }))
}

// checkAuthority sees that the files of an authority fit together. Before they
// were made, the configuration's own check has warned.
func checkAuthority(cfg *config.Config) error {
	if cfg.Directory == nil || cfg.Directory.CA == nil {
		return nil
	}
	if _, err := os.Stat(string(cfg.Directory.CA.Certificate)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, err := openAuthority(cfg, slog.New(slog.DiscardHandler))
	return err
}

type caShowCommand struct {
	directoryAccess
	JSON bool `help:"Write JSON."`
}

type authorityReport struct {
	Role      string    `json:"role"`
	Subject   string    `json:"subject"`
	Serial    string    `json:"serial"`
	SHA256    string    `json:"sha256"`
	Key       string    `json:"key"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// Run shows.
func (c caShowCommand) Run(ctx context.Context, s streams) error {
	cfg, section, err := c.authoritySection()
	if err != nil {
		return err
	}
	a, err := openAuthority(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	chain := a.Chain()
	reports := []authorityReport{reportAuthority("issuer", chain[0]), reportAuthority("root", chain[1])}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	revoked, err := db.RevocationCount(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.Out).Encode(struct {
			Certificates []authorityReport `json:"certificates"`
			URL          string            `json:"url"`
			Revoked      int64             `json:"revoked"`
		}{reports, section.URL, revoked})
	}
	for _, r := range reports {
		fmt.Fprintf(s.Out, "%-7s  %s\n         %s, valid from %s to %s\n         serial %s\n         sha256 %s\n", r.Role, printable(r.Subject), r.Key,
			day(r.NotBefore, ""), day(r.NotAfter, ""), r.Serial, r.SHA256)
	}
	fmt.Fprintf(s.Out, "url      %s\nrevoked  %d\n", section.URL, revoked)
	return nil
}

func reportAuthority(role string, c *x509.Certificate) authorityReport {
	r := authorityReport{Role: role, Subject: c.Subject.String(), Serial: fmt.Sprintf("%x", c.SerialNumber), SHA256: fmt.Sprintf("%x", sha256.Sum256(c.Raw)),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter}
	if read, err := certificate.Parse(c.Raw); err == nil {
		r.Key = read.KeyName
	}
	return r
}

type caCRLCommand struct {
	directoryAccess
	PEM bool `name:"pem" help:"Write PEM and not DER."`
}

// Run signs a list of what is revoked now, for a place where others publish it.
func (c caCRLCommand) Run(ctx context.Context, s streams) error {
	cfg, _, err := c.authoritySection()
	if err != nil {
		return err
	}
	a, err := openAuthority(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := a.List(ctx, db)
	if err != nil {
		return err
	}
	if c.PEM {
		return pem.Encode(s.Out, &pem.Block{Type: "X509 CRL", Bytes: list})
	}
	_, err = s.Out.Write(list)
	return err
}
