-- One row a run. `last` and `inbox` are counters kept here so that an append checks them without counting anything.
-- A stream that only has mail yet has no status.
CREATE TABLE streams (
  number          INTEGER PRIMARY KEY,          -- short name of the stream inside this file, never used again
  name            TEXT    NOT NULL UNIQUE,
  last            INTEGER NOT NULL DEFAULT 0,   -- number of the last event
  inbox           INTEGER NOT NULL DEFAULT 0,   -- messages ever sent
  revision        INTEGER NOT NULL DEFAULT 0,   -- counts appends, those without events too
  status          TEXT,
  workflow        TEXT    NOT NULL DEFAULT '',
  parent          TEXT    NOT NULL DEFAULT '',
  started_at      REAL    NOT NULL DEFAULT 0,
  ended_at        REAL,
  wake_at         REAL,
  concurrency_key TEXT    NOT NULL DEFAULT '',
  summary         BLOB    NOT NULL DEFAULT X'7B7D'
) STRICT;

CREATE INDEX streams_newest      ON streams (started_at, name);
CREATE INDEX streams_status      ON streams (status, started_at, name);
CREATE INDEX streams_workflow    ON streams (workflow, started_at, name);
CREATE INDEX streams_parent      ON streams (parent, started_at, name);
CREATE INDEX streams_concurrency ON streams (concurrency_key, started_at, name) WHERE concurrency_key <> '';
CREATE INDEX streams_wake        ON streams (wake_at, name) WHERE wake_at IS NOT NULL;

-- One row a batch of events. The id is stream number << 40 | number of the first event: a stream's batches lie together,
-- in order, and one B-tree serves both writing and reading.
CREATE TABLE batches (
  id       INTEGER PRIMARY KEY,
  count    INTEGER NOT NULL,
  checksum INTEGER NOT NULL,                    -- CRC-32 of name, first, count and payload
  payload  BLOB    NOT NULL
) STRICT;

-- Mail. Consumed messages keep their key for ever, so that the same message sent again changes nothing.
CREATE TABLE inbox (
  id      INTEGER PRIMARY KEY,                  -- order of arrival, over all streams
  stream  INTEGER NOT NULL,
  key     TEXT    NOT NULL,
  payload BLOB,                                 -- NULL once consumed
  UNIQUE (stream, key)
) STRICT;

CREATE INDEX inbox_waiting ON inbox (stream) WHERE payload IS NOT NULL;

-- Results kept for `cache:`. Losing this table loses nothing but time.
CREATE TABLE cache (
  id         INTEGER PRIMARY KEY,
  key        TEXT NOT NULL UNIQUE,
  value      BLOB NOT NULL,
  expires_at REAL NOT NULL
) STRICT;

CREATE INDEX cache_expiry ON cache (expires_at);
