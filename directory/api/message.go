package api

import (
	"errors"
	"io"
	"net/http"
	"time"

	"sealpost/directory/harvest"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/lookup/keydb"
	"sealpost/smime"
)

// messageTime is how long a client may take to send a message.
const messageTime = 5 * time.Minute

// message is POST /v1/messages: a signed message proves whose certificate it
// brings, so no token is needed; a token with the scope write lifts the limit.
func (x *exchange) message() error {
	if err := x.permitOpen(store.ScopeWrite, false, costMessage); err != nil {
		return err
	}
	if err := x.bodyType(keydb.TypeMessage); err != nil {
		return err
	}
	limit := x.api.opts.Limits.Message
	if x.r.ContentLength > limit {
		return tooLarge(limit)
	}
	if err := x.api.messages.enter(); err != nil {
		return err
	}
	defer x.api.messages.leave()
	_ = http.NewResponseController(x).SetReadDeadline(time.Now().Add(messageTime)) // not every server can
	learned, err := x.harvest(http.MaxBytesReader(x, x.r.Body, limit))
	if err != nil {
		return err
	}
	ctx, cancel := x.context()
	defer cancel()
	added, err := x.add(ctx, []store.New{Harvested(learned)})
	if err != nil {
		return err
	}
	cert := keydb.NewCertificate(learned.Certificate)
	cert.Addresses = []string{learned.Address.Key()}
	cert.Origin, cert.Capabilities = string(store.OriginHarvest), learned.Capabilities
	return x.sendJSON(keydb.Learned{Address: learned.Address.Key(), Certificate: cert, Added: added[0]})
}

// Harvested is what a signed message taught, for the store. Who signs with a key
// uses it now, so it takes the place of older ones.
func Harvested(learned harvest.Learned) store.New {
	return store.New{
		Cert: learned.Certificate, Addresses: []address.Address{learned.Address}, Origin: store.OriginHarvest,
		Capabilities: learned.Capabilities, Supersede: true,
		Evidence: store.Evidence{MessageID: learned.MessageID, Signer: learned.Signer, Verdict: learned.Verdict, At: learned.SigningTime},
	}
}

func (x *exchange) harvest(body io.Reader) (harvest.Learned, error) {
	// Messages come from files here, and many of those have lost their carriage
	// returns, which the signature was made over.
	learned, err := x.api.opts.Harvester.Read(x.r.Context(), smime.Canonical(body))
	var no *harvest.Refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return learned, tooLarge(large.Limit)
	case errors.As(err, &no):
		return learned, refuse(http.StatusUnprocessableEntity, no.Reason, "%s", no.Why).because(no.Err)
	}
	return learned, err
}
