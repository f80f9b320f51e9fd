package upstream

import (
	"errors"
	"fmt"
	"time"

	"sealpost/relay/reply"
)

// An Outcome says what happened to a message at upstream. Send gives one with
// an error too, with what was known until then.
type Outcome struct {
	Server   string // the one that spoke last, as configured; "" when none did
	Remote   string // its address and port
	TLS      string // "TLS 1.3 TLS_AES_128_GCM_SHA256"; "" without TLS
	Verified bool   // the server's certificate was verified
	Chunked  bool   // sent with BDAT
	Reused   bool   // the connection had carried a message before

	// Reply is the answer to the end of the data; the zero value when it did
	// not come to that.
	Reply reply.Reply
	// Rcpts are the answers to each RCPT, in the envelope's order; the zero
	// value where it was not asked. Sent is all or nothing: one refusal, and
	// the others' acceptance is void.
	Rcpts []reply.Reply
	// DSNDropped says that the envelope asked for DSNs (RFC 3461) and the
	// server does not know them.
	DSNDropped bool

	Started  time.Time     // when a connection was free, or could be made
	Connect  time.Duration // connecting, EHLO, TLS and AUTH, all servers; 0 with a reused connection
	Transmit time.Duration // from MAIL to the last answer, all servers
}

// Certainty says whether upstream has the message in spite of an error.
type Certainty int

const (
	// NotTaken means that upstream does not have it: it may be sent again.
	NotTaken Certainty = iota
	// MaybeTaken means that the connection was lost after the end of the data
	// and before its answer: sent again, it may arrive twice.
	MaybeTaken
)

// A Stage is a place in the dialog.
type Stage string

// The stages in their order.
const (
	StageWait     Stage = "wait" // for a free connection
	StageConnect  Stage = "connect"
	StageGreeting Stage = "greeting"
	StageHello    Stage = "EHLO"
	StageTLS      Stage = "TLS"
	StageAuth     Stage = "AUTH"
	StageXForward Stage = "XFORWARD"
	StageMail     Stage = "MAIL"
	StageRcpt     Stage = "RCPT"
	StageData     Stage = "DATA"
	StageContent  Stage = "content"
	StageEnd      Stage = "end of data"
)

// A Failure is the error of Send: what a client hears, where it happened, and
// whether the message may have been taken all the same.
type Failure struct {
	Server string // as configured
	Stage  Stage
	Taken  Certainty
	Err    *reply.Error

	elsewhere bool // another server may be tried
	stale     bool // a connection from the pool died before it said anything
	handshake bool // TLS itself failed: without it the server can be talked to
}

// Error is for the log.
func (f *Failure) Error() string {
	return fmt.Sprintf("upstream %s: %s: %v", f.Server, f.Stage, f.Err)
}

// Unwrap gives the *reply.Error.
func (f *Failure) Unwrap() error { return f.Err }

// TakenOf reports whether a message whose Send gave err may have been taken.
func TakenOf(err error) Certainty {
	var f *Failure
	if errors.As(err, &f) {
		return f.Taken
	}
	return NotTaken
}
