-- Private keys that the directory made for people who had none, wrapped under a
-- master key that is not in this database. A deleted one keeps its row.
CREATE TABLE escrow (
	fingerprint BLOB PRIMARY KEY,      -- SHA-256 of the certificate
	address TEXT NOT NULL,             -- in normal form
	wrapped BLOB,                      -- NULL: deleted
	keeper TEXT NOT NULL,              -- which master key it is wrapped under
	secret TEXT NOT NULL,              -- argon2id in PHC form; empty: no second factor
	notes TEXT NOT NULL,               -- JSON: references, language, sender; empty: none
	created INTEGER NOT NULL,
	claimed INTEGER NOT NULL,          -- 0: not yet
	deleted INTEGER NOT NULL,          -- 0: it is there
	expires INTEGER NOT NULL           -- when it is to be deleted; 0: never
);
CREATE INDEX escrow_address ON escrow (address);
CREATE INDEX escrow_keeper ON escrow (keeper, fingerprint);
CREATE INDEX escrow_expires ON escrow (expires);
