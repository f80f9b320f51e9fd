package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"sealpost/lookup/keydb"
)

// truthful fails the test when the mirror says something that the directory
// does not: an error is right at any time, another answer never.
func truthful(t *testing.T, d *directory, m *Mirror, what string) (answers int) {
	t.Helper()
	for address, want := range d.now {
		got, known, err := m.Get(address)
		if err != nil {
			continue
		}
		if known != (len(want.Certificates) > 0) || !sameCertificates(got, want.Certificates) {
			t.Fatalf("%s: %s: known %v, %d certificates, not %d", what, address, known, len(got), len(want.Certificates))
		}
		answers++
	}
	if _, known, _ := m.Get("nobody@example.org"); known {
		t.Fatalf("%s: nobody is known", what)
	}
	return answers
}

// TestDamageIsNeverAnAnswer changes the bytes of both files, one at a time.
func TestDamageIsNeverAnAnswer(t *testing.T) {
	d, file := filled(t, 12)
	index := file + indexSuffix
	original := map[string][]byte{}
	for _, p := range []string{file, index} {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		original[p] = data
	}
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	try := func(what string) int {
		m, err := Open(quiet(Options{File: file, ReadOnly: true}))
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
				t.Fatalf("%s: %v", what, err)
			}
			return 0
		}
		defer m.Close()
		return truthful(t, d, m, what)
	}
	if n := try("whole"); n != 12 {
		t.Fatalf("%d answers", n)
	}
	spoil := func(path, with string, stride int) {
		silent := 0
		for i := 0; i < len(original[path]); i += stride {
			data := append([]byte(nil), original[path]...)
			data[i] ^= byte(1 << (i % 8))
			write(path, data)
			if try(fmt.Sprintf("byte %d of %s %s", i, path, with)) == 12 {
				silent++
			}
		}
		t.Logf("%s %s: %d bytes, %d of those changed of no consequence", path, with, len(original[path]), silent)
		write(path, original[path])
	}
	spoil(file, "with its index", 5)
	spoil(index, "", 1)
	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	spoil(file, "without its index", 2)
	for size := 0; size < len(original[file]); size += 5 {
		write(file, original[file][:size])
		try(fmt.Sprintf("cut at %d", size))
	}
	write(index, original[index])
	for size := 0; size < len(original[file]); size += 7 {
		write(file, original[file][:size])
		try(fmt.Sprintf("cut at %d, with its index", size))
	}
}

// TestFilesCutWhileTheyAreRead: what the kernel then does must not end the process.
func TestFilesCutWhileTheyAreRead(t *testing.T) {
	for _, suffix := range []string{"", indexSuffix} {
		d, file := filled(t, 2000)
		m := mustOpen(t, Options{File: file})
		if err := os.Truncate(file+suffix, 5000); err != nil {
			t.Fatal(err)
		}
		if n := truthful(t, d, m, "cut"+suffix); n == 2000 || !m.State().Damaged {
			t.Errorf("cut%s: %d answers, %+v", suffix, n, m.State())
		}
		_, _, err := m.Get("nobody@example.org")
		is(t, err, ErrDamaged)
		is(t, m.Apply(keydb.Page{Next: "E.3000", Sequence: 3000, Complete: true}), ErrDamaged)
	}
}

func TestDamagedHeaderIsBegunAnew(t *testing.T) {
	d, file := filled(t, 20)
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 30); err != nil {
		t.Fatal(err)
	}
	f.Close()
	m := mustOpen(t, Options{File: file})
	if s := m.State(); s.Complete || s.Entries != 0 || m.Cursor() != "" {
		t.Errorf("%+v", s)
	}
	pull(t, m, d, 10)
	d.check(t, m)
}

// TestTornWriteIsNoBatch: whatever part of a batch reached the disk, the copy
// is as before it, and goes on.
func TestTornWriteIsNoBatch(t *testing.T) {
	d, file := filled(t, 12)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := mustOpen(t, Options{File: file})
	at := m.Cursor()
	d.set("p3@example.org", 2)
	d.set("new@example.org", 1)
	pull(t, m, d, 10)
	mustClose(t, m)
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file + indexSuffix); err != nil {
		t.Fatal(err)
	}
	for n := len(before); n < len(after); n++ {
		for _, rest := range []int{0, len(after) - n} { // cut, or the rest never written
			data := append(append([]byte(nil), after[:n]...), make([]byte, rest)...)
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := Open(quiet(Options{File: file, ReadOnly: true}))
			if err != nil {
				t.Fatalf("%d bytes and %d zeros: %v", n, rest, err)
			}
			if m.Cursor() != at {
				t.Fatalf("%d bytes and %d zeros: goes on from %s, not %s", n, rest, m.Cursor(), at)
			}
			m.Close()
		}
	}
	if err := os.WriteFile(file, after[:len(after)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	m = mustOpen(t, Options{File: file})
	pull(t, m, d, 10)
	d.check(t, m)
	if data, err := os.ReadFile(file); err != nil || len(data) != len(after) {
		t.Errorf("%d bytes, want %d (%v)", len(data), len(after), err)
	}
}

func TestCopyInTheMakingThatIsDamagedIsForgotten(t *testing.T) {
	d, file := filled(t, 5)
	if err := os.WriteFile(file+".next", []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.check(t, mustOpen(t, Options{File: file}))
	if _, err := os.Stat(file + ".next"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
