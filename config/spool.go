package config

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"sealpost/relay/control"
	"sealpost/relay/spool"
)

// Spool is where messages wait that were answered 250 and that upstream has
// not taken yet, and messages that are held until a certificate appears.
// Everything in it is sealed: what is not S/MIME already is encrypted with the
// spool's own key before it reaches the disk.
type Spool struct {
	// The folder. It belongs to Sealpost alone (mode 0700), and is made when it
	// is not there. It must be on a local disk.
	Dir Path `yaml:"dir" required:"true"`

	// The file with the spool's own key, in the form of age-keygen. It is made
	// when neither it nor the spool exists.
	// Hazard: without this file nothing in the spool can be read or delivered
	// again. Keep a copy, and not beside the spool. Others must not be able to
	// read it.
	KeyFile Path `yaml:"key_file" required:"true"`

	// How much may wait; past it, clients hear 452 4.3.1.
	Size Size `yaml:"size" default:"10GiB" min:"64MiB" max:"16384GiB"`

	// The waits between attempts; the last one is repeated until `expire`. Each
	// is varied a little, so that not everything is tried at once.
	Retry []time.Duration `yaml:"retry" default:"1m,5m,15m,1h" min:"1s" max:"24h"`

	// How long a message waits before its sender gets a failure notice.
	Expire time.Duration `yaml:"expire" default:"120h" min:"1m" max:"2160h"`

	// After how long the sender is told, once, that a message still waits; 0s:
	// never.
	DelayNotice time.Duration `yaml:"delay_notice" default:"4h" min:"0s" max:"240h"`

	// How long a client waits for upstream's own answer before its message goes
	// into the spool. Clients wait ten minutes (RFC 5321 section 4.5.3.2.6).
	Patience time.Duration `yaml:"patience" default:"30s" min:"1s" max:"9m"`

	// How many parcels out of the spool are under way at once.
	Deliveries int `yaml:"deliveries" default:"20" min:"1" max:"1000"`

	// For `no_key: hold`: how often it is looked whether a certificate has
	// appeared.
	HoldRecheck time.Duration `yaml:"hold_recheck" default:"15m" min:"1s" max:"24h"`

	// For `no_key: hold`: how long a message waits for a certificate before its
	// sender gets a failure notice.
	HoldExpire time.Duration `yaml:"hold_expire" default:"168h" min:"1m" max:"8760h"`

	// For `no_key: hold`: whether the recipient is told, once for each message,
	// that it waits, who sent it, and that a certificate is wanted.
	HoldNotice bool `yaml:"hold_notice" default:"false"`
}

// spool checks what concerns the spool, and what needs one.
func (k *checker) spool() {
	s := k.config.Spool
	if s == nil {
		if k.config.OnTrouble == "spool" {
			k.wrong("on_trouble", "spool needs a section spool, with dir and key_file: write one, or write defer")
		}
		for i, r := range k.config.Policy {
			if r.NoKey == "hold" {
				k.wrong(join(item("policy", i), "no_key"), "hold needs a section spool, with dir and key_file, for what waits")
			}
		}
		return
	}
	if len(s.Retry) == 0 {
		k.wrong("spool.retry", "is empty: leave it out, or write the waits between attempts, as [1m, 5m, 1h]")
	}
	if s.Dir == "" || s.KeyFile == "" {
		return
	}
	if _, err := os.Stat(string(s.KeyFile)); errors.Is(err, os.ErrNotExist) {
		if spool.Exists(string(s.Dir)) {
			k.wrong("spool.key_file", "%s is not there, and the spool in %s cannot be read without it: bring it back from its copy", s.KeyFile, s.Dir)
		}
		return
	}
	if !k.private("spool.key_file", s.KeyFile) {
		return
	}
	if _, err := spool.LoadKey(string(s.KeyFile)); err != nil {
		k.wrong("spool.key_file", "%s", err)
	}
}

// control checks the socket, which the spool has a place for.
func (k *checker) control() {
	path := k.config.Control
	if path == "" {
		if k.config.Trust.OnKeyChange == "hold" {
			k.warn("trust.on_key_change", "hold, and the running server cannot be told which key to accept: write control: control.sock")
		}
		return
	}
	key, remedy := "control", "choose a shorter one"
	if !k.has(key) {
		key, remedy = "spool.dir", "choose a shorter one, or write control: with a path of its own"
	} else if len(k.config.Listen) == 0 {
		k.wrong(key, "has no meaning without listen: leave it out")
		return
	} else if s := k.config.Spool; s == nil || filepath.Dir(string(path)) != string(s.Dir) {
		k.parent(key, path)
	} else if filepath.Base(string(path)) != spool.SocketName {
		k.wrong(key, "is in spool.dir, which is for the spool alone: choose another folder, or leave it out")
	}
	if err := control.CheckPath(string(path)); err != nil {
		k.wrong(key, "%s has a longer path than a socket may have: %s", path, remedy)
	}
}
