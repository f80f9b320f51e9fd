package claim

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"sealpost/directory/escrow"
	"sealpost/directory/store"
	"sealpost/internal/address"
)

// A Mailer hands a message over to a mail server. When it returns nil, that
// server has it.
type Mailer interface {
	Send(ctx context.Context, from, to address.Address, message []byte) error
}

// Options say whose keys, and how they are claimed.
type Options struct {
	Store  *store.Store
	Keeper escrow.Keeper
	// Chain goes into PKCS #12 files beside the certificate, issuer first.
	Chain []*x509.Certificate
	// URL is the portal's, as https://keys.example.com; links lead there, and never
	// where a request says.
	URL string
	// Key is what tokens and codes are computed with: KeySize random bytes, the same
	// on all nodes, that are not in the database.
	Key []byte
	// CheckSecret compares an answer with a slow hash; see provision.CheckSecret.
	CheckSecret func(hash, answer string) bool

	Mailer    Mailer          // nil: no notices are sent
	From      address.Address // of the notices
	Name      string          // whose notices they are, for people
	Templates fs.FS           // takes the place of our own, file by file; may be nil
	Language  string          // of notices when nobody said; default "en"

	Limits      Limits
	DeleteAfter time.Duration // how long a key stays in escrow after it was taken home; 0: as long as it would have
	MinRSABits  int           // of an own certificate; see lookup.TrustOptions
	// Settle waits until lookups see what was written; may be nil.
	Settle func(context.Context)

	Log   *slog.Logger     // default: slog.Default
	Clock func() time.Time // default: time.Now
	Rand  io.Reader        // default: crypto/rand
}

// Limits bound what can be tried. Zero fields have the defaults that are given.
type Limits struct {
	Notice     time.Duration // how long a notice can be used; default 30 days
	Session    time.Duration // how long a session lasts; default 1 hour
	Tries      int           // wrong codes for one notice, with and without its link each; default 5
	Answers    int           // wrong answers to the second question for one notice; default 5
	AllAnswers int           // wrong answers for one key, over all its notices; default 15
	Client     int           // attempts an hour of one client; default 60
	Mailbox    int           // attempts an hour that name one mailbox; default 10
	Guesses    int           // attempts an hour that name any mailbox; default 1000
	Resend     int           // notices a day that can be asked for, for one mailbox; default 3
	Reminder   time.Duration // between a notice and a reminder; default 30 days
	Reminders  int           // default 3; negative: none
}

func (l Limits) orDefault() Limits {
	day := 24 * time.Hour
	for _, d := range []struct {
		at *time.Duration
		or time.Duration
	}{{&l.Notice, 30 * day}, {&l.Session, time.Hour}, {&l.Reminder, 30 * day}} {
		if *d.at <= 0 {
			*d.at = d.or
		}
	}
	for _, n := range []struct {
		at *int
		or int
	}{{&l.Tries, 5}, {&l.Answers, 5}, {&l.AllAnswers, 15}, {&l.Client, 60}, {&l.Mailbox, 10}, {&l.Guesses, 1000}, {&l.Resend, 3}} {
		if *n.at <= 0 {
			*n.at = n.or
		}
	}
	if l.Reminders == 0 {
		l.Reminders = 3
	}
	return l
}

// An Engine is what the pages stand on. Its methods may be called from many
// goroutines.
type Engine struct {
	opts    Options
	limits  Limits
	letters *letters
	limiter *limiter
	stats   counters
	heavy   chan struct{} // bounds what costs much time or memory at once
	wanted  chan address.Address
	poke    chan struct{}
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

// heavyTasks is how many slow hashes are computed at once.
const heavyTasks = 4

// waitingNotices is how many notices that were asked for wait to be looked into.
const waitingNotices = 200

// New checks the options. Nothing runs in the background before Start.
func New(opts Options) (*Engine, error) {
	if opts.Store == nil || opts.Keeper == nil || opts.CheckSecret == nil {
		return nil, errors.New("claim: store, keeper and the check of secrets are needed")
	}
	if len(opts.Key) != KeySize {
		return nil, fmt.Errorf("claim: the key must have %d bytes", KeySize)
	}
	u, err := url.Parse(opts.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("claim: the URL of the portal is needed, as https://keys.example.com")
	}
	if opts.Mailer != nil && opts.From.IsNull() {
		return nil, errors.New("claim: notices need an address that they come from")
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	if opts.Settle == nil {
		opts.Settle = func(context.Context) {}
	}
	e := &Engine{opts: opts, limits: opts.Limits.orDefault(), heavy: make(chan struct{}, heavyTasks),
		wanted: make(chan address.Address, waitingNotices), poke: make(chan struct{}, 1), stop: func() {}}
	e.limiter = newLimiter(e.limits, opts.Clock)
	if e.letters, err = readLetters(opts.Templates, opts.Language); err != nil {
		return nil, err
	}
	return e, e.letters.check(e)
}

// Start begins to send notices.
func (e *Engine) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	e.tasks.Go(func() { e.run(ctx) })
	e.tasks.Go(func() { e.listen(ctx) })
}

// Close ends what runs in the background. A notice that was on its way is sent
// again after the next Start, with the same code.
func (e *Engine) Close() {
	e.stop()
	e.tasks.Wait()
}

// atOnce bounds f's kind of work; an error is ctx's.
func (e *Engine) atOnce(ctx context.Context, f func()) error {
	select {
	case e.heavy <- struct{}{}:
		defer func() { <-e.heavy }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
