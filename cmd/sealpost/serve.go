package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"sealpost/config"
)

type serveCommand struct {
	Config string `required:"" short:"c" help:"Configuration file." placeholder:"FILE"`
}

// Run serves until SIGTERM or SIGINT, then lets transactions under way finish.
// SIGHUP reads the configuration again.
func (c serveCommand) Run(ctx context.Context, s streams) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // before the start: a SIGHUP that comes early must not end the process
	defer signal.Stop(hup)
	server, err := startServer(c.Config, s.Err)
	if err != nil {
		return configError(err)
	}
	tellSystemd(daemon.SdNotifyReady)
	for {
		select {
		case <-hup:
			tellSystemd(reloading())
			server.reload()
			tellSystemd(daemon.SdNotifyReady)
		case err := <-server.failed:
			return errors.Join(err, server.stop())
		case <-ctx.Done():
			tellSystemd(daemon.SdNotifyStopping)
			return server.stop()
		}
	}
}

// configError makes a wrong configuration end the program with exit code 2.
func configError(err error) error {
	var list config.ErrorList
	if errors.As(err, &list) {
		return usageError{list}
	}
	return err
}

// tellSystemd speaks to the supervisor where there is one. That it cannot be
// told is no reason not to serve.
func tellSystemd(state string) { _, _ = daemon.SdNotify(false, state) }

// reloading is what Type=notify-reload wants: the state with the time of the
// monotonic clock.
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return daemon.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/int64(time.Microsecond))
}

// loadConfig reads a configuration; its warnings go to w.
func loadConfig(file string, w io.Writer) (*config.Config, error) {
	cfg, warnings, err := config.Load(file)
	if w != nil {
		for _, p := range warnings {
			fmt.Fprintln(w, "warning:", p)
		}
	}
	return cfg, err
}
