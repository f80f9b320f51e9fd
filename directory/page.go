package directory

import (
	"net/http"

	"sealpost/directory/api"
	"sealpost/directory/portal"
	"sealpost/directory/reader"
)

// addPage gives the API its page.
func (d *Directory) addPage(o *api.Options) error {
	if d.opts.Page == nil {
		return nil
	}
	opts := *d.opts.Page
	opts.Log, opts.Clock = d.opts.Log, d.opts.Clock
	if !o.RequireToken {
		opts.Find = d.finder.Find
	}
	if d.claims != nil {
		opts.Claims = d.claims
	}
	page, err := portal.New(opts)
	if err != nil {
		return err
	}
	o.Page = page
	return d.addReader(page, opts)
}

// addReader gives the page the one on which mail is read.
func (d *Directory) addReader(page *portal.Portal, opts portal.Options) error {
	r, err := reader.New(reader.Options{
		Name: opts.Name, Logo: page.Logo(), Style: page.Style(), Links: opts.Links,
		Session: func(r *http.Request) (reader.Session, bool) {
			csrf, address, ok := page.Reading(r)
			return reader.Session{Address: address, CSRF: csrf}, ok
		},
	})
	if err != nil {
		return err
	}
	if !r.Built() {
		d.opts.Log.Warn("nobody can read mail in the browser here: the program was built without the module of that page (go generate ./directory/reader)")
	}
	page.Mount(r)
	return nil
}
