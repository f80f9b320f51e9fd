package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how often one message is tried.
const patience = 50

// send runs the sessions until every message is taken.
func (r *run) send(ctx context.Context, o Options, b *body) (retries int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range o.Sessions {
		wg.Go(func() {
			s := &session{run: r, opts: o, body: b}
			defer s.quit()
			for i := int(next.Add(1)) - 1; i < o.Messages; i = int(next.Add(1)) - 1 {
				again, err := s.message(ctx, i)
				failed.Add(int64(again))
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return int(failed.Load()), context.Cause(ctx)
}

// A session sends message after message on one connection.
type session struct {
	run  *run
	opts Options
	body *body
	c    *client
}

// message sends one message until it is taken.
func (s *session) message(ctx context.Context, i int) (again int, err error) {
	seq := s.run.first + i
	s.run.begun[i] = int64(time.Since(s.run.start))
	for ; again < patience; again++ {
		if err = s.attempt(ctx, seq); err == nil {
			return again, nil
		}
		s.drop()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return again, errors.Join(context.Cause(ctx), err)
		}
	}
	return again, fmt.Errorf("message %d was not taken in %d attempts: %w", seq, patience, err)
}

func (s *session) attempt(ctx context.Context, seq int) (err error) {
	if s.c == nil {
		if s.c, err = dial(ctx, s.opts.Server); err != nil {
			return err
		}
	}
	return s.c.send(seq, s.opts.Recipients, s.body)
}

func (s *session) drop() {
	if s.c != nil {
		s.c.conn.Close()
		s.c = nil
	}
}

func (s *session) quit() {
	if s.c != nil {
		s.c.quit()
	}
}
