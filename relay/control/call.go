package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// A Call answers one kind of question that has nothing to do with the queue;
// NewCall makes it. Whoever starts the server knows what it is about.
type Call struct {
	answer func(ctx context.Context, question io.Reader) (any, error)
}

// NewCall makes a Call of a function. Question and answer cross the socket as
// JSON. A question with a member that Q does not have is refused.
func NewCall[Q, A any](do func(ctx context.Context, question Q) (A, error)) Call {
	return Call{func(ctx context.Context, body io.Reader) (any, error) {
		var question Q
		if err := strict(body, &question); err != nil {
			return nil, questionError{err}
		}
		return do(ctx, question)
	}}
}

// A questionError is about what was asked, not about the answer.
type questionError struct{ error }

func serve(w http.ResponseWriter, r *http.Request, call Call) {
	result, err := call.answer(r.Context(), r.Body)
	var question questionError
	switch {
	case errors.As(err, &question):
		misunderstood(w, question.error)
		return
	case err != nil:
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	// Where the deadline cannot be set the reader is merely trusted.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxStall))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(result)
}

// Ask asks the Call of that name.
func Ask[A any](ctx context.Context, c *Client, name string, question any) (A, error) {
	return decode[A](c.post(ctx, prefix+name, question))
}
