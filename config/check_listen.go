package config

import (
	"errors"
	"net/netip"
	"strings"

	"sealpost/relay/userfile"
)

// The broadest networks that may be listed. What is broader holds most of the
// world: clients in it relay without AUTH, or say themselves where they are.
const (
	broadest4 = 8
	broadest6 = 16
)

// listener is rule 5 of the design: nobody relays who may not.
func (k *checker) listener(key string, l *Listen) {
	if len(l.Networks) == 0 && l.Auth == nil {
		k.wrong(key, "nobody may send here: write networks (who relays without login), as networks: [127.0.0.0/8], or tls and auth")
	}
	k.networks(join(key, "networks"), l.Networks, "everybody in it could relay, which makes an open relay")
	k.networks(join(key, "xforward"), l.XForward, "everybody in it could take on any client address with XCLIENT")
	k.networks(join(key, "proxy"), l.Proxy, "everybody in it could take on any client address")
	if l.Auth != nil {
		if l.TLS.Mode == "none" {
			k.wrong(join(key, "auth"), "needs TLS, because passwords would cross the line in the clear: write tls: {mode: require, cert: …, key: …}")
		}
		k.users(join(key, "auth.users"), l.Auth.Users)
	}
	tls := join(key, "tls")
	switch l.TLS.Mode {
	case "": // could not be read
		return
	case "none":
		for _, name := range []string{"cert", "key"} {
			if k.has(join(tls, name)) {
				k.wrong(join(tls, name), "has no meaning without TLS: write mode: starttls beside it, or leave it out")
			}
		}
		return
	}
	if l.TLS.Cert == "" {
		k.wrong(join(tls, "cert"), "is required with mode: %s", l.TLS.Mode)
	}
	if l.TLS.Key == "" {
		k.wrong(join(tls, "key"), "is required with mode: %s", l.TLS.Mode)
	}
	if l.TLS.Cert != "" && l.TLS.Key != "" {
		k.keyPair(tls, l.TLS)
	}
}

func (k *checker) networks(key string, networks []netip.Prefix, why string) {
	for i, n := range networks {
		broadest := broadest6
		if n.Addr().Is4() {
			broadest = broadest4
		}
		if n.IsValid() && n.Bits() < broadest {
			k.wrong(item(key, i), "%s is broader than /%d: %s", n, broadest, why)
		}
	}
}

func (k *checker) users(key string, p Path) {
	if p == "" || !k.private(key, p) {
		return
	}
	_, err := userfile.Open(string(p))
	if err == nil {
		return
	}
	text := plainError(err)
	var line *userfile.LineError
	if errors.As(err, &line) {
		text = "has mistakes: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	k.wrong(key, "%s %s", p, text)
}
