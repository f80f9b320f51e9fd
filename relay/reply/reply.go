// Package reply is the one form of an SMTP answer inside the relay: what
// intake says to a client and what upstream said to us.
package reply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sealpost/internal/reason"
)

// Enhanced is an enhanced mail system status code (RFC 3463): class, subject,
// detail. The zero value means that none was given.
type Enhanced [3]int

// String is the dotted form, or "" for the zero value.
func (e Enhanced) String() string {
	if e[0] == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2])
}

// A Reply is one SMTP reply (RFC 5321 section 4.2). Text may hold several
// lines, separated by "\n"; it carries neither code nor enhanced code.
type Reply struct {
	Code     int
	Enhanced Enhanced
	Text     string
}

// New makes a reply; an enhanced code is written as "5.7.1" in the literal
// form Enhanced{5, 7, 1}.
func New(code int, enhanced Enhanced, text string) Reply {
	return Reply{Code: code, Enhanced: enhanced, Text: text}
}

// Positive reports 2yz or 3yz.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Permanent reports 5yz.
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code < 600 }

// Temporary reports 4yz, and everything that is no known class: the unknown is
// never permanent.
func (r Reply) Temporary() bool { return !r.Positive() && !r.Permanent() }

// String is the reply on one line, for logs: "550 5.7.1 text".
func (r Reply) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", r.Code)
	if e := r.Enhanced.String(); e != "" {
		b.WriteString(" " + e)
	}
	if r.Text != "" {
		b.WriteString(" " + strings.ReplaceAll(r.Text, "\n", " "))
	}
	return b.String()
}

// An Error is a negative reply as a Go error. Reply goes to the client;
// Cause goes to the log only and may hold what a client must not see.
type Error struct {
	Reply  Reply
	Reason reason.Token
	Cause  error
}

// Errorf makes an Error without a cause. The text is for the client.
func Errorf(code int, enhanced Enhanced, why reason.Token, format string, args ...any) *Error {
	return &Error{Reply: New(code, enhanced, fmt.Sprintf(format, args...)), Reason: why}
}

// Because returns a copy of e with the cause, which is logged and never sent.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error is what the log shows: the reply and, behind it, the cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Reply.String() + ": " + e.Cause.Error()
	}
	return e.Reply.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Of finds the Error in err's chain. What is no Error is our own trouble: 451
// without the internal text, never a permanent failure.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return Errorf(421, Enhanced{4, 3, 2}, reason.ShuttingDown, "Service closing transmission channel").Because(err)
	}
	return Errorf(451, Enhanced{4, 3, 0}, reason.InternalError, "Internal error, try again later").Because(err)
}

// Tagged is the reply as a client gets it: with the reason token at the end
// of its text, so that what stands in a sender's log can be searched for here.
func (e *Error) Tagged() Reply {
	r := e.Reply
	if e.Reason != reason.None {
		r.Text += " (" + string(e.Reason) + ")"
	}
	return r
}
