package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/emersion/go-smtp"
)

// demoWorld is everything around the relay that a real installation has
// already: people with certificates, and the mail server that takes the sealed
// mail.
type demoWorld struct {
	dir       string // keys, certificates, configuration and what arrived
	people    map[string]*person
	directory string // where the directory will be
	sink      net.Listener
	arrived   chan delivery
	close     []func() error
}

type person struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// A delivery is one message that the sink took.
type delivery struct {
	to   []string
	data []byte
}

func newDemoWorld(addresses ...string) (*demoWorld, error) {
	w := &demoWorld{people: map[string]*person{}, arrived: make(chan delivery, 16)}
	var err error
	if w.dir, err = os.MkdirTemp("", "sealpost-demo-"); err != nil {
		return nil, err
	}
	w.close = append(w.close, func() error { return os.RemoveAll(w.dir) })
	if err := w.issue(addresses); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	if err := errors.Join(w.findPlace(), w.serveSink()); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Close stops the neighbours and removes the demo's files.
func (w *demoWorld) Close() error {
	var errs []error
	for i := len(w.close) - 1; i >= 0; i-- {
		errs = append(errs, w.close[i]())
	}
	return errors.Join(errs...)
}

// issue makes a root, a certificate for each address, and one for the relay's
// STARTTLS.
func (w *demoWorld) issue(addresses []string) error {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	root := demoTemplate(1, "Sealpost Demo Root")
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return err
	}
	if err := w.write("root.pem", "CERTIFICATE", der); err != nil {
		return err
	}
	sign := func(leaf *x509.Certificate) (*rsa.PrivateKey, []byte, error) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, nil, err
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
		return key, der, err
	}
	for i, address := range addresses {
		leaf := demoTemplate(int64(0x1001+i), address)
		leaf.EmailAddresses = []string{address}
		leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageKeyEncipherment, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		key, der, err := sign(leaf)
		if err != nil {
			return err
		}
		if err := w.addPerson(address, key, der); err != nil {
			return err
		}
	}
	server := demoTemplate(2, "relay.bank.example")
	server.DNSNames, server.IPAddresses = []string{"relay.bank.example", "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	key, der, err := sign(server)
	if err != nil {
		return err
	}
	return w.writePair("relay", key, der)
}

func demoTemplate(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
	}
}

func (w *demoWorld) addPerson(address string, key *rsa.PrivateKey, der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	w.people[address] = &person{cert: cert, key: key}
	return w.writePair(address, key, der)
}

func (w *demoWorld) writePair(name string, key *rsa.PrivateKey, der []byte) error {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(w.write(name+".pem", "CERTIFICATE", der), w.write(name+".key", "PRIVATE KEY", pkcs8))
}

func (w *demoWorld) path(name string) string { return filepath.Join(w.dir, name) }

func (w *demoWorld) write(name, kind string, der []byte) error {
	return os.WriteFile(w.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// findPlace finds an address that is free: the directory must know its own.
func (w *demoWorld) findPlace() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.directory = l.Addr().String()
	return l.Close()
}

// found makes the directory's authority and its master key, as an operator does
// once.
func (w *demoWorld) found(ctx context.Context) error {
	c := caInitCommand{Name: "Example Bank", Organization: "Example Bank plc", Country: "GB", IssuingKey: "p-256", RootYears: 20, IssuerYears: 5}
	c.Config, c.RootKey, c.PassphraseFile = w.path("sealpost.yaml"), w.path("root-of-the-bank.key"), w.path("passphrase")
	if err := os.WriteFile(c.PassphraseFile, []byte(demoPassphrase+"\n"), 0o600); err != nil {
		return err
	}
	quiet := streams{Out: io.Discard, Err: io.Discard}
	init := escrowInitCommand{directoryAccess: c.directoryAccess}
	return errors.Join(c.Run(ctx, quiet), init.Run(quiet))
}

// enroll has the directory learn the people's certificates from their files, as an
// operator does.
func (w *demoWorld) enroll(ctx context.Context) error {
	c := directoryImportCommand{Quiet: true}
	c.Config = w.path("sealpost.yaml")
	for address := range w.people {
		c.Paths = append(c.Paths, w.path(address+".pem"))
	}
	return c.Run(ctx, streams{Out: io.Discard, Err: io.Discard})
}

// serveSink runs the mail server behind the relay: go-smtp, which knows
// nothing of our own SMTP.
func (w *demoWorld) serveSink() (err error) {
	if w.sink, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &sinkSession{arrived: w.arrived}, nil
	}))
	server.Domain = "mail.customer.example"
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	server.MaxMessageBytes, server.MaxRecipients = 64<<20, 100
	server.EnableSMTPUTF8 = true
	go server.Serve(w.sink)
	w.close = append(w.close, server.Close)
	return nil
}

type sinkSession struct {
	to      []string
	arrived chan<- delivery
}

// Mail accepts every sender.
func (s *sinkSession) Mail(string, *smtp.MailOptions) error { s.to = nil; return nil }

// Rcpt accepts every recipient.
func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data hands the message on.
func (s *sinkSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	select {
	case s.arrived <- delivery{s.to, data}:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("nobody takes the mail out of the sink")
	}
}

// Reset forgets the transaction.
func (s *sinkSession) Reset() { s.to = nil }

// Logout ends the session.
func (s *sinkSession) Logout() error { return nil }

// config is a configuration as a newcomer would write it.
func (w *demoWorld) config(listen string) string {
	return fmt.Sprintf(`hostname: relay.bank.example
listen:
  - address: %[1]s
    networks: [127.0.0.0/8]
    tls: {mode: starttls, cert: relay.pem, key: relay.key}
upstream:
  - address: %[2]s
    tls: none
on_trouble: defer
lookup:
  sources:
    - {name: keydb, type: directory}    # the one below
trust: {roots: [root.pem]}
directory:
  address: %[3]s
  url: http://%[3]s
  store: {file: keys.db}
  page: {name: Example Bank}
  ca: {certificate: ca.pem, key: ca.key, pool: 1}
  escrow: {key_file: escrow.key}
  provision: {}
  claim: {}
  mail: {address: "%[2]s", from: keys@bank.example}
policy:
  - {name: partners, recipient: "*@partner.example", no_key: reject}
  - {name: statements, sender: "*@bank.example", no_key: provision}
  - {name: default, no_key: reject}
metrics: {address: none}
log: {level: error, format: text}
`, listen, w.sink.Addr(), w.directory)
}
