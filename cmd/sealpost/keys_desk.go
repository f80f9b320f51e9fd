package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/lookup"
	"sealpost/relay/control"
)

// A keyDesk is where operators see and say what is to become of keys: the
// running server, or the file of one that is stopped.
type keyDesk interface {
	list(ctx context.Context, q keyListing) (keyList, error)
	load(ctx context.Context, q keyMailbox) (lookup.KnownKeys, error)
	order(ctx context.Context, o keyOrder) (keyAnswer, error)
}

// What is asked of a keyDesk, and answered, also over the control socket.
type (
	keyListing struct {
		Behind string `json:"behind,omitempty"` // the mailbox that was listed last
		All    bool   `json:"all,omitempty"`    // not only those for which a key waits
	}
	keyList struct {
		Mailboxes []mailboxKeys `json:"mailboxes"`
		More      bool          `json:"more"`
	}
	keyMailbox struct {
		Mailbox string `json:"mailbox"`
	}
	keyOrder struct {
		Do      string               `json:"do"` // one of keyOrders
		Address string               `json:"address"`
		Keys    []lookup.Fingerprint `json:"keys,omitempty"`
	}
	keyAnswer struct {
		Known   lookup.KnownKeys `json:"known"`             // after the order
		Problem string           `json:"problem,omitempty"` // one of keyProblems; then nothing was changed
	}
)

// keyProblems are errors that cross the socket by name.
var keyProblems = map[string]error{
	"no-keys": lookup.ErrNoKeys, "nothing-held": lookup.ErrNothingHeld, "several-held": lookup.ErrSeveralHeld,
}

const keysAtOnce = 200 // mailboxes in one part of a listing

// keyWords counts what operators have said about keys.
type keyWords struct{ confirmed, refused, forgotten atomic.Uint64 }

// A fileDesk works on the file itself.
type fileDesk struct {
	file   *lookup.KeyFile
	forget func(address.Address) error // what is remembered of its certificates
	words  *keyWords
}

func (d fileDesk) list(ctx context.Context, q keyListing) (keyList, error) {
	out := keyList{Mailboxes: []mailboxKeys{}}
	for one, err := range d.file.All(q.Behind, !q.All) {
		switch {
		case err != nil && one.Mailbox == "":
			return out, err
		case ctx.Err() != nil:
			return out, ctx.Err()
		case len(out.Mailboxes) == keysAtOnce:
			out.More = true
			return out, nil
		}
		out.Mailboxes = append(out.Mailboxes, newMailboxKeys(one.Mailbox, one.KnownKeys, err))
	}
	return out, nil
}

func (d fileDesk) load(_ context.Context, q keyMailbox) (lookup.KnownKeys, error) {
	return d.file.Load(q.Mailbox)
}

// order carries an order out. When it returns, the next message is sealed as
// ordered.
func (d fileDesk) order(_ context.Context, o keyOrder) (out keyAnswer, err error) {
	a, err := address.Parse(o.Address)
	if err != nil {
		return out, err
	}
	done := &d.words.confirmed
	switch o.Do {
	case "accept":
		out.Known, err = d.file.Accept(a.Key(), o.Keys...)
	case "refuse":
		done = &d.words.refused
		out.Known, err = d.file.Refuse(a.Key(), o.Keys...)
	case "forget":
		done = &d.words.forgotten
		err = d.file.Forget(a.Key())
	default:
		return out, fmt.Errorf("nobody knows how to %s a key", o.Do)
	}
	for name, problem := range keyProblems {
		if errors.Is(err, problem) {
			return keyAnswer{Problem: name}, nil
		}
	}
	if err != nil {
		return out, err
	}
	done.Add(1)
	if err := d.forget(a); err != nil {
		return out, fmt.Errorf("done, but what was found before stands in lookup.cache.file still, and counts again after a restart: %w", err)
	}
	return out, nil
}

// A serverDesk asks the running server.
type serverDesk struct{ *control.Client }

// Names of the calls that a server takes at the control socket.
const (
	callKeyList  = "keys/list"
	callKeyLoad  = "keys/load"
	callKeyOrder = "keys/order"
)

func (d serverDesk) list(ctx context.Context, q keyListing) (keyList, error) {
	return control.Ask[keyList](ctx, d.Client, callKeyList, q)
}

func (d serverDesk) load(ctx context.Context, q keyMailbox) (lookup.KnownKeys, error) {
	return control.Ask[lookup.KnownKeys](ctx, d.Client, callKeyLoad, q)
}

func (d serverDesk) order(ctx context.Context, o keyOrder) (keyAnswer, error) {
	return control.Ask[keyAnswer](ctx, d.Client, callKeyOrder, o)
}

// serverPatience is how long the running server may take for what it knows by
// heart.
const serverPatience = 10 * time.Second

// errNotRunning says that no server answers.
var errNotRunning = errors.New("the server is not running")

// dialServer finds the running server; the error is errNotRunning when there
// is none, and otherwise why it cannot be asked.
func dialServer(ctx context.Context, cfg *config.Config) (*control.Client, error) {
	if cfg.Control == "" {
		return nil, fmt.Errorf("%w, or cannot be asked: it has no control socket (write control: FILE and restart it)", errNotRunning)
	}
	client, err := control.Dial(ctx, string(cfg.Control))
	if errors.Is(err, control.ErrNoServer) {
		return nil, errNotRunning
	}
	return client, err
}

// An openDesk is to be closed.
type openDesk struct {
	keyDesk
	running bool
	close   func() error
}

// openKeys asks the running server. Where there is none it takes the file
// itself, and says so.
func openKeys(ctx context.Context, cfg *config.Config, messages io.Writer) (*openDesk, error) {
	client, err := dialServer(ctx, cfg)
	if err == nil {
		return &openDesk{keyDesk: serverDesk{client}, running: true, close: client.Close}, nil
	}
	if !errors.Is(err, errNotRunning) {
		return nil, err
	}
	path := string(cfg.Trust.KnownKeys)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s yet: the server makes it when it first starts", path)
	}
	file, err := lookup.OpenKeyFile(path)
	if errors.Is(err, lookup.ErrKeyFileInUse) {
		return nil, inUse(cfg, err)
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(messages, "sealpost: the server is not running: this is %s itself\n", path)
	return &openDesk{
		keyDesk: fileDesk{file, func(a address.Address) error { return forgetInFile(cfg, a) }, new(keyWords)},
		close:   file.Close,
	}, nil
}

// inUse says what to do about a file that somebody has who does not answer.
func inUse(cfg *config.Config, err error) error {
	if cfg.Control == "" {
		return fmt.Errorf("%w, which has no control socket to be asked at: write control: FILE into the configuration and restart the server", err)
	}
	return fmt.Errorf("%w, but the server does not answer at %s: it is starting or stopping, or another sealpost command is at work; try again", err, cfg.Control)
}

// forgetInFile drops what a stopped server has kept of an address.
func forgetInFile(cfg *config.Config, a address.Address) error {
	path := string(cfg.Lookup.Cache.File)
	if _, err := os.Stat(path); path == "" || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	file, err := lookup.OpenCacheFile(lookup.CacheFileOptions{Path: path, Entries: cfg.Lookup.Cache.FileEntries})
	if err != nil {
		return err
	}
	file.Forget(a)
	return file.Close()
}
