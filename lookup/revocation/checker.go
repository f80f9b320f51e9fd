package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"sealpost/lookup/outbound"
)

// Options bound what a Checker keeps and how long it waits. The zero value of
// each has a default.
type Options struct {
	Client *outbound.Client // required; the Checker does not close it
	// Wait is how long Check waits for what was never fetched, default 1 s;
	// negative: not at all.
	Wait    time.Duration
	MaxList int64         // bytes of one list as it comes, default 100 MiB
	Memory  int64         // bytes of all lists as they are kept, default 256 MiB
	Refresh time.Duration // the longest time between two fetches of one list or answer, default 6 h
	Keep    time.Duration // after it was last needed, default 48 h
	Dir     string        // where lists survive a restart; empty: nowhere
	// Withdrawn is called when a list or an answer says of certificates that
	// they were withdrawn, which it did not say before. match tells which, by
	// the DER of the issuer's name and the serial number.
	Withdrawn func(match func(issuer []byte, serial *big.Int) bool)
	Log       *slog.Logger     // default: slog.Default
	Clock     func() time.Time // default: time.Now
}

// Bounds that nobody needs to change.
const (
	maxLists    = 2000
	maxAnswers  = 50000
	maxFlights  = 256
	maxAnswer   = 64 << 10 // bytes of an OCSP answer
	tickEvery   = 5 * time.Second
	firstPause  = 30 * time.Second
	longPause   = 15 * time.Minute
	maxIssuers  = 4096
	soonestNext = time.Minute
)

// A Checker knows of certificates whether they were withdrawn. Lists are asked
// before responders: one list answers for everybody whom its issuer has
// certified, and does not tell the issuer to whom mail is sent.
type Checker struct {
	opts    Options
	ctx     context.Context // of the fetches
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu          sync.Mutex
	lists       *simplelru.LRU[string, *entry]
	answers     *simplelru.LRU[string, *entry]
	issuers     *simplelru.LRU[string, *x509.Certificate] // one copy of each
	authorities *simplelru.LRU[string, bool]              // authorities that were asked about, by issuer and serial
	refused     *simplelru.LRU[string, bool]              // certificates that a responder has called revoked
	memory      int64                                     // of the lists
	flying      int
	stats       Stats

	reading sync.Mutex // held while a large list is read
}

// Stats counts since the start.
type Stats struct {
	Lists, Answers         int    // that are kept now
	Memory                 int64  // bytes of the lists
	ListFetches            uint64 // fetches of lists, and those that failed
	ListFailures           uint64
	AnswerFetches          uint64 // the same of OCSP answers
	AnswerFailures         uint64
	Ignored                uint64 // pointers of certificates to what is not fetched, such as ldap:
	Good, Revoked, Unknown uint64 // verdicts
}

// New makes a Checker, which fetches in the background until Close.
func New(opts Options) (*Checker, error) {
	if opts.Client == nil {
		return nil, errors.New("revocation: no client")
	}
	set := func(n *int64, otherwise int64) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	set(&opts.MaxList, 100<<20)
	set(&opts.Memory, 256<<20)
	set((*int64)(&opts.Refresh), int64(6*time.Hour))
	set((*int64)(&opts.Keep), int64(48*time.Hour))
	if opts.Wait == 0 {
		opts.Wait = time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	c := &Checker{opts: opts}
	if err := c.openDir(); err != nil {
		return nil, fmt.Errorf("revocation: %w", err)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	gone := func(_ string, e *entry) { c.memory -= e.size() }
	c.lists, _ = simplelru.NewLRU(maxLists, gone)
	c.answers, _ = simplelru.NewLRU[string, *entry](maxAnswers, nil)
	c.issuers, _ = simplelru.NewLRU[string, *x509.Certificate](maxIssuers, nil)
	c.authorities, _ = simplelru.NewLRU[string, bool](maxIssuers, nil)
	c.refused, _ = simplelru.NewLRU[string, bool](maxAnswers, nil)
	c.running.Add(1)
	go c.run()
	return c, nil
}

// Close ends the fetches and waits for them. What is kept stays to be asked.
func (c *Checker) Close() {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.running.Wait()
}

// Stats counts.
func (c *Checker) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Lists, s.Answers, s.Memory = c.lists.Len(), c.answers.Len(), c.memory
	return s
}

// Check says what is known of a chain, which begins with an end entity's
// certificate and ends with a trusted one. The chain must have been verified:
// the places that its certificates name are asked. Revoked is the whole chain
// when one certificate is; Good when all are.
func (c *Checker) Check(ctx context.Context, chain []*x509.Certificate) Verdict {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	v, pending := c.chain(chain)
	for pending != nil {
		select {
		case <-pending:
			v, pending = c.chain(chain)
			continue
		case <-ctx.Done():
		}
		v, _ = c.chain(chain) // something else may have come meanwhile
		break
	}
	c.mu.Lock()
	switch v.Status {
	case Good:
		c.stats.Good++
	case Revoked:
		c.stats.Revoked++
	default:
		c.stats.Unknown++
	}
	c.mu.Unlock()
	return v
}

// Withdrawn reports whether a list or an answer at hand says that an end
// entity's certificate was withdrawn. It is for certificates that were verified
// once, of which nothing but the issuer's name and the serial number is left.
func (c *Checker) Withdrawn(issuer []byte, serial *big.Int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.lists.Values() {
		if e.list == nil || !bytes.Equal(e.list.issuer, issuer) {
			continue
		}
		if _, _, found := e.list.revoked.find(serial); found {
			return true
		}
	}
	return c.refused.Contains(serialKey(issuer, integer(serial)))
}

// limited leaves the caller a little of its time.
func (c *Checker) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	wait := max(c.opts.Wait, 0)
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)*9/10)
	}
	return context.WithTimeout(ctx, wait)
}

