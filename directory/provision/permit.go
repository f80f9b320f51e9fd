package provision

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
)

// ErrRequest says that a request can never be answered as it is.
var ErrRequest = errors.New("the request cannot be answered")

func (r *Request) check() error {
	switch {
	case r.Address.IsNull():
		return fmt.Errorf("%w: it names no address", ErrRequest)
	case len(r.Secret) > keydb.MaxSecret:
		return fmt.Errorf("%w: its secret has more than %d bytes", ErrRequest, keydb.MaxSecret)
	case r.Secret != "" && plainSecret(r.Secret) == "":
		return fmt.Errorf("%w: its secret has nothing but blanks and hyphens", ErrRequest)
	case len(r.References) > keydb.MaxReferences:
		return fmt.Errorf("%w: it has more than %d references", ErrRequest, keydb.MaxReferences)
	case len(r.Language) > 35:
		return fmt.Errorf("%w: its language is no language tag", ErrRequest)
	case len(r.Sender) > 512:
		return fmt.Errorf("%w: its sender is no address", ErrRequest)
	}
	for _, text := range r.References {
		if text == "" || len(text) > keydb.MaxReference {
			return fmt.Errorf("%w: a reference has between one and %d bytes", ErrRequest, keydb.MaxReference)
		}
	}
	return nil
}

// A Rate bounds how many keys one node makes; others than the first request for
// an address do not count.
type Rate struct {
	PerHour int // in the long run; 0: no bound
	Burst   int // at once
}

// permit refuses addresses that get no key whatever the rate is.
func (e *Engine) permit(a address.Address) error {
	if _, err := e.Allowed(a); err != nil {
		return err
	}
	return nil
}

// Allowed reports whether a key would be made for an address that has none; else
// the error is a *Refusal. It does not look at the rate, and changes nothing.
func (e *Engine) Allowed(a address.Address) (bool, error) {
	spellings := []string{strings.ToLower(a.Key()), strings.ToLower(a.Local() + "@" + a.UnicodeDomain())}
	for _, pattern := range e.opts.Exclude {
		for _, s := range spellings {
			if glob(strings.ToLower(pattern), s) {
				return false, &Refusal{Reason: reason.ProvisionExcluded, Why: fmt.Sprintf("no key is made for %s, which is excluded by %q", a, pattern)}
			}
		}
	}
	if local, _, _ := strings.Cut(spellings[0], "@"); e.opts.DenyRoles && isRole(local) {
		return false, &Refusal{Reason: reason.ProvisionRole, Why: fmt.Sprintf("no key is made for %s: it is the address of a role, not of a person", a)}
	}
	return true, nil
}

// glob matches s against a pattern in which * stands for any run of characters,
// and ? for one.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

// roles are local parts that stand for a task: those of RFC 2142, and what is
// common beside them.
var roles = []string{
	"abuse", "accounting", "accounts", "admin", "administrator", "billing", "bounce", "bounces", "careers", "compliance", "contact",
	"customerservice", "dpo", "enquiries", "feedback", "finance", "ftp", "hello", "help", "helpdesk", "hostmaster", "hr", "info",
	"inquiries", "invoice", "invoices", "it", "jobs", "legal", "list", "mail", "mailer-daemon", "marketing", "media", "moderator",
	"news", "newsletter", "no-reply", "noc", "noreply", "donotreply", "do-not-reply", "office", "orders", "payments", "postmaster",
	"press", "privacy", "purchasing", "reception", "recruiting", "root", "sales", "security", "service", "shop", "support", "sysadmin",
	"team", "trouble", "undisclosed-recipients", "usenet", "uucp", "webmaster", "www",
}

// isRole looks at the local part without its detail (info+x), in lower case.
func isRole(local string) bool {
	local, _, _ = strings.Cut(local, "+")
	for _, r := range roles {
		if local == r {
			return true
		}
	}
	return strings.HasSuffix(local, "-request") || strings.HasPrefix(local, "owner-") || strings.HasSuffix(local, "-owner")
}

// A limiter is a token bucket that says how long to wait.
type limiter struct {
	mu sync.Mutex
	*rate.Limiter
}

// newLimiter gives nil for no bound.
func newLimiter(r Rate) *limiter {
	if r.PerHour <= 0 {
		return nil
	}
	return &limiter{Limiter: rate.NewLimiter(rate.Limit(float64(r.PerHour)/3600), max(r.Burst, 1))}
}

// take pays for one key; the error is the *Refusal that says how long to wait.
func (l *limiter) take(now time.Time) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	reservation := l.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	reservation.CancelAt(now)
	return &Refusal{Reason: reason.ProvisionRate, RetryAfter: wait, Why: "more keys were asked for than the directory makes in a while: ask again later"}
}
