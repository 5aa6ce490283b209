-- Users whom another provider knows (OpenID Connect): found by who says so and what it calls them.

CREATE TABLE link (
    issuer  TEXT    NOT NULL CHECK (issuer <> ''),
    subject TEXT    NOT NULL CHECK (subject <> ''),
    user_id TEXT    NOT NULL UNIQUE CHECK (user_id <> ''),
    name    TEXT,
    email   TEXT,
    at      INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
