package keydb

import (
	"context"
	"fmt"
	"net/http"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// A ProvisionRequest is the body of POST /v1/keys: somebody wants to write to an
// address, sealed, whether it has a key or not. Only Address is needed.
type ProvisionRequest struct {
	Address string `json:"address"`
	// Secret is what the recipient must know, beside reading his mail, to claim the
	// key: a customer number, say. At most MaxSecret bytes. The directory keeps a slow
	// hash of it, and only that of the request that made the key.
	Secret string `json:"secret,omitempty"`
	// References stand in the notice that the recipient gets, so that he knows whose
	// mail it is about; at most MaxReferences.
	References []string `json:"references,omitempty"`
	Language   string   `json:"language,omitempty"` // of the notice, as in RFC 5646
	Sender     string   `json:"sender,omitempty"`   // mail address of who writes
}

// String leaves the secret out, so that it gets into no log.
func (r ProvisionRequest) String() string { return "provision " + r.Address }

// GoString leaves the secret out.
func (r ProvisionRequest) GoString() string { return r.String() }

// refusals are the reasons with which a directory says for good, or for now, that
// it makes no key for an address. All other errors are trouble.
var refusals = map[reason.Token]bool{
	reason.ProvisionExcluded: true, reason.ProvisionRole: true, reason.ProvisionRate: true,
}

// IsRefusal reports that the directory has decided to make no key, and by which
// reason: ProvisionExcluded and ProvisionRole hold until its configuration
// changes, ProvisionRate passes. Any other error, a token without the scope
// among them, says nothing about the address.
func (p *Problem) IsRefusal() bool { return refusals[p.Reason] }

// Provision asks for the certificates of an address, and has the directory make a
// key for it when it has none; created tells that it was made now. The answer has
// at least one certificate. What the directory refuses is a *Problem (see
// IsRefusal). It needs a token with the scope provision.
func (c *Client) Provision(ctx context.Context, r ProvisionRequest) (a Answer, created bool, err error) {
	addr, err := address.Parse(r.Address)
	if err != nil {
		return Answer{}, false, err
	}
	resp, done, err := c.postWithin(ctx, c.opts.ProvisionTimeout, PathKeys, r)
	if err != nil {
		return Answer{}, false, err
	}
	defer done()
	body, err := readJSON(resp, c.opts.MaxAnswer)
	if err != nil {
		return Answer{}, false, err
	}
	a, err = ReadAnswer(body, addr)
	if err == nil && len(a.Certificates) == 0 {
		err = fmt.Errorf("%w: it has no certificate for %s", ErrFormat, addr)
	}
	if err != nil {
		return Answer{}, false, err
	}
	return a, resp.StatusCode == http.StatusCreated, nil
}
