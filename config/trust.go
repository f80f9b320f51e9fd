package config

// Trust is what makes a certificate good enough to seal to.
type Trust struct {
	// PEM files with the roots that vouch for the certificates of sources whose
	// `trust` is `pki`.
	Roots []Path `yaml:"roots"`

	// Whether the system's roots vouch too.
	// Hazard: these are the roots of the web. Some of them issue certificates
	// for mail to whoever can receive one message.
	SystemRoots bool `yaml:"system_roots" default:"false"`

	// The shortest RSA key to seal to, in bits.
	MinRSABits int `yaml:"min_rsa_bits" default:"2048" min:"1024" max:"16384"`

	// Whether Anna@ may be sealed to the certificate of anna@. The local part
	// is compared exactly first. Domains never depend on case.
	// Hazard: where the two are different mailboxes, one reads the other's mail.
	FoldLocalPart bool `yaml:"fold_local_part" default:"false"`

	_ struct{} `later:"revocation|on_key_change|pin|aia"`
}
