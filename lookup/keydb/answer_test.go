package keydb_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

const anna = "anna@example.org"

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnswerIsReadAsWritten(t *testing.T) {
	id := testkit.NewCA(t).For(t, anna)
	c, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	wire := keydb.NewCertificate(c)
	wire.Origin, wire.Capabilities, wire.FirstSeen = "harvest", []string{"1.2.3"}, time.Unix(1e9, 0).UTC()
	body, err := json.Marshal(keydb.Answer{Address: anna, Certificates: []keydb.Certificate{wire}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := keydb.ReadAnswer(body, parse(t, anna))
	if err != nil {
		t.Fatal(err)
	}
	got := a.Certificates[0]
	if !bytes.Equal(got.DER, c.Raw) || got.SHA256 != sha256.Sum256(c.Raw) || !got.NotAfter.Equal(c.NotAfter) || got.Key != c.KeyName ||
		got.Origin != "harvest" || !got.FirstSeen.Equal(wire.FirstSeen) || len(got.Capabilities) != 1 {
		t.Errorf("%+v", got)
	}
	for _, member := range []string{`"address"`, `"certificates"`, `"der"`, `"sha256"`, `"not_before"`, `"not_after"`, `"key"`, `"origin"`, `"capabilities"`, `"first_seen"`} {
		if !bytes.Contains(body, []byte(member)) {
			t.Errorf("%s is not in %s", member, body)
		}
	}
}

func TestAnswerThatIsNoneIsRefused(t *testing.T) {
	for body, want := range map[string]error{
		``:                               keydb.ErrFormat,
		`[]`:                             keydb.ErrFormat,
		`{}`:                             keydb.ErrFormat,
		`{"address":"anna@example.org"}`: keydb.ErrFormat,
		`{"address":"anna@example.org","certificates":null}`:          keydb.ErrFormat,
		`{"address":"anna@example.org","certificates":[{}]}`:          keydb.ErrFormat,
		`{"address":"anna@example.org","certificates":[]} x`:          keydb.ErrFormat,
		`{"address":"anna@example.org","certificates":[{"der":"%"}]}`: keydb.ErrFormat,
		`{"address":"bob@example.org","certificates":[]}`:             keydb.ErrAddress,
		`{"certificates":[]}`: keydb.ErrAddress,
		`{"address":"anna@example.org","certificates":[{"der":"MAA=","sha256":"` + strings.Repeat("0a", 32) + `"}]}`: keydb.ErrHash,
		`{"address":"anna@example.org","certificates":[{"der":"MAA=","sha256":"0a"}]}`:                               keydb.ErrFormat,
	} {
		if a, err := keydb.ReadAnswer([]byte(body), parse(t, anna)); !errors.Is(err, want) || a.Certificates != nil {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
}

func TestBatchKeepsToTheQuestion(t *testing.T) {
	asked := []address.Address{parse(t, anna), parse(t, "bob@EXAMPLE.org")}
	good := `{"answers":[{"address":"anna@example.org","certificates":[]},{"address":"bob@example.org","error":{"status":429,"reason":"too-many-connections"},"certificates":[{}]}]}`
	b, err := keydb.ReadBatch([]byte(good), asked)
	if err != nil || b.Answers[0].Certificates == nil || b.Answers[1].Error == nil || b.Answers[1].Certificates != nil {
		t.Errorf("%+v, %v", b, err)
	}
	for _, bad := range []string{
		`{"answers":[]}`,
		`{"answers":[{"address":"anna@example.org","certificates":[]}]}`,
		`{"answers":[{"address":"bob@example.org","certificates":[]},{"address":"anna@example.org","certificates":[]}]}`,
		`{"answers":[{"address":"anna@example.org"},{"address":"bob@example.org","certificates":[]}]}`,
	} {
		if _, err := keydb.ReadBatch([]byte(bad), asked); err == nil {
			t.Errorf("%s was believed", bad)
		}
	}
}

func TestOIDs(t *testing.T) {
	c := keydb.Certificate{Capabilities: []string{"2.16.840.1.101.3.4.1.46", "", "1", "3.1", "1.02", "1.-2", "1.2.99999999999", "x", strings.Repeat("1.", 1000) + "1", "1.2"}}
	oids := c.OIDs()
	if len(oids) != 2 || oids[0].String() != "2.16.840.1.101.3.4.1.46" || oids[1].String() != "1.2" {
		t.Errorf("%v", oids)
	}
}

// FuzzReadAnswer: what is believed is about the address that was asked for,
// and each certificate has its own hash.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(`{"address":"anna@example.org","certificates":[{"der":"MAA=","capabilities":["1.2"],"not_after":"2030-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"address":"anna@EXAMPLE.ORG","certificates":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		asked := parse(t, anna)
		a, err := keydb.ReadAnswer(body, asked)
		if err != nil {
			return
		}
		if about := parse(t, a.Address); about.Key() != asked.Key() || a.Certificates == nil {
			t.Errorf("%+v", a)
		}
		for _, c := range a.Certificates {
			if c.SHA256 != sha256.Sum256(c.DER) || len(c.DER) == 0 {
				t.Errorf("%+v", c)
			}
			for _, oid := range c.OIDs() {
				if len(oid) < 2 {
					t.Errorf("%v", oid)
				}
			}
		}
	})
}

// FuzzReadBatch: each address has its own item, which is about it, or an error.
func FuzzReadBatch(f *testing.F) {
	f.Add([]byte(`{"answers":[{"address":"anna@example.org","certificates":[{"der":"MAA="}]},{"address":"bob@example.org","error":{"status":503}}]}`))
	f.Add([]byte(`{"answers":[{"address":"bob@example.org","certificates":[]},{"address":"anna@example.org","certificates":[]}]}`))
	f.Add([]byte(`{"answers":[{"address":"anna@example.org"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		asked := []address.Address{parse(t, anna), parse(t, "bob@example.org")}
		b, err := keydb.ReadBatch(body, asked)
		if err != nil {
			return
		}
		if len(b.Answers) != len(asked) {
			t.Fatalf("%d answers", len(b.Answers))
		}
		for i, item := range b.Answers {
			if item.Error != nil {
				if item.Certificates != nil {
					t.Errorf("certificates beside an error: %+v", item)
				}
				continue
			}
			if about := parse(t, item.Address); about.Key() != asked[i].Key() || item.Certificates == nil {
				t.Errorf("%+v stands for %v", item, asked[i])
			}
			for _, c := range item.Certificates {
				if c.SHA256 != sha256.Sum256(c.DER) || len(c.DER) == 0 {
					t.Errorf("%+v", c)
				}
			}
		}
	})
}
