package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"sealpost/internal/bench/load"
)

// sealpostConfig is the smarthost of the documentation. Sizes and connections
// are raised to what the checks of memory send.
const sealpostConfig = `hostname: relay.test
listen:
  - {address: "$ADDR", networks: [127.0.0.0/8]}
upstream:
  - {address: "$SINK", tls: none}
limits: {message_size: 200MiB, connections: 2000, connections_per_client: 2000, temp_dir: tmp}
lookup:
  sources:
    - {name: certs, type: files, dir: "$PEOPLE/certs", trust: pki}
trust: {roots: ["$PEOPLE/root.pem"]}
smime: {content: $CONTENT}
metrics: {address: none}
`

// spoolConfig makes Sealpost take mail while its upstream is down.
const spoolConfig = `on_trouble: spool
spool: {dir: spool, key_file: spool.key, retry: [1s]}
`

// A sealpost is one way to run the program.
type sealpost struct {
	binary  string
	name    string
	content string // the cipher
	spooled bool
	people  string // the folder with the certificates
}

func (o sealpost) config(addr, sink string) string {
	text := sealpostConfig
	if o.spooled {
		text += spoolConfig
	}
	return strings.NewReplacer("$ADDR", addr, "$SINK", sink, "$PEOPLE", o.people, "$CONTENT", o.content).Replace(text)
}

// knows reports whether this binary takes the configuration: one that has no
// spool yet does not.
func (o sealpost) knows(dir string) bool {
	config, err := o.write(dir, "127.0.0.1:1025", "127.0.0.1:1026")
	return err == nil && exec.Command(o.binary, "check", "--config", config).Run() == nil
}

// write makes dir with everything that `serve` needs in it.
func (o sealpost) write(dir, addr, sink string) (config string, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return "", err
	}
	if o.spooled {
		key, err := age.GenerateX25519Identity()
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, "spool.key"), []byte(key.String()+"\n"), 0o600); err != nil {
			return "", err
		}
	}
	config = filepath.Join(dir, "sealpost.yaml")
	return config, os.WriteFile(config, []byte(o.config(addr, sink)), 0o600)
}

// start runs `sealpost serve` in front of a sink of its own.
func (o sealpost) start(ctx context.Context, dir string) (*system, error) {
	sink, err := load.ListenSink()
	if err != nil {
		return nil, err
	}
	s := &system{name: o.name, sink: sink, proof: "application/pkcs7-mime; smime-type=enveloped-data", away: o.spooled}
	if strings.HasSuffix(o.content, "gcm") {
		s.proof = "application/pkcs7-mime; smime-type=authEnveloped-data"
	}
	if s.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	config, err := o.write(dir, s.addr, sink.Addr())
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(o.binary, "serve", "--config", config)
	if s.proc, err = startProcess(cmd, filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	return s, s.proc.ready(ctx, s.addr)
}
