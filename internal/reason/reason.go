// Package reason holds the closed list of reason tokens: the words by which
// Sealpost says why something was refused, deferred or left out. The same
// token stands in SMTP replies, log lines, metrics, `explain`, `lookup` and
// API errors, and has a section of its own in docs/reasons.md.
package reason

// A Token names one cause. Tokens are stable: operators search and alert on them.
type Token string

// None is the absence of a reason: nothing was refused.
const None Token = ""

// Why a recipient's certificate cannot be used.
const (
	NoCertificate          Token = "no-certificate"
	CertificateExpired     Token = "certificate-expired"
	CertificateNotYetValid Token = "certificate-not-yet-valid"
	CertificateAddress     Token = "certificate-address-mismatch"
	CertificateUsage       Token = "certificate-usage"
	CertificateUntrusted   Token = "certificate-untrusted"
	CertificateWeakKey     Token = "certificate-weak-key"
	CertificateKeyKind     Token = "certificate-key-unsupported"
	CertificateUnreadable  Token = "certificate-unreadable"
	CertificateUnverified  Token = "certificate-not-verifiable"
	CertificateCA          Token = "certificate-is-ca"
	CertificateRevoked     Token = "certificate-revoked"
	RevocationUnknown      Token = "revocation-unknown"
	CertificateKeyChanged  Token = "certificate-key-changed"
	CertificateSuperseded  Token = "certificate-superseded"
	CertificateNotPinned   Token = "certificate-not-pinned"
	LookupUnavailable      Token = "lookup-unavailable"
	ProvisionUnavailable   Token = "provision-unavailable"
)

// Why a client or a message is refused at the door.
const (
	RelayDenied       Token = "relay-denied"
	AuthFailed        Token = "auth-failed"
	AuthNeedsTLS      Token = "auth-needs-tls"
	TLSRequired       Token = "tls-required"
	AddressInvalid    Token = "address-invalid"
	AddressRouting    Token = "address-routing"
	MessageTooLarge   Token = "message-too-large"
	TooManyRecipients Token = "too-many-recipients"
	TooManyClients    Token = "too-many-connections"
	TooManyErrors     Token = "too-many-errors"
	ClientTimeout     Token = "client-timeout"
	ClientGone        Token = "client-gone"
	ProtocolError     Token = "protocol-error"
	BareNewline       Token = "bare-newline"
	MailLoop          Token = "mail-loop"
	MessageMalformed  Token = "message-malformed"
	PolicyNoRule      Token = "policy-no-rule"
	ShuttingDown      Token = "shutting-down"
	ResourcesLow      Token = "resources-low"
	SealingFailed     Token = "sealing-failed"
	InternalError     Token = "internal-error"
)

// What upstream did.
const (
	UpstreamUnreachable Token = "upstream-unreachable"
	UpstreamTimeout     Token = "upstream-timeout"
	UpstreamTLS         Token = "upstream-tls"
	UpstreamAuth        Token = "upstream-auth"
	UpstreamProtocol    Token = "upstream-protocol"
	UpstreamDeferred    Token = "upstream-deferred"
	UpstreamRefused     Token = "upstream-refused"
	UpstreamLacks       Token = "upstream-lacks-extension"
	PartlyDelivered     Token = "partly-delivered"
)

// What became of a message that waited.
const (
	MessageExpired Token = "message-expired"
	MessageDamaged Token = "message-damaged"
)

// Why nothing is learned from a message that somebody offered. What is wrong
// with a certificate in it is said by the tokens of certificates above.
const (
	MessageNotSigned      Token = "message-not-signed"
	FromAmbiguous         Token = "from-ambiguous"
	SignatureInvalid      Token = "signature-invalid"
	SignatureMismatch     Token = "signature-digest-mismatch"
	SignatureWeak         Token = "signature-weak"
	SignatureUnsupported  Token = "signature-unsupported"
	SignatureTime         Token = "signature-time"
	SignatureOld          Token = "signature-too-old"
	SignersSeveral        Token = "signers-several"
	SignerMissing         Token = "signer-certificate-missing"
	EncryptionCertMissing Token = "encryption-certificate-missing"
	EncryptionCertForeign Token = "encryption-certificate-mismatch"
)

// Why the directory refuses a call of its API.
const (
	RequestMalformed   Token = "request-malformed"
	TokenRequired      Token = "token-required"
	TokenScope         Token = "token-scope"
	NotFound           Token = "not-found"
	MethodNotAllowed   Token = "method-not-allowed"
	NotAcceptable      Token = "not-acceptable"
	CursorUnknown      Token = "cursor-unknown"
	RequestTooLarge    Token = "request-too-large"
	MediaTypeUnknown   Token = "media-type-unsupported"
	PrivateKeyReceived Token = "private-key-received"
	RateLimited        Token = "rate-limited"
	ServerBusy         Token = "server-busy"
)

// Why the directory makes no key for an address that has none.
const (
	ProvisionExcluded Token = "provision-excluded"
	ProvisionRole     Token = "provision-role-address"
	ProvisionRate     Token = "provision-rate"
)

// All gives every token but None, in the order of docs/reasons.md. Counters
// are made from it, so that each has its series from the start.
func All() []Token {
	return []Token{
		NoCertificate, CertificateExpired, CertificateNotYetValid, CertificateAddress, CertificateUsage,
		CertificateUntrusted, CertificateWeakKey, CertificateKeyKind, CertificateUnreadable,
		CertificateUnverified, CertificateCA, CertificateRevoked, RevocationUnknown, CertificateKeyChanged,
		CertificateSuperseded, CertificateNotPinned, LookupUnavailable, ProvisionUnavailable,

		RelayDenied, AuthFailed, AuthNeedsTLS, TLSRequired, AddressInvalid, AddressRouting,
		MessageTooLarge, TooManyRecipients, TooManyClients, TooManyErrors, ClientTimeout, ClientGone,
		ProtocolError, BareNewline, MailLoop, MessageMalformed, PolicyNoRule, ShuttingDown,
		ResourcesLow, SealingFailed, InternalError,

		UpstreamUnreachable, UpstreamTimeout, UpstreamTLS, UpstreamAuth, UpstreamProtocol,
		UpstreamDeferred, UpstreamRefused, UpstreamLacks, PartlyDelivered,

		MessageExpired, MessageDamaged,

		MessageNotSigned, FromAmbiguous, SignatureInvalid, SignatureMismatch, SignatureWeak,
		SignatureUnsupported, SignatureTime, SignatureOld, SignersSeveral, SignerMissing,
		EncryptionCertMissing, EncryptionCertForeign,

		RequestMalformed, TokenRequired, TokenScope, NotFound, MethodNotAllowed, NotAcceptable, CursorUnknown,
		RequestTooLarge, MediaTypeUnknown, PrivateKeyReceived, RateLimited, ServerBusy,

		ProvisionExcluded, ProvisionRole, ProvisionRate,
	}
}
