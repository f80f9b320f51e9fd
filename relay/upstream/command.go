package upstream

import (
	"strconv"
	"strings"
)

// appendCommand writes one command line of a transaction. Parameters that the
// server does not know are left out.
func (c *conn) appendCommand(b []byte, t *transaction, s step) []byte {
	switch s.stage {
	case StageXForward:
		return appendXForward(b, &t.env.XForward, c.ext.xforward.half(s.i == 1))
	case StageMail:
		b = c.appendMail(b, t)
	case StageRcpt:
		b = c.appendRcpt(b, &t.env.To[s.i])
	case StageData:
		b = append(b, "DATA"...)
	}
	return append(b, "\r\n"...)
}

func (c *conn) appendMail(b []byte, t *transaction) []byte {
	e, x := t.env, &c.ext
	b = append(b, "MAIL FROM:<"...)
	b = append(append(b, e.From.String()...), '>')
	if x.size {
		b = strconv.AppendInt(append(b, " SIZE="...), t.size, 10)
	}
	if t.bodyIs != "" && x.eightBit {
		b = append(append(b, " BODY="...), t.bodyIs...)
	}
	if t.utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	if e.RequireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	if x.dsn && e.Ret != "" {
		b = append(append(b, " RET="...), e.Ret...)
	}
	if x.dsn && e.EnvID != "" {
		b = appendXtext(append(b, " ENVID="...), e.EnvID)
	}
	return b
}

func (c *conn) appendRcpt(b []byte, r *Rcpt) []byte {
	b = append(b, "RCPT TO:<"...)
	b = append(append(b, r.Address.String()...), '>')
	if !c.ext.dsn {
		return b
	}
	for i, n := range r.Notify {
		if i == 0 {
			b = append(b, " NOTIFY="...)
		} else {
			b = append(b, ',')
		}
		b = append(b, n...)
	}
	if r.ORcpt != "" {
		kind, addr, _ := strings.Cut(r.ORcpt, ";")
		b = append(append(b, " ORCPT="...), kind...)
		b = appendXtext(append(b, ';'), addr)
	}
	return b
}
