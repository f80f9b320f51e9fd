package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/reason"
)

// An exchange is one call under way. It is the http.ResponseWriter of its
// handler, and knows what became of it.
type exchange struct {
	http.ResponseWriter
	api      *API
	r        *http.Request
	endpoint *endpoint
	arg      string // what the path has beyond the endpoint's
	client   netip.Prefix
	token    string // id of the token that was used
	begun    time.Time
	status   int
	size     int64
	why      *refusal // nil when it was answered
}

// WriteHeader notes the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.size += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// context is the request's, with the time that the database has.
func (x *exchange) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(x.r.Context(), x.api.opts.Limits.CallTime)
}

// permit lets calls pass that carry a token with the scope.
func (x *exchange) permit(scope store.Scope) error {
	secret, given := bearer(x.r.Header)
	if !given {
		return unauthorized("This call needs a token with the scope %q.", scope)
	}
	token, err := x.authenticate(secret)
	if err != nil {
		return err
	}
	if !has(token, scope) {
		return refuse(http.StatusForbidden, reason.TokenScope, "This call needs a token with the scope %q.", scope)
	}
	return nil
}

// permitOpen lets everybody pass as long as his allowance lasts, and those with
// a token of the scope always. With closed, only those.
func (x *exchange) permitOpen(scope store.Scope, closed bool, cost int) error {
	if closed {
		return x.permit(scope)
	}
	if secret, given := bearer(x.r.Header); given {
		token, err := x.authenticate(secret)
		if err != nil {
			return err
		}
		if has(token, scope) {
			return nil
		}
	}
	return x.api.limiter.take(x.client, cost)
}

// authenticate finds the token. A wrong one costs, so that nobody tries many.
func (x *exchange) authenticate(secret string) (store.Token, error) {
	if token, ok := x.api.tokens.remembered(secret, x.begun); ok {
		x.token = token.ID
		return token, nil
	}
	ctx, cancel := x.context()
	defer cancel()
	token, err := x.api.tokens.find(ctx, secret)
	if err == nil {
		x.token = token.ID
		return token, nil
	}
	if !isUnknownToken(err) {
		return store.Token{}, err
	}
	if err := x.api.limiter.take(x.client, costBadToken); err != nil {
		return store.Token{}, err
	}
	return store.Token{}, unauthorized("This token is not known here, or not any more.")
}

func unauthorized(format string, args ...any) error {
	return refuse(http.StatusUnauthorized, reason.TokenRequired, format, args...).
		with("WWW-Authenticate", `Bearer realm="directory"`)
}

func has(t store.Token, scope store.Scope) bool {
	return slices.Contains(t.Scopes, scope) || slices.Contains(t.Scopes, store.ScopeAdmin)
}
