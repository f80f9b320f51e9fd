package keydb

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sealpost/internal/reason"
)

// Errors of the client that are answers: what the directory says with
// authority, to be found with errors.Is.
var (
	ErrNone   = errors.New("the directory has no certificate for this address")
	ErrCursor = errors.New("the directory does not know this place in its feed; the copy must be made anew")
)

// A Problem is an error as the API tells it (RFC 9457), with one of our reason
// tokens. As an error it is what the client returns for every status that is
// no answer.
type Problem struct {
	Type     string       `json:"type,omitempty"`
	Title    string       `json:"title,omitempty"`
	Status   int          `json:"status,omitempty"` // of HTTP
	Detail   string       `json:"detail,omitempty"`
	Instance string       `json:"instance,omitempty"`
	Reason   reason.Token `json:"reason,omitempty"`

	RetryAfter time.Duration `json:"-"` // from the header field; 0 without
}

// Error says what the directory answered. What the server wrote is quoted: it
// goes into logs.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the directory answered status %d", p.Status)
	if text := firstOf(p.Detail, p.Title); text != "" {
		fmt.Fprintf(&b, ": %q", text)
	}
	if p.Reason != reason.None {
		fmt.Fprintf(&b, " (%q)", string(p.Reason))
	}
	return b.String()
}

// Is lets errors.Is find ErrNone and ErrCursor. Only a problem with the reason
// says so: a 404 may come from any web server that knows nothing of certificates.
func (p *Problem) Is(target error) bool {
	switch target {
	case ErrNone:
		return p.Status == 404 && p.Reason == reason.NoCertificate
	case ErrCursor:
		return p.Status == 410 && p.Reason == reason.CursorUnknown
	}
	return false
}

func firstOf(texts ...string) string {
	const most = 300
	for _, s := range texts {
		if s != "" {
			return s[:min(len(s), most)]
		}
	}
	return ""
}

// readProblem makes the best of the body of an answer that is not 2xx.
func readProblem(status int, mediaType string, body []byte) *Problem {
	p := &Problem{}
	if mediaType == TypeProblem {
		if json.Unmarshal(body, p) != nil {
			p = &Problem{}
		}
	}
	p.Status = status
	return p
}
