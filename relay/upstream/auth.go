package upstream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sealpost/relay/reply"
)

// login authenticates (RFC 4954) where that is configured: with PLAIN, and
// with LOGIN where only that is offered.
func (c *conn) login() *Failure {
	auth := c.server.Auth
	if auth == nil {
		return nil
	}
	if err := c.trusted(); err != nil {
		return session(StageAuth, errAuth, err)
	}
	password, err := auth.Password()
	if err != nil {
		return session(StageAuth, errAuth, fmt.Errorf("password: %w", err))
	}
	if strings.ContainsRune(auth.User+password, 0) {
		return session(StageAuth, errAuth, errors.New("user or password contains NUL"))
	}
	var r reply.Reply
	switch {
	case slices.Contains(c.ext.auth, "PLAIN"):
		r, err = c.command("AUTH PLAIN " + encode("\x00"+auth.User+"\x00"+password))
	case slices.Contains(c.ext.auth, "LOGIN"):
		r, err = c.loginLOGIN(auth.User, password)
	default:
		return session(StageAuth, errAuth, errors.New("neither AUTH PLAIN nor AUTH LOGIN is offered"))
	}
	switch {
	case err != nil:
		return broken(StageAuth, err)
	case r.Code == 235:
		return nil
	case r.Positive():
		return notServing(StageAuth, r)
	}
	return session(StageAuth, errCredentials, causeOf(r))
}

// loginLOGIN answers the two prompts, whatever they say, with user and
// password. A reply that is no prompt is the result.
func (c *conn) loginLOGIN(user, password string) (reply.Reply, error) {
	r, err := c.command("AUTH LOGIN")
	for _, answer := range []string{user, password} {
		if err != nil || r.Code != 334 {
			break
		}
		r, err = c.command(encode(answer))
	}
	return r, err
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
