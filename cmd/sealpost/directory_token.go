package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sealpost/directory/store"
)

// directoryTokenCommand is about who may use the API.
type directoryTokenCommand struct {
	Create tokenCreateCommand `cmd:"" help:"Make a token; its secret is shown once, on standard output."`
	List   tokenListCommand   `cmd:"" help:"List tokens."`
	Delete tokenDeleteCommand `cmd:"" help:"Delete tokens; they open nothing from now on."`
}

type tokenCreateCommand struct {
	directoryAccess
	Scope   []string `required:"" help:"What it allows: read (look up past the rate limit), batch, feed (a full copy), write (publish and revoke), provision (have keys made), admin (everything)." placeholder:"SCOPE"`
	Expires age      `help:"How long it is good for, as in 12h or 90d. Default: for ever." placeholder:"AGE"`
	Name    string   `arg:"" help:"Whose it is, for operators."`
}

// Run writes the secret, and nothing else, to standard output.
func (c tokenCreateCommand) Run(ctx context.Context, s streams) error {
	var scopes []store.Scope
	for _, name := range c.Scope {
		scopes = append(scopes, store.Scope(name))
	}
	var expires time.Time
	if c.Expires != 0 {
		expires = time.Now().Add(time.Duration(c.Expires))
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	secret, token, err := db.CreateToken(ctx, c.Name, scopes, expires)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "token %s for %s; this is its secret, which is not stored: keep it in a file that only the client can read\n", token.ID, printable(token.Name))
	fmt.Fprintln(s.Out, secret)
	return nil
}

type tokenListCommand struct {
	directoryAccess
	JSON bool `help:"Write JSON, one object a line."`
}

type tokenReport struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Scopes   []store.Scope `json:"scopes"`
	Created  time.Time     `json:"created"`
	Expires  time.Time     `json:"expires,omitzero"`
	LastUsed time.Time     `json:"last_used,omitzero"`
}

// Run lists.
func (c tokenListCommand) Run(ctx context.Context, s streams) error {
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	tokens, err := db.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		r := tokenReport{t.ID, t.Name, t.Scopes, t.Created, t.Expires, t.LastUsed}
		if c.JSON {
			if err := json.NewEncoder(s.Out).Encode(r); err != nil {
				return err
			}
			continue
		}
		var names []string
		for _, scope := range r.Scopes {
			names = append(names, string(scope))
		}
		fmt.Fprintf(s.Out, "%s  %-20s  expires %-10s  last used %-10s  %s\n",
			r.ID, strings.Join(names, ","), day(r.Expires, "never"), day(r.LastUsed, "never"), printable(r.Name))
	}
	return nil
}

func day(t time.Time, zero string) string {
	if t.IsZero() {
		return zero
	}
	return t.Format(time.DateOnly)
}

type tokenDeleteCommand struct {
	directoryAccess
	IDs []string `arg:"" name:"id" help:"Ids, as token list has them."`
}

// Run deletes.
func (c tokenDeleteCommand) Run(ctx context.Context, s streams) error {
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, id := range c.IDs {
		if err := db.DeleteToken(ctx, id); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		fmt.Fprintf(s.Out, "%s deleted\n", printable(id))
	}
	return nil
}
