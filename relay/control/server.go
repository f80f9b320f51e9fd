package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"sealpost/relay/queue"
)

// A Queue is what an operator may do: the methods of queue.Engine, which a
// Client has too.
type Queue interface {
	List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Row, error]
	Show(ctx context.Context, id string) (queue.Detail, error)
	Retry(ctx context.Context, f queue.Filter) (queue.Changed, error)
	Hold(ctx context.Context, f queue.Filter) (queue.Changed, error)
	Release(ctx context.Context, f queue.Filter) (queue.Changed, error)
	Delete(ctx context.Context, f queue.Filter) (queue.Changed, error)
}

// Options configure a Server.
type Options struct {
	Path  string          // of the socket
	Queue Queue           // nil: there is none, and who asks about it is told so
	Calls map[string]Call // what else may be asked, by name
	Log   *slog.Logger
}

const (
	maxRequest = 1 << 20          // bytes: some ten thousand ids
	maxAtOnce  = 16               // requests; more of them wait
	maxStall   = 10 * time.Minute // of a reader: someone pages through a listing
	maxAsking  = 10 * time.Second // for a request to come
	maxEnding  = 2 * time.Second  // for requests under way at the stop
)

// A Server answers at the socket until Stop.
type Server struct {
	opt   Options
	http  *http.Server
	slots chan struct{} // one for each request under way
	end   context.CancelFunc
	done  chan struct{}
}

// Listen opens the socket and answers. Nothing is left when it fails.
func Listen(opt Options) (*Server, error) {
	l, err := listen(opt.Path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{opt: opt, slots: make(chan struct{}, maxAtOnce), end: cancel, done: make(chan struct{})}
	s.http = &http.Server{
		Handler:        s.handler(),
		ReadTimeout:    maxAsking,
		IdleTimeout:    maxAsking,
		MaxHeaderBytes: 8 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ErrorLog:       slog.NewLogLogger(opt.Log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			opt.Log.Error("the control socket does not answer any more", "socket", l.Addr().String(), "error", err)
		}
	}()
	return s, nil
}

// ErrInUse is the error of Listen when another server answers at the socket.
var ErrInUse = errors.New("another server answers there")

// listen makes the socket; one that nobody listens on any more goes first.
func listen(path string) (net.Listener, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	if err := makeRoom(path); err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	// The socket is nobody else's from its first moment on, whatever folder it is
	// in. Files that others of this process make in the meantime are too.
	old := syscall.Umask(0o077)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("control socket: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

// makeRoom removes what a process that was killed has left, and nothing else.
func makeRoom(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSocket:
		return errors.New("something is there that is not a socket: move it away")
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return ErrInUse
	} else if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Stop removes the socket and lets requests under way finish for a moment.
// When it returns no request is under way any more.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxEnding)
	defer cancel()
	err := s.http.Shutdown(ctx)
	s.end()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = s.http.Close()
	}
	<-s.done
	for range cap(s.slots) {
		s.slots <- struct{}{}
	}
	return err
}
