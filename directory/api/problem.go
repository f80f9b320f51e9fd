package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
)

// A refusal is a problem (RFC 9457) on its way to the client. Handlers return
// it as an error; it is written in one place.
type refusal struct {
	keydb.Problem
	header [][2]string // more header fields: Allow, WWW-Authenticate
	cause  error       // for the log; never sent
}

func refuse(status int, token reason.Token, format string, args ...any) *refusal {
	return &refusal{Problem: keydb.Problem{
		Title: http.StatusText(status), Status: status, Reason: token, Detail: fmt.Sprintf(format, args...),
	}}
}

func (p *refusal) Error() string { return p.Detail + " [" + string(p.Reason) + "]" }

// Unwrap gives what the log is told and the client is not.
func (p *refusal) Unwrap() error { return p.cause }

func (p *refusal) with(name, value string) *refusal {
	p.header = append(p.header, [2]string{name, value})
	return p
}

func (p *refusal) after(d time.Duration) *refusal {
	p.RetryAfter = d
	return p
}

func (p *refusal) because(err error) *refusal {
	p.cause = err
	return p
}

// malformed is the refusal of a call that cannot be understood.
func malformed(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, reason.RequestMalformed, format, args...)
}

// asRefusal makes one of any error. What is not known is temporary: the client
// may ask again, and learns no more than that.
func asRefusal(err error) *refusal {
	var p *refusal
	if errors.As(err, &p) {
		return p
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(large.Limit)
	}
	return refuse(http.StatusServiceUnavailable, reason.LookupUnavailable,
		"The directory cannot answer for now. Try again in a moment.").after(5 * time.Second).because(err)
}

// internal is the answer to what should not have happened.
func internal(cause error) *refusal {
	return refuse(http.StatusInternalServerError, reason.InternalError, "Something went wrong here; it was logged.").because(cause)
}

func tooLarge(limit int64) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, reason.RequestTooLarge, "The body of this call may have %d bytes.", limit)
}

// addressRefused says what is wrong with an address that was sent.
func addressRefused(err error) *refusal {
	token := reason.AddressInvalid
	if errors.Is(err, address.ErrRouting) {
		token = reason.AddressRouting
	}
	return refuse(http.StatusBadRequest, token, "The %s.", err)
}

// unknown is the answer for an address without a usable certificate. It is the
// same whether nothing is stored, or something that must not be used.
func unknown() *refusal {
	return refuse(http.StatusNotFound, reason.NoCertificate, "The directory has no certificate for this address.")
}

// retryAfter is the value of Retry-After: whole seconds, at least one.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(int64(max(time.Second, d+time.Second-1)/time.Second), 10)
}

// writeHeader sets what a client must know beside the status. An unknown address
// keeps the Cache-Control that a known one has.
func (p *refusal) writeHeader(h http.Header) {
	for _, field := range p.header {
		h.Set(field[0], field[1])
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", retryAfter(p.RetryAfter))
	}
	if h.Get("Cache-Control") == "" || p.Status != http.StatusNotFound {
		h.Set("Cache-Control", "no-store")
	}
}

// write sends the problem.
func (p *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	p.writeHeader(h)
	h.Set("Content-Type", keydb.TypeProblem)
	body, err := json.Marshal(p.Problem)
	if err != nil {
		panic(err) // strings and a number
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}
