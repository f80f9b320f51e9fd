package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/config"
	"sealpost/directory"
	"sealpost/directory/ca"
	"sealpost/directory/claim"
	"sealpost/directory/escrow"
	"sealpost/directory/mailer"
	"sealpost/directory/provision"
	"sealpost/internal/address"
)

// claimOptions say how keys are claimed; nil where they are not. Without an
// authority there are still the keys that it issued before.
func claimOptions(cfg *config.Config, keeper escrow.Keeper, authority *ca.Authority) (*claim.Options, error) {
	c := cfg.Directory.Claim
	if c == nil {
		return nil, nil
	}
	key, err := claimKey(string(c.Key))
	if err != nil {
		return nil, fmt.Errorf("directory.claim.key: %w", err)
	}
	o := &claim.Options{
		Keeper: keeper, URL: cfg.Directory.URL, Key: key, CheckSecret: provision.CheckSecret,
		Name: cfg.Directory.Page.Name, Language: c.Language, DeleteAfter: c.DeleteAfter, MinRSABits: cfg.Trust.MinRSABits,
		Limits: claim.Limits{Notice: c.Notice, Session: c.Session, Reminder: c.RemindAfter, Reminders: c.Reminders},
	}
	if c.Reminders == 0 {
		o.Limits.Reminders = -1
	}
	if authority != nil {
		o.Chain = authority.Chain()
	}
	if c.Templates != "" {
		o.Templates = os.DirFS(string(c.Templates))
	}
	if cfg.Directory.Mail == nil {
		return o, nil
	}
	if o.From, err = address.Parse(cfg.Directory.Mail.From); err != nil {
		return nil, fmt.Errorf("directory.mail.from: %w", err)
	}
	o.Mailer, err = noticeMailer(cfg.Hostname, cfg.Directory.Mail)
	return o, err
}

func noticeMailer(hostname string, c *config.DirectoryMail) (*mailer.Mailer, error) {
	roots, err := config.ReadRoots(c.TLSRoots)
	if err != nil {
		return nil, fmt.Errorf("directory.mail.tls_roots: %w", err)
	}
	m := &mailer.Mailer{
		Address: c.Address, Hostname: hostname, TLS: mailerTLS[c.TLS],
		Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Username: c.Username,
	}
	if c.PasswordFile != "" {
		if m.Password, err = config.ReadSecret(c.PasswordFile); err != nil {
			return nil, fmt.Errorf("directory.mail.password_file: %s %w", c.PasswordFile, err)
		}
	}
	return m, nil
}

// probeMail asks the mail server for notices whether it would take some.
func probeMail(ctx context.Context, cfg *config.Config, w io.Writer) error {
	if cfg.Directory == nil || cfg.Directory.Mail == nil {
		return nil
	}
	m, err := noticeMailer(cfg.Hostname, cfg.Directory.Mail)
	if err == nil {
		err = m.Probe(ctx)
	}
	if err != nil {
		fmt.Fprintf(w, "directory.mail %s: FAILED: %v\n", cfg.Directory.Mail.Address, err)
		return errProbe
	}
	fmt.Fprintf(w, "directory.mail %s: ok\n", cfg.Directory.Mail.Address)
	return nil
}

var (
	descNotices = desc("directory_notices_total", "Notices to people for whom a key was made, by what became of them.", "result")
	descClaims  = desc("directory_claims_total", "Steps of claims: what was proven, what was not, and what became of keys.", "step")
)

// claimed is what the engine of the claim counts, as metrics.
type claimed struct{ directory *directory.Directory }

// countClaims registers the metrics of a directory whose keys can be claimed.
func countClaims(d *directory.Directory, metrics prometheus.Registerer) error {
	if _, ok := d.ClaimStats(); !ok {
		return nil
	}
	return metrics.Register(claimed{d})
}

// Describe names the metrics.
func (claimed) Describe(ch chan<- *prometheus.Desc) { ch <- descNotices; ch <- descClaims }

// Collect reads the counters.
func (c claimed) Collect(ch chan<- prometheus.Metric) {
	s, _ := c.directory.ClaimStats()
	for result, n := range map[string]uint64{"sent": s.Sent, "retried": s.Retried, "given_up": s.GivenUp} {
		ch <- prometheus.MustNewConstMetric(descNotices, prometheus.CounterValue, float64(n), result)
	}
	for step, n := range map[string]uint64{"proven": s.Proven, "wrong_code": s.WrongCodes, "wrong_answer": s.WrongAnswers, "limited": s.Limited,
		"taken": s.Taken, "read": s.Read, "replaced": s.Replaced, "deleted": s.Deleted} {
		ch <- prometheus.MustNewConstMetric(descClaims, prometheus.CounterValue, float64(n), step)
	}
}

// claimKey reads the key of links and codes, and makes it where there is none.
// Whoever else makes it at the same moment, both have the same one.
func claimKey(path string) ([]byte, error) {
	text, err := readClaimKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeClaimKey(path); err == nil || errors.Is(err, fs.ErrExist) {
			text, err = readClaimKey(path)
		}
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != claim.KeySize {
		return nil, fmt.Errorf("%s is not a key of %d hexadecimal digits; without it no notice that was sent can be used: restore it, or delete it to have another one made", path, 2*claim.KeySize)
	}
	return key, nil
}

func readClaimKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others: run chmod 600", path)
	}
	return io.ReadAll(io.LimitReader(f, 1000))
}

// makeClaimKey writes a key to a file beside, and gives it its name when it is
// whole and durable. The name is not taken from a file that is there.
func makeClaimKey(path string) error {
	var key [claim.KeySize]byte
	rand.Read(key[:])
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, hex.EncodeToString(key[:]))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
