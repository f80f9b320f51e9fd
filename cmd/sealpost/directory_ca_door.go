package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"sealpost/config"
	"sealpost/directory/api"
)

// A caDoor gives by plain HTTP what the authority publishes.
type caDoor struct {
	listener net.Listener
	server   *api.Server
	done     chan struct{} // nil: not served
}

// openCADoor binds the listener; nil where there is none.
func openCADoor(c *config.DirectoryCA, handler http.Handler, log *slog.Logger) (*caDoor, error) {
	if c == nil || c.Address == "" {
		return nil, nil
	}
	server, err := api.NewServer(api.ServerOptions{Handler: handler, Log: log})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("directory.ca.address: %w", err)
	}
	return &caDoor{listener: l, server: server}, nil
}

// serve answers until stop; what else ends it goes to failed.
func (d *caDoor) serve(failed chan<- error) {
	if d == nil {
		return
	}
	d.done = make(chan struct{})
	go func() {
		defer close(d.done)
		if err := d.server.Serve(d.listener); err != nil {
			select {
			case failed <- fmt.Errorf("directory.ca %s: %w", d.listener.Addr(), err):
			default:
			}
		}
	}()
}

func (d *caDoor) stop(ctx context.Context) error {
	if d == nil {
		return nil
	}
	if d.done == nil {
		return d.listener.Close()
	}
	if err := d.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	<-d.done
	return nil
}
