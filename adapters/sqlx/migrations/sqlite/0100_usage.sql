-- Usage records of AI models, per tenant. Append-only: rows leave only with their import.
-- Money is whole pico-dollars; a row costs less than 9.2 million dollars.

CREATE TABLE usage_import (
    tenant_id     TEXT    NOT NULL,
    import_id     TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    rows          INTEGER NOT NULL,
    duplicates    INTEGER NOT NULL,
    started_at_us INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, import_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_event (
    tenant_id            TEXT    NOT NULL,
    id                   TEXT    NOT NULL, -- digest of source and source_id: importing again changes nothing
    import_id            TEXT    NOT NULL,
    source               TEXT    NOT NULL,
    source_id            TEXT    NOT NULL,
    ts_us                INTEGER NOT NULL, -- microseconds since the Unix epoch
    day                  INTEGER NOT NULL, -- days since the Unix epoch, UTC
    provider             TEXT,
    model_raw            TEXT,
    model                TEXT,
    operation            TEXT,
    service_tier         TEXT,
    batch                INTEGER NOT NULL,
    can_wait           INTEGER NOT NULL,
    team                 TEXT,
    project              TEXT,
    user_id              TEXT,
    end_user             TEXT,
    feature              TEXT,
    api_key_id           TEXT,
    session_id           TEXT,
    trace_id             TEXT,
    tags                 TEXT,
    requests             INTEGER NOT NULL,
    input_tokens         INTEGER NOT NULL, -- cached and cache writes included
    cached_tokens        INTEGER NOT NULL,
    cache_write_5m       INTEGER NOT NULL,
    cache_write_1h       INTEGER NOT NULL,
    output_tokens        INTEGER NOT NULL, -- reasoning included
    reasoning_tokens     INTEGER NOT NULL,
    max_tokens           INTEGER,
    latency_ms           INTEGER,
    ttft_ms              INTEGER,
    outcome              TEXT    NOT NULL, -- ok, failed, timed_out
    error_code           TEXT,
    finish_reason        TEXT,
    attempt              INTEGER,
    retry_of             TEXT,
    prompt_hash          TEXT,
    prefix_hash          TEXT,
    cost_pico            INTEGER NOT NULL, -- what counts: computed, else reported, else 0
    output_cost_pico     INTEGER NOT NULL, -- the output's part, 0 when unknown
    cost_computed_pico   INTEGER,
    cost_reported_pico   INTEGER,
    cost_status          TEXT    NOT NULL, -- priced, reported, unpriced
    price_source         TEXT,
    price_date           TEXT,
    PRIMARY KEY (tenant_id, id)
) STRICT;

CREATE INDEX usage_event_by_day ON usage_event (tenant_id, day);
CREATE INDEX usage_event_by_import ON usage_event (tenant_id, import_id);
