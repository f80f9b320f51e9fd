package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/relay/control"
	"sealpost/relay/queue"
	"sealpost/relay/spool"
)

// queueCommand shows and steers what waits in the spool.
type queueCommand struct {
	List    queueListCommand    `cmd:"" help:"List what waits, the oldest first."`
	Show    queueShowCommand    `cmd:"" help:"Show all that is known of messages, but nothing of their content."`
	Shape   queueShapeCommand   `cmd:"" help:"Count what waits by domain and age."`
	Retry   queueRetryCommand   `cmd:"" help:"Try now, instead of when it is due; without a filter everything."`
	Hold    queueHoldCommand    `cmd:"" help:"Keep messages: they are neither tried nor do they expire."`
	Release queueReleaseCommand `cmd:"" help:"End hold; the messages are tried at once."`
	Delete  queueDeleteCommand  `cmd:"" help:"Remove messages for good; nobody is told."`
}

// spoolAccess says whose spool, and how to answer.
type spoolAccess struct {
	Config string `required:"" short:"c" help:"Configuration file." placeholder:"FILE"`
	JSON   bool   `help:"Write JSON, one object a line."`
}

// An openQueue is the queue of the running server, or the spool itself.
type openQueue struct {
	control.Queue
	running bool
	close   func() error
}

// open asks the running server. Where there is none it takes the spool itself,
// and says so.
func (a spoolAccess) open(ctx context.Context, s streams) (*openQueue, error) {
	cfg, err := loadConfig(a.Config, nil)
	if err != nil {
		return nil, configError(err)
	}
	if cfg.Spool == nil {
		return nil, usageError{fmt.Errorf("%s: there is no section spool, so nothing ever waits here", a.Config)}
	}
	client, err := control.Dial(ctx, string(cfg.Control))
	if err == nil {
		return &openQueue{Queue: client, running: true, close: client.Close}, nil
	}
	if !errors.Is(err, control.ErrNoServer) {
		return nil, err
	}
	return openOffline(cfg.Spool, s.Err)
}

// openOffline opens the spool of a server that is stopped. It never makes one.
func openOffline(c *config.Spool, messages io.Writer) (*openQueue, error) {
	if !spool.Exists(string(c.Dir)) {
		return nil, fmt.Errorf("there is no spool in %s yet: the server makes it when it first starts", c.Dir)
	}
	key, err := spool.LoadKey(string(c.KeyFile))
	if err != nil {
		return nil, err
	}
	store, err := spool.Open(spool.Options{
		Dir: string(c.Dir), Identity: key, Limit: int64(c.Size),
		Log: slog.New(slog.NewTextHandler(messages, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if errors.Is(err, spool.ErrLocked) {
		return nil, fmt.Errorf("%w, but does not answer: the server is starting or stopping, or another sealpost queue is at work; try again", err)
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(messages, "sealpost: the server is not running: this is the spool in %s itself\n", c.Dir)
	return &openQueue{Queue: queue.NewOffline(store, nil), close: store.Close}, nil
}

// queueFilter chooses messages. All conditions that are given must hold.
type queueFilter struct {
	IDs       []word `arg:"" optional:"" name:"id" help:"Queue ids, as the 250 and the log have them."`
	Recipient word   `help:"Only recipients like this: * stands for any run of characters, ? for one." placeholder:"PATTERN"`
	Domain    word   `help:"Only recipients in this domain." placeholder:"DOMAIN"`
	Sender    word   `help:"Only messages from senders like this; '<>' is the null sender." placeholder:"PATTERN"`
	Older     age    `help:"Only messages that came longer ago, as in 90m, 12h or 5d." placeholder:"AGE"`
	Younger   age    `help:"Only messages that came since, as in 30s." placeholder:"AGE"`
	State     states `help:"Only recipients in these states: active, deferred, no-key, hold." placeholder:"STATE"`
}

// filter is what the queue understands.
func (f queueFilter) filter() (queue.Filter, error) {
	q := queue.Filter{
		Recipient: string(f.Recipient), Sender: string(f.Sender), Domain: string(f.Domain),
		OlderThan: time.Duration(f.Older), YoungerThan: time.Duration(f.Younger), States: f.State,
	}
	for _, id := range f.IDs {
		q.IDs = append(q.IDs, string(id))
	}
	// A pattern would match nothing here, without a word.
	if _, err := address.Domain(q.Domain); q.Domain != "" && err != nil && !strings.HasPrefix(q.Domain, "[") {
		return q, usageError{fmt.Errorf("--domain %s: %w; for several write --recipient '*@*.example.org'", q.Domain, err)}
	}
	return q, nil
}

// empty reports that the filter chooses everything.
func (f queueFilter) empty() bool {
	return len(f.IDs)+len(f.State) == 0 && f.Recipient+f.Sender+f.Domain == "" && f.Older == 0 && f.Younger == 0
}

// A word is text that is not empty: an unset variable in a script must not
// turn into a filter that chooses everything.
type word string

// UnmarshalText takes any text but none.
func (w *word) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("must not be empty")
	}
	*w = word(text)
	return nil
}

// states are states of the queue, with commas between them.
type states []queue.State

// UnmarshalText adds to those that were named before.
func (s *states) UnmarshalText(text []byte) error {
	for name := range strings.SplitSeq(string(text), ",") {
		state, err := queue.ParseState(name)
		if err != nil {
			return err
		}
		*s = append(*s, state)
	}
	return nil
}

// An age is a duration that may be written in days too.
type age time.Duration

// UnmarshalText reads 5d as well as what time.ParseDuration does.
func (a *age) UnmarshalText(text []byte) error {
	s, unit := string(text), time.Duration(1)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		s, unit = days+"h", 24
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > 10000*24*time.Hour {
		return errors.New("must be an age such as 30s, 90m, 12h or 5d")
	}
	*a = age(d * unit)
	return nil
}
