package portal

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/lookup/keydb"
)

// A searchView is what the search page shows.
type searchView struct {
	frame
	URL     string
	Closed  bool
	Email   string // as it was typed
	Address string // as it was understood; empty when it was not, or nothing was asked
	Found   []found
	Trouble string // one sentence; empty when all is well
	Wrong   bool   // the trouble is what was typed
}

func (p *Portal) searchView(r *http.Request) searchView {
	v := searchView{frame: p.frame(r), URL: p.opts.URL, Closed: p.opts.Find == nil, Email: r.URL.Query().Get("email")}
	v.Skip = v.T["skip"]
	return v
}

// search is the page itself; with ?email= it has an answer.
func (p *Portal) search(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := p.searchView(r)
	show := func(status int) { p.write(w, status, "search.html", v.T, v) }
	if q.Get("email") == "" || v.Closed {
		show(http.StatusOK)
		return
	}
	addr, err := address.Parse(strings.TrimSpace(v.Email))
	if err != nil {
		v.Trouble, v.Wrong = v.T["no_address"], true
		show(http.StatusBadRequest)
		return
	}
	certs, err := p.opts.Find(r.Context(), addr)
	if err != nil {
		v.Trouble = v.T["unavailable"]
		show(http.StatusServiceUnavailable)
		return
	}
	if as := q.Get("download"); as != "" {
		p.download(w, r, certs, q.Get("sha256"), as)
		return
	}
	v.Address = addr.String()
	v.Title = v.Address
	for _, c := range certs {
		if f, err := p.describe(c, addr, v.T); err == nil {
			v.Found = append(v.Found, f)
		}
	}
	show(http.StatusOK)
}

// download sends one of the certificates that were found as a file.
func (p *Portal) download(w http.ResponseWriter, r *http.Request, certs []keydb.Certificate, sha256, as string) {
	for _, c := range certs {
		if c.SHA256.String() != sha256 {
			continue
		}
		h := w.Header()
		switch as {
		case "cer":
			h.Set("Content-Type", "application/pkix-cert")
			h.Set("Content-Disposition", attachment(c, "cer"))
			_, _ = w.Write(c.DER)
			return
		case "pem":
			h.Set("Content-Type", "application/x-pem-file")
			h.Set("Content-Disposition", attachment(c, "pem"))
			_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: c.DER})
			return
		}
	}
	p.Refuse(w, r, http.StatusNotFound)
}

// attachment names the file by the fingerprint: addresses have characters that
// file names must not have.
func attachment(c keydb.Certificate, ending string) string {
	return fmt.Sprintf(`attachment; filename="certificate-%x.%s"`, c.SHA256[:4], ending)
}

// found is one certificate as a person reads it.
type found struct {
	Name            string // the common name, for the headline
	Subject, Issuer string
	Until, From     string
	Soon            bool // it ends within a month
	Left            string
	Key             string
	Fingerprint     []string // groups of four digits
	Origin          string
	Seen            string
	Serial          string
	CER, PEM        string // links
}

// commonName is the CN of a distinguished name as RFC 4514 writes it, or all of
// the name when there is none that is plain.
func commonName(dn string) string {
	for part := range strings.SplitSeq(dn, ",") {
		if name, ok := strings.CutPrefix(part, "CN="); ok && !strings.ContainsAny(name, `\+"`) {
			return name
		}
	}
	return dn
}

func (p *Portal) describe(c keydb.Certificate, a address.Address, t texts) (found, error) {
	cert, err := certificate.Parse(c.DER)
	if err != nil {
		return found{}, err
	}
	left := int(cert.NotAfter.Sub(p.opts.Clock()).Hours() / 24)
	f := found{
		Name: commonName(cert.Subject), Subject: cert.Subject, Issuer: cert.Issuer, From: t.date(cert.NotBefore), Until: t.date(cert.NotAfter),
		Soon: left < 30, Left: t.days(left), Key: cert.KeyName, Origin: t["origin_"+c.Origin], Seen: t.date(c.LastSeen),
	}
	if cert.Serial != nil {
		f.Serial = cert.Serial.Text(16)
	}
	if cert.Subject == cert.Issuer {
		f.Issuer = t["self_issued"]
	}
	digits := strings.ToUpper(c.SHA256.String())
	for i := 0; i < len(digits); i += 4 {
		f.Fingerprint = append(f.Fingerprint, digits[i:i+4])
	}
	link := url.Values{"email": {a.String()}, "sha256": {c.SHA256.String()}}
	link.Set("download", "cer")
	f.CER = "/?" + link.Encode()
	link.Set("download", "pem")
	f.PEM = "/?" + link.Encode()
	return f, nil
}
