package smime

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"sealpost/smime/cms"
)

// A Proof examines a body that a header claims is encrypted. It is fed the
// body in pieces of any size and keeps nothing of it.
//
// What it proves is the form: nothing but one well-formed enveloped CMS, or
// one OpenPGP message in its two parts, and no text beside it. Whether the
// ciphertext is one, only its recipient can tell.
type Proof struct {
	claim Claim
	body  io.WriteCloser
	size  int64
	err   error // the first reason why not
}

// Protected is the evidence that a body is encrypted already. Only a Proof
// makes one that is valid.
type Protected struct {
	claim Claim
	size  int64
}

// Valid reports that p comes from a Proof. The zero value is not valid.
func (p *Protected) Valid() bool { return p != nil && p.claim != None }

// Claim is what was claimed and is now proven.
func (p *Protected) Claim() Claim { return p.claim }

// BodySize is the size of the body that was examined, in bytes.
func (p *Protected) BodySize() int64 { return p.size }

// NewProof begins the examination of the body that belongs to h.
func NewProof(h *Header) *Proof {
	p := &Proof{claim: Claims(h)}
	p.body, p.err = newExaminer(h, p.claim)
	return p
}

func newExaminer(h *Header, claim Claim) (io.WriteCloser, error) {
	encoding := transferEncoding(h)
	switch {
	case claim == EnvelopedSMIME && encoding == "base64":
		return newStrictBase64(cmsExaminer{cms.NewValidator()}), nil
	case claim == EnvelopedSMIME && isOneOf(encoding, "8bit", "binary"):
		return &finalNewline{next: cmsExaminer{cms.NewValidator()}}, nil
	case claim == PGPMIME && isIdentity(encoding):
		return newPGPExaminer(h), nil
	case claim == None:
		return nil, errors.New("the header does not claim a known kind of encryption")
	}
	return nil, errors.New("the transfer encoding does not suit the claimed encryption")
}

// Write takes a piece of the body. It never fails, so that it can stand beside
// other writers; the verdict is Close's.
func (p *Proof) Write(b []byte) (int, error) {
	p.size += int64(len(b))
	if p.err == nil {
		_, p.err = p.body.Write(b)
	}
	return len(b), nil
}

// Close ends the body. The error says why the body is not what the header
// claims, and then the message is to be sealed like any other.
func (p *Proof) Close() (*Protected, error) {
	if p.err == nil {
		p.err = p.body.Close()
	}
	if p.err != nil {
		return nil, fmt.Errorf("not encrypted as claimed (%v): %w", p.claim, p.err)
	}
	p.body, p.err = nil, errors.New("proof is closed")
	return &Protected{claim: p.claim, size: p.size}, nil
}

// A cmsExaminer is a Validator whose findings do not matter.
type cmsExaminer struct{ *cms.Validator }

func (c cmsExaminer) Close() error {
	_, err := c.Validator.Close()
	return err
}

// finalNewline hands on all but a CRLF at the very end: SMTP's DATA puts one
// behind a binary body that does not end in it.
type finalNewline struct {
	next io.WriteCloser
	held []byte // CR, or CR LF
}

func (f *finalNewline) Write(p []byte) (int, error) {
	total := len(p)
	if total > 0 && p[0] == '\n' && string(f.held) == "\r" {
		f.held, p = append(f.held, '\n'), p[1:]
	}
	if len(p) == 0 {
		return total, nil
	}
	if _, err := f.next.Write(f.held); err != nil {
		return 0, err
	}
	rest, found := bytes.CutSuffix(p, []byte("\r\n"))
	if !found {
		rest = bytes.TrimSuffix(p, []byte("\r"))
	}
	f.held = append(f.held[:0], p[len(rest):]...)
	_, err := f.next.Write(rest)
	return total, err
}

func (f *finalNewline) Close() error {
	if string(f.held) == "\r" {
		if _, err := f.next.Write(f.held); err != nil {
			return err
		}
	}
	return f.next.Close()
}
