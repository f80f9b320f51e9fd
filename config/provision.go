package config

// Provisioning is the source whose directory makes keys for `no_key: provision`:
// the first of type directory. nil when there is none.
func (c *Config) Provisioning() *Source {
	for i := range c.Lookup.Sources {
		if c.Lookup.Sources[i].Type == "directory" {
			return &c.Lookup.Sources[i]
		}
	}
	return nil
}

// provisions wants a directory that makes keys for us.
func (k *checker) provisions(key string) {
	s := k.config.Provisioning()
	switch {
	case s == nil:
		k.wrong(key, "is provision, and no source of type directory is there that could make a key: write one under lookup.sources")
	case s.URL == "" && k.config.Directory != nil && k.config.Directory.Provision == nil:
		k.wrong(key, "is provision, and the directory of this file makes no keys: write directory.provision, with ca and escrow, or url and token_file of one that does")
	case s.URL != "" && s.TokenFile == "":
		k.wrong(key, "is provision, and the source %s has no token_file: make a token with the scope provision in that directory", quote(s.Name))
	}
}
