-- What was done with certificates and keys, in order and without a gap. Rows are
-- only ever added; each one's hash covers the one before it.
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY,           -- 1, 2, 3 …
	at INTEGER NOT NULL,
	kind TEXT NOT NULL,
	address TEXT NOT NULL,             -- in normal form; empty: none
	fingerprint BLOB NOT NULL,         -- SHA-256 of the certificate; empty: none
	actor TEXT NOT NULL,
	detail TEXT NOT NULL,
	hash BLOB NOT NULL                 -- SHA-256 over the hash before it and this row
);

-- The serial numbers that the directory's own authority gave, for OCSP.
CREATE TABLE issued (
	serial BLOB PRIMARY KEY,           -- the number, without leading zeros
	certificate INTEGER NOT NULL
) WITHOUT ROWID;

-- Those of them that were revoked, for CRL and OCSP.
CREATE TABLE revocation (
	serial BLOB PRIMARY KEY,
	at INTEGER NOT NULL,
	not_after INTEGER NOT NULL,        -- of the certificate
	why TEXT NOT NULL
) WITHOUT ROWID;
