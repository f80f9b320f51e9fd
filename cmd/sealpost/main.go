// Command sealpost is a transparent SMTP encryption relay: business systems
// send it plain mail, every recipient gets S/MIME.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes, the same for every command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or wrong configuration
)

type commands struct {
	Demo      demoCommand      `cmd:"" help:"Show the whole thing on this machine: plain mail in, sealed mail out, opened again."`
	Serve     serveCommand     `cmd:"" help:"Run the relay."`
	Check     checkCommand     `cmd:"" help:"Check a configuration file; every mistake is named with its line."`
	Lookup    lookupCommand    `cmd:"" help:"Show which certificates are found for an address, which are used, and why the others are not."`
	Explain   explainCommand   `cmd:"" help:"Show which rule decides and what a client would hear; nothing is sent."`
	Seal      sealCommand      `cmd:"" help:"Seal one message, from standard input to standard output."`
	Open      openCommand      `cmd:"" help:"Open one sealed message, from standard input to standard output."`
	Keys      keysCommand      `cmd:"" help:"Show and steer which keys are in use where the key of an address has changed."`
	Queue     queueCommand     `cmd:"" help:"Show and steer what waits in the spool, while the server runs or not."`
	Directory directoryCommand `cmd:"" help:"Work on the public-key directory's database, while the server runs or not."`
	Health    healthCommand    `cmd:"" help:"Ask a running server whether it is well; for monitoring and containers."`
	Version   versionCommand   `cmd:"" help:"Print version, commit and Go version."`
}

// streams are what a command reads and writes: data on Out, messages for
// people on Err.
type streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// usageError ends the program with exit code 2.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, s streams) (code int) {
	var c commands
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("sealpost"),
		kong.Description("A transparent SMTP encryption relay: plain mail in, S/MIME out. Start with `sealpost demo`."),
		kong.Writers(s.Out, s.Err),
		kong.Exit(func(code int) { exited = code; panic(exitPanic{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	)
	if err != nil {
		fmt.Fprintln(s.Err, "sealpost:", err)
		return exitFailed
	}
	// kong ends the process behind --help; here that is a return.
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(exitPanic); !ok {
				panic(p)
			}
			code = exited
		}
	}()
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(s.Err, "sealpost: %v\nsealpost --help lists the commands, sealpost COMMAND --help their options.\n", err)
		return exitUsage
	}
	return report(k.Run(), s)
}

type exitPanic struct{}

func report(err error, s streams) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintln(s.Err, err)
		return exitUsage
	}
	fmt.Fprintln(s.Err, "sealpost:", err)
	return exitFailed
}
