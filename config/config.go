// Package config reads one YAML file, strictly, into a tree of typed values.
// Every mistake is reported with file, line, key and what would be right; a
// configuration is used as a whole or not at all.
//
// The doc comments of the exported structs are the reference for operators:
// docs/configuration.md is generated from them. In their tags stand the key
// (yaml), its default, the words allowed (enum), the bounds (min, max: of a
// number, a duration, a size, or the length of a list), and the keys that
// the product knows but this version does not have (later).
package config

import (
	"net/netip"

	"sealpost/relay/policy"
)

// Config is the whole file. Paths in it are absolute: what is relative in the
// file is taken from the folder the file lies in.
type Config struct {
	// The full domain name of this server. It stands in the greeting, in EHLO
	// to upstream and in Received fields. Default: the machine's own name, if
	// that is a full domain name; otherwise the key is required.
	Hostname string `yaml:"hostname"`

	// The listeners: where mail comes in, and who may send it.
	Listen []Listen `yaml:"listen" required:"unless directory" min:"1"`

	// Bounds for what clients may send and for what Sealpost holds in memory.
	Limits Limits `yaml:"limits"`

	// The servers that take the mail on. They are tried in order; the next one
	// is asked when one cannot be reached or answers 4yz to the connection.
	Upstream []Upstream `yaml:"upstream" required:"unless directory" min:"1"`

	// What happens when no upstream takes a message for now. `spool`: Sealpost
	// answers 250, keeps the message sealed, and delivers it later; for mailers
	// that send once and forget. `defer`: the client hears 451 4.4.1 and keeps
	// the message; for clients with a queue, such as Postfix. Default: `spool`
	// where there is a section `spool`, otherwise `defer`.
	OnTrouble string `yaml:"on_trouble" enum:"spool|defer"`

	// Where messages wait that upstream has not taken yet.
	Spool *Spool `yaml:"spool"`

	// Where the certificates of recipients come from.
	Lookup Lookup `yaml:"lookup"`

	// What makes a certificate good enough to seal to.
	Trust Trust `yaml:"trust"`

	// How messages are sealed.
	SMIME SMIME `yaml:"smime"`

	// The rules. For each recipient, the first rule whose conditions all match
	// decides. A recipient that no rule matches is refused with 550 and the
	// reason policy-no-rule. Default: one rule named `default` that encrypts
	// always and refuses recipients without a certificate.
	Policy []Rule `yaml:"policy"`

	// The public-key directory, where this process is to run one.
	Directory *Directory `yaml:"directory"`

	// Where signed mail goes from which certificates are learned.
	Harvest Harvest `yaml:"harvest"`

	// The socket at which the running server answers `sealpost queue`, `keys`
	// and `lookup`. It is made at the start, for the user of the server (and
	// root) alone; its folder must be there. Default: `control.sock` in `spool.dir`
	// where there is a section `spool`; otherwise there is none, and those commands
	// know only what is in files.
	Control Path `yaml:"control"`

	// The HTTP endpoint for monitoring.
	Metrics Metrics `yaml:"metrics"`

	// The log.
	Log Log `yaml:"log"`
}

// Metrics is the HTTP endpoint for monitoring: /metrics for Prometheus,
// /healthz and /readyz for supervisors and load balancers.
type Metrics struct {
	// Where the endpoint listens; `none` for no endpoint.
	// Hazard: it has no access control, so keep it on loopback or behind a
	// firewall. It shows counts and rule names, never addresses or content.
	Address string `yaml:"address" kind:"address" default:"127.0.0.1:9225" word:"none"`
}

// Log is how Sealpost writes its log, one line per message and one per
// recipient, to standard error. Content and subjects never stand in it.
type Log struct {
	// The least important level that is written. `debug` shows the SMTP
	// dialogs without their content.
	Level string `yaml:"level" default:"info" enum:"debug|info|warn|error"`

	// `json`: one object a line. `text`: key=value, as Postfix writes.
	Format string `yaml:"format" default:"json" enum:"json|text"`
}

// Rule is one rule of the policy. Conditions that are not given match
// everything; a rule with none is a catch-all, and nothing may stand behind it.
type Rule struct {
	// The name, unique among the rules. It stands in logs, metrics and
	// `sealpost explain`.
	Name string `yaml:"name" kind:"word" required:"true"`

	// The envelope sender, as a pattern over local@domain: `*` stands for any
	// run of characters, `?` for one. Case does not matter, and domains match
	// in both spellings of IDNA. `<>` is the null sender of bounces.
	Sender string `yaml:"sender" kind:"glob"`

	// The envelope recipient, as a pattern like `sender`.
	Recipient string `yaml:"recipient" kind:"glob"`

	// The listener through which the message came: its `address` as written.
	Listener string `yaml:"listener"`

	// The client's networks. One of them must hold the client's address.
	Client []netip.Prefix `yaml:"client"`

	// A field that the message's header must have. Such a rule can only decide
	// after DATA, so a recipient it refuses is refused there.
	Header *Header `yaml:"header"`

	// `always`: the copy is sealed, or does not leave. `never`: it leaves as it
	// came.
	// Hazard: `never` sends matching mail unprotected. Match as little as
	// possible; `sealpost check` warns of each such rule.
	Encrypt string `yaml:"encrypt" default:"always" enum:"always|never"`

	// What becomes of a recipient for whom every source says that there is no
	// usable certificate. `reject`: 550 5.7.1. `hold`: the message waits, sealed,
	// in the spool until a certificate appears. `provision`: the first source of
	// type `directory` makes a key for the recipient, and the copy is sealed to
	// it at once; it needs `token_file` there, or `directory.provision`. `plaintext`: the copy leaves unprotected. A source that does not answer never counts as such a word:
	// the recipient is deferred with 451 4.4.3.
	// Hazard: `plaintext` sends mail unprotected, also when a certificate has
	// merely expired; `sealpost check` warns of each such rule.
	NoKey string `yaml:"no_key" default:"reject" enum:"reject|hold|provision|plaintext"`
}

// Header is a condition on the message's header. Any one field of that name
// with a matching value will do.
type Header struct {
	// The field's name, without the colon. Case does not matter. The fields
	// X-Sealpost-* are gone when rules are asked.
	Name string `yaml:"name" kind:"field" required:"true"`

	// A pattern over the unfolded value, with `*` and `?`. Case does not matter.
	Value string `yaml:"value" default:"*"`
}

// Rules gives the policy in the form that relay/policy decides by.
func (c *Config) Rules() []policy.Rule {
	rules := make([]policy.Rule, 0, len(c.Policy))
	for _, r := range c.Policy {
		p := policy.Rule{
			Name: r.Name, Sender: r.Sender, Recipient: r.Recipient,
			Listener: r.Listener, Client: r.Client,
		}
		if r.Header != nil {
			p.Header = &policy.HeaderMatch{Name: r.Header.Name, Value: r.Header.Value}
		}
		if r.Encrypt == "never" {
			p.Encrypt = policy.Never
		}
		switch r.NoKey {
		case "plaintext":
			p.NoKey = policy.Plaintext
		case "hold":
			p.NoKey = policy.Hold
		case "provision":
			p.NoKey = policy.Provision
		}
		rules = append(rules, p)
	}
	return rules
}
