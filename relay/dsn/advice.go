package dsn

import "sealpost/internal/reason"

// advice says of a reason, in words for the sender, what happened and what can
// be done when the message was given up. docs/reasons.md says it to operators.
func advice(why reason.Token) (happened, do string) {
	switch why {
	case reason.NoCertificate:
		return "The message has to be encrypted, and no certificate of the recipient is known.",
			"Ask the recipient for a signed message or a certificate (S/MIME), and give it to your postmaster."
	case reason.CertificateExpired, reason.CertificateNotYetValid:
		return "The message has to be encrypted, and the recipient's certificate is not valid at this time.",
			"Ask the recipient for the current certificate, and give it to your postmaster."
	case reason.CertificateRevoked:
		return "The message has to be encrypted, and the recipient's certificate was withdrawn by its issuer.",
			"Ask the recipient for the new certificate, and give it to your postmaster."
	case reason.CertificateAddress, reason.CertificateUsage, reason.CertificateUntrusted, reason.CertificateWeakKey,
		reason.CertificateKeyKind, reason.CertificateUnreadable, reason.CertificateUnverified, reason.CertificateCA:
		return "The message has to be encrypted, and the recipient's certificate cannot be used for that.",
			"Tell your postmaster, who can see what is wrong with it, or ask the recipient for another certificate."
	case reason.CertificateKeyChanged, reason.CertificateSuperseded, reason.CertificateNotPinned:
		return "The message has to be encrypted, and the recipient's certificate is not the one that is agreed on.",
			"Ask your postmaster to compare it with the recipient, on another way than by mail."
	case reason.RevocationUnknown:
		return "The message has to be encrypted, and it could not be found out whether the recipient's certificate was withdrawn.",
			"Send the message again later, and tell your postmaster."
	case reason.LookupUnavailable:
		return "The message has to be encrypted, and the directory of certificates could not be asked.",
			"Send the message again later, and tell your postmaster."
	case reason.UpstreamRefused:
		return "The next mail server refused the message.",
			"Read its answer below. Most often the address is wrong or the mailbox is gone."
	case reason.UpstreamDeferred:
		return "The next mail server would not take the message for the time being.",
			"Read its answer below, and send the message again later."
	case reason.UpstreamUnreachable, reason.UpstreamTimeout, reason.UpstreamTLS, reason.UpstreamAuth, reason.UpstreamProtocol:
		return "The message could not be passed to the next mail server.",
			"Tell your postmaster, and send the message again when the server works."
	case reason.UpstreamLacks:
		return "The message needs something that the next mail server cannot do.",
			"Read the answer below, and send the message without that."
	case reason.MailLoop:
		return "The message goes round in a circle between mail servers.",
			"Tell your postmaster."
	case reason.MessageTooLarge:
		return "The message is too large.",
			"Send less at a time."
	case reason.PolicyNoRule, reason.RelayDenied:
		return "The rules of this relay do not allow the message.",
			"Ask your postmaster."
	case reason.MessageExpired:
		return "The message was tried for as long as this relay tries, and could not be passed on.",
			"Send it again if it still matters, and tell your postmaster."
	case reason.MessageDamaged:
		return "The message was damaged on this relay's disk.",
			"Send it again, and tell your postmaster."
	}
	return "The message could not be passed on.",
		"Tell your postmaster, and send the message again later."
}
