package lookup_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// keyStory is a keyring over a source that a test moves, with keys named by
// letters: the later one in the alphabet has the newer certificate.
type keyStory struct {
	testing.TB
	*script
	*clock
	file  *lookup.KeyFile
	ring  *lookup.Keyring
	certs map[string]*certificate.Certificate
}

func newKeyStory(t testing.TB, hold bool) *keyStory {
	t.Helper()
	s := &keyStory{TB: t, script: &script{}, clock: newClock(time.Now()), certs: map[string]*certificate.Certificate{}}
	ca := testkit.NewCA(t)
	for i, name := range []string{"a", "b", "c"} {
		s.certs[name] = issue(t, ca, testkit.Leaf{
			Addresses: []string{anna}, Key: "p256", NotBefore: time.Now().Add(time.Duration(i-10) * time.Hour), NotAfter: time.Now().Add(time.Duration(i+1) * 24 * time.Hour),
		})
	}
	s.open(filepath.Join(t.TempDir(), "known.keys"), hold)
	return s
}

func (s *keyStory) open(path string, hold bool) {
	s.Helper()
	var err error
	if s.file, err = lookup.OpenKeyFile(path); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { s.file.Close() })
	if s.ring, err = lookup.NewKeyring(s.script, lookup.KeyringOptions{Hold: hold, Memory: s.file, Clock: s.now}); err != nil {
		s.Fatal(err)
	}
}

// step is "offered -> used": the letters of the certificates that the source
// has, and of those that are sealed to. A capital letter has a chain to a root.
func (s *keyStory) step(line string) lookup.Answer {
	s.Helper()
	offered, want, _ := strings.Cut(line, " -> ")
	a := usable()
	for letter := range strings.SplitSeq(offered, "") {
		c := lookup.Candidate{Cert: s.certs[strings.ToLower(letter)], Usable: true, Vouch: lookup.Itself, Until: s.certs[strings.ToLower(letter)].NotAfter}
		if letter != strings.ToLower(letter) {
			c.Vouch = lookup.PKI
		}
		a.Candidates = append(a.Candidates, c)
	}
	s.says(a)
	got := s.ring.Lookup(s.TB.Context(), parse(s, anna))
	var used []string
	for _, c := range got.Usable(0) {
		for letter, cert := range s.certs {
			if cert.Fingerprint() == c.Fingerprint() {
				used = append(used, letter)
			}
		}
	}
	slices.Sort(used)
	if strings.Join(used, "") != want || (got.Outcome == lookup.Found) != (want != "") {
		s.Fatalf("%s: outcome %v, used %v (%v)", line, got.Outcome, used, got.Err)
	}
	return got
}

