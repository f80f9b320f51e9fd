package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"sealpost/config"
	"sealpost/internal/address"
	"sealpost/relay"
	"sealpost/relay/policy"
	"sealpost/relay/reply"
)

type explainCommand struct {
	Config   string   `required:"" short:"c" help:"Configuration file." placeholder:"FILE"`
	From     string   `required:"" help:"Envelope sender; <> for the null sender." placeholder:"ADDRESS"`
	To       []string `required:"" help:"Envelope recipients." placeholder:"ADDRESS"`
	Header   []string `help:"A header field of the message, for rules that look at one." placeholder:"'Name: value'" sep:"none"`
	Listener string   `help:"Listener through which the message comes; default: the first." placeholder:"IP:PORT"`
	Client   string   `help:"Client's address; default: one that may relay through the listener." placeholder:"IP"`
	Login    bool     `help:"The client has logged in."`
	JSON     bool     `help:"Write JSON, one object a recipient."`
}

// Run shows the answers that a client would get; nothing is sent. It runs the
// code that answers RCPT.
func (c explainCommand) Run(ctx context.Context, s streams) error {
	cfg, err := loadConfig(c.Config, nil)
	if err != nil {
		return configError(err)
	}
	from, err := c.sender(cfg)
	if err != nil {
		return usageError{err}
	}
	header, err := parseFields(c.Header)
	if err != nil {
		return usageError{err}
	}
	r, err := openRooms(cfg, slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer r.close()
	if r.blind != nil {
		fmt.Fprintln(s.Err, "sealpost: a key that has changed is not noticed here:", r.blind)
	}
	var denied *reply.Error
	if c.Client != "" && !c.Login {
		denied = r.settings.MayRelay(from.Listener, from.Client, "")
	}
	var all []explanation
	for _, to := range c.To {
		e, err := explain(ctx, r.settings.Decider, from, to, header)
		if err != nil {
			return usageError{err}
		}
		if denied != nil {
			e = explanation{To: e.To, Rcpt: denied.Tagged().String(), Action: string(relay.Refused), Reason: string(denied.Reason)}
		}
		all = append(all, e)
	}
	if c.JSON {
		for _, e := range all {
			if err := json.NewEncoder(s.Out).Encode(e); err != nil {
				return err
			}
		}
		return nil
	}
	printExplanations(s.Out, all, len(c.Header) > 0)
	return nil
}

// sender is whom the command line speaks of.
func (c explainCommand) sender(cfg *config.Config) (relay.Sender, error) {
	listen := &cfg.Listen[0]
	if c.Listener != "" {
		i := slices.IndexFunc(cfg.Listen, func(l config.Listen) bool { return l.Address == c.Listener })
		if i < 0 {
			return relay.Sender{}, fmt.Errorf("--listener %s: the configuration has no such listener", c.Listener)
		}
		listen = &cfg.Listen[i]
	}
	out := relay.Sender{Listener: listen.Address, Client: netip.IPv4Unspecified()}
	var err error
	switch {
	case c.Client != "":
		if out.Client, err = netip.ParseAddr(c.Client); err != nil {
			return out, fmt.Errorf("--client: %w", err)
		}
	case len(listen.Networks) > 0:
		network := listen.Networks[0].Masked()
		if out.Client = network.Addr().Next(); !network.Contains(out.Client) {
			out.Client = network.Addr()
		}
	}
	if c.From == "" || c.From == "<>" {
		return out, nil
	}
	if out.Address, err = address.Parse(c.From); err != nil {
		return out, fmt.Errorf("--from %s: %w", c.From, err)
	}
	return out, nil
}

// An explanation is what happens to one recipient.
type explanation struct {
	To        string   `json:"to"`
	Rcpt      string   `json:"rcpt"` // the answer to RCPT
	Rule      string   `json:"rule,omitempty"`
	Action    string   `json:"action"`
	Reason    string   `json:"reason,omitempty"`
	Cipher    string   `json:"cipher,omitempty"`
	Keys      []string `json:"certificates,omitempty"`
	Instead   string   `json:"certificates_of,omitempty"`
	AfterData string   `json:"after_data,omitempty"` // where only the header decides: the answer then
	Pending   []string `json:"pending_rules,omitempty"`
	Parcel    string   `json:"parcel,omitempty"`
}

func explain(ctx context.Context, d *relay.Decider, from relay.Sender, to string, h fieldList) (explanation, error) {
	a, err := address.Parse(to)
	if err != nil {
		return explanation{}, fmt.Errorf("--to %s: %w", to, err)
	}
	v := d.Decide(ctx, from, a)
	e := explanation{To: a.String(), Rcpt: "250 2.1.5 OK"}
	if refusal := v.AtRcpt(); refusal != nil {
		e.Rcpt = refusal.Tagged().String()
	}
	if !v.Settled() {
		for _, d := range v.Decisions {
			e.Pending = append(e.Pending, d.Rule.Name)
		}
	}
	e.decision(v.AtData(h), v.AtRcpt())
	return e, nil
}

func (e *explanation) decision(d relay.Decision, atRcpt *reply.Error) {
	e.Action = string(d.Action)
	if d.Rule != nil {
		e.Rule = d.Rule.Name
	}
	switch {
	case d.Err != nil:
		e.Reason = string(d.Err.Reason)
		if atRcpt == nil {
			e.AfterData = d.Err.Tagged().String()
		}
	case d.Action == relay.Sealed:
		e.Cipher, e.Instead = d.Cipher.String(), d.Instead.String()
		e.Parcel = "a copy of its own, sealed"
		for _, c := range d.Certificates {
			f := c.Fingerprint()
			e.Keys = append(e.Keys, fmt.Sprintf("%s (%s, SHA-256 %x...)", c.Subject, c.KeyName, f[:8]))
		}
	case d.Action == relay.Held:
		e.Parcel = "waits, sealed in the spool, until there is a certificate"
	case d.Action == relay.Provision:
		e.Parcel = "would be provisioned: a copy of its own, sealed to a key that the directory makes unless it excludes the address (nothing is made now)"
	default:
		e.Parcel = fmt.Sprintf("one copy in the clear for all recipients of rule %q", d.Clearance.Rule())
	}
}

func printExplanations(w io.Writer, all []explanation, header bool) {
	parcels := map[string]bool{}
	for _, e := range all {
		fmt.Fprintf(w, "%s\n", e.To)
		line := func(name, value string) {
			if value != "" {
				fmt.Fprintf(w, "  %-12s %s\n", name, value)
			}
		}
		line("RCPT", e.Rcpt)
		line("rule", e.Rule)
		line("action", strings.TrimSpace(e.Action+" "+e.Cipher))
		line("reason", e.Reason)
		for _, k := range e.Keys {
			line("certificate", k)
		}
		line("instead", e.Instead)
		line("after DATA", e.AfterData)
		if len(e.Pending) > 0 && !header {
			line("note", "the header decides between the rules "+strings.Join(e.Pending, ", ")+"; name its fields with --header")
		}
		line("parcel", e.Parcel)
		switch e.Action {
		case string(relay.Sealed), string(relay.Provision):
			parcels[e.To] = true
		case string(relay.Passed):
			parcels["rule "+e.Rule] = true
		}
	}
	fmt.Fprintf(w, "\n%d parcel(s) would go upstream.\n", len(parcels))
}

// fieldList is the header that --header describes.
type fieldList [][2]string

var _ policy.Header = fieldList{}

// Values are the values of a field.
func (l fieldList) Values(name string) []string {
	var out []string
	for _, f := range l {
		if strings.EqualFold(f[0], name) {
			out = append(out, f[1])
		}
	}
	return out
}

func parseFields(fields []string) (fieldList, error) {
	var out fieldList
	for _, f := range fields {
		name, value, ok := strings.Cut(f, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("--header %q: want 'Name: value'", f)
		}
		out = append(out, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return out, nil
}
