-- When a user left everywhere last: ends what no list of log-ins names; see core/src/auth/cutoff.rs.

CREATE TABLE cutoff (
    user_id    TEXT    NOT NULL PRIMARY KEY CHECK (user_id <> ''),
    at         INTEGER NOT NULL,
    session_id BLOB    CHECK (length(session_id) = 16)
) STRICT, WITHOUT ROWID;
