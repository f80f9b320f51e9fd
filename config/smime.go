package config

// SMIME is how messages are sealed.
type SMIME struct {
	// The content encryption. `auto`: aes-256-cbc, which every reader opens, or
	// AES-GCM for recipients whose certificate says that they can read it.
	// Hazard: the GCM kinds are not read by Thunderbird, NSS and GnuPG.
	Content string `yaml:"content" default:"auto" enum:"auto|aes-128-cbc|aes-256-cbc|aes-128-gcm|aes-256-gcm"`

	// The key transport for RSA keys: `pkcs1` (v1.5), which every reader opens,
	// or `oaep` (with SHA-256).
	// Hazard: `oaep` is not read by Apple Mail, GnuPG and older NSS.
	RSA string `yaml:"rsa" default:"pkcs1" enum:"pkcs1|oaep"`

	// The key derivation for EC keys. `sha1` is the one that Apple and Outlook
	// read; it derives a key and signs nothing, so SHA-1's weakness does not
	// touch it.
	KDF string `yaml:"kdf" default:"sha1" enum:"sha1|sha256|sha384|sha512"`

	// Header fields that are left out of sealed messages, because they sign a
	// body that is no longer there. Bcc, Resent-Bcc, Return-Path and
	// Content-Length are always left out. [] leaves out no more than those.
	Drop []string `yaml:"drop" kind:"field" default:"DKIM-Signature,ARC-Seal,ARC-Message-Signature,ARC-Authentication-Results"`

	// To how many usable certificates of one recipient a message is sealed,
	// the newest first: the recipient may hold the key of any of them.
	MaxCertificates int `yaml:"max_certificates" default:"4" min:"1" max:"16"`

	_ struct{} `later:"headers|sign"`
}