func TestKeyChanges(t *testing.T) {
	for name, story := range map[string]struct {
		hold  bool
		steps []string
	}{
		"the same key stays":                      {false, []string{"a -> a", "a -> a"}},
		"a newer key takes the place":             {false, []string{"a -> a", "b -> b", "b -> b"}},
		"a replaced key is not used again":        {false, []string{"a -> a", "b -> b", "a -> b", "ab -> b"}},
		"an older key alone does not replace":     {false, []string{"b -> b", "a -> b", "b -> b"}},
		"a key beside the old one joins":          {false, []string{"a -> a", "ab -> ab", "ab -> ab"}},
		"an older key beside it joins":            {false, []string{"b -> b", "ab -> ab"}},
		"of two, one replaced":                    {false, []string{"ab -> ab", "bc -> bc", "ac -> c"}},
		"one of two missing for a while":          {false, []string{"ab -> ab", "b -> b", "ab -> ab"}},
		"held: the old key stays in use":          {true, []string{"a -> a", "b -> a", "b -> a"}},
		"held: beside the old one":                {true, []string{"a -> a", "ab -> a", "a -> a"}},
		"held: two strangers":                     {true, []string{"a -> a", "bc -> a"}},
		"a chain to a root needs no watch":        {true, []string{"a -> a", "aB -> ab", "C -> c", "a -> a"}},
		"held: expiry of the old one ends it":     {true, []string{"a -> a", "b -> a", "+25h", "b -> b", "a -> b"}},
		"accept: expiry of the old one":           {false, []string{"a -> a", "+25h", "b -> b"}},
		"held: several days later":                {true, []string{"a -> a", "+1h", "b -> a", "!accept", "b -> b", "a -> b"}},
		"held, and refused":                       {true, []string{"a -> a", "b -> a", "!refuse", "b -> a", "ab -> a"}},
		"forgotten":                               {true, []string{"a -> a", "b -> a", "!forget", "b -> b"}},
		"refused, and then another":               {true, []string{"a -> a", "b -> a", "!refuse", "c -> a", "!accept", "c -> c", "b -> c"}},
		"refused, and the old one expires":        {true, []string{"a -> a", "b -> a", "!refuse", "+25h", "b -> ", "b -> ", "bc -> c", "b -> c"}},
		"refused, and then forgotten":             {true, []string{"a -> a", "b -> a", "!refuse", "+25h", "b -> ", "!forget", "b -> b"}},
		"refused, beside a chain to a root":       {true, []string{"a -> a", "b -> a", "!refuse", "+25h", "bC -> c", "b -> "}},
		"of two strangers, one accepted":          {true, []string{"a -> a", "bc -> a", "!accept b", "bc -> b", "!accept c", "bc -> c"}},
		"of two strangers, one refused":           {true, []string{"a -> a", "bc -> a", "!refuse c", "!accept", "bc -> b"}},
		"accepted beside the old one: only newer": {true, []string{"a -> a", "ab -> a", "!accept", "ab -> b"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newKeyStory(t, story.hold)
			for _, step := range story.steps {
				s.act(step)
			}
		})
	}
}

func (s *keyStory) act(step string) {
	s.Helper()
	var err error
	switch {
	case step[0] == '+':
		var d time.Duration
		d, err = time.ParseDuration(step[1:])
		s.advance(d)
	case strings.HasPrefix(step, "!accept"):
		_, err = s.file.Accept(anna, s.named(step)...)
	case strings.HasPrefix(step, "!refuse"):
		_, err = s.file.Refuse(anna, s.named(step)...)
	case step == "!forget":
		err = s.file.Forget(anna)
	default:
		s.step(step)
	}
	if err != nil {
		s.Fatalf("%s: %v", step, err)
	}
}

// named is the fingerprint of the certificate whose letter ends a step.
func (s *keyStory) named(step string) []lookup.Fingerprint {
	if _, letter, ok := strings.Cut(step, " "); ok {
		return []lookup.Fingerprint{s.certs[letter].Fingerprint()}
	}
	return nil
}

