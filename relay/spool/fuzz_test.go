package spool

import (
	"bytes"
	"io"
	"reflect"
	"testing"
)

// FuzzRecord: what parses encodes to something that parses to the same.
func FuzzRecord(f *testing.F) {
	s := &Store{opt: Options{BigBody: 4096, Now: clock}}
	for n := range 6 {
		e := message("seed", n)
		f.Add(s.plan(&e).append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parseRecord(b)
		if !ok {
			return
		}
		again, ok := parseRecord(r.append(nil))
		if !ok || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v became %+v", r, again)
		}
		if r.length(frameHeader) < r.bodyAt(frameHeader) {
			t.Fatal("a body before its metas")
		}
	})
}

// FuzzReplay: no sequence of changes panics or takes memory beyond its size.
func FuzzReplay(f *testing.F) {
	var u uid
	e := &entry{id: "seed", parcels: []State{{Status: 1, Next: clock(), Note: []byte("note")}}}
	f.Add(bytes.Join([][]byte{
		{opBegin}, appendState(nil, e), attemptChange(u, 0, 5), updateChange(u, 0, e.parcels[0]), doneChange(u, 0),
		removeChange(u), endChange(7, ending{64, 64}), {opSnapshot},
	}, nil))
	for _, b := range appendDead(&segment{number: 3, dead: make([]uid, 3)}, 64) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		r := newReplay()
		r.frame(b)
		for _, m := range r.messages {
			m.over()
			seg := newSegment(1, nil, 0)
			r.apply(&entry{seg: seg, parcels: make([]State, 2), open: 2})
		}
	})
}

// FuzzScan: garbage around a frame never hides it, never becomes one, and
// never panics.
func FuzzScan(f *testing.F) {
	keys, err := mustKey(f).derive()
	if err != nil {
		f.Fatal(err)
	}
	s := &Store{keys: keys}
	f.Add([]byte("before"), []byte("after"))
	f.Add([]byte{}, []byte("SPL1"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		m := newMemFS()
		file, err := m.Open("f", 0o102)
		if err != nil {
			t.Fatal(err)
		}
		file.WriteAt(before, 0)
		at := aligned(int64(len(before)))
		n, err := s.writeFrame(file, 9, at, 0, []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		file.WriteAt(after, at+n)
		sc, err := newScanner(file, 9, keys.journal, maxEnd)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		sc.run(func(fr frame, payload []byte) {
			found++
			if fr.offset != at || string(payload) != "payload" {
				t.Fatalf("found %+v %q", fr, payload)
			}
		})
		if found != 1 {
			t.Fatalf("found %d frames", found)
		}
		for _, g := range sc.gaps {
			if g.from < at && g.to != at {
				t.Fatalf("gap %+v before a frame at %d", g, at)
			}
		}
	})
}

// FuzzFormat: what is read was written like this.
func FuzzFormat(f *testing.F) {
	f.Add(formatText(1, "SHA256:0011"))
	f.Add("sealpost-spool 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		version, fingerprint, err := parseFormat(text)
		if err == nil && version == formatVersion && len(text) == len(formatText(version, fingerprint)) && text != formatText(version, fingerprint) {
			t.Errorf("%q reads as %d %q", text, version, fingerprint)
		}
	})
}

var _ io.WriterTo = text(nil)
