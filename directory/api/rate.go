package api

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"sealpost/internal/reason"
)

// What a call costs of a client's allowance, in lookups. A message takes long
// to verify; a wrong token is somebody who guesses.
const (
	costLookup   = 1
	costMessage  = 10
	costBadToken = 10
)

// clientTable is how many clients are remembered. Whoever has been forgotten
// begins with a full allowance, so the table errs on the friendly side.
const clientTable = 65536

// limiter gives every client its own token bucket.
type limiter struct {
	rate  rate.Limit
	burst int
	clock func() time.Time

	mu      sync.Mutex
	clients *simplelru.LRU[netip.Prefix, *rate.Limiter]
}

// newLimiter allows perSecond lookups in the long run and burst at once; nil,
// no limit, when perSecond is below zero.
func newLimiter(perSecond, burst int, clock func() time.Time) *limiter {
	if perSecond < 0 {
		return nil
	}
	clients, err := simplelru.NewLRU[netip.Prefix, *rate.Limiter](clientTable, nil)
	if err != nil {
		panic(err) // the size is a constant above zero
	}
	return &limiter{rate: rate.Limit(perSecond), burst: max(burst, costMessage), clock: clock, clients: clients}
}

// take pays for a call; the error is the refusal that says how long to wait.
func (l *limiter) take(client netip.Prefix, cost int) error {
	if l == nil {
		return nil
	}
	now := l.clock()
	reservation := l.bucket(client).ReserveN(now, cost)
	wait := reservation.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	reservation.CancelAt(now)
	return refuse(http.StatusTooManyRequests, reason.RateLimited,
		"Too many calls from your network. Wait, or use a token.").after(wait)
}

func (l *limiter) bucket(client netip.Prefix) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.clients.Get(client)
	if !ok {
		b = rate.NewLimiter(l.rate, l.burst)
		l.clients.Add(client, b)
	}
	return b
}

// A gate bounds how many calls of a kind are under way at once.
type gate chan struct{}

// enter takes a place; the caller leaves it when it is done. Nobody waits:
// who finds no place is told so.
func (g gate) enter() error {
	select {
	case g <- struct{}{}:
		return nil
	default:
		return refuse(http.StatusServiceUnavailable, reason.ServerBusy,
			"Too many calls are under way. Try again in a moment.").after(time.Second)
	}
}

func (g gate) leave() { <-g }
