package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"sealpost/config"
)

type healthCommand struct {
	Config  string        `short:"c" xor:"where" help:"Configuration file that the server runs with." placeholder:"FILE"`
	Address string        `xor:"where" help:"Address of its metrics endpoint." placeholder:"IP:PORT"`
	Verbose bool          `short:"v" help:"Also show how each lookup source is doing, and how many new keys wait."`
	Timeout time.Duration `default:"3s" help:"How long the answer may take."`
}

// Run asks /readyz and prints one line, and those of the sources if that is
// asked for; the exit code is the verdict.
func (c healthCommand) Run(ctx context.Context, s streams) error {
	address, err := c.address()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	url := "http://" + address + "/readyz"
	if c.Verbose {
		url += "?verbose"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no answer from the server at %s: %w", address, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	line, sources, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server at %s says: %s", address, line)
	}
	fmt.Fprintf(s.Out, "OK: the server at %s is %s\n", address, line)
	if sources != "" {
		fmt.Fprintln(s.Out, sources)
	}
	return nil
}

func (c healthCommand) address() (string, error) {
	address := c.Address
	if c.Config != "" {
		cfg, _, err := config.Load(c.Config)
		if err != nil {
			return "", configError(err)
		}
		address = cfg.Metrics.Address
	}
	switch address {
	case "":
		return "127.0.0.1:9225", nil
	case "none":
		return "", usageError{fmt.Errorf("%s: metrics.address: the server has no endpoint to ask; set an address", c.Config)}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", usageError{fmt.Errorf("--address: %w", err)}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
