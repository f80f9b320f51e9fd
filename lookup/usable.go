package lookup

import (
	"bytes"
	"crypto"
	"slices"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

// Usable gives the certificates to seal to, the best first, at most max of
// them (all when max is 0 or less).
//
// They are of one kind of key, since older readers stumble over a message that
// mixes kinds: RSA, which every reader knows, when there is any; else that of
// the newest certificate. Within it the newest stand first, and one key stands
// only once, however often it was certified.
func (a Answer) Usable(max int) []*certificate.Certificate {
	if a.Outcome != Found {
		return nil
	}
	all := make([]*certificate.Certificate, 0, len(a.Candidates))
	for i := range a.Candidates {
		if a.Candidates[i].Usable {
			all = append(all, a.Candidates[i].Cert)
		}
	}
	if len(all) < 2 {
		return all
	}
	slices.SortStableFunc(all, newer)
	kind := all[0].KeyKind
	if slices.ContainsFunc(all, func(c *certificate.Certificate) bool { return c.KeyKind == certificate.KeyRSA }) {
		kind = certificate.KeyRSA
	}
	ranked := all[:0]
	for _, c := range all {
		if c.KeyKind == kind && !slices.ContainsFunc(ranked, sameKey(c)) {
			ranked = append(ranked, c)
		}
	}
	if max > 0 && len(ranked) > max {
		ranked = ranked[:max]
	}
	return ranked
}

// newer orders by the start of validity, then by its end, then by the bytes,
// so that the order never depends on the source's.
func newer(a, b *certificate.Certificate) int {
	if c := b.NotBefore.Compare(a.NotBefore); c != 0 {
		return c
	}
	if c := b.NotAfter.Compare(a.NotAfter); c != 0 {
		return c
	}
	return bytes.Compare(a.Raw, b.Raw)
}

// sameKey compares keys, not encodings: one may stand compressed in one
// certificate and not in another.
func sameKey(c *certificate.Certificate) func(*certificate.Certificate) bool {
	key, comparable := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return func(other *certificate.Certificate) bool {
		return bytes.Equal(c.RawPublicKey, other.RawPublicKey) || comparable && key.Equal(other.PublicKey)
	}
}

// nearness lists the refusals of a certificate, the one that is nearest to
// being usable first: what time heals, then what a new certificate heals, then
// what the operator's trust decides, then what never was for this purpose.
var nearness = [...]reason.Token{
	reason.CertificateExpired,
	reason.CertificateNotYetValid,
	reason.RevocationUnknown,
	reason.CertificateRevoked,
	reason.CertificateKeyChanged,
	reason.CertificateSuperseded,
	reason.CertificateNotPinned,
	reason.CertificateWeakKey,
	reason.CertificateUntrusted,
	reason.CertificateUnverified,
	reason.CertificateKeyKind,
	reason.CertificateUsage,
	reason.CertificateUnreadable,
	reason.CertificateCA,
	reason.CertificateAddress,
}

// Nearest is the refused candidate that is nearest to being usable: the one to
// name when a sender asks why. ok is false when nothing was refused.
func (a Answer) Nearest() (nearest Candidate, ok bool) {
	best := len(nearness)
	for _, c := range a.Candidates {
		if c.Usable || c.Reason == reason.None {
			continue
		}
		rank := slices.Index(nearness[:], c.Reason)
		if rank >= 0 && rank < best {
			best, nearest, ok = rank, c, true
		}
	}
	return nearest, ok
}
