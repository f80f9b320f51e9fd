-- One row: the state of the whole. Every transaction that writes locks it first.
CREATE TABLE meta (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	version INTEGER NOT NULL,          -- the highest schema/NNNN.sql that was applied
	epoch TEXT NOT NULL,               -- another one after a backup was restored
	origin TEXT NOT NULL,              -- the place of this table, to notice a restored dump
	seq INTEGER NOT NULL,              -- the last number of a change
	certificates INTEGER NOT NULL      -- the last certificate.id
);

-- Times are seconds since 1970. The DER comes last, so that what is before it
-- can be read without it.
CREATE TABLE certificate (
	id INTEGER PRIMARY KEY,
	fingerprint BLOB NOT NULL,         -- the first 16 bytes of the SHA-256 of der
	status INTEGER NOT NULL,           -- 0 active, 1 held, 2 superseded, 3 revoked, 4 expired
	origin INTEGER NOT NULL,           -- 0 import, 1 harvest, 2 api, 3 issued
	not_after INTEGER NOT NULL,
	first_seen INTEGER NOT NULL,
	last_seen INTEGER NOT NULL,
	seq INTEGER NOT NULL,              -- of its last change: of the last of its addresses
	addresses TEXT NOT NULL,           -- in normal form, sorted, one a line
	notes TEXT NOT NULL,               -- JSON: why, evidence, capabilities; empty: none
	der BLOB NOT NULL
);
CREATE UNIQUE INDEX certificate_fingerprint ON certificate (fingerprint);
CREATE INDEX certificate_status ON certificate (status, not_after);
-- The feed of changes is the table in this order. A certificate with n addresses
-- takes n numbers at each change, one for each address; seq is the last.
CREATE UNIQUE INDEX certificate_seq ON certificate (seq);

-- Which certificates name an address.
CREATE TABLE mailbox (
	address TEXT NOT NULL,
	certificate INTEGER NOT NULL,
	PRIMARY KEY (address, certificate)
) WITHOUT ROWID;

CREATE TABLE token (
	id TEXT PRIMARY KEY,
	hash BLOB NOT NULL,                -- SHA-256 of the secret
	name TEXT NOT NULL,
	scopes TEXT NOT NULL,              -- separated by blanks
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,          -- 0: never
	last_used INTEGER NOT NULL         -- to the hour; 0: never
);
