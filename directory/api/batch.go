package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
)

// maxSpelled is what one address may take in the JSON of a batch, escapes and
// all: six bytes for each of 321, quotes and a comma.
const maxSpelled = 2048

// batch is POST /v1/certificates:batch. An address that is none has its own
// error; the others are answered.
func (x *exchange) batch() error {
	if err := x.permit(store.ScopeBatch); err != nil {
		return err
	}
	var request keydb.BatchRequest
	if err := x.readJSON(&request, int64(x.api.opts.Limits.Batch)*maxSpelled); err != nil {
		return err
	}
	switch n := len(request.Addresses); {
	case request.Addresses == nil:
		return malformed("The member addresses is missing.")
	case n > x.api.opts.Limits.Batch:
		return refuse(http.StatusRequestEntityTooLarge, reason.RequestTooLarge, "A batch may have %d addresses.", x.api.opts.Limits.Batch)
	}
	keys := make([]string, 0, len(request.Addresses))
	wrong := map[int]*refusal{}
	for i, text := range request.Addresses {
		a, err := address.Parse(text)
		if err != nil {
			wrong[i] = addressRefused(err)
			continue
		}
		keys = append(keys, a.Key())
	}
	found, err := x.api.opts.Finder.findAll(x.r.Context(), keys)
	if err != nil {
		return err
	}
	x.Header().Set("Cache-Control", "no-store")
	return withBody(func(b []byte) ([]byte, error) {
		if b, err = appendBatch(b, request.Addresses, found, wrong); err != nil {
			return b, internal(err)
		}
		return b, x.send(keydb.TypeJSON, b)
	})
}

// appendBatch writes a keydb.Batch; found has no entry for what is wrong.
func appendBatch(b []byte, addresses []string, found [][]keydb.Certificate, wrong map[int]*refusal) ([]byte, error) {
	b = append(b, `{"answers":[`...)
	for i, text := range addresses {
		if i > 0 {
			b = append(b, ',')
		}
		if no := wrong[i]; no != nil {
			item, err := json.Marshal(keydb.BatchItem{Address: text, Error: &no.Problem})
			if err != nil {
				return b, err
			}
			b = append(b, item...)
			continue
		}
		b = keydb.AppendAnswer(b, text, found[0])
		found = found[1:]
	}
	return append(b, "]}"...), nil
}

// readJSON reads a body that is one JSON value of at most so many bytes.
// Members that are not known are refused: they are misspelt ones.
func (x *exchange) readJSON(into any, limit int64) error {
	if err := x.bodyType(keydb.TypeJSON); err != nil {
		return err
	}
	decoder := json.NewDecoder(http.MaxBytesReader(x, x.r.Body, limit))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return badBody(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return malformed("Something follows the JSON of the body.")
	}
	return nil
}

// badBody is why a body of JSON could not be read.
func badBody(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge(large.Limit)
	case errors.As(err, &syntax):
		return malformed("The body is no JSON, from byte %d on.", syntax.Offset)
	case errors.As(err, &kind):
		return malformed("The member %q of the body must be of another kind.", kind.Field)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return malformed("The body has a member that this call does not know: %s.", strings.TrimPrefix(err.Error(), "json: unknown field "))
	}
	return malformed("The body ends before its JSON does.")
}

// bodyType refuses bodies of other types than these, and compressed ones.
func (x *exchange) bodyType(types ...string) error {
	kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err == nil && slices.Contains(types, kind) && x.r.Header.Get("Content-Encoding") == "" {
		return nil
	}
	list := strings.Join(types, ", ")
	what := "The body must be"
	if len(types) > 1 {
		what = "The body must be one of"
	}
	return refuse(http.StatusUnsupportedMediaType, reason.MediaTypeUnknown, "%s", fmt.Sprintf("%s %s, uncompressed, and Content-Type must say so.", what, list)).
		with("Accept", list)
}
