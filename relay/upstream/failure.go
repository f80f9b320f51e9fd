package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// This file is the one place where trouble with upstream becomes a reply. The
// rule: what says something about this message or its recipients keeps
// upstream's code and text; what says something about us, the connection or
// the dialog is temporary, because a mistake of the operator must not bounce
// mail. Texts for clients say nothing about credentials or internals; those
// stand in the cause, for the log.

// refused is the failure of a message for which upstream gave a negative reply.
func refused(stage Stage, r reply.Reply) *Failure {
	said := causeOf(r)
	f := &Failure{Stage: stage, Err: &reply.Error{Reply: passedOn(stage, r), Reason: reason.UpstreamRefused}}
	switch {
	case r.Code == 421:
		// The server closes its connection, which is no reason for us to close
		// the client's: 421 would say that.
		f.Err.Reply.Code, f.Err.Reason, f.elsewhere = 451, reason.UpstreamDeferred, true
	case r.Code == 530 || r.Code == 534 || r.Code == 535 || r.Code == 538:
		f.Err, f.elsewhere = errAuth.Because(said), true
	case r.Code == 500 || r.Code == 502 || r.Code == 503:
		f.Err, f.elsewhere = errProtocol.Because(said), true
	case f.Err.Reply.Temporary():
		f.Err.Reason = reason.UpstreamDeferred
		f.elsewhere = stage == StageMail
	}
	return f
}

// passedOn is upstream's reply as our client gets it: with an enhanced code,
// as RFC 2034 wants it of us, and not endless.
func passedOn(stage Stage, r reply.Reply) reply.Reply {
	// RFC 5321 section 4.5.3.1.10: at RCPT, 552 may be an old server's way to
	// say "too many recipients", and is to be treated as 452.
	if r.Code == 552 && stage == StageRcpt && (r.Enhanced == reply.Enhanced{} || r.Enhanced == reply.Enhanced{5, 5, 3}) {
		r.Code, r.Enhanced = 452, reply.Enhanced{4, 5, 3}
	}
	if r.Enhanced[0] == 0 {
		r.Enhanced[0] = r.Code / 100
	}
	const maxText = 1000
	if len(r.Text) > maxText {
		r.Text = strings.ToValidUTF8(r.Text[:maxText], "") + "..."
	}
	return r
}

// causeOf is a reply of upstream as the cause of one of ours.
func causeOf(r reply.Reply) error { return fmt.Errorf("upstream said: %s", r) }

// Our own words for trouble that is not the message's. They are constants: a
// cause is put to a copy.
var (
	errUnreachable = reply.Errorf(451, reply.Enhanced{4, 4, 1}, reason.UpstreamUnreachable, "The next mail server cannot be reached, try again later")
	errNotServing  = reply.Errorf(451, reply.Enhanced{4, 4, 1}, reason.UpstreamUnreachable, "The next mail server does not accept our connection, try again later")
	errLost        = reply.Errorf(451, reply.Enhanced{4, 4, 2}, reason.UpstreamUnreachable, "The connection to the next mail server was lost, try again later")
	errTimeout     = reply.Errorf(451, reply.Enhanced{4, 4, 2}, reason.UpstreamTimeout, "The next mail server took too long, try again later")
	errTLS         = reply.Errorf(451, reply.Enhanced{4, 7, 5}, reason.UpstreamTLS, "No secure connection to the next mail server, try again later")
	errAuth        = reply.Errorf(451, reply.Enhanced{4, 7, 0}, reason.UpstreamAuth, "The next mail server does not let us in, try again later")
	errCredentials = reply.Errorf(451, reply.Enhanced{4, 7, 8}, reason.UpstreamAuth, "The next mail server does not accept our credentials, try again later")
	errProtocol    = reply.Errorf(451, reply.Enhanced{4, 5, 0}, reason.UpstreamProtocol, "The next mail server gave an invalid answer, try again later")
	errStopping    = reply.Errorf(451, reply.Enhanced{4, 3, 2}, reason.ShuttingDown, "The relay is shutting down, try again later")
)

// broken is the failure of a connection: reading or writing gave err.
func broken(stage Stage, err error) *Failure {
	f := &Failure{Stage: stage, elsewhere: true}
	var malformed protocolError
	var network net.Error
	switch {
	case errors.As(err, &malformed):
		f.Err = errProtocol.Because(err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		f.Err = errTimeout.Because(err)
	case stage == StageConnect:
		f.Err = errUnreachable.Because(err)
	default:
		f.Err = errLost.Because(err)
	}
	return f
}

// session is the failure of a connection that came to nothing before MAIL.
func session(stage Stage, e *reply.Error, cause error) *Failure {
	return &Failure{Stage: stage, Err: e.Because(cause), elsewhere: true}
}

// cancelled turns f, which happened while ctx ended, into what the end of ctx
// means. A cause that is a *reply.Error is given as it is.
func cancelled(ctx context.Context, stage Stage, taken Certainty) *Failure {
	cause := context.Cause(ctx)
	f := &Failure{Stage: stage, Taken: taken}
	var given *reply.Error
	switch {
	case errors.As(cause, &given):
		f.Err = given
	case errors.Is(cause, context.DeadlineExceeded):
		f.Err = errTimeout.Because(cause)
	default:
		f.Err = errStopping.Because(cause)
	}
	return f
}

// lacks is the failure of a message that needs what the server does not offer.
func lacks(code int, enhanced reply.Enhanced, text string) *Failure {
	return &Failure{Stage: StageMail, Err: reply.Errorf(code, enhanced, reason.UpstreamLacks, "%s", text)}
}
