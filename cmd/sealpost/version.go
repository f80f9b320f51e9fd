package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker (see the Makefile); a plain `go build` leaves them empty.
var (
	version string
	commit  string
)

type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run(s streams) error {
	v, c := buildVersion()
	_, err := fmt.Fprintf(s.Out, "sealpost %s (commit %s, %s, %s/%s)\n", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func buildVersion() (v, c string) {
	v, c = version, commit
	if v == "" {
		v = "development"
	}
	if c == "" {
		c = "unknown"
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					c = s.Value
				}
			}
		}
	}
	return v, c
}
