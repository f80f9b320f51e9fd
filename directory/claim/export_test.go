package claim

import (
	"context"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

// OwnCertificate reads an upload without a database, so that it is read often.
func OwnCertificate(ctx context.Context, addr address.Address, upload []byte, now time.Time) (*certificate.Certificate, error) {
	e := &Engine{opts: Options{Clock: func() time.Time { return now }}}
	return e.ownCertificate(ctx, addr, upload)
}
