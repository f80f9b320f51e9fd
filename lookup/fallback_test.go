package lookup_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// A book answers by address, and notes for whom it was asked.
type book struct {
	pages map[string]lookup.Answer // without one: None
	asked []string
}

func (b *book) Lookup(_ context.Context, addr address.Address) lookup.Answer {
	b.asked = append(b.asked, addr.Key())
	a, ok := b.pages[addr.Key()]
	if !ok {
		a = lookup.Answer{Outcome: lookup.None, Reason: reason.NoCertificate}
	}
	a.Asked = []lookup.Asked{{Source: "book", Outcome: a.Outcome}}
	return a
}

const (
	tagged    = "anna+bills+march@example.org"
	authority = "domain-confidentiality-authority@example.org"
)

func TestFallback(t *testing.T) {
	c := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{"anybody@example.org"}, Key: "p256"})
	good, away := usable(c), lookup.Answer{Reason: reason.LookupUnavailable, Err: errDown}
	both := lookup.FallbackOptions{Tag: true, WholeDomain: true}
	type pages map[string]lookup.Answer
	for name, test := range map[string]struct {
		opts    lookup.FallbackOptions
		addr    string
		pages   pages
		outcome lookup.Outcome
		instead string
		asked   []string
	}{
		"its own":                     {both, tagged, pages{tagged: good, anna: good, authority: good}, lookup.Found, "", []string{tagged}},
		"without the tag":             {both, tagged, pages{anna: good, authority: good}, lookup.Found, anna, []string{tagged, anna}},
		"the domain's":                {both, tagged, pages{authority: good}, lookup.Found, authority, []string{tagged, anna, authority}},
		"nobody's":                    {both, tagged, nil, lookup.None, "", []string{tagged, anna, authority}},
		"no tag":                      {both, anna, pages{authority: good}, lookup.Found, authority, []string{anna, authority}},
		"away for the address":        {both, tagged, pages{tagged: away, anna: good, authority: good}, lookup.Unavailable, "", []string{tagged}},
		"away for the untagged":       {both, tagged, pages{anna: away, authority: good}, lookup.Unavailable, "", []string{tagged, anna}},
		"away for the domain":         {both, tagged, pages{authority: away}, lookup.Unavailable, "", []string{tagged, anna, authority}},
		"nothing is allowed":          {lookup.FallbackOptions{}, tagged, pages{anna: good, authority: good}, lookup.None, "", []string{tagged}},
		"only the tag":                {lookup.FallbackOptions{Tag: true}, tagged, pages{authority: good}, lookup.None, "", []string{tagged, anna}},
		"only the domain":             {lookup.FallbackOptions{WholeDomain: true}, tagged, pages{anna: good, authority: good}, lookup.Found, authority, []string{tagged, authority}},
		"the domain's address itself": {both, authority, nil, lookup.None, "", []string{authority}},
		"nothing before the plus":     {both, "+bills@example.org", nil, lookup.None, "", []string{"+bills@example.org", authority}},
		"address literal":             {both, "anna@[192.0.2.1]", nil, lookup.None, "", []string{"anna@[192.0.2.1]"}},
		"quoted": {both, `"anna b+bills"@example.org`, pages{`"anna b"@example.org`: good}, lookup.Found, `"anna b"@example.org`,
			[]string{`"anna b+bills"@example.org`, `"anna b"@example.org`}},
		"pinned": {lookup.FallbackOptions{Tag: true, WholeDomain: true, Pins: map[string]lookup.Fingerprint{tagged: {}}},
			tagged, pages{anna: good, authority: good}, lookup.None, "", []string{tagged}},
	} {
		b := &book{pages: test.pages}
		f := lookup.NewFallback(b, test.opts)
		a := f.Lookup(context.Background(), parse(t, test.addr))
		if a.Outcome != test.outcome || a.Instead.String() != test.instead || !slices.Equal(b.asked, test.asked) {
			t.Errorf("%s: %v instead of %q, asked %q", name, a.Outcome, a.Instead, b.asked)
		}
		if len(a.Asked) != len(test.asked) || !a.Asked[0].Instead.IsNull() || a.Asked[len(a.Asked)-1].Instead.IsNull() != (len(test.asked) == 1) {
			t.Errorf("%s: asked %+v", name, a.Asked)
		}
		if (len(a.Usable(0)) > 0) != (a.Outcome == lookup.Found) {
			t.Errorf("%s: %v with %d certificates", name, a.Outcome, len(a.Usable(0)))
		}
		if test.outcome == lookup.Unavailable && !errors.Is(a.Err, errDown) {
			t.Errorf("%s: error %v", name, a.Err)
		}
	}
}

