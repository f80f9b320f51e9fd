package api

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/lookup/keydb"
)

// The hand-written writer gives the bytes of encoding/json.
func TestAnswersAreWrittenAsJSONWritesThem(t *testing.T) {
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(-1e9, 1e10).Draw(t, "seconds"), 0).UTC()
	})
	cert := rapid.Custom(func(t *rapid.T) keydb.Certificate {
		c := keydb.Certificate{
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
		answer := keydb.Answer{Address: rapid.String().Draw(t, "address"), Certificates: rapid.SliceOf(cert).Draw(t, "certificates")}
		if answer.Certificates == nil {
			answer.Certificates = []keydb.Certificate{}
		}
		want, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendAnswer(nil, answer.Address, answer.Certificates); !bytes.Equal(got, want) {
			t.Fatalf("\n%s\nwant\n%s", got, want)
		}
	})
}
