package directory

import (
	"sealpost/directory/api"
	"sealpost/directory/portal"
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
	return nil
}
