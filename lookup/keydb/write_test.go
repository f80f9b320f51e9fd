package keydb

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The hand-written writer gives the bytes of encoding/json.
func TestAnswersAreWrittenAsJSONWritesThem(t *testing.T) {
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(-1e9, 1e10).Draw(t, "seconds"), 0).UTC()
	})
	cert := rapid.Custom(func(t *rapid.T) Certificate {
		c := Certificate{
			DER:       rapid.SliceOf(rapid.Byte()).Draw(t, "der"),
			Addresses: rapid.SliceOf(rapid.String()).Draw(t, "addresses"),
			NotBefore: moment.Draw(t, "from"), NotAfter: moment.Draw(t, "to"),
			Key: rapid.String().Draw(t, "key"), Origin: rapid.String().Draw(t, "origin"),
			Capabilities: rapid.SliceOf(rapid.StringMatching(`[0-2](\.[0-9]+)+`)).Draw(t, "capabilities"),
			FirstSeen:    moment.Draw(t, "first"), LastSeen: moment.Draw(t, "last"),
		}
		copy(c.SHA256[:], rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "hash"))
		return c
	})
	rapid.Check(t, func(t *rapid.T) {
		answer := Answer{Address: rapid.String().Draw(t, "address"), Certificates: rapid.SliceOf(cert).Draw(t, "certificates")}
		if answer.Certificates == nil {
			answer.Certificates = []Certificate{}
		}
		want, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendAnswer(nil, answer.Address, answer.Certificates); !bytes.Equal(got, want) {
			t.Fatalf("\n%s\nwant\n%s", got, want)
		}
		change := Change{Seq: rapid.Uint64().Draw(t, "seq"), Address: answer.Address, Certificates: answer.Certificates}
		if want, err = json.Marshal(change); err != nil {
			t.Fatal(err)
		}
		if got := appendChange(nil, &change); string(got) != string(want)+"\n" {
			t.Fatalf("\n%s\nwant\n%s", got, want)
		}
	})
}

// A certificate that ends after the year 9999, as its time zone lets it, is told
// of in a form that can be read.
func TestTheEndOfTime(t *testing.T) {
	beyond := time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
	var page bytes.Buffer
	w := NewPageWriter(&page, "")
	der := []byte("der")
	if err := w.Write(Change{Seq: 1, Address: "anna@example.org", Certificates: []Certificate{{DER: der, NotAfter: beyond.UTC()}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.End("E.1", true, 1); err != nil {
		t.Fatal(err)
	}
	read, err := ReadPage(&page, "", 10)
	if err != nil || !read.Changes[0].Certificates[0].NotAfter.Equal(beyond.Add(-time.Hour)) {
		t.Errorf("%+v, %v", read, err)
	}
}
