package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"sealpost/directory/store"
)

type directoryExportCommand struct {
	directoryAccess
	directoryFilter
	Format string `enum:"pem,ldif" default:"pem" help:"pem: with a line for each address before each certificate. ldif: for LDAP servers and their tools." placeholder:"FORMAT"`
}

// Run writes the active certificates, or those of the status asked for.
func (c directoryExportCommand) Run(ctx context.Context, s streams) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	if filter.Status == "" {
		filter.Status = store.StatusActive
	}
	db, _, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	write := exportPEM
	if c.Format == "ldif" {
		write = exportLDIF
	}
	out := bufio.NewWriterSize(s.Out, 64<<10)
	for one, err := range entries(ctx, db, filter) {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if err := write(out, one); err != nil {
			return err
		}
	}
	return out.Flush()
}

func exportPEM(w io.Writer, c store.Certificate) error {
	for _, a := range c.Addresses {
		if _, err := fmt.Fprintf(w, "# %s\n", printable(a)); err != nil {
			return err
		}
	}
	return pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: c.Cert.Raw})
}

// exportLDIF writes one entry (RFC 2849) that importing reads again.
func exportLDIF(w io.Writer, c store.Certificate) error {
	var b strings.Builder
	fmt.Fprintf(&b, "dn: cn=%x\nobjectClass: inetOrgPerson\ncn: %[1]x\nsn: %[1]x\n", c.Cert.Fingerprint())
	for _, a := range c.Addresses {
		fold(&b, "mail:: "+base64.StdEncoding.EncodeToString([]byte(a)))
	}
	fold(&b, "userCertificate;binary:: "+base64.StdEncoding.EncodeToString(c.Cert.Raw))
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// fold writes a line of any length in lines of 76.
func fold(b *strings.Builder, line string) {
	for len(line) > 76 {
		b.WriteString(line[:76] + "\n ")
		line = line[76:]
	}
	b.WriteString(line + "\n")
}
