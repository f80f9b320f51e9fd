package intake

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// Refusals of AUTH (RFC 4954 sections 4 and 6). There is no SCRAM: it needs
// secrets that a bcrypt password file does not hold.
var (
	errAuthNeedsTLS  = refusal(538, reply.Enhanced{5, 7, 11}, reason.AuthNeedsTLS, "Encryption required for requested authentication mechanism")
	errAuthAgain     = refusal(503, reply.Enhanced{5, 5, 1}, reason.ProtocolError, "Already authenticated")
	errAuthMechanism = refusal(504, reply.Enhanced{5, 5, 4}, reason.ProtocolError, "Authentication mechanism not supported")
	errAuthCancelled = refusal(501, reply.Enhanced{5, 7, 0}, reason.ProtocolError, "Authentication cancelled")
	errAuthEncoding  = refusal(501, reply.Enhanced{5, 5, 2}, reason.ProtocolError, "Cannot decode response")
	errAuthFailed    = refusal(535, reply.Enhanced{5, 7, 8}, reason.AuthFailed, "Authentication credentials invalid")
	errAuthBlocked   = refusal(421, reply.Enhanced{4, 7, 0}, reason.AuthFailed, "Too many failed authentications")
)

// mayAuth reports whether AUTH is offered now: never without TLS.
func (c *conn) mayAuth() bool {
	return c.opts.Auth != nil && c.secure() && c.client.User == ""
}

// auth answers AUTH.
func (c *conn) auth(args string) {
	if e := c.authAllowed(); e != nil {
		c.refuse(e)
		return
	}
	mechanism, initial, _ := strings.Cut(args, " ")
	var user, password string
	var err error
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		user, password, err = c.authPlain(initial)
	case "LOGIN":
		user, password, err = c.authLogin(initial)
	default:
		err = errAuthMechanism
	}
	if err != nil {
		c.authStopped(err)
		return
	}
	c.authenticate(user, password)
}

func (c *conn) authAllowed() *reply.Error {
	switch {
	case c.opts.Auth == nil:
		return errNotOffered
	case !c.secure():
		return errAuthNeedsTLS
	case !c.extended():
		return errHelloFirst
	case c.client.User != "":
		return errAuthAgain
	case c.tx != nil:
		return errInMail
	}
	return nil
}

// authStopped answers an exchange that did not come to its end.
func (c *conn) authStopped(err error) {
	c.hangUp(err)
	if e, ok := err.(*reply.Error); !ok || e.Reply.Code == 421 {
		c.quit = true
	}
}

// authenticate asks whether the password is right. The failure is counted
// before, so that many connections at once do not get more tries.
func (c *conn) authenticate(user, password string) {
	who := clientPrefix(c.client.Remote.Addr())
	if !c.server.failures.begin(who, time.Now()) {
		c.refuse(errAuthBlocked)
		return
	}
	if user != "" && !strings.ContainsFunc(user+password, isControl) && c.opts.Auth(c.server.ctx, user, password) {
		c.server.failures.forgive(who)
		c.client.User = user
		c.reply(235, reply.Enhanced{2, 7, 0}, "Authentication successful")
		return
	}
	c.refuse(errAuthFailed)
	if c.authFailures++; c.authFailures >= maxAuthFailures {
		c.refuse(errAuthBlocked)
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// authPlain reads [authzid] NUL authcid NUL password (RFC 4616). Acting for
// somebody else is not possible.
func (c *conn) authPlain(initial string) (user, password string, err error) {
	response, err := c.authResponse(initial, "")
	if err != nil {
		return "", "", err
	}
	parts := strings.Split(response, "\x00")
	if len(parts) != 3 {
		return "", "", errAuthEncoding
	}
	if parts[0] != "" && parts[0] != parts[1] {
		return "", "", nil // refused as a wrong password is
	}
	return parts[1], parts[2], nil
}

// authLogin asks for the name and the password, one after the other.
func (c *conn) authLogin(initial string) (user, password string, err error) {
	if user, err = c.authResponse(initial, "Username:"); err != nil {
		return "", "", err
	}
	password, err = c.authResponse("", "Password:")
	return user, password, err
}

// authResponse decodes the initial response, or asks for one: "=" stands for
// an empty initial one, "*" cancels.
func (c *conn) authResponse(initial, challenge string) (string, error) {
	if initial == "=" {
		return "", nil
	}
	if initial == "" {
		c.wire.out = append(c.wire.out, "334 "...)
		c.wire.out = base64.StdEncoding.AppendEncode(c.wire.out, []byte(challenge))
		c.wire.out = append(c.wire.out, '\r', '\n')
		line, err := c.readLine(maxAuthLine)
		if err != nil {
			return "", err
		}
		if initial = string(line); initial == "*" {
			return "", errAuthCancelled
		}
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(initial)
	if err != nil || strings.ContainsAny(initial, "\r\n") {
		return "", errAuthEncoding
	}
	return string(decoded), nil
}

const (
	failureWindow = 10 * time.Minute
	maxFailing    = 10000 // addresses that are remembered
)

// A failureCounter bounds how many passwords one client address may try in a
// window of time, over all its connections.
type failureCounter struct {
	limit int
	mu    sync.Mutex
	since time.Time // all counts begin anew after the window, which bounds the map too
	count map[netip.Prefix]int
}

func newFailureCounter(limit int) *failureCounter {
	return &failureCounter{limit: limit, count: map[netip.Prefix]int{}}
}

// begin counts a try, and is false when the client has had its share.
func (f *failureCounter) begin(who netip.Prefix, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.since) > failureWindow || len(f.count) >= maxFailing {
		f.since = now
		clear(f.count)
	}
	if f.count[who] >= f.limit {
		return false
	}
	f.count[who]++
	return true
}

// forgive takes a try back that was none.
func (f *failureCounter) forgive(who netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count[who] > 1 {
		f.count[who]--
	} else {
		delete(f.count, who)
	}
}
