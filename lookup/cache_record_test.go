package lookup_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

var settings = []byte("roots and all")

// fill gives every field that can be filled a value that is not its zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("words")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint64:
		v.SetUint(7)
	case reflect.Slice:
		s := reflect.MakeSlice(v.Type(), 2, 2)
		for i := range 2 {
			fill(s.Index(i))
		}
		v.Set(s)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1700000000, 123456789).UTC()))
			return
		}
		if v.Type() == reflect.TypeFor[address.Address]() {
			v.Set(reflect.ValueOf(mustParse("other@example.org")))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// filled is an answer in which no field is zero, those that are added later
// included.
func filled(t testing.TB) lookup.Answer {
	cert := issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}})
	var a lookup.Answer
	fill(reflect.ValueOf(&a).Elem())
	a.Outcome, a.Err = lookup.Found, errDown
	for i := range a.Candidates {
		a.Candidates[i].Cert = cert
	}
	return a
}

// What is written is read back, every field of it but those that are of the
// moment only.
func TestRecordKeepsEverything(t *testing.T) {
	a := filled(t)
	rec, err := lookup.EncodeRecord(anna, settings, a)
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := lookup.DecodeRecord(anna, settings, rec)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if !got.At.Equal(a.At) || got.Err == nil || got.Stale || got.Asked != nil || !bytes.Equal(got.Candidates[1].Cert.Raw, a.Candidates[1].Cert.Raw) {
		t.Errorf("%+v", got)
	}
	for _, x := range []*lookup.Answer{&a, &got} {
		x.Err, x.Stale, x.Asked, x.At = nil, false, nil, time.Time{}
		x.Candidates = append([]lookup.Candidate(nil), x.Candidates...)
		for i := range x.Candidates {
			x.Candidates[i].Cert = nil
		}
	}
	if !reflect.DeepEqual(a, got) {
		t.Errorf("written %+v\nread    %+v", a, got)
	}
}

// Of a record that is damaged anywhere, moved to another address, or of other
// settings, nothing is believed.
func TestRecordRefuses(t *testing.T) {
	rec, err := lookup.EncodeRecord(anna, settings, filled(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range rec {
		bad := bytes.Clone(rec)
		bad[i] ^= 1 << (i % 8)
		if _, ok, err := lookup.DecodeRecord(anna, settings, bad); ok || !lookup.IsDamagedRecord(err) {
			t.Fatalf("byte %d: %v, %v", i, ok, err)
		}
		if _, ok, err := lookup.DecodeRecord(anna, settings, rec[:i]); ok || !lookup.IsDamagedRecord(err) {
			t.Fatalf("cut at %d: %v, %v", i, ok, err)
		}
	}
	if _, ok, err := lookup.DecodeRecord("otto@example.org", settings, rec); ok || !lookup.IsDamagedRecord(err) {
		t.Errorf("another address: %v, %v", ok, err)
	}
	if _, ok, err := lookup.DecodeRecord(anna, []byte("other roots"), rec); ok || err != nil {
		t.Errorf("other settings: %v, %v", ok, err)
	}
	unusable := found(issue(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{anna}}))
	unusable.Candidates[0].Reason = reason.CertificateExpired
	if rec, err = lookup.EncodeRecord(anna, settings, unusable); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := lookup.DecodeRecord(anna, settings, rec); ok || !lookup.IsDamagedRecord(err) {
		t.Errorf("Found without a usable certificate: %v, %v", ok, err)
	}
	large := filled(t)
	for range 12 {
		large.Candidates = append(large.Candidates, large.Candidates...)
	}
	if _, err := lookup.EncodeRecord(anna, settings, large); err == nil {
		t.Error("a record without bounds")
	}
}

// Whatever is read is Found with a usable certificate, and reads the same when
// it is written again.
func FuzzCacheRecord(f *testing.F) {
	for _, a := range []lookup.Answer{filled(f), usable(issue(f, testkit.NewCA(f), testkit.Leaf{Addresses: []string{anna}}))} {
		rec, err := lookup.EncodeRecord(anna, settings, a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(rec)
		f.Add(rec[:len(rec)/2])
	}
	f.Fuzz(func(t *testing.T, rec []byte) {
		a, ok, err := lookup.DecodeRecord(anna, settings, lookup.SealRecord(anna, bytes.Clone(rec)))
		if !ok {
			return
		}
		if err != nil || a.Outcome != lookup.Found || len(a.Usable(0)) == 0 {
			t.Fatalf("%v, %v with %d usable", err, a.Outcome, len(a.Usable(0)))
		}
		again, err := lookup.EncodeRecord(anna, settings, a)
		if err != nil {
			return // larger than records may be
		}
		b, ok, err := lookup.DecodeRecord(anna, settings, again)
		if !ok || err != nil || fmt.Sprintf("%+v", strip(a)) != fmt.Sprintf("%+v", strip(b)) {
			t.Fatalf("read %+v\nthen %+v, %v", a, b, err)
		}
	})
}

// strip leaves out what is compared by address.
func strip(a lookup.Answer) lookup.Answer {
	a.Candidates = append([]lookup.Candidate(nil), a.Candidates...)
	for i := range a.Candidates {
		a.Candidates[i].Cert = nil
	}
	return a
}
