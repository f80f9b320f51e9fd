package intake

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// The same dialogs as in TestDialogs, with Postfix: it must answer each command
// with a reply of the same class as ours, or the table says what it answers and
// why we do not.
func TestDialogsAsPostfixSpeaks(t *testing.T) {
	played, differ := 0, 0
	services := startReference(t)
	for _, table := range [][]dialog{orderDialogs, lineDialogs, pathDialogs, paramDialogs, dataDialogs, chunkDialogs, lmtpDialogs, policyDialogs} {
		for _, d := range table {
			addr := services[d.service()]
			switch {
			case d.opts != nil && d.as == "", d.why != "" && d.postfix == "":
				continue // settings of ours, or a handler's doing, that Postfix does not have
			case addr == "":
				t.Errorf("%q: there is no service %q", d.send, d.as)
				continue
			}
			played++
			if d.why != "" {
				differ++
			}
			t.Run(d.rfc+" "+firstLine(d.send), func(t *testing.T) { d.compare(t, addr) })
		}
	}
	t.Logf("%d dialogs, in %d of them we differ", played, differ)
	if played < 100 {
		t.Errorf("only %d dialogs were played to Postfix", played)
	}
}

// service is the one of the reference that has the settings of the dialog.
func (d dialog) service() string {
	if d.as == "" {
		return "smtp"
	}
	return d.as
}

func (d dialog) compare(t *testing.T, addr string) {
	said := d.playTo(t, addr)
	theirs, ours := classes(said), classes(d.want)
	if d.why == "" && theirs != ours {
		t.Errorf("%q: our replies have the classes %q, Postfix's %q, and the table does not say why:\n%s", d.send, ours, theirs, said)
	}
	if d.why != "" && theirs != d.postfix {
		t.Errorf("%q: the table says that Postfix answers %q; it is %q:\n%s", d.send, d.postfix, theirs, said)
	}
	if d.why != "" && d.postfix == ours {
		t.Errorf("%q: the table says why we differ, and we do not", d.send)
	}
}

// playTo sends the dialog whole and gives what is answered to it, without the
// greetings.
func (d dialog) playTo(t *testing.T, addr string) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	in, greetings := d.send, 1
	if !d.bare {
		in, greetings = "EHLO c\n"+in, 2
	}
	if _, err := io.WriteString(nc, strings.ReplaceAll(in, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = nc.(*net.TCPConn).CloseWrite()
	out, err := io.ReadAll(nc)
	if err != nil {
		t.Fatalf("%v after %q", err, out)
	}
	said := strings.ReplaceAll(string(out), "\r\n", "\n")
	for range greetings {
		said = behindReply(said)
	}
	return said
}

func behindReply(s string) string {
	for {
		line, rest, _ := strings.Cut(s, "\n")
		if len(line) < 4 || line[3] != '-' {
			return rest
		}
		s = rest
	}
}

// classes are the first digits of the replies: "2 3 5".
func classes(replies string) string {
	var out []string
	for line := range strings.Lines(replies) {
		if len(line) > 3 && line[3] == ' ' {
			out = append(out, line[:1])
		}
	}
	return strings.Join(out, " ")
}

// startReference starts Postfix with a service for each kind of settings that
// dialogs have, and gives the addresses by name.
func startReference(t *testing.T) map[string]string {
	t.Helper()
	ca := testkit.NewCA(t)
	id := ca.Issue(t, testkit.Leaf{Name: "relay.example", DNSNames: []string{"relay.example"}, ExtUsage: serverAuth})
	pem := filepath.Join(t.TempDir(), "relay.pem")
	if err := os.WriteFile(pem, append(id.KeyPEM, id.CertPEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	services := map[string]string{}
	var master strings.Builder
	for name, settings := range map[string]string{
		"starttls":    "-o smtpd_tls_security_level=may",
		"require TLS": "-o smtpd_tls_security_level=encrypt",
		"few":         "-o smtpd_recipient_limit=2",
		"errors":      "-o smtpd_hard_error_limit=3",
		"plain":       "-o smtpd_discard_ehlo_keywords=chunking,dsn,smtputf8",
	} {
		services[name] = testkit.FreeAddr(t)
		fmt.Fprintf(&master, "%s inet n - n - - smtpd %s\n", services[name], settings)
	}
	p := testkit.StartPostfix(t, testkit.PostfixOptions{Main: referenceMain + "smtpd_tls_cert_file = " + pem + "\n", Master: master.String()})
	services["smtp"] = p.Addr
	return services
}

// referenceMain steers Postfix by addresses as the postbox is steered, and
// takes away what would slow a test or cut it short.
const referenceMain = `
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 1000
smtpd_delay_reject = no
message_size_limit = 52428800
mailbox_size_limit = 0
smtpd_sender_restrictions = check_sender_access inline:{{refused@b = 550 5.7.1 Relaying denied}}
smtpd_recipient_restrictions =
  check_recipient_access inline:{{550@b = 550 5.1.1 Nobody} {550@bü.example = 550 5.1.1 Nobody} {451@b = 451 4.1.1 Later}}
  permit_mynetworks, reject
`
