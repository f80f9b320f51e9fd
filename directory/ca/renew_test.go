package ca_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"sealpost/directory/ca"
)

func (w *world) renew(newKey string) ca.RenewOptions {
	return ca.RenewOptions{Certificate: w.made.Certificate, Key: w.made.Key, RootKey: w.made.RootKey, NewKey: newKey, URL: base, Clock: func() time.Time { return w.now }}
}

// With the same key, what was issued before is good under the new certificate,
// and the other way round.
func TestRenew(t *testing.T) {
	for _, kind := range []string{"rsa-2048", "p-256"} {
		w := newWorld(t, kind)
		before, _ := w.issue(t, "anna@example.org", "p-256")
		w.now = w.now.Add(100 * 24 * time.Hour)
		m, err := ca.Renew(w.renew(""))
		if err != nil || m.Key != nil || m.RootKey != nil {
			t.Fatal(err)
		}
		renewed := newWorld(t, kind, func(o *ca.Options) { o.Certificate, o.Clock = m.Certificate, func() time.Time { return w.now } })
		renewed.now = w.now
		after, _ := renewed.issue(t, "bert@example.org", "p-256")
		for _, c := range []*x509.Certificate{before, after} {
			if err := errors.Join(w.chains(c), renewed.chains(c)); err != nil {
				t.Error(err)
			}
		}
		if old, now := w.Chain()[0], renewed.Chain()[0]; !now.NotAfter.After(old.NotAfter) || now.SerialNumber.Cmp(old.SerialNumber) == 0 || !bytes.Equal(old.RawSubject, now.RawSubject) {
			t.Errorf("%s until %s, was %s until %s", now.Subject, now.NotAfter, old.Subject, old.NotAfter)
		}
	}
}

// With another key the old authority is revoked by the root, also after the next
// renewal.
func TestRenewAfterTheft(t *testing.T) {
	w := newWorld(t, "p-256")
	o := w.renew("p-256")
	o.Key = nil // or it was lost
	m, err := ca.Renew(o)
	if err != nil {
		t.Fatal(err)
	}
	again := w.renew("")
	again.Certificate, again.Key = m.Certificate, m.Key
	w.now = w.now.Add(time.Hour)
	m2, err := ca.Renew(again)
	if err != nil {
		t.Fatal(err)
	}
	for _, certificate := range [][]byte{m.Certificate, m2.Certificate} {
		a, err := ca.Open(ca.Options{Certificate: certificate, Key: m.Key})
		if err != nil {
			t.Fatal(err)
		}
		issuer, root := a.Chain()[0], a.Chain()[1]
		if issuer.Subject.CommonName == w.Chain()[0].Subject.CommonName || issuer.Subject.Organization[0] != "Example Bank AG" {
			t.Errorf("%s", issuer.Subject)
		}
		list, err := x509.ParseRevocationList(get(t, a.Handler(w.source), ca.PathRootList).Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := list.CheckSignatureFrom(root); err != nil {
			t.Error(err)
		}
		if e := list.RevokedCertificateEntries; len(e) != 1 || e[0].SerialNumber.Cmp(w.Chain()[0].SerialNumber) != 0 || e[0].ReasonCode != 2 {
			t.Errorf("%+v", e)
		}
	}
}

func TestRenewRefuses(t *testing.T) {
	w, other := newWorld(t, "p-256"), newWorld(t, "rsa-2048")
	o := w.renew("")
	o.RootKey = other.made.RootKey
	if _, err := ca.Renew(o); !errors.Is(err, ca.ErrRootKey) {
		t.Error(err)
	}
	o.RootKey = []byte("nonsense")
	if _, err := ca.Renew(o); !errors.Is(err, ca.ErrRootKey) {
		t.Error(err)
	}
	w.now = w.Chain()[1].NotAfter.Add(time.Hour)
	if _, err := ca.Renew(w.renew("")); !errors.Is(err, ca.ErrExpired) {
		t.Error(err)
	}
}

func TestSealedRootKey(t *testing.T) {
	w := newWorld(t, "p-256")
	pass := []byte("correct horse battery")
	sealed, err := ca.SealKey(w.made.RootKey, pass)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("PRIVATE KEY")) || !bytes.HasPrefix(sealed, []byte("-----BEGIN AGE ENCRYPTED FILE-----")) {
		t.Errorf("%.60q", sealed)
	}
	if opened, err := ca.OpenKey(sealed, pass); err != nil || !bytes.Equal(opened, w.made.RootKey) {
		t.Error(err)
	}
	if _, err := ca.OpenKey(sealed, []byte("another passphrase")); !errors.Is(err, ca.ErrPassphrase) {
		t.Error(err)
	}
	if _, err := ca.OpenKey(sealed[:len(sealed)/2], pass); !errors.Is(err, ca.ErrFiles) {
		t.Error(err)
	}
	if _, err := ca.OpenKey([]byte("nonsense"), pass); !errors.Is(err, ca.ErrFiles) {
		t.Error(err)
	}
	if _, err := ca.SealKey(w.made.RootKey, []byte("short")); !errors.Is(err, ca.ErrPassphrase) {
		t.Error(err)
	}
}
