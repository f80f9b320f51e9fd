package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-smtp"

	"sealpost/internal/certificate"
	"sealpost/smime"
)

// The people of the demo.
const (
	demoSender  = "statements@bank.example"
	demoAnna    = "anna@customer.example"
	demoAuditor = "auditor@bank.example" // in Bcc
	demoWalter  = "walter@nokey.example" // has no certificate
	demoNobody  = "pat@partner.example"  // neither, and no rule wants a key for him
	demoSecret  = "12,345.67 EUR"        // must not be seen on the way
)

type demoCommand struct {
	Keep   bool   `help:"Stay up afterwards, and say how to send to it."`
	Listen string `help:"Address of the relay." default:"127.0.0.1:0" placeholder:"IP:PORT"`
}

// Run plays the whole story in one process, on loopback.
func (c demoCommand) Run(ctx context.Context, s streams) error {
	world, err := newDemoWorld(demoAnna, demoAuditor)
	if err != nil {
		return err
	}
	defer world.Close()
	configFile := world.path("sealpost.yaml")
	if err := os.WriteFile(configFile, []byte(world.config(c.Listen)), 0o600); err != nil {
		return err
	}
	if err := errors.Join(world.found(ctx), world.enroll(ctx)); err != nil {
		return err
	}
	server, err := startServer(configFile, s.Err)
	if err != nil {
		return err
	}
	defer server.stop()
	d := &demo{world: world, relay: server.addr(0).String(), directory: server.directory.listener.Addr().String(), out: s.Out}
	if err := d.play(); err != nil {
		return err
	}
	if c.Keep {
		return d.keep(ctx)
	}
	return nil
}

type demo struct {
	world     *demoWorld
	relay     string
	directory string
	out       io.Writer
	pdf       []byte // the attachment as it was sent
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) quote(text string) {
	for line := range strings.Lines(strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n")) {
		d.say("   | %s", strings.TrimRight(line, "\n"))
	}
}

func (d *demo) play() error {
	d.say("Sealpost demo: a bank's mailer sends plain mail; what its customers receive is S/MIME.\n")
	d.say("   mailer --plain--> Sealpost %s --sealed--> mail server %s", d.relay, d.world.sink.Addr())
	d.say("                     certificates: its own directory, http://%s/v1/certificates?email=...\n", d.directory)
	statement, pdf, err := demoStatement(demoPerson{"Anna Weber", demoAnna}, demoAuditor)
	if err != nil {
		return err
	}
	d.pdf = pdf
	if err := d.send(statement); err != nil {
		return err
	}
	copies, err := d.collect(2)
	if err != nil {
		return err
	}
	if err := d.showSealed(copies); err != nil {
		return err
	}
	if err := d.showOpened(copies[demoAnna]); err != nil {
		return err
	}
	if err := d.showProvisioned(); err != nil {
		return err
	}
	d.say("\nEvery step held. Next: `sealpost demo --keep` to send mail of your own, README.md to install it.")
	return nil
}

// send is the mailer: an ordinary SMTP client that knows nothing of keys.
func (d *demo) send(statement []byte) error {
	d.say("1. The bank sends an ordinary statement, with a hidden copy to its auditor.")
	d.quote(header(statement, "From", "To", "Bcc", "Subject") + "\n" + demoText + "[statement.pdf]")
	taken, said, err := d.transact(statement, demoAnna, demoAuditor, demoNobody)
	if err != nil {
		return err
	}
	if said == nil {
		return fmt.Errorf("%s has no certificate and was not refused", demoNobody)
	}
	d.say("   Sealpost: 250 %s", taken)
	d.say("   and where a rule wants a certificate that is there: %d %s", said.Code, said.Message)
	return nil
}

// transact sends a message; refused is what the last recipient heard that was
// refused, if one was.
func (d *demo) transact(message []byte, to ...string) (taken string, refused *smtp.SMTPError, err error) {
	client, err := smtp.Dial(d.relay)
	if err != nil {
		return "", nil, err
	}
	defer client.Close()
	if err := errors.Join(client.Hello("mailer.bank.example"), client.Mail(demoSender, nil)); err != nil {
		return "", nil, err
	}
	for _, a := range to {
		if err := client.Rcpt(a, nil); err != nil && !errors.As(err, &refused) {
			return "", nil, err
		}
	}
	w, err := client.Data()
	if err != nil {
		return "", nil, err
	}
	if _, err := w.Write(message); err != nil {
		return "", nil, err
	}
	answer, err := w.CloseWithResponse()
	if err != nil {
		return "", nil, err
	}
	return answer.StatusText, refused, client.Quit()
}

// collect waits for n copies at the sink and names them by their recipient.
func (d *demo) collect(n int) (map[string][]byte, error) {
	copies := map[string][]byte{}
	for range n {
		got, err := d.next()
		if err != nil {
			return nil, err
		}
		copies[got.to[0]] = got.data
	}
	return copies, nil
}

// next waits for the next message at the sink.
func (d *demo) next() (delivery, error) {
	select {
	case got := <-d.world.arrived:
		if len(got.to) != 1 {
			return got, fmt.Errorf("a copy is addressed to %d recipients", len(got.to))
		}
		return got, nil
	case <-time.After(30 * time.Second):
		return delivery{}, errors.New("what should arrive did not")
	}
}

