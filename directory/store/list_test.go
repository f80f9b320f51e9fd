package store_test

import (
	"errors"
	"slices"
	"testing"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

func TestList(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		certs := []*certificate.Certificate{
			w.cert(t, anna), w.cert(t, bob, "bob@sub.example.org"), w.cert(t, "carl@xexample.org"), w.cert(t, "dora@other_example.net"), w.cert(t, "eva@example.net"),
		}
		for i, c := range certs {
			n := store.New{Cert: c, Origin: []store.Origin{store.OriginImport, store.OriginHarvest}[i%2]}
			if i == 4 {
				n.Addresses = []address.Address{mustAddress(t, "eva@BÜCHER.example")}
			}
			add(t, s, n)
		}
		set(t, s, certs[2], store.StatusHeld)
		for name, test := range map[string]struct {
			filter store.Filter
			want   []int
		}{
			"all":      {store.Filter{}, []int{0, 1, 2, 3, 4}},
			"status":   {store.Filter{Status: store.StatusHeld}, []int{2}},
			"origin":   {store.Filter{Origin: store.OriginHarvest}, []int{1, 3}},
			"domain":   {store.Filter{Domain: "Example.org"}, []int{0, 1}},
			"idn":      {store.Filter{Domain: "bücher.example"}, []int{4}},
			"literal":  {store.Filter{Domain: "otherxexample.net"}, nil},
			"address":  {store.Filter{Address: bob}, []int{1}},
			"nobody":   {store.Filter{Address: "\xff"}, nil},
			"together": {store.Filter{Status: store.StatusActive, Origin: store.OriginHarvest, Domain: "sub.example.org", Address: bob}, []int{1}},
		} {
			var want [][32]byte
			for _, i := range test.want {
				want = append(want, certs[i].Fingerprint())
			}
			var got [][32]byte
			var after [32]byte
			for { // pages of two
				page, err := s.List(t.Context(), test.filter, after, 2)
				if err != nil {
					t.Fatal(name, err)
				}
				got = append(got, prints(page)...)
				if len(page) < 2 {
					break
				}
				after = page[1].Cert.Fingerprint()
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %x, want %x", name, got, want)
			}
		}
		if _, err := s.List(t.Context(), store.Filter{}, [32]byte{1}, 2); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("behind an unknown one: %v", err)
		}
		if _, err := s.List(t.Context(), store.Filter{Domain: "not a domain"}, [32]byte{}, 2); err == nil {
			t.Error("a bad domain finds nothing, without a word")
		}
		stats, err := s.Stats(t.Context())
		if err != nil || stats.Certificates[store.StatusActive] != 4 || stats.Certificates[store.StatusHeld] != 1 || stats.Addresses != 6 || stats.Sequence == 0 {
			t.Errorf("%+v, %v", stats, err)
		}
	})
}
