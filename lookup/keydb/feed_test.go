package keydb_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sealpost/lookup/keydb"
)

// aPage writes a page of three changes after the cursor E.4.
func aPage(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	w := keydb.NewPageWriter(&b, "E.4")
	for seq := uint64(5); seq < 8; seq++ {
		c := keydb.Change{Seq: seq, Address: fmt.Sprintf("p%d@example.org", seq)}
		if seq != 6 {
			c.Certificates = []keydb.Certificate{{DER: []byte{0x30, byte(seq)}, Capabilities: []string{"2.16.840.1.101.3.4.1.46"}}}
		}
		if err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End("E.7", true, 7); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(page string) (keydb.Page, error) {
	return keydb.ReadPage(strings.NewReader(page), "E.4", 10)
}

func TestPageIsReadAsWritten(t *testing.T) {
	page, err := read(aPage(t))
	if err != nil {
		t.Fatal(err)
	}
	if page.Next != "E.7" || !page.Complete || page.Sequence != 7 || len(page.Changes) != 3 {
		t.Fatalf("%+v", page)
	}
	if c := page.Changes[1]; c.Seq != 6 || c.Address != "p6@example.org" || c.Certificates == nil || len(c.Certificates) != 0 {
		t.Errorf("%+v", c)
	}
	if c := page.Changes[2].Certificates[0]; !bytes.Equal(c.DER, []byte{0x30, 7}) || c.SHA256 == (keydb.Fingerprint{}) || len(c.OIDs()) != 1 {
		t.Errorf("%+v", c)
	}
}

func TestPageThatLiesIsRefused(t *testing.T) {
	good := aPage(t)
	lines := strings.SplitAfter(good, "\n")
	a, b, c, end := lines[0], lines[1], lines[2], lines[3]
	for name, page := range map[string]string{
		"empty":                     "",
		"without its last line":     a + b + c,
		"last line cut":             good[:len(good)-1],
		"change cut":                a + b[:len(b)/2],
		"change left out":           a + c + end,
		"change twice":              a + a + b + c + end,
		"out of order":              b + a + c + end,
		"changed on the way":        strings.Replace(good, "p6@", "q6@", 1),
		"wrong count":               strings.Replace(good, `"count":3`, `"count":4`, 1),
		"no count":                  strings.Replace(good, `"count":3`, `"n":3`, 1),
		"wrong hash":                a + b + c + strings.Replace(end, `"sha256":"`, `"sha256":"00`, 1),
		"other hash":                a + b + c + strings.Replace(end, `"sha256":"`, `"sha256":"`+strings.Repeat("0", 64)+`","x":"`, 1),
		"after another cursor":      strings.Replace(good, `"since":"E.4"`, `"since":"E.3"`, 1),
		"no cursor":                 strings.Replace(good, `"next":"E.7"`, `"next":""`, 1),
		"sequence before changes":   strings.Replace(good, `"sequence":7`, `"sequence":6`, 1),
		"something after":           good + a,
		"garbage":                   "<html>\n",
		"a line that is neither":    a + "{}\n" + b + c + end,
		"a line that is both":       strings.Replace(good, `{"seq":5`, `{"next":"E.9","seq":5`, 1),
		"an endless line":           `{"seq":5,"address":"` + strings.Repeat("a", keydb.MaxLine) + `"}` + "\n",
		"certificates null":         strings.Replace(good, `"certificates":[]`, `"certificates":null`, 1),
		"without address":           strings.Replace(good, `p6@example.org`, ``, 1),
		"certificate without der":   strings.Replace(good, `"certificates":[]`, `"certificates":[{"key":"RSA 2048"}]`, 1),
		"certificate of other hash": strings.Replace(good, `"certificates":[]`, `"certificates":[{"der":"MAE=","sha256":"`+strings.Repeat("ab", 32)+`"}]`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			p, err := read(page)
			if !errors.Is(err, keydb.ErrPage) && !errors.Is(err, keydb.ErrFormat) && !errors.Is(err, keydb.ErrHash) {
				t.Fatalf("%d changes, error %v", len(p.Changes), err)
			}
			if !reflect.DeepEqual(p, keydb.Page{}) {
				t.Errorf("something came beside the error: %+v", p)
			}
		})
	}
}

func TestPageOfMoreThanAskedForIsRefused(t *testing.T) {
	if _, err := keydb.ReadPage(strings.NewReader(aPage(t)), "E.4", 2); !errors.Is(err, keydb.ErrPage) {
		t.Error(err)
	}
}

func TestPageTakesWhatIsNewAndOdd(t *testing.T) {
	var b bytes.Buffer
	w := keydb.NewPageWriter(&b, "")
	for seq, address := range []string{"Anna@EXAMPLE.org", "not an address"} {
		if err := w.Write(keydb.Change{Seq: uint64(seq + 1), Address: address}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End("E.2", false, 9); err != nil {
		t.Fatal(err)
	}
	page, err := keydb.ReadPage(strings.NewReader(strings.Replace(b.String(), `"since"`, `"hello":[{}],"since"`, 1)), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if page.Changes[0].Address != "Anna@example.org" || page.Changes[1].Address != "not an address" || page.Complete {
		t.Errorf("%+v", page)
	}
}

// FuzzReadPage: what is read can be written and read again, and is the same.
func FuzzReadPage(f *testing.F) {
	f.Add([]byte(aPage(f)))
	f.Add([]byte(`{"next":"E.0","since":"E.4","complete":true,"sequence":0,"count":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		page, err := keydb.ReadPage(bytes.NewReader(data), "E.4", 10)
		if err != nil {
			return
		}
		var b bytes.Buffer
		w := keydb.NewPageWriter(&b, "E.4")
		last := uint64(0)
		for _, c := range page.Changes {
			if c.Seq <= last || c.Seq > page.Sequence || c.Address == "" || c.Certificates == nil {
				t.Fatalf("a change that is none: %+v", c)
			}
			last = c.Seq
			if err := w.Write(c); err != nil {
				t.Skip(err) // a year that RFC 3339 cannot write
			}
		}
		if err := w.End(page.Next, page.Complete, page.Sequence); err != nil {
			t.Fatal(err)
		}
		again, err := keydb.ReadPage(&b, "E.4", 10)
		if err != nil {
			t.Fatal(err)
		}
		first, err1 := json.Marshal(page)
		second, err2 := json.Marshal(again)
		if err1 != nil || err2 != nil || !bytes.Equal(first, second) {
			t.Errorf("%s\nis not\n%s (%v, %v)", first, second, err1, err2)
		}
	})
}
