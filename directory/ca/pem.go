package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// parseChain reads the issuing certificate and the root, and the root's list if
// it is there.
func parseChain(text []byte) (chain []*x509.Certificate, list []byte, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %w", ErrFiles, err)
			}
			chain = append(chain, c)
		case "X509 CRL":
			if _, err := x509.ParseRevocationList(block.Bytes); err != nil {
				return nil, nil, fmt.Errorf("%w: %w", ErrFiles, err)
			}
			list = block.Bytes
		default:
			return nil, nil, fmt.Errorf("%w: %s stands among the certificates", ErrFiles, block.Type)
		}
	}
	if len(chain) != 2 {
		return nil, nil, fmt.Errorf("%w: there are %d certificates and not two, the issuing one and the root", ErrFiles, len(chain))
	}
	return chain, list, nil
}

// parseKey reads a private key, PKCS #8. Its errors hold nothing of it.
func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%w: no PEM block PRIVATE KEY (PKCS #8, not encrypted)", ErrFiles)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: the private key cannot be read", ErrFiles)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: this kind of key cannot sign", ErrFiles)
	}
	return signer, nil
}

// marshalKey is the reverse of parseKey.
func marshalKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// marshalChain is the reverse of parseChain.
func marshalChain(issuer, root *x509.Certificate, list []byte) []byte {
	var b bytes.Buffer
	for _, c := range []*x509.Certificate{issuer, root} {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	b.Write(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}))
	return b.Bytes()
}