// chain looks at each certificate. pending, if not nil, is closed when more
// may be known.
func (c *Checker) chain(chain []*x509.Certificate) (all Verdict, pending <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all.Status = Good
	for i := range len(chain) - 1 {
		v, wait := c.certificate(chain[i], chain[i+1])
		if v.Status == Revoked {
			if i > 0 {
				v.Why = fmt.Sprintf("was issued by %s, whose certificate %s", quote(chain[i].Subject.String()), v.Why)
			}
			return v, nil
		}
		if wait != nil && pending == nil {
			pending = wait
		}
		if v.Status == Unknown && all.Status == Good {
			all = v
			if i > 0 {
				all.Why = fmt.Sprintf("of the issuer %s: %s", quote(chain[i].Subject.String()), v.Why)
			}
		}
		if all.Status == Good && (all.Until.IsZero() || v.Until.Before(all.Until)) {
			all.Until, all.Where = v.Until, v.Where
		}
	}
	if all.Status == Good && all.Until.IsZero() { // a trusted certificate alone
		all.Until = chain[0].NotAfter
	}
	return all, pending
}

func quote(name string) string { return fmt.Sprintf("%.120q", name) }

// certificate looks at one certificate. The caller holds the mutex.
func (c *Checker) certificate(cert, issuer *x509.Certificate) (Verdict, <-chan struct{}) {
	p := pointersOf(cert)
	c.stats.Ignored += uint64(p.ignored)
	if cert.IsCA {
		c.authorities.Add(serialKey(cert.RawIssuer, integer(cert.SerialNumber)), true)
	}
	if firstURL(p.points) == "" && len(p.responders) == 0 {
		if p.none {
			return Verdict{Status: Good, Until: cert.NotAfter, Where: "the certificate itself (noRevAvail, RFC 9608)"}, nil
		}
		why := "the certificate names no list and no responder"
		if p.ignored > 0 {
			why += " that can be fetched over http"
		}
		return Verdict{Why: why}, nil
	}
	issuer = c.intern(issuer)
	v, pending := c.askLists(cert, issuer, p.points)
	if v.Status != Unknown || pending != nil {
		return v, pending
	}
	o, pending := c.askResponders(cert, issuer, p.responders)
	if o.Status != Unknown || v.Why == "" {
		return o, pending
	}
	if o.Why != "" {
		v.Why += "; " + o.Why
	}
	return v, pending
}

// intern gives the one copy of an issuer that entries refer to.
func (c *Checker) intern(issuer *x509.Certificate) *x509.Certificate {
	key := string(issuer.Raw)
	if known, ok := c.issuers.Get(key); ok {
		return known
	}
	c.issuers.Add(key, issuer)
	return issuer
}

func serialKey(issuer, serial []byte) string { return string(issuer) + "\x00" + string(serial) }

// askLists asks the lists of every distribution point until all reasons are
// spoken of (RFC 5280 section 6.3.3).
func (c *Checker) askLists(cert, issuer *x509.Certificate, points []point) (Verdict, <-chan struct{}) {
	var known reasonMask
	var good Verdict
	var pending <-chan struct{}
	var problems []string
	for _, p := range points {
		if known == allReasons {
			break
		}
		if p.foreign {
			problems = append(problems, "its list is signed by somebody else than its issuer, which is not supported")
			continue
		}
		for _, u := range p.urls {
			e := c.listEntry(u, issuer)
			wait := c.touch(e)
			if !e.list.current(c.opts.Clock()) {
				problems = append(problems, e.problem())
				if wait != nil {
					pending = wait
					break // the next URL is for when this one has failed
				}
				continue
			}
			if err := e.list.scope.covers(cert, p); err != nil {
				problems = append(problems, fmt.Sprintf("list %s: %v", u, err))
				continue
			}
			v := e.list.status(cert)
			v.Where = u
			if v.Status == Revoked {
				return v, nil
			}
			known |= e.list.scope.reasons & p.reasons
			if good.Until.IsZero() || v.Until.Before(good.Until) {
				good = v
			}
			break
		}
	}
	switch {
	case known == allReasons:
		return good, nil
	case known != 0 && len(problems) == 0:
		problems = append(problems, "its lists speak of some reasons only")
	}
	return Verdict{Where: firstURL(points), Why: strings.Join(problems, "; ")}, pending
}

func firstURL(points []point) string {
	for _, p := range points {
		if len(p.urls) > 0 {
			return p.urls[0]
		}
	}
	return ""
}

// askResponders takes the first responder's word that counts.
func (c *Checker) askResponders(cert, issuer *x509.Certificate, urls []string) (Verdict, <-chan struct{}) {
	var problems []string
	for _, u := range urls {
		e, err := c.answerEntry(u, cert, issuer)
		if err != nil {
			return Verdict{Where: u, Why: err.Error()}, nil
		}
		wait := c.touch(e)
		if !e.answer.current(c.opts.Clock()) {
			if wait != nil {
				return Verdict{Where: u, Why: "the responder is being asked"}, wait
			}
			problems = append(problems, e.problem())
			continue
		}
		if d := e.answer.delegate; d != nil {
			v, wait := c.askLists(d, issuer, pointersOf(d).points)
			if wait != nil {
				return Verdict{Where: u, Why: "the responder's own certificate is being asked about"}, wait
			}
			if v.Status == Revoked {
				problems = append(problems, fmt.Sprintf("responder %s: its own certificate %s", u, v.Why))
				continue
			}
		}
		v := e.answer.verdict
		v.Where = u
		return v, nil
	}
	v := Verdict{Why: strings.Join(problems, "; ")}
	if len(urls) > 0 {
		v.Where = urls[0]
	}
	return v, nil
}
