package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ServerOptions say how the handler meets the network.
type ServerOptions struct {
	Handler http.Handler
	// CertFile and KeyFile are PEM; Reload reads them again.
	CertFile, KeyFile string
	ACME              *ACMEOptions // instead of files; with neither, there is no TLS
	Log               *slog.Logger // default: slog.Default
}

// ACMEOptions say where certificates of our own come from (RFC 8555). The
// authority asks back on port 443 of each domain (tls-alpn-01, RFC 8737), so
// that is where the server must be reached.
type ACMEOptions struct {
	Domains []string // no certificate is fetched for any other name
	Cache   string   // folder for account and certificates, made with mode 0700
	Email   string   // where the authority may write to
	URL     string   // of the authority's directory; default: Let's Encrypt
	Client  *http.Client
}

// Errors of NewServer.
var (
	ErrTwoCertificates = errors.New("api: a certificate comes from files or from ACME, not both")
	ErrACMEOptions     = errors.New("api: ACME needs domains and a folder for its certificates")
)

// Times and sizes that clients get. Calls that may take longer, such as the
// feed, move their own deadlines.
const (
	headerTime = 10 * time.Second
	callTime   = time.Minute
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10
	maxStreams = 100 // calls at once on one connection of HTTP/2
)

// A Server is an HTTP server that strangers may talk to: each of its steps has
// a time, each of its parts a size.
type Server struct {
	http  *http.Server
	opts  ServerOptions
	certs atomic.Pointer[tls.Certificate]
}

// NewServer reads the certificate; it does not listen.
func NewServer(opts ServerOptions) (*Server, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	s := &Server{opts: opts, http: &http.Server{
		Handler: opts.Handler, ReadHeaderTimeout: headerTime, ReadTimeout: callTime, WriteTimeout: callTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug), // strangers' broken handshakes
	}}
	var err error
	switch {
	case opts.ACME != nil && (opts.CertFile != "" || opts.KeyFile != ""):
		return nil, ErrTwoCertificates
	case opts.ACME != nil:
		s.http.TLSConfig, err = opts.ACME.config()
	case opts.CertFile != "":
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: s.certificate}
		err = s.Reload()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (a *ACMEOptions) config() (*tls.Config, error) {
	if len(a.Domains) == 0 || a.Cache == "" {
		return nil, ErrACMEOptions
	}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(a.Cache), HostPolicy: autocert.HostWhitelist(a.Domains...), Email: a.Email,
		Client: &acme.Client{DirectoryURL: a.URL, HTTPClient: a.Client, UserAgent: "sealpost"},
	}
	if a.URL == "" {
		m.Client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	c := m.TLSConfig() // with h2, and the protocol by which the authority asks back
	c.MinVersion = tls.VersionTLS12
	return c, nil
}

// certificate is the newest one that was read.
func (s *Server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.certs.Load(), nil
}

// Reload reads the certificate's files again. On an error the one before stays
// in use. Without files there is nothing to do.
func (s *Server) Reload() error {
	if s.opts.CertFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.opts.CertFile, s.opts.KeyFile)
	if err != nil {
		return fmt.Errorf("api: tls: %w", err)
	}
	s.certs.Store(&pair)
	return nil
}

// Serve serves until Shutdown; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	serve := s.http.Serve
	if s.http.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown lets calls under way end until ctx does, and then breaks them off.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	return err
}
