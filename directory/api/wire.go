package api

import (
	"sealpost/directory/store"
	"sealpost/lookup/keydb"
)

// Wire is how a stored certificate goes over the wire.
func Wire(c store.Certificate) keydb.Certificate {
	w := keydb.NewCertificate(c.Cert)
	w.Addresses = c.Addresses
	w.Origin = string(c.Origin)
	w.Capabilities = c.Capabilities
	w.FirstSeen, w.LastSeen = c.FirstSeen.UTC(), c.LastSeen.UTC()
	return w
}

// WireChange is how a change goes over the wire.
func WireChange(c store.Change) keydb.Change {
	return keydb.Change{Seq: c.Seq, Address: c.Address, Certificates: wireAll(c.Certificates)}
}

func wireAll(certs []store.Certificate) []keydb.Certificate {
	all := make([]keydb.Certificate, len(certs))
	for i, c := range certs {
		all[i] = Wire(c)
	}
	return all
}
