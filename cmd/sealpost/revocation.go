package main

import (
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/config"
	"sealpost/lookup"
	"sealpost/lookup/outbound"
	"sealpost/lookup/revocation"
)

// openRevocation opens what asks authorities about certificates, as far as
// that is switched on.
func (r *rooms) openRevocation(cfg *config.Config, log *slog.Logger) error {
	t := &cfg.Trust
	if t.Revocation == "off" && !t.AIA || len(r.roots) == 0 && !t.SystemRoots {
		return nil // without roots there are no chains
	}
	if r.serving {
		log.Info("authorities are asked where certificates under the trusted roots say, over http", "revocation", t.Revocation, "aia", t.AIA)
	}
	client := outbound.New(outbound.Options{Timeout: t.Fetch.Timeout, Networks: t.Fetch.Networks})
	r.closers = append(r.closers, client.Close)
	if t.AIA {
		r.aia = lookup.NewAIA(client, nil)
		r.closers = append(r.closers, r.aia.Close)
	}
	if t.Revocation == "off" {
		return nil
	}
	o := checkerOptions(t, client, log)
	o.Withdrawn = r.withdrawn
	// For as long as an answer may be used, it is watched what it rests on.
	o.Keep = max(24*time.Hour, cfg.Lookup.Cache.TTL+cfg.Lookup.Cache.Stale+time.Hour)
	if t.Revocation == "hard" || !r.serving {
		o.Wait = patientWait
	}
	var err error
	if r.revoker, err = revocation.New(o); err != nil {
		return fmt.Errorf("trust.fetch: %w", err)
	}
	r.closers = append(r.closers, r.revoker.Close)
	return nil
}

// patientWait is longer than anybody who asks has time for.
const patientWait = time.Hour

func checkerOptions(t *config.Trust, client *outbound.Client, log *slog.Logger) revocation.Options {
	return revocation.Options{
		Client: client, Wait: off(t.Fetch.Wait), MaxList: int64(t.Fetch.ListSize), Memory: int64(t.Fetch.Memory),
		Refresh: t.Fetch.Refresh, Dir: string(t.Fetch.Dir), Log: log,
	}
}

// trustRevocation fills in what openRevocation has opened.
func (r *rooms) trustRevocation(o *lookup.TrustOptions, cfg *config.Config) {
	if r.revoker != nil {
		o.Revoker, o.Hard = r.revoker, cfg.Trust.Revocation == "hard"
	}
	if r.aia != nil {
		o.Issuers = r.aia
	}
}

// withdrawn drops what is remembered of the owners of certificates that an
// authority has withdrawn since.
func (r *rooms) withdrawn(match func(issuer []byte, serial *big.Int) bool) {
	if cache := r.cache.Load(); cache != nil {
		cache.Drop(func(c lookup.Candidate) bool { return c.Cert.Serial != nil && match(c.Cert.RawIssuer, c.Cert.Serial) })
	}
}

// isWithdrawn answers from what is at hand.
func (r *rooms) isWithdrawn(c lookup.Candidate) bool {
	return r.revoker != nil && c.Cert.Serial != nil && r.revoker.Withdrawn(c.Cert.RawIssuer, c.Cert.Serial)
}

type revocationReport struct {
	Status string     `json:"status"`
	Where  string     `json:"where,omitempty"`
	Why    string     `json:"why,omitempty"`
	At     *time.Time `json:"at,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
}

// newRevocationReport is nil where nobody was asked.
func newRevocationReport(v revocation.Verdict) *revocationReport {
	if v == (revocation.Verdict{}) {
		return nil
	}
	r := &revocationReport{Status: v.Status.String(), Where: v.Where, Why: v.Why}
	if !v.At.IsZero() {
		r.At = &v.At
	}
	if !v.Until.IsZero() {
		r.Until = &v.Until
	}
	return r
}

// String is the line that a person reads.
func (r *revocationReport) String() string {
	switch {
	case r == nil:
		return ""
	case r.Status == "good":
		return fmt.Sprintf("not withdrawn, says %s until %s", r.Where, r.Until.UTC().Format("2006-01-02 15:04 MST"))
	case r.Status == "revoked":
		return fmt.Sprintf("it %s, says %s", r.Why, r.Where)
	}
	return "unknown: " + r.Why
}

var (
	descRevocationFetches  = desc("revocation_fetches_total", "Fetches of revocation lists (crl), OCSP answers (ocsp) and issuers' certificates (issuer).", "kind")
	descRevocationFailures = desc("revocation_fetch_failures_total", "Fetches that failed, or brought what cannot be believed.", "kind")
	descRevocationVerdicts = desc("revocation_verdicts_total", "Chains that were asked about, by what was known.", "status")
	descRevocationEntries  = desc("revocation_cache_entries", "Lists and OCSP answers that are kept.", "kind")
	descRevocationBytes    = desc("revocation_cache_bytes", "Memory that revocation lists take.")

	revocationDescs = []*prometheus.Desc{
		descRevocationFetches, descRevocationFailures, descRevocationVerdicts, descRevocationEntries, descRevocationBytes,
	}
)

// collectRevocation shows zeros where nobody is asked.
func (r *rooms) collectRevocation(ch chan<- prometheus.Metric) {
	var s revocation.Stats
	if r.revoker != nil {
		s = r.revoker.Stats()
	}
	var issuers, failed uint64
	if r.aia != nil {
		issuers, failed = r.aia.Stats()
	}
	send := func(d *prometheus.Desc, kind prometheus.ValueType, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, n, labels...)
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	send(descRevocationFetches, counter, float64(s.ListFetches), "crl")
	send(descRevocationFetches, counter, float64(s.AnswerFetches), "ocsp")
	send(descRevocationFetches, counter, float64(issuers), "issuer")
	send(descRevocationFailures, counter, float64(s.ListFailures), "crl")
	send(descRevocationFailures, counter, float64(s.AnswerFailures), "ocsp")
	send(descRevocationFailures, counter, float64(failed), "issuer")
	send(descRevocationVerdicts, counter, float64(s.Good), "good")
	send(descRevocationVerdicts, counter, float64(s.Revoked), "revoked")
	send(descRevocationVerdicts, counter, float64(s.Unknown), "unknown")
	send(descRevocationEntries, gauge, float64(s.Lists), "crl")
	send(descRevocationEntries, gauge, float64(s.Answers), "ocsp")
	send(descRevocationBytes, gauge, float64(s.Memory))
}