// Some sources answer for a tagged address with the certificate of the plain
// one. That is not an answer about others, but it does not open the door either.
func TestFallbackWhereTheSourceIgnoresTags(t *testing.T) {
	c := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{"Anna@example.org"}, Key: "p256"})
	for _, fold := range []bool{false, true} {
		judged := trusted(t, always(found(c)), lookup.TrustOptions{Vouch: lookup.Itself, FoldLocal: fold})
		for _, tag := range []bool{false, true} {
			want := lookup.None
			if fold && tag {
				want = lookup.Found
			}
			a := lookup.NewFallback(judged, lookup.FallbackOptions{Tag: tag}).Lookup(context.Background(), parse(t, tagged))
			if a.Outcome != want || want == lookup.None && a.Reason != reason.CertificateAddress {
				t.Errorf("fold %v, tag %v: %v, %q", fold, tag, a.Outcome, a.Reason)
			}
		}
	}
	bobs := trusted(t, always(found(issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{"bob@example.org"}, Key: "p256"}))), lookup.TrustOptions{Vouch: lookup.Itself})
	if a := lookup.NewFallback(bobs, lookup.FallbackOptions{Tag: true}).Lookup(context.Background(), parse(t, tagged)); a.Outcome != lookup.Unavailable {
		t.Errorf("another's certificate: %v", a.Outcome)
	}
}

// Why nothing can be used is said of what came closest, under whatever address.
func TestFallbackShowsAllThatWasRefused(t *testing.T) {
	c := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}, Key: "p256"})
	refused := func(token reason.Token) lookup.Answer {
		return lookup.Answer{Outcome: lookup.None, Reason: token, Candidates: []lookup.Candidate{{Cert: c, Reason: token}}}
	}
	b := &book{pages: map[string]lookup.Answer{tagged: refused(reason.CertificateExpired), anna: refused(reason.CertificateUsage)}}
	f := lookup.NewFallback(b, lookup.FallbackOptions{Tag: true})
	if a := f.Lookup(context.Background(), parse(t, tagged)); a.Outcome != lookup.None || a.Reason != reason.CertificateExpired || len(a.Candidates) != 2 {
		t.Errorf("%v, reason %q, %d candidates", a.Outcome, a.Reason, len(a.Candidates))
	}
}

// Whatever three addresses are answered with: only when all of them were None
// is there none.
func TestFallbackNeverInventsNone(t *testing.T) {
	c := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}, Key: "p256"})
	rapid.Check(t, func(t *rapid.T) {
		b := &book{pages: map[string]lookup.Answer{}}
		outcomes := map[string]lookup.Outcome{}
		for _, key := range []string{tagged, anna, authority} {
			o := rapid.SampledFrom([]lookup.Outcome{lookup.Unavailable, lookup.None, lookup.Found}).Draw(t, key)
			outcomes[key] = o
			b.pages[key] = lookup.Answer{Outcome: o}
			if o == lookup.Found {
				b.pages[key] = usable([]*certificate.Certificate{c}...)
			}
		}
		f := lookup.NewFallback(b, lookup.FallbackOptions{Tag: true, WholeDomain: true})
		a := f.Lookup(context.Background(), mustParse(tagged))
		allNone := !slices.ContainsFunc([]string{tagged, anna, authority}, func(k string) bool { return outcomes[k] != lookup.None })
		if (a.Outcome == lookup.None) != allNone {
			t.Errorf("%v from %v", a.Outcome, outcomes)
		}
	})
}

func mustParse(s string) address.Address {
	a, err := address.Parse(s)
	if err != nil {
		panic(err)
	}
	return a
}
