package claim

import (
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// A limiter bounds what one node is asked. What must hold for all nodes is
// counted in the database.
type limiter struct {
	limits    Limits
	clock     func() time.Time
	clients   *lru.Cache[netip.Addr, *rate.Limiter]
	mailboxes *lru.Cache[string, *rate.Limiter]
	resends   *lru.Cache[string, *rate.Limiter]
	guesses   *rate.Limiter
}

// remembered is how many clients and mailboxes are counted at once; the one that
// was quiet longest is forgotten first.
const remembered = 100_000

func newLimiter(l Limits, clock func() time.Time) *limiter {
	return &limiter{
		limits: l, clock: clock, guesses: per(time.Hour, l.Guesses),
		clients: table[netip.Addr](), mailboxes: table[string](), resends: table[string](),
	}
}

func table[K comparable]() *lru.Cache[K, *rate.Limiter] {
	t, err := lru.New[K, *rate.Limiter](remembered)
	if err != nil {
		panic(err) // for sizes below one only
	}
	return t
}

func per(d time.Duration, n int) *rate.Limiter {
	return rate.NewLimiter(rate.Every(d/time.Duration(n)), n)
}

// client reports whether a client may try again. A customer of a provider has a
// whole /64 of IPv6.
func (l *limiter) client(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			a = p.Addr()
		}
	}
	return allow(l.clients, a, l.clock(), time.Hour, l.limits.Client)
}

// mailbox reports whether a code for an address may be tried. It is asked for
// addresses that nobody has heard of too, or it would tell which those are.
func (l *limiter) mailbox(address string) bool {
	now := l.clock()
	return allow(l.mailboxes, address, now, time.Hour, l.limits.Mailbox) && l.guesses.AllowN(now, 1)
}

// resend reports whether a notice may be asked for.
func (l *limiter) resend(address string) bool {
	return allow(l.resends, address, l.clock(), 24*time.Hour, l.limits.Resend)
}

func allow[K comparable](t *lru.Cache[K, *rate.Limiter], key K, now time.Time, d time.Duration, n int) bool {
	fresh := per(d, n)
	if known, ok, _ := t.PeekOrAdd(key, fresh); ok {
		t.Get(key) // it was not quiet
		fresh = known
	}
	return fresh.AllowN(now, 1)
}
