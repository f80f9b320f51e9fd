package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/lookup/keydb"
)

// following runs Follow in the background of a bubble in which time passes by
// itself, until the test is over.
func following(t *testing.T, m *Mirror, feed Feed) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- m.Follow(ctx, feed) }()
	t.Cleanup(func() {
		cancel()
		is(t, <-done, context.Canceled)
	})
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, file := newDirectory("E"), newFile(t)
		for i := range 2*pageSize + 1 {
			d.set(fmt.Sprintf("p%d@example.org", i), 1)
		}
		m := mustOpen(t, Options{File: file})
		following(t, m, d)
		time.Sleep(time.Millisecond)
		d.check(t, m)
		for i := range 5 {
			d.set(fmt.Sprintf("p%d@example.org", i), 2-i%2)
			time.Sleep(2 * time.Second)
			d.check(t, m)
		}
		d.mu.Lock()
		asked := d.asked
		d.mu.Unlock()
		time.Sleep(time.Minute)
		d.mu.Lock()
		if n := d.asked - asked; n < 50 || n > 70 {
			t.Errorf("asked %d times in a minute in which nothing happened, by a directory that does not wait", n)
		}
		d.mu.Unlock()
		if age := time.Since(m.LastContact()); age > 2*time.Second {
			t.Errorf("last contact %v ago", age)
		}
	})
}

