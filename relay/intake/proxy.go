package intake

import (
	proxyproto "github.com/pires/go-proxyproto"
)

// readProxyHeader reads the PROXY protocol header, version 1 or 2, that a
// listed load balancer must send; nothing of the kind is looked for from
// anybody else. A header with the command LOCAL (a health check) leaves the
// balancer's own address.
func (c *conn) readProxyHeader() error {
	if !contains(c.opts.Proxy, c.client.Remote.Addr()) {
		return nil
	}
	p := proxyproto.NewConn(c.raw,
		proxyproto.WithPolicy(proxyproto.REQUIRE),
		proxyproto.SetReadHeaderTimeout(c.opts.Timeouts.Proxy))
	if _, err := p.Write(nil); err != nil { // reads the header
		return err
	}
	c.wire.conn = p
	c.client.Remote, c.client.Local = addrPort(p.RemoteAddr()), p.LocalAddr()
	c.peer = c.client.Remote.Addr()
	return nil
}
