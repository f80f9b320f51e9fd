package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"sealpost/relay/queue"
)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	if s.opt.Queue != nil {
		s.queue(mux)
	} else {
		for _, path := range []string{pathList, pathShow, pathRetry, pathHold, pathRelease, pathDelete} {
			mux.HandleFunc("POST "+path, func(w http.ResponseWriter, _ *http.Request) {
				refuse(w, http.StatusNotImplemented, "the server has no queue: it runs without a section spool")
			})
		}
	}
	for name, call := range s.opt.Calls {
		mux.HandleFunc("POST "+prefix+name, func(w http.ResponseWriter, r *http.Request) { serve(w, r, call) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "the server does not know this request: is it another version?")
	})
	return s.bounded(mux)
}

func (s *Server) queue(mux *http.ServeMux) {
	q := s.opt.Queue
	mux.HandleFunc("POST "+pathList, s.list)
	mux.HandleFunc("POST "+pathShow, func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, func(ctx context.Context, asked query) (any, error) { return q.Show(ctx, asked.ID) })
	})
	for path, order := range map[string]func(context.Context, queue.Filter) (queue.Changed, error){
		pathRetry: q.Retry, pathHold: q.Hold, pathRelease: q.Release, pathDelete: q.Delete,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			answer(w, r, func(ctx context.Context, asked query) (any, error) { return order(ctx, asked.Filter) })
		})
	}
}

// bounded bounds how many requests are under way and how large each is.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-r.Context().Done():
		}
		if r.Context().Err() != nil {
			refuse(w, http.StatusServiceUnavailable, "the server is stopping")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		next.ServeHTTP(w, r)
	})
}

// read reads what is asked.
func read(w http.ResponseWriter, r *http.Request) (query, bool) {
	var asked query
	err := strict(r.Body, &asked)
	if err != nil {
		misunderstood(w, err)
	}
	return asked, err == nil
}

// strict reads one JSON value; an unknown member is an error, for a condition
// that is left out would choose more than was meant.
func strict(from io.Reader, into any) error {
	dec := json.NewDecoder(from)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("more than one query"), err)
	}
	return nil
}

func misunderstood(w http.ResponseWriter, err error) {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "too much is asked at once")
		return
	}
	refuse(w, http.StatusBadRequest, "the server does not understand the query (is it another version?): "+err.Error())
}

func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(fault{why}) // nobody is left to be told
}

// answer gives the one result of a request.
func answer(w http.ResponseWriter, r *http.Request, do func(context.Context, query) (any, error)) {
	asked, ok := read(w, r)
	if !ok {
		return
	}
	result, err := do(r.Context(), asked)
	if err != nil {
		refuse(w, status(err), err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(result)
}

// list gives the rows one by one, in constant memory.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	asked, ok := read(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	out, end := json.NewEncoder(w), line{End: true}
	for row, err := range s.opt.Queue.List(r.Context(), asked.Filter) {
		if err != nil {
			end = line{Error: err.Error()}
			break
		}
		// Where the deadline cannot be set the reader is merely trusted.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxStall))
		if out.Encode(line{Row: &row}) != nil {
			return // the reader has gone
		}
	}
	_ = out.Encode(end)
}