// TestFollowOutlivesLies: whatever the feed says, the mirror is whole in the
// end, and never said anything wrong on the way.
func TestFollowOutlivesLies(t *testing.T) {
	failed := errors.New("no route to host")
	for name, lie := range map[string]func(n int, cursor string, page keydb.Page, err error) (keydb.Page, error){
		"away": func(_ int, _ string, _ keydb.Page, _ error) (keydb.Page, error) { return keydb.Page{}, failed },
		"old changes again": func(_ int, _ string, p keydb.Page, err error) (keydb.Page, error) {
			p.Changes = append([]keydb.Change{{Seq: 1, Address: "p0@example.org"}}, p.Changes...)
			return p, err
		},
		"out of order": func(_ int, _ string, p keydb.Page, err error) (keydb.Page, error) {
			p.Changes = append([]keydb.Change{{Seq: 1 << 40, Address: "x@example.org"}}, p.Changes...)
			p.Sequence = 1 << 40
			return p, err
		},
		"never at its end": func(_ int, cursor string, p keydb.Page, err error) (keydb.Page, error) {
			return keydb.Page{Next: p.Next, Sequence: p.Sequence}, err
		},
		"the same cursor for ever": func(_ int, cursor string, p keydb.Page, err error) (keydb.Page, error) {
			p.Next = cursor
			return p, err
		},
		"no cursor": func(_ int, _ string, p keydb.Page, err error) (keydb.Page, error) {
			p.Next = ""
			return p, err
		},
		"unknown cursor": func(n int, _ string, p keydb.Page, err error) (keydb.Page, error) {
			return keydb.Page{}, keydb.ErrCursor
		},
		"unknown cursor, now and then": func(n int, _ string, p keydb.Page, err error) (keydb.Page, error) {
			if n%2 == 0 {
				return keydb.Page{}, keydb.ErrCursor
			}
			return p, err
		},
		"set back": func(_ int, _ string, p keydb.Page, err error) (keydb.Page, error) {
			return keydb.Page{Next: p.Next, Sequence: 0, Complete: true}, err
		},
		"too much for an address": func(_ int, _ string, p keydb.Page, err error) (keydb.Page, error) {
			big := keydb.Certificate{DER: make([]byte, maxRecord)}
			p.Sequence++
			p.Changes = append(p.Changes, keydb.Change{Seq: p.Sequence, Address: "big@example.org", Certificates: []keydb.Certificate{big}})
			return p, err
		},
		"a cursor beyond all measure": func(_ int, _ string, p keydb.Page, err error) (keydb.Page, error) {
			p.Next = string(make([]byte, maxCursor+1))
			return p, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, file := filled(t, 30)
				m := mustOpen(t, Options{File: file})
				d.lie = func(cursor string, page keydb.Page, err error) (keydb.Page, error) {
					return lie(d.asked, cursor, page, err)
				}
				following(t, m, d)
				for range 20 {
					time.Sleep(time.Minute)
					truthful(t, d, m, name)
				}
				d.mu.Lock()
				if d.asked > 1300 { // a rest of a second where nothing is wrong
					t.Errorf("asked %d times in 20 minutes", d.asked)
				}
				d.lie = nil
				d.mu.Unlock()
				d.set("p3@example.org", 2)
				time.Sleep(2 * lastBackoff)
				d.check(t, m)
				if err := m.State().Err; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestAnotherHistory: the old copy answers until the new one is whole.
func TestAnotherHistory(t *testing.T) {
	d, file := filled(t, 30)
	old := newDirectory("E")
	for a, c := range d.now {
		old.now[a] = c
	}
	var whole []string
	m := mustOpen(t, Options{File: file, Changed: func(a []string) {
		if a == nil {
			whole = append(whole, "all")
		}
	}})
	before := m.LastContact()
	d.epoch, d.seq, d.now = "F", 0, map[string]keydb.Change{}
	for i := range pageSize + 20 {
		d.set(fmt.Sprintf("f%d@example.org", i), 1)
	}
	steps(t, m, d, 2) // is told, and takes the first page
	if s := m.State(); !s.Filling || s.Filled != pageSize || s.Entries != 30 || !m.LastContact().Equal(before) {
		t.Errorf("%+v", s)
	}
	truthful(t, old, m, "while the new one is made")
	mustClose(t, m)
	m = mustOpen(t, Options{File: file, Changed: m.opts.Changed}) // goes on where it was
	asked := d.asked
	steps(t, m, d, 1)
	d.check(t, m)
	if d.asked != asked+1 || len(whole) != 1 {
		t.Errorf("asked %d times for the rest; told %d times that all may have changed", d.asked-asked, len(whole))
	}
	if _, err := os.Stat(file + ".next"); err == nil {
		t.Error("the new copy is still beside the old one")
	}
	mustClose(t, m)
	d.check(t, mustOpen(t, Options{File: file}))
}

// TestAnotherHistoryMidway: the directory changes its history again, while the
// copy of the one before is in the making.
func TestAnotherHistoryMidway(t *testing.T) {
	d, file := filled(t, 30)
	m := mustOpen(t, Options{File: file})
	for _, epoch := range []string{"F", "G", "H"} {
		d.epoch, d.seq, d.now = epoch, 0, map[string]keydb.Change{}
		for i := range 2 * pageSize {
			d.set(fmt.Sprintf("%s%d@example.org", epoch, i), 1)
		}
		steps(t, m, d, 2)
	}
	if s := m.State(); s.Entries != 30 || !s.Filling {
		t.Errorf("%+v", s)
	}
	steps(t, m, d, 4)
	d.check(t, m)
}

// TestDamageIsMadeGood: the copy with damage goes on answering what it can
// prove, and is replaced.
func TestDamageIsMadeGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, file := filled(t, 2000)
		m := mustOpen(t, Options{File: file})
		following(t, m, d)
		synctest.Wait()
		spoil(t, file, m.State().Bytes/2)
		for address := range d.now {
			_, _, _ = m.Get(address)
		}
		if !m.State().Damaged {
			t.Fatal("the damage was not seen")
		}
		_, _, err := m.Get("nobody@example.org")
		is(t, err, ErrDamaged)
		if n := truthful(t, d, m, "damaged"); n < 1900 {
			t.Errorf("only %d answers", n)
		}
		time.Sleep(time.Minute)
		d.check(t, m)
		if m.State().Damaged {
			t.Error("still damaged")
		}
	})
}

// spoil changes some bytes of a file.
func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 64)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0x55
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func TestPatienceThatTheDirectoryAsksFor(t *testing.T) {
	f := follower{m: mustOpen(t, Options{File: newFile(t)})}
	if pause := f.failed(&keydb.Problem{Status: 429, RetryAfter: 10 * time.Minute}); pause != 10*time.Minute {
		t.Error(pause)
	}
	for range 100 {
		if pause := f.failed(errors.New("away")); pause < 0 || pause > lastBackoff {
			t.Error(pause)
		}
	}
}
