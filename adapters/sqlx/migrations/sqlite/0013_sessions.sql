-- Log-ins with their refresh tokens, roles, preferences, and who was let in. Of a token only digests are
-- kept; see core/src/auth/refresh.rs.

ALTER TABLE account ADD COLUMN roles TEXT NOT NULL DEFAULT '';

CREATE TABLE preference (
    user_id TEXT    NOT NULL PRIMARY KEY CHECK (user_id <> ''),
    json    TEXT    NOT NULL CHECK (length(json) <= 16384),
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE log_in (
    key        BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    user_id    TEXT    NOT NULL CHECK (user_id <> ''),
    session_id BLOB    NOT NULL CHECK (length(session_id) = 16),
    current    BLOB    NOT NULL CHECK (length(current) = 32),
    previous   BLOB    CHECK (length(previous) = 32),
    began_at   INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    ended      INTEGER NOT NULL CHECK (ended IN (0, 1)),
    credence   TEXT    NOT NULL,
    place      TEXT    NOT NULL,
    guest      TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX log_in_by_user ON log_in (user_id, session_id);
CREATE INDEX log_in_by_end ON log_in (ends_at);
CREATE INDEX revoked_session_by_end ON revoked_session (until);

CREATE TABLE audit (
    n          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    action     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    reason     TEXT,
    credence   TEXT,
    user_id    TEXT,
    session_id BLOB,
    place      TEXT,
    times      INTEGER NOT NULL CHECK (times > 0)
) STRICT;

CREATE INDEX audit_by_time ON audit (at);
