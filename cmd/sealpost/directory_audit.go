package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/address"
)

// directoryAuditCommand is about what was done with certificates and keys.
type directoryAuditCommand struct {
	List   auditListCommand   `cmd:"" help:"List what was issued and revoked, and every use of an escrowed key."`
	Verify auditVerifyCommand `cmd:"" help:"Check that nobody has changed the log."`
}

type auditListCommand struct {
	directoryAccess
	Address string `help:"Only records about this address." placeholder:"ADDRESS"`
	Kind    string `help:"Only records of this kind, such as issued or key-used." placeholder:"KIND"`
	After   uint64 `help:"Begin behind the record with this number." placeholder:"N"`
	JSON    bool   `help:"Write JSON, one object a line."`
}

type auditReport struct {
	Seq     uint64          `json:"seq"`
	At      time.Time       `json:"at"`
	Kind    store.AuditKind `json:"kind"`
	Address string          `json:"address,omitempty"`
	SHA256  string          `json:"sha256,omitempty"`
	Actor   string          `json:"actor,omitempty"`
	Detail  string          `json:"detail,omitempty"`
	Hash    string          `json:"hash"`
}

// Run lists, oldest first.
func (c auditListCommand) Run(ctx context.Context, s streams) error {
	key := ""
	if c.Address != "" {
		a, err := address.Parse(c.Address)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", c.Address, err)}
		}
		key = a.Key()
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	const page = 1000
	for after, more := c.After, true; more; {
		list, err := db.AuditLog(ctx, after, page)
		if err != nil {
			return err
		}
		for _, a := range list {
			after = a.Seq
			if key != "" && a.Address != key || c.Kind != "" && string(a.Kind) != c.Kind {
				continue
			}
			if err := c.write(s, &a); err != nil {
				return err
			}
		}
		more = len(list) == page
	}
	return nil
}

func (c auditListCommand) write(s streams, a *store.Audit) error {
	r := auditReport{a.Seq, a.At, a.Kind, a.Address, "", a.Actor, a.Detail, hex.EncodeToString(a.Hash[:])}
	if a.Fingerprint != ([32]byte{}) {
		r.SHA256 = hex.EncodeToString(a.Fingerprint[:])
	}
	if c.JSON {
		return json.NewEncoder(s.Out).Encode(r)
	}
	words := []string{printable(r.Address), r.SHA256, printable(r.Actor), printable(r.Detail)}
	line := fmt.Sprintf("%d  %s  %-13s  ", r.Seq, r.At.Format(time.RFC3339), printable(string(r.Kind)))
	for _, w := range words {
		if w != "" {
			line += w + "  "
		}
	}
	_, err := fmt.Fprintln(s.Out, strings.TrimSpace(line))
	return err
}

type auditVerifyCommand struct {
	directoryAccess
	Head string `help:"A head that was noted earlier, as the server's log has them: it must still be in the log." placeholder:"HEX"`
}

// Run reads the whole log.
func (c auditVerifyCommand) Run(ctx context.Context, s streams) error {
	var head *[32]byte
	if c.Head != "" {
		fp, err := hex.DecodeString(c.Head)
		if err != nil || len(fp) != 32 {
			return usageError{errors.New("--head is 64 hexadecimal digits, as in the server's log and in what verify writes")}
		}
		head = (*[32]byte)(fp)
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	state, err := db.VerifyAudit(ctx, head)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%d records, head %x\n", state.Records, state.Head)
	if head == nil {
		fmt.Fprintln(s.Err, "every record follows from the one before it; a log that was made anew as a whole is only found out with --head")
	}
	return nil
}