func (d *demo) showSealed(copies map[string][]byte) error {
	d.say("\n2. What goes out: a copy for each recipient, sealed to that recipient's key alone.")
	_, body, _ := strings.Cut(string(copies[demoAnna]), "\r\n\r\n")
	first, _, _ := strings.Cut(body, "\r\n")
	d.quote(header(copies[demoAnna], "From", "To", "Subject", "Content-Type", "Content-Disposition") + "\n" + first +
		fmt.Sprintf("\n... %d bytes in all", len(copies[demoAnna])))
	for to, copy := range copies {
		for _, other := range []string{demoAuditor, "\nBcc:", demoSecret, "statement.pdf"} {
			if other != to && bytes.Contains(copy, []byte(other)) {
				return fmt.Errorf("the copy for %s shows %q", to, other)
			}
		}
	}
	d.say("   Searched both copies: no balance, no file name, no Bcc field; Anna's copy does not name the auditor.")
	return nil
}

func (d *demo) open(sealed []byte, address string) ([]byte, error) {
	p := d.world.people[address]
	cert, err := certificate.Parse(p.cert.Raw)
	if err != nil {
		return nil, err
	}
	return smime.Open(bytes.NewReader(sealed), smime.OpenOptions{Key: p.key, Certificate: cert})
}

func (d *demo) showOpened(sealed []byte) error {
	d.say("\n3. Anna opens it with her key, as her mail program would.")
	entity, err := d.open(sealed, demoAnna)
	if err != nil {
		return err
	}
	text, pdf, err := readStatement(entity)
	if err != nil {
		return err
	}
	d.quote(text)
	if !bytes.Equal(pdf, d.pdf) {
		return errors.New("the attachment is not what was sent")
	}
	d.say("   statement.pdf: %d bytes, byte for byte as the bank sent it.", len(pdf))
	if _, err := d.open(sealed, demoAuditor); err == nil {
		return errors.New("the auditor's key opens Anna's copy")
	}
	d.say("   With the auditor's key her copy does not open.")
	return d.openssl(sealed)
}

// openssl is the second opinion, where it is installed.
func (d *demo) openssl(sealed []byte) error {
	if _, err := exec.LookPath("openssl"); err != nil {
		d.say("   (OpenSSL is not installed here: no second opinion.)")
		return nil
	}
	cmd := exec.Command("openssl", "cms", "-decrypt", "-inkey", d.world.path(demoAnna+".key"), "-recip", d.world.path(demoAnna+".pem"))
	cmd.Stdin = bytes.NewReader(sealed)
	entity, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("OpenSSL does not open the copy: %w", err)
	}
	if !bytes.Contains(entity, []byte(demoSecret)) {
		return errors.New("OpenSSL opened something else")
	}
	d.say("   OpenSSL opens it too: openssl cms -decrypt -inkey anna.key -recip anna.pem")
	return nil
}

// keep stays up; what arrives is written beside the keys.
func (d *demo) keep(ctx context.Context) error {
	host, port, err := net.SplitHostPort(d.relay)
	if err != nil {
		return err
	}
	d.say("\nSealpost stays up until Ctrl-C. Configuration, keys and what arrives: %s", d.world.dir)
	d.say("Send to it:")
	d.say("   swaks --server %s:%s --from %s --to %s --body 'Hello Anna'", host, port, demoSender, demoAnna)
	d.say("   openssl s_client -quiet -crlf -starttls smtp -connect %s -CAfile %s", d.relay, d.world.path("root.pem"))
	d.say("Send to anybody else, such as nobody@nokey.example, and a key is made for him: the notice says how to come to it.")
	d.say("Ask it:")
	d.say("   sealpost lookup --config %s %s %s", d.world.path("sealpost.yaml"), demoAnna, demoWalter)
	d.say("   sealpost explain --config %s --from %s --to %s", d.world.path("sealpost.yaml"), demoSender, demoAnna)
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case got := <-d.world.arrived:
			name := d.world.path(fmt.Sprintf("sealed-%d.eml", n))
			if err := os.WriteFile(name, got.data, 0o600); err != nil {
				return err
			}
			d.arrived(name, got)
		}
	}
}

// arrived says what can be done with a message: opened with the key of the people
// of the demo, or, if it is a notice, with a browser.
func (d *demo) arrived(name string, got delivery) {
	d.say("\n%s received %d bytes: %s", strings.Join(got.to, ", "), len(got.data), name)
	if text, err := noticeWords(got.data); err == nil {
		d.say("   a notice; in a browser: %s", demoLink.FindString(text))
		d.say("   with the code %s", demoCode.FindString(text))
		return
	}
	if d.world.people[got.to[0]] != nil {
		key := filepath.Join(d.world.dir, got.to[0])
		d.say("   sealpost open --key %s.key --cert %s.pem <%s", key, key, name)
		return
	}
	d.say("   sealed to a key that the directory has made")
}

// header gives these fields of a message, unfolded, one a line.
func header(message []byte, names ...string) string {
	m, err := smime.ReadMessage(bytes.NewReader(message), smime.Limits{})
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, n := range names {
		if v := m.Header.Get(n); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", n, v)
		}
	}
	return b.String()
}

// readStatement takes the opened entity apart, with go-message: the text and
// the attachment.
func readStatement(entity []byte) (text string, pdf []byte, err error) {
	r, err := mail.CreateReader(bytes.NewReader(entity))
	if err != nil {
		return "", nil, err
	}
	for {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return text, pdf, nil
		}
		if err != nil {
			return "", nil, err
		}
		data, err := io.ReadAll(part.Body)
		if err != nil {
			return "", nil, err
		}
		if _, attached := part.Header.(*mail.AttachmentHeader); attached {
			pdf = data
		} else {
			text = string(data)
		}
	}
}
