package keydb

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"

	"sealpost/internal/address"
)

// An Answer is what GET /v1/certificates?email=A says with status 200:
//
//	{
//	  "address": "anna@example.org",
//	  "certificates": [
//	    {"der": "MIIC…", "sha256": "9f86…", …}
//	  ]
//	}
//
// The best certificate comes first. Both members are always there. An empty
// list says that the address has none, as status 404 does.
type Answer struct {
	Address      string        `json:"address"`
	Certificates []Certificate `json:"certificates"`
}

func fingerprint(der []byte) Fingerprint { return sha256.Sum256(der) }

// ReadAnswer reads an answer about addr. The address in it is the one that was
// asked for, in either spelling of its domain; the list is there, if empty; and
// each certificate has its der, with the hash that is said of it. Whether der
// is a certificate at all is left to the caller. The errors are ErrFormat,
// ErrAddress, ErrHash.
func ReadAnswer(body []byte, addr address.Address) (Answer, error) {
	var a Answer
	if err := readWhole(body, &a); err != nil {
		return Answer{}, err
	}
	if err := a.check(addr); err != nil {
		return Answer{}, err
	}
	return a, nil
}

// readWhole reads one JSON value and nothing after it.
func readWhole(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows it", ErrFormat)
	}
	return nil
}

func (a *Answer) check(addr address.Address) error {
	if a.Certificates == nil {
		return fmt.Errorf("%w: the member certificates is missing", ErrFormat)
	}
	if about, err := address.Parse(a.Address); err != nil || about.Key() != addr.Key() {
		return ErrAddress
	}
	return checkAll(a.Certificates)
}

func checkAll(certs []Certificate) error {
	for i := range certs {
		if err := certs[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// A BatchRequest is the body of POST /v1/certificates:batch; at most MaxBatch
// addresses.
type BatchRequest struct {
	Addresses []string `json:"addresses"`
}

// A Batch is the answer to it: one item for each address, in their order.
type Batch struct {
	Answers []BatchItem `json:"answers"`
}

// A BatchItem is about one address: its certificates (an empty list when there
// are none), or why they are not known. Address is as it was asked for.
type BatchItem struct {
	Address      string        `json:"address"`
	Certificates []Certificate `json:"certificates,omitzero"`
	Error        *Problem      `json:"error,omitempty"`
}

// ReadBatch reads the answer to a batch about these addresses. Each has its
// item, and each item either certificates or an error.
func ReadBatch(body []byte, addrs []address.Address) (Batch, error) {
	var b Batch
	if err := readWhole(body, &b); err != nil {
		return Batch{}, err
	}
	if len(b.Answers) != len(addrs) {
		return Batch{}, fmt.Errorf("%w: %d answers to %d addresses", ErrFormat, len(b.Answers), len(addrs))
	}
	for i := range b.Answers {
		item := &b.Answers[i]
		if item.Error != nil {
			item.Certificates = nil // what stands beside an error is not to be believed
			continue
		}
		a := Answer{Address: item.Address, Certificates: item.Certificates}
		if err := a.check(addrs[i]); err != nil {
			return Batch{}, err
		}
	}
	return b, nil
}

// A Publication is the JSON body of POST /v1/certificates; PEM, DER and
// PKCS #7 are taken as they are too. Without addresses the certificate counts
// for those in its subject alternative name.
type Publication struct {
	DER       []byte   `json:"der"`
	Addresses []string `json:"addresses,omitempty"`
}

// Added is the answer to a publication, one entry for each certificate.
type Added struct {
	Certificates []AddedCertificate `json:"certificates"`
}

// An AddedCertificate is what became of one certificate.
type AddedCertificate struct {
	SHA256     Fingerprint   `json:"sha256"`
	Status     string        `json:"status"` // active, held
	Known      bool          `json:"known"`  // it was in the directory before
	Addresses  []string      `json:"addresses,omitempty"`
	Superseded []Fingerprint `json:"superseded,omitempty"` // certificates that it takes the place of
}

// Learned is the answer to POST /v1/messages: what the signed message taught.
type Learned struct {
	Address     string           `json:"address"`
	Certificate Certificate      `json:"certificate"`
	Added       AddedCertificate `json:"added"`
}
