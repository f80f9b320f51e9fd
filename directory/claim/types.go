package claim

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sealpost/internal/reason"
)

// Errors of the engine, to be found with errors.Is; others are the types below.
// Any other error is trouble with the database or the master key, and may pass.
var (
	// ErrToken says that a link leads nowhere: it was shortened, made up, or made
	// with another key.
	ErrToken = errors.New("the link is not one of ours, or not the whole of it")
	// ErrUsed says that a notice was used already.
	ErrUsed = errors.New("the notice has been used")
	// ErrExpired says that a notice is too old.
	ErrExpired = errors.New("the notice has expired")
	// ErrTooMany says that there were too many attempts, for this notice, this
	// mailbox, this client, or altogether.
	ErrTooMany = errors.New("there were too many attempts")
	// ErrNoCode says that the field was empty. That is no attempt: programs that
	// look into mail press buttons too.
	ErrNoCode = errors.New("no code was given")
	// ErrAddress says that what was given is no mail address.
	ErrAddress = errors.New("this is not a complete mail address")
	// ErrSession says that there is no such session, or that it has not come as far
	// as the call needs: it has ended, or the second factor is missing.
	ErrSession = errors.New("there is no such session, or it has ended")
	// ErrGone says that the escrowed key was deleted.
	ErrGone = errors.New("the escrowed key was deleted")
	// ErrPrivateKey says that a private key was uploaded. Nothing of it was kept.
	ErrPrivateKey = errors.New("this is a private key, or has one beside the certificate")
)

// A CodeError says that a code is wrong. Left is how many attempts the notice
// still allows; -1 where that would tell whether the mailbox is known.
type CodeError struct{ Left int }

func (e *CodeError) Error() string { return "the code is not the one of the notice" }

// A SecondFactorError says that the answer of the second step is wrong. Left is
// how many attempts there still are.
type SecondFactorError struct{ Left int }

func (e *SecondFactorError) Error() string { return "the answer is not the one that was agreed on" }

// A PassphraseRule names what a passphrase does not keep to.
type PassphraseRule string

// The rules.
const (
	PassphraseShort     PassphraseRule = "short"     // fewer than MinPassphrase characters
	PassphraseLong      PassphraseRule = "long"      // more than MaxPassphrase
	PassphraseCharacter PassphraseRule = "character" // one that programs do not agree on: only printable ASCII is safe
	PassphraseSimple    PassphraseRule = "simple"    // the same few characters over and over
	PassphraseObvious   PassphraseRule = "obvious"   // the mail address or a part of it
	MinPassphrase                      = 12          // characters
	MaxPassphrase                      = 64          // characters
)

// A PassphraseError says that a passphrase cannot be used.
type PassphraseError struct{ Rule PassphraseRule }

func (e *PassphraseError) Error() string { return "the passphrase cannot be used: " + string(e.Rule) }

// A CertificateError says why an own certificate cannot take the place of ours.
type CertificateError struct {
	Reason reason.Token
	Why    string // words, to be read after "the certificate"
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("the certificate %s (%s)", e.Why, e.Reason)
}

// A Notice says for whom a key was asked.
type Notice struct {
	Address    string   // of the recipient
	References []string // that tell him whose mail it is; at most two
	Language   string   // of the letter, as "zh"; empty: the default
	Sender     string   // who wrote; may be empty
}

// A View is what a link shows before anything is proven.
type View struct {
	Masked   string // the address, with most of its local part hidden
	Expires  time.Time
	Valid    bool   // it can still be used
	Language string // of the notice; may be empty
}

// A Proof is what somebody types to show that he reads the mailbox: the code,
// with the link's token or with the address.
type Proof struct {
	Token   string // or
	Address string
	Code    string
	Client  netip.Addr
}

// A Session is what one browser has proven.
type Session struct {
	ID          string // for logs; no secret
	Address     string
	Fingerprint [32]byte  // SHA-256 of the certificate
	NeedsSecret bool      // the second factor comes next; nothing else is allowed
	KeyThere    bool      // the escrowed key was not deleted
	Claimed     time.Time // when the key was taken home first; zero: not yet
	Deleting    time.Time // when the escrowed key will be deleted; zero: nobody said so
	Expires     time.Time // of the session
	CSRF        string    // for the forms of this session
	Language    string    // of the notice; may be empty
}

// A Format is a way to write PKCS #12.
type Format string

// The formats.
const (
	Modern Format = "modern" // AES-256, PBKDF2 and HMAC with SHA-256
	Legacy Format = "legacy" // Triple DES and SHA-1: what old Outlook, iOS and macOS read
)
