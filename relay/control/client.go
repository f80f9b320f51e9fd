package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"syscall"

	"sealpost/relay/queue"
	"sealpost/relay/spool"
)

// ErrNoServer is the error of Dial when no server listens.
var ErrNoServer = errors.New("no server is running")

// A Client asks a running server. Its methods are those of queue.Engine; what
// else a server can be asked goes through Ask.
type Client struct{ http *http.Client }

// Dial finds the server behind a socket; ErrNoServer when there is none. The
// Client is to be closed.
func Dial(ctx context.Context, path string) (*Client, error) {
	if err := CheckPath(path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoServer, err) // for no server can have it
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the server cannot be asked: %w", err)
	}
	conn.Close() // it was only to see who is there
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Close ends the connection.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// ask sends a query about the queue; the answer is 200.
func (c *Client) ask(ctx context.Context, path string, q query) (io.ReadCloser, error) {
	body, err := c.post(ctx, path, q)
	if refused := (*refusal)(nil); errors.As(err, &refused) && refused.status == http.StatusNotFound && path == pathShow {
		return nil, fmt.Errorf("%s: %w", q.ID, spool.ErrNotFound)
	}
	return body, err
}

// A refusal is an answer that is not 200.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return "the server says: " + r.text }

// post sends a question; the answer is 200.
func (c *Client) post(ctx context.Context, path string, question any) (io.ReadCloser, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sealpost"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server does not answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var f fault
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&f) != nil || f.Error == "" {
		f.Error = resp.Status
	}
	return nil, &refusal{resp.StatusCode, f.Error}
}

// List is as queue.Engine.List. A listing that does not come whole ends with
// an error.
func (c *Client) List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Row, error] {
	return func(yield func(queue.Row, error) bool) {
		body, err := c.ask(ctx, pathList, query{Filter: f})
		if err != nil {
			yield(queue.Row{}, err)
			return
		}
		defer body.Close()
		for dec := json.NewDecoder(body); ; {
			var l line
			switch err := dec.Decode(&l); {
			case err != nil:
				yield(queue.Row{}, fmt.Errorf("the listing was cut off: %w", err))
				return
			case l.Error != "":
				yield(queue.Row{}, fmt.Errorf("the server says: %s", l.Error))
				return
			case l.End:
				return
			case l.Row != nil && !yield(*l.Row, nil):
				return
			}
		}
	}
}

// Show is as queue.Engine.Show.
func (c *Client) Show(ctx context.Context, id string) (queue.Detail, error) {
	return get[queue.Detail](ctx, c, pathShow, query{ID: id})
}

// Retry is as queue.Engine.Retry.
func (c *Client) Retry(ctx context.Context, f queue.Filter) (queue.Changed, error) {
	return get[queue.Changed](ctx, c, pathRetry, query{Filter: f})
}

// Hold is as queue.Engine.Hold.
func (c *Client) Hold(ctx context.Context, f queue.Filter) (queue.Changed, error) {
	return get[queue.Changed](ctx, c, pathHold, query{Filter: f})
}

// Release is as queue.Engine.Release.
func (c *Client) Release(ctx context.Context, f queue.Filter) (queue.Changed, error) {
	return get[queue.Changed](ctx, c, pathRelease, query{Filter: f})
}

// Delete is as queue.Engine.Delete.
func (c *Client) Delete(ctx context.Context, f queue.Filter) (queue.Changed, error) {
	return get[queue.Changed](ctx, c, pathDelete, query{Filter: f})
}

func get[T any](ctx context.Context, c *Client, path string, q query) (T, error) {
	body, err := c.ask(ctx, path, q)
	return decode[T](body, err)
}

func decode[T any](body io.ReadCloser, err error) (T, error) {
	var result T
	if err != nil {
		return result, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&result); err != nil {
		return result, fmt.Errorf("the server's answer was cut off: %w", err)
	}
	return result, nil
}
