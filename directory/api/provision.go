package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"sealpost/directory/provision"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
)

// A Provisioner makes keys for addresses that have none; what it refuses is a
// *provision.Refusal.
type Provisioner interface {
	Provision(ctx context.Context, r provision.Request) (certs []store.Certificate, created bool, err error)
}

// maxProvision bounds the body of POST /v1/keys.
const maxProvision = 16 << 10

// provision is POST /v1/keys: the certificates of an address, one made now if it
// has none.
func (x *exchange) provision() error {
	if err := x.permit(store.ScopeProvision); err != nil {
		return err
	}
	var body keydb.ProvisionRequest
	if err := x.readJSON(&body, maxProvision); err != nil {
		return err
	}
	request, err := provisionRequest(body, "token "+x.token)
	if err != nil {
		return err
	}
	ctx, cancel := x.context()
	defer cancel()
	certs, created, err := x.api.opts.Provisioner.Provision(ctx, request)
	if err != nil {
		return provisionRefused(err)
	}
	if !created {
		return x.sendAnswer(http.StatusOK, request.Address, certs)
	}
	// The key is made; that the index is late makes no trouble of it.
	if seq, err := x.api.opts.Store.Sequence(ctx); err == nil {
		x.api.opts.Finder.settle(ctx, seq)
	}
	return x.sendAnswer(http.StatusCreated, request.Address, certs)
}

// provisionRequest reads what was sent. Neither the secret nor what might be one
// in a wrong place gets into an answer or a log.
func provisionRequest(body keydb.ProvisionRequest, actor string) (provision.Request, error) {
	a, err := address.Parse(body.Address)
	if err != nil {
		return provision.Request{}, addressRefused(err)
	}
	r := provision.Request{
		Address: a, Secret: body.Secret, References: body.References, Language: body.Language, Actor: actor,
	}
	if body.Sender != "" {
		sender, err := address.Parse(body.Sender)
		if err != nil {
			return r, malformed("The member sender is no mail address.")
		}
		r.Sender = sender.Key()
	}
	return r, nil
}

// provisionRefused says why no key is made.
func provisionRefused(err error) error {
	var no *provision.Refusal
	switch {
	case errors.As(err, &no) && no.RetryAfter > 0:
		return refuse(http.StatusTooManyRequests, no.Reason, "%s.", sentence(no.Why)).after(no.RetryAfter)
	case errors.As(err, &no):
		return refuse(http.StatusForbidden, no.Reason, "%s.", sentence(no.Why))
	case errors.Is(err, provision.ErrRequest):
		return refuse(http.StatusBadRequest, reason.RequestMalformed, "%s.", sentence(err.Error()))
	}
	return err
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (x *exchange) sendAnswer(status int, a address.Address, certs []store.Certificate) error {
	body, err := json.Marshal(keydb.Answer{Address: a.Key(), Certificates: wireAll(certs)})
	if err != nil {
		return internal(err)
	}
	h := x.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", keydb.TypeJSON)
	x.WriteHeader(status)
	_, err = x.Write(body)
	return err
}
