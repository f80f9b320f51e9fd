-- Letters to people for whom a key was made. What stands in the letter to claim
-- it with is computed from id with a key that is not in this database.
CREATE TABLE notice (
	id TEXT PRIMARY KEY,
	fingerprint BLOB NOT NULL,         -- SHA-256 of the certificate
	address TEXT NOT NULL,             -- in normal form
	kind TEXT NOT NULL,                -- first, reminder, again
	notes TEXT NOT NULL,               -- JSON: references, language, sender; empty: none
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	due INTEGER NOT NULL,              -- when to send it, or to try again; 0: sent, or given up
	attempts INTEGER NOT NULL,         -- to send it
	sent INTEGER NOT NULL,             -- 0: not yet
	trouble TEXT NOT NULL,             -- why the last attempt failed
	used INTEGER NOT NULL,             -- 0: not yet
	tries INTEGER NOT NULL,            -- wrong codes with the link
	guesses INTEGER NOT NULL,          -- wrong codes without it
	answers INTEGER NOT NULL           -- answers to the second question
);
CREATE INDEX notice_fingerprint ON notice (fingerprint);
CREATE INDEX notice_address ON notice (address);
CREATE INDEX notice_due ON notice (due) WHERE due > 0;

-- Browsers that have proven something.
CREATE TABLE claim_session (
	hash BLOB PRIMARY KEY,             -- SHA-256 of the cookie
	notice TEXT NOT NULL,
	complete INTEGER NOT NULL,         -- 0: the second factor is missing
	proof BLOB NOT NULL,               -- that the portal began it, and for whom; needs a key that is not in this database
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL
);
CREATE INDEX claim_session_expires ON claim_session (expires);