// Nobody accepts or refuses a key without meaning it.
func TestSeveralHeld(t *testing.T) {
	s := newKeyStory(t, true)
	s.step("a -> a")
	s.step("bc -> a")
	for name, do := range map[string]func(string, ...lookup.Fingerprint) (lookup.KnownKeys, error){"accept": s.file.Accept, "refuse": s.file.Refuse} {
		if _, err := do(anna); !errors.Is(err, lookup.ErrSeveralHeld) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := do(anna, s.certs["b"].Fingerprint(), s.certs["a"].Fingerprint()); !errors.Is(err, lookup.ErrNothingHeld) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if known, err := s.file.Load(anna); err != nil || len(known.Held) != 2 || len(known.Accepted) != 1 {
		t.Errorf("%+v, %v", known, err)
	}
	s.step("bc -> a")
}

// interrupted is a memory in which an operator's word comes between a lookup's
// question and its answer.
type interrupted struct {
	*lookup.KeyFile
	word func()
}

func (i interrupted) Change(mailbox string, change func(*lookup.KnownKeys) bool) error {
	i.word()
	return i.KeyFile.Change(mailbox, change)
}

// A lookup under way does not take an operator's word back.
func TestWordDuringALookup(t *testing.T) {
	s := newKeyStory(t, true)
	s.step("a -> a")
	s.step("b -> a")
	ring, err := lookup.NewKeyring(s.script, lookup.KeyringOptions{Hold: true, Clock: s.now, Memory: interrupted{s.file, func() { s.act("!accept b") }}})
	if err != nil {
		t.Fatal(err)
	}
	s.ring = ring
	s.step("bc -> b") // c is new, and so has something to write
	if known, err := s.file.Load(anna); err != nil || len(known.Held) != 1 || len(known.Retired) != 1 {
		t.Errorf("%+v, %v", known, err)
	}
}

// A listing is read in parts, and goes on behind any mailbox.
func TestAllKeys(t *testing.T) {
	s := newKeyStory(t, true)
	var want []string
	for i := range 250 {
		mailbox := fmt.Sprintf("p%03d@example.org", i)
		want = append(want, mailbox)
		err := s.file.Change(mailbox, func(k *lookup.KnownKeys) bool {
			k.Accepted = []lookup.KnownKey{{Source: mailbox}}
			if i%2 == 1 {
				k.Held = k.Accepted
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []int{-1, 0, 99, 248, 249} {
		behind := ""
		if from >= 0 {
			behind = want[from]
		}
		var all, held []string
		for one, err := range s.file.All(behind, false) {
			if all = append(all, one.Accepted[0].Source); err != nil {
				t.Error(err)
			}
		}
		for one := range s.file.All(behind, true) {
			held = append(held, one.Mailbox)
		}
		if !slices.Equal(all, want[from+1:]) || len(held) != (len(all)+1)/2 {
			t.Errorf("behind %q: %d and %d held", behind, len(all), len(held))
		}
	}
}

// What is refused says why, and is counted once.
func TestKeyChangeIsTold(t *testing.T) {
	s := newKeyStory(t, true)
	s.step("a -> a")
	for range 3 {
		got := s.step("b -> a")
		n, ok := got.Nearest()
		if !ok || n.Reason != reason.CertificateKeyChanged || !strings.Contains(n.Why, "sealpost keys accept") {
			t.Errorf("%+v", n)
		}
	}
	if stats := s.ring.Stats(); stats.Held != 1 {
		t.Errorf("%+v", stats)
	}
	if n, err := s.file.Held(); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for one, err := range s.file.All("", true) {
		if err != nil || one.Mailbox != anna || len(one.Held) != 1 || len(one.Accepted) != 1 {
			t.Errorf("%+v, %v", one, err)
		}
	}
	s.act("!accept")
	got := s.step("ab -> b")
	if n, _ := got.Nearest(); n.Reason != reason.CertificateSuperseded {
		t.Errorf("%+v", n)
	}
	if _, err := s.file.Accept(anna); !errors.Is(err, lookup.ErrNothingHeld) {
		t.Error(err)
	}
	if _, err := s.file.Refuse("nobody@example.org"); !errors.Is(err, lookup.ErrNoKeys) {
		t.Error(err)
	}
}

// The memory is in the file.
func TestKeyFileAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known.keys")
	s := newKeyStory(t, true)
	s.open(path, true)
	s.step("a -> a")
	s.step("b -> a")
	if _, err := lookup.OpenKeyFile(path); !errors.Is(err, lookup.ErrKeyFileInUse) {
		t.Errorf("two at once: %v", err)
	}
	s.file.Close()
	s.open(path, true)
	s.step("b -> a")
	if stats := s.ring.Stats(); stats.Held != 0 {
		t.Errorf("held again: %+v", stats)
	}
}

// failing is a memory in trouble.
type failing struct{ load, store error }

func (f failing) Load(string) (lookup.KnownKeys, error) { return lookup.KnownKeys{}, f.load }
func (f failing) Change(_ string, change func(*lookup.KnownKeys) bool) error {
	change(&lookup.KnownKeys{})
	return f.store
}

// notebook is a memory without a disk.
type notebook map[string]lookup.KnownKeys

func (n notebook) Load(mailbox string) (lookup.KnownKeys, error) {
	known := n[mailbox]
	known.Accepted, known.Held = slices.Clone(known.Accepted), slices.Clone(known.Held)
	return known, nil
}

func (n notebook) Change(mailbox string, change func(*lookup.KnownKeys) bool) error {
	known, err := n.Load(mailbox)
	if change(&known) {
		n[mailbox] = known
	}
	return err
}

// A memory that fails is an outage, and never a key that nobody looked at.
func TestKeyMemoryFails(t *testing.T) {
	s := newKeyStory(t, true)
	broken := errors.New("disk full")
	for _, memory := range []failing{{load: broken}, {store: broken}} {
		ring, err := lookup.NewKeyring(s.script, lookup.KeyringOptions{Memory: memory})
		if err != nil {
			t.Fatal(err)
		}
		s.ring = ring
		if a := s.step("a -> "); a.Outcome != lookup.Unavailable || !errors.Is(a.Err, broken) {
			t.Errorf("%v, %v", a.Outcome, a.Err)
		}
	}
	for _, a := range []lookup.Answer{saysNone, saysDown} {
		s.says(a)
		if got := s.ring.Lookup(t.Context(), parse(t, anna)); got.Outcome != a.Outcome {
			t.Errorf("%v became %v", a.Outcome, got.Outcome)
		}
	}
}

// Under hold no key but the first is ever used without a word, whatever comes;
// and what was used can still be.
func TestHeldKeysAreNeverUsed(t *testing.T) {
	s := newKeyStory(t, true)
	rapid.Check(t, func(r *rapid.T) {
		var err error
		if s.ring, err = lookup.NewKeyring(s.script, lookup.KeyringOptions{Hold: true, Memory: notebook{}}); err != nil {
			t.Fatal(err)
		}
		first := ""
		for range rapid.IntRange(1, 12).Draw(r, "lookups") {
			offer := rapid.SampledFrom([]string{"a", "b", "c", "ab", "bc", "ac", "abc"}).Draw(r, "offer")
			if first == "" {
				first = offer
			}
			want := ""
			for letter := range strings.SplitSeq(first, "") {
				if strings.Contains(offer, letter) {
					want += letter
				}
			}
			if want == "" {
				want = first // remembered
			}
			s.step(offer + " -> " + want)
		}
	})
}

func TestPins(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	mine := issue(t, stranger, testkit.Leaf{Addresses: []string{anna}, Key: "p256"})
	other := issue(t, ca, testkit.Leaf{Addresses: []string{anna}, Key: "p256"})
	old := issue(t, ca, testkit.Leaf{Addresses: []string{anna}, Key: "p256", NotAfter: time.Now().Add(-time.Minute)})
	for name, test := range map[string]struct {
		pin   *certificate.Certificate
		certs []*certificate.Certificate
		used  *certificate.Certificate
		why   reason.Token
	}{
		"without a root":       {mine, []*certificate.Certificate{other, mine}, mine, reason.None},
		"another one":          {mine, []*certificate.Certificate{other}, nil, reason.CertificateNotPinned},
		"past its time":        {old, []*certificate.Certificate{old, other}, nil, reason.CertificateExpired},
		"not pinned, no chain": {nil, []*certificate.Certificate{mine}, nil, reason.CertificateUntrusted},
	} {
		opts := lookup.TrustOptions{Roots: []*x509.Certificate{ca.Cert}}
		if test.pin != nil {
			opts.Pins = map[string]lookup.Fingerprint{anna: test.pin.Fingerprint()}
		}
		a := trusted(t, always(found(test.certs...)), opts).Lookup(t.Context(), parse(t, anna))
		got := a.Usable(0)
		if test.used == nil && (len(got) != 0 || a.Reason != test.why) || test.used != nil && (len(got) != 1 || got[0] != test.used) {
			t.Errorf("%s: %d usable, %q", name, len(got), a.Reason)
		}
	}
}

func TestParseFingerprint(t *testing.T) {
	const digits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for _, s := range []string{digits, strings.ToUpper(digits), "00:11:22:33 44556677:8899AABBCCDDEEFF" + digits[32:]} {
		if f, err := lookup.ParseFingerprint(s); err != nil || f.String() != digits {
			t.Errorf("%s: %s, %v", s, f, err)
		}
	}
	for _, s := range []string{"", "00", digits + "00", digits[:63] + "x", digits[:63]} {
		if _, err := lookup.ParseFingerprint(s); !errors.Is(err, lookup.ErrFingerprint) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
