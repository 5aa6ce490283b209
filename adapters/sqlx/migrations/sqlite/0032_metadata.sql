-- WIRE-14, STOR-17: what its owner keeps with a thread; no row is `{}`. Beside the thread, whose row is
-- written anew with every batch.

CREATE TABLE thread_metadata (
    thread_id BLOB NOT NULL PRIMARY KEY REFERENCES thread ON DELETE CASCADE,
    json      TEXT NOT NULL CHECK (length(json) <= 16384)
) STRICT, WITHOUT ROWID;
