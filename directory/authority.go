package directory

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"sealpost/directory/ca"
	"sealpost/directory/store"
)

// PublishCA answers for the authority alone, whatever else the directory answers:
// for a door of plain HTTP. nil without an authority.
func (d *Directory) PublishCA() http.Handler { return d.publisher }

// withAuthority puts what the authority publishes in front of the API.
func withAuthority(publisher, next http.Handler) http.Handler {
	if publisher == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, ca.Prefix) {
			publisher.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const (
	// watchEvery is how often the log is told where the audit log ends, and whether
	// the issuing certificate nears its end.
	watchEvery = time.Hour
	// renewBefore is when the operator is reminded of the safe with the root's key.
	renewBefore = 90 * 24 * time.Hour
)

// watch writes down, in a place that the database's owner does not rule, how far
// the audit log has come: "sealpost directory audit verify --head" compares.
func (d *Directory) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last store.AuditState
	for {
		last = d.tellHead(ctx, last)
		d.tellRenewal()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellHead logs the end of the audit log when it has moved.
func (d *Directory) tellHead(ctx context.Context, last store.AuditState) store.AuditState {
	head, err := d.store.AuditHead(ctx)
	if err != nil {
		return last // the database is away, which others tell
	}
	switch {
	case head.Records < last.Records:
		d.opts.Log.Error("the audit log has become shorter: verify it against the head that was logged before",
			"records", head.Records, "before", last.Records)
	case head == last:
		return last
	}
	d.opts.Log.Info("audit head", "records", head.Records, "head", hex.EncodeToString(head.Head[:]))
	return head
}

// tellRenewal reminds of the issuing certificate's end.
func (d *Directory) tellRenewal() {
	if d.opts.Authority == nil {
		return
	}
	issuer := d.opts.Authority.Chain()[0]
	if left := issuer.NotAfter.Sub(d.opts.Clock()); left < renewBefore {
		d.opts.Log.Warn("the issuing certificate ends soon: bring the root's key and run sealpost directory ca renew-issuer",
			"ends", issuer.NotAfter.Format(time.DateOnly), "days", int(left.Hours()/24))
	}
}
