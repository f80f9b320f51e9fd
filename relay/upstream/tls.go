package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"
)

// tlsConfig is the server's configuration for crypto/tls.
func (s Server) tlsConfig() *tls.Config {
	cfg := &tls.Config{}
	if s.TLSConfig != nil {
		cfg = s.TLSConfig.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = s.host()
	}
	if cfg.ClientSessionCache == nil {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	// Where any certificate is taken, crypto/tls does not look at it; we do,
	// after the handshake, to know.
	cfg.InsecureSkipVerify = s.TLS == TLSOpportunistic || s.NoVerify
	return cfg
}

// handshake goes over to TLS.
func (c *conn) handshake() *Failure {
	t := tls.Client(c.raw, c.server.tls)
	err := t.SetDeadline(time.Now().Add(c.server.timeouts().Command))
	if err == nil {
		err = t.Handshake()
	}
	if err == nil {
		err = t.SetDeadline(time.Time{})
	}
	if err != nil {
		f := session(StageTLS, errTLS, err)
		f.handshake = true
		return f
	}
	state := t.ConnectionState()
	c.nc, c.tls = t, true
	c.tlsName = tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
	c.r = newReplyReader(t)
	c.verified = verified(c.server.tls, &state)
	return nil
}

// verified reports whether the server's certificate is good for its name,
// whether or not that was asked for.
func verified(cfg *tls.Config, state *tls.ConnectionState) bool {
	if !cfg.InsecureSkipVerify {
		return true
	}
	if len(state.PeerCertificates) == 0 {
		return false
	}
	opts := x509.VerifyOptions{Roots: cfg.RootCAs, DNSName: cfg.ServerName, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err == nil
}

var (
	errNoTLS      = errors.New("the password is not sent without TLS")
	errUnverified = errors.New("the password is not sent to a server whose certificate does not verify")
)

// trusted says whether the password may go to the server.
func (c *conn) trusted() error {
	switch {
	case !c.tls:
		return errNoTLS
	case c.verified || c.server.NoVerify || isLoopback(c.remote):
		return nil
	}
	return errUnverified
}

func isLoopback(hostport string) bool {
	a, err := netip.ParseAddrPort(hostport)
	return err == nil && a.Addr().Unmap().IsLoopback()
}
