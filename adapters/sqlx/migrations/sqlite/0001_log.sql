-- Threads, their logs, runs and messages; what belongs to a user says so in a column of its own (F43).
-- Ids are 16 bytes, big-endian, so that they sort by time; times are milliseconds since 1970, UTC.

CREATE TABLE thread (
    thread_id  BLOB    NOT NULL PRIMARY KEY CHECK (length(thread_id) = 16),
    user_id    TEXT    NOT NULL CHECK (user_id <> ''),
    epoch      INTEGER NOT NULL,
    head       INTEGER NOT NULL CHECK (head > 0),
    title      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    position   INTEGER NOT NULL DEFAULT 0 CHECK (position BETWEEN 0 AND head)
) STRICT, WITHOUT ROWID;

CREATE INDEX thread_by_user ON thread (user_id, updated_at);

-- One row a batch, see specs/decisions/0001-log-segments.md. `entries` comes last: what stands before
-- it is then read without its pages.
CREATE TABLE log_segment (
    thread_id BLOB    NOT NULL REFERENCES thread ON DELETE CASCADE,
    first_seq INTEGER NOT NULL CHECK (first_seq > 0),
    last_seq  INTEGER NOT NULL CHECK (last_seq >= first_seq),
    batch_id  BLOB    NOT NULL CHECK (length(batch_id) = 16),
    entries   BLOB    NOT NULL,
    UNIQUE (thread_id, first_seq)
) STRICT;

-- By the batch alone: its id begins with the time, so that the index grows at one end only.
CREATE INDEX log_segment_by_batch ON log_segment (batch_id);

-- `n` is the order in which runs were accepted; wall time may jump. A run goes with its thread like all
-- else, but by way of its message: a foreign key would need an index of its own.
CREATE TABLE run (
    n             INTEGER NOT NULL PRIMARY KEY,
    run_id        BLOB    NOT NULL UNIQUE CHECK (length(run_id) = 16),
    thread_id     BLOB    NOT NULL,
    user_id       TEXT    NOT NULL CHECK (user_id <> ''),
    message_id    BLOB    NOT NULL,
    message_seq   INTEGER NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'degraded',
                                                     'failed', 'timed_out', 'cancelled', 'interrupted')),
    fence         INTEGER NOT NULL,
    on_disconnect TEXT    NOT NULL CHECK (on_disconnect IN ('continue', 'cancel')),
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    ended_at      INTEGER,
    CHECK ((ended_at IS NULL) = (status IN ('queued', 'running')))
) STRICT;

-- RUN-01: at most one running run a thread.
CREATE UNIQUE INDEX run_running ON run (thread_id) WHERE status = 'running';
CREATE INDEX run_open ON run (thread_id, n) WHERE ended_at IS NULL;
CREATE INDEX run_by_user ON run (user_id, n);

-- Where a message is in its log; its words are there and nowhere else.
CREATE TABLE message (
    message_id    BLOB    NOT NULL PRIMARY KEY CHECK (length(message_id) = 16),
    thread_id     BLOB    NOT NULL REFERENCES thread ON DELETE CASCADE,
    user_id       TEXT    NOT NULL CHECK (user_id <> ''),
    seq           INTEGER NOT NULL,
    run_id        BLOB    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('assistant', 'user')),
    client_msg_id TEXT,
    digest        INTEGER,
    CHECK ((role = 'user') = (client_msg_id IS NOT NULL AND digest IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- DLV-08: a client's name for a message is used once a user.
CREATE UNIQUE INDEX message_by_client ON message (user_id, client_msg_id) WHERE client_msg_id IS NOT NULL;
CREATE INDEX message_by_place ON message (thread_id, seq);

CREATE TABLE feedback (
    message_id BLOB    NOT NULL PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    rating     INTEGER NOT NULL,
    comment    TEXT,
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    run_id     BLOB    NOT NULL REFERENCES run (run_id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    media_type TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (run_id, name)
) STRICT;

CREATE TABLE account (
    user_id       TEXT    NOT NULL PRIMARY KEY CHECK (user_id <> ''),
    email         TEXT    NOT NULL UNIQUE CHECK (email = lower(email)),
    name          TEXT,
    password_hash TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked_session (
    user_id    TEXT    NOT NULL,
    session_id BLOB    NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (user_id, session_id)
) STRICT, WITHOUT ROWID;
