package control

import (
	"errors"
	"fmt"
	"net/http"

	"sealpost/relay/queue"
	"sealpost/relay/spool"
)

// What a request asks for; each takes a query and is a POST, as none of them
// is for caches or for links.
const (
	prefix = "/v1/"

	pathList    = "/v1/list"
	pathShow    = "/v1/show"
	pathRetry   = "/v1/retry"
	pathHold    = "/v1/hold"
	pathRelease = "/v1/release"
	pathDelete  = "/v1/delete"
)

// A query is the body of a request: the id is for Show, the filter for all
// else.
type query struct {
	ID     string       `json:"id,omitempty"`
	Filter queue.Filter `json:"filter,omitzero"`
}

// A line is one of a listing. The last one has End or Error set: a listing
// without it was cut off.
type line struct {
	Row   *queue.Row `json:"row,omitempty"`
	End   bool       `json:"end,omitempty"`
	Error string     `json:"error,omitempty"`
}

// A fault is the body of an answer that is not 200.
type fault struct {
	Error string `json:"error"`
}

// ErrPath is the error for a socket with a longer path than the system allows
// (unix(7): 108 bytes with the final NUL).
var ErrPath = errors.New("the path of the control socket is too long")

const maxPath = 107

// CheckPath says whether a socket can have this path; if not, the error is
// ErrPath.
func CheckPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("%w: %s has %d bytes, %d are possible", ErrPath, path, len(path), maxPath)
	}
	return nil
}

// status is the HTTP status for an error of the queue.
func status(err error) int {
	switch {
	case errors.Is(err, spool.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, spool.ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
