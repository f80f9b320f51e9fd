package main

import (
	"fmt"
	"os"

	"sealpost/config"
	"sealpost/directory/portal"
)

// pageOptions say how the pages for people look.
func pageOptions(c *config.Directory) (*portal.Options, error) {
	o := &portal.Options{Name: c.Page.Name, URL: c.URL, Colours: portal.Colours{Accent: c.Page.Colours.Accent, Header: c.Page.Colours.Header}}
	for _, l := range c.Page.Links {
		o.Links = append(o.Links, l.Link())
	}
	if c.Enrol != nil {
		o.Enrol = c.Enrol.Mailbox
	}
	if c.Page.Logo != "" {
		logo, err := os.ReadFile(string(c.Page.Logo))
		if err != nil {
			return nil, fmt.Errorf("directory.page.logo: %w", err)
		}
		o.Logo = logo
	}
	if c.Page.Texts != "" {
		data, err := os.ReadFile(string(c.Page.Texts))
		if err != nil {
			return nil, fmt.Errorf("directory.page.texts: %w", err)
		}
		if o.Texts, err = portal.ReadTexts(data); err != nil {
			return nil, fmt.Errorf("directory.page.texts: %s: %w", c.Page.Texts, err)
		}
	}
	return o, nil
}
