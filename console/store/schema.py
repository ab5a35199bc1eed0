"""The tables of the console's file.

All times are Unix nanoseconds in 64 bits; `received_s` is the console's own clock in seconds. Trace
and span ids are BLOBs of 16 and 8 bytes. Attributes are JSON objects, encoded by
`console/store/values.py`: integers and floats differ (`1` and `1.0`), bytes and numbers that JSON
lacks are tagged objects as in OTLP/JSON (`{"bytesValue": "..."}`, `{"doubleValue": "NaN"}`).
Money is nano-US-dollars. Columns after `-- promoted` repeat attributes that screens filter by; NULL
means that the telemetry did not contain them, never 0.

`id` of spans and log records grows in the order of arrival, and rows are deleted in that order, so
that no time a client invents keeps a row or drops another one.
"""

from typing import Final

APPLICATION_ID: Final = 0x67777A63
"""`gwzc` in SQLite's header: a file with another one is not the console's."""

SCHEMA_VERSION: Final = 1
"""In SQLite's `user_version`; a file of another version is refused."""

RESOURCES: Final = """
CREATE TABLE resources(
  id INTEGER PRIMARY KEY,
  identity BLOB NOT NULL UNIQUE,        -- digest of what follows
  received_s INTEGER NOT NULL,          -- last use, within a minute
  first_received_s INTEGER NOT NULL,
  service_name TEXT, service_version TEXT, service_instance TEXT,
  attributes TEXT NOT NULL, schema_url TEXT NOT NULL
);
CREATE TABLE scopes(
  id INTEGER PRIMARY KEY,
  identity BLOB NOT NULL UNIQUE,
  received_s INTEGER NOT NULL,
  name TEXT NOT NULL, version TEXT NOT NULL, attributes TEXT NOT NULL, schema_url TEXT NOT NULL
);
"""

SPANS: Final = """
CREATE TABLE spans(
  id INTEGER PRIMARY KEY,
  received_s INTEGER NOT NULL,
  resource_id INTEGER NOT NULL, scope_id INTEGER NOT NULL,
  trace_id BLOB NOT NULL, span_id BLOB NOT NULL,
  parent_span_id BLOB,                  -- NULL: a root span
  kind INTEGER NOT NULL,                -- OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer
  start_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL,
  name TEXT NOT NULL,
  status_code INTEGER NOT NULL,         -- OTLP: 0 unset, 1 ok, 2 error
  -- promoted, from the attributes that `console/receive/promoted.py` lists
  provider TEXT, model TEXT, operation TEXT,
  http_method TEXT, http_route TEXT, http_status INTEGER,
  error_type TEXT, fault TEXT,
  attempt_number INTEGER, attempt_status TEXT,   -- on the span of an attempt
  input_tokens INTEGER, output_tokens INTEGER, cost_nanousd INTEGER, cost_source TEXT,
  first_token_ns INTEGER,
  key_id TEXT, plan TEXT,
  -- the rest
  status_message TEXT NOT NULL, trace_state TEXT NOT NULL, flags INTEGER NOT NULL,
  attributes TEXT NOT NULL,
  dropped_attributes INTEGER NOT NULL, dropped_events INTEGER NOT NULL, dropped_links INTEGER NOT NULL
);
-- A retried span is stored once. The kind is part of it: with B3, client and server may share an id.
CREATE UNIQUE INDEX spans_by_trace ON spans(trace_id, span_id, kind);
CREATE INDEX spans_by_start ON spans(start_ns);
CREATE INDEX spans_failed ON spans(start_ns, kind, provider, model, error_type, fault) WHERE status_code = 2;
CREATE TABLE span_events(
  span INTEGER NOT NULL,                -- spans.id
  position INTEGER NOT NULL,            -- in the span
  time_ns INTEGER NOT NULL, name TEXT NOT NULL, attributes TEXT NOT NULL, dropped_attributes INTEGER NOT NULL,
  PRIMARY KEY(span, position)
) WITHOUT ROWID;
CREATE INDEX span_events_by_name ON span_events(name, time_ns);
CREATE TABLE span_links(
  span INTEGER NOT NULL, position INTEGER NOT NULL,
  trace_id BLOB NOT NULL, span_id BLOB NOT NULL, trace_state TEXT NOT NULL, flags INTEGER NOT NULL,
  attributes TEXT NOT NULL, dropped_attributes INTEGER NOT NULL,
  PRIMARY KEY(span, position)
) WITHOUT ROWID;
"""

LOGS: Final = """
CREATE TABLE log_records(
  id INTEGER PRIMARY KEY,
  received_s INTEGER NOT NULL,
  resource_id INTEGER NOT NULL, scope_id INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,             -- else the observed time, else that of receipt
  observed_ns INTEGER NOT NULL,         -- 0: not given
  severity_number INTEGER NOT NULL,     -- OTLP: 1-24, 0 not given
  severity_text TEXT NOT NULL,
  trace_id BLOB, span_id BLOB, flags INTEGER NOT NULL,
  logger TEXT,                          -- `logger` of a JSON body, else the scope's name
  event_name TEXT NOT NULL,
  message TEXT NOT NULL,                -- `message` of a JSON body, else the beginning of the body
  body TEXT,                            -- a text as it came; anything else as JSON
  body_is_json INTEGER NOT NULL,        -- 1: the body was no text
  attributes TEXT NOT NULL, dropped_attributes INTEGER NOT NULL
);
CREATE INDEX log_records_by_time ON log_records(time_ns);
CREATE INDEX log_records_by_trace ON log_records(trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX log_records_severe ON log_records(time_ns) WHERE severity_number >= 13;
CREATE INDEX log_records_by_logger ON log_records(logger, time_ns);
"""

REQUESTS: Final = """
-- One row for each log record of `gatewayz.request`: its fields as columns. Costs come from here.
CREATE TABLE requests(
  log INTEGER PRIMARY KEY,              -- log_records.id
  resource_id INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  trace_id BLOB,
  method TEXT, path TEXT, status INTEGER, outcome TEXT,
  duration_ms REAL, overhead_ms REAL, response_bytes INTEGER,
  exception_type TEXT, limit_type TEXT, key_id TEXT, plan TEXT,
  operation TEXT, model TEXT, provider TEXT, call_status TEXT, error_kind TEXT, cancel_phase TEXT,
  stream INTEGER, cached INTEGER, attempts INTEGER,
  input_tokens INTEGER, output_tokens INTEGER, usage_estimated INTEGER,
  cost_nanousd INTEGER, cost_source TEXT,
  cached_tokens INTEGER, cache_write_tokens INTEGER, reasoning_tokens INTEGER,
  input_audio_tokens INTEGER, output_audio_tokens INTEGER, unpriced_tokens INTEGER,
  exposure_nanousd INTEGER, reported_nanousd INTEGER,
  tags TEXT                             -- a JSON object
);
CREATE INDEX requests_by_time ON requests(time_ns);
CREATE INDEX requests_by_provider ON requests(provider, time_ns);
CREATE INDEX requests_by_model ON requests(model, time_ns);
CREATE INDEX requests_by_key ON requests(key_id, time_ns);
CREATE INDEX requests_by_trace ON requests(trace_id);
CREATE INDEX requests_failed ON requests(time_ns) WHERE outcome = 'error';
-- Sums over the rows of `requests` that are calls of a model, by hour (since the epoch), plan and key, '' where the
-- line has none. The triggers hold them equal to the rows, deleted ones too: a report reads no row of a whole hour.
CREATE TABLE request_sums(
  hour INTEGER NOT NULL, plan TEXT NOT NULL, key_id TEXT NOT NULL,
  requests INTEGER NOT NULL, cost_nanousd INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
  PRIMARY KEY(hour, plan, key_id)
) WITHOUT ROWID;
CREATE TRIGGER requests_inserted AFTER INSERT ON requests WHEN NEW.operation IS NOT NULL BEGIN
  INSERT INTO request_sums VALUES (
    NEW.time_ns / 3600000000000, coalesce(NEW.plan, ''), coalesce(NEW.key_id, ''), 1, coalesce(NEW.cost_nanousd, 0),
    coalesce(NEW.input_tokens, 0), coalesce(NEW.output_tokens, 0), coalesce(NEW.cached_tokens, 0)
  ) ON CONFLICT(hour, plan, key_id) DO UPDATE SET
    requests = requests + 1, cost_nanousd = cost_nanousd + excluded.cost_nanousd,
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens;
END;
CREATE TRIGGER requests_deleted AFTER DELETE ON requests WHEN OLD.operation IS NOT NULL BEGIN
  UPDATE request_sums SET
    requests = requests - 1, cost_nanousd = cost_nanousd - coalesce(OLD.cost_nanousd, 0),
    input_tokens = input_tokens - coalesce(OLD.input_tokens, 0),
    output_tokens = output_tokens - coalesce(OLD.output_tokens, 0),
    cached_tokens = cached_tokens - coalesce(OLD.cached_tokens, 0)
  WHERE hour = OLD.time_ns / 3600000000000 AND plan = coalesce(OLD.plan, '') AND key_id = coalesce(OLD.key_id, '');
  DELETE FROM request_sums
  WHERE hour = OLD.time_ns / 3600000000000 AND plan = coalesce(OLD.plan, '') AND key_id = coalesce(OLD.key_id, '')
    AND requests = 0;
END;
"""

METRICS: Final = """
CREATE TABLE metrics(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL, unit TEXT NOT NULL, description TEXT NOT NULL,
  kind TEXT NOT NULL,                   -- gauge, sum, histogram, exponential_histogram, summary
  temporality INTEGER NOT NULL,         -- OTLP: 0 none, 1 delta, 2 cumulative
  is_monotonic INTEGER NOT NULL,
  UNIQUE(name, unit, kind, temporality, is_monotonic)
);
CREATE TABLE series(
  id INTEGER PRIMARY KEY,
  identity BLOB NOT NULL UNIQUE,
  metric_id INTEGER NOT NULL, resource_id INTEGER NOT NULL, scope_id INTEGER NOT NULL,
  attributes TEXT NOT NULL,             -- keys in their order
  bounds TEXT,                          -- of a histogram, a JSON array: other bounds, another series
  received_s INTEGER NOT NULL           -- last use, within a minute
);
CREATE INDEX series_by_metric ON series(metric_id);
-- Points: the time is the end of the point; a change of start_ns is a reset. Bit 0 of flags: no recorded
-- value (the series has ended), and the values are NULL.
CREATE TABLE number_points(
  series_id INTEGER NOT NULL, time_ns INTEGER NOT NULL, start_ns INTEGER NOT NULL, flags INTEGER NOT NULL,
  value,                                -- INTEGER or REAL as sent; text for NaN and infinities
  PRIMARY KEY(series_id, time_ns)
) WITHOUT ROWID;
CREATE TABLE histogram_points(
  series_id INTEGER NOT NULL, time_ns INTEGER NOT NULL, start_ns INTEGER NOT NULL, flags INTEGER NOT NULL,
  count INTEGER, sum REAL, min REAL, max REAL,
  counts TEXT,                          -- JSON: one more than the bounds of the series, as sent (not cumulative)
  PRIMARY KEY(series_id, time_ns)
) WITHOUT ROWID;
CREATE TABLE exponential_points(
  series_id INTEGER NOT NULL, time_ns INTEGER NOT NULL, start_ns INTEGER NOT NULL, flags INTEGER NOT NULL,
  count INTEGER, sum REAL, min REAL, max REAL,
  scale INTEGER, zero_count INTEGER, zero_threshold REAL,
  positive_offset INTEGER, positive_counts TEXT, negative_offset INTEGER, negative_counts TEXT,
  PRIMARY KEY(series_id, time_ns)
) WITHOUT ROWID;
CREATE TABLE summary_points(
  series_id INTEGER NOT NULL, time_ns INTEGER NOT NULL, start_ns INTEGER NOT NULL, flags INTEGER NOT NULL,
  count INTEGER, sum REAL,
  quantiles TEXT,                       -- JSON: [[quantile, value], ...]
  PRIMARY KEY(series_id, time_ns)
) WITHOUT ROWID;
CREATE TABLE exemplars(
  series_id INTEGER NOT NULL, time_ns INTEGER NOT NULL,
  trace_id BLOB NOT NULL, span_id BLOB NOT NULL,      -- empty: no trace
  value NOT NULL, attributes TEXT NOT NULL,           -- the attributes that the series lacks
  PRIMARY KEY(series_id, time_ns, trace_id, span_id)
) WITHOUT ROWID;
"""

HOUSEKEEPING: Final = """
CREATE TABLE counts(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE uploads(id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE);
"""
"""`counts`: items received, refused and deleted by signal, and rows of points, since the file was made.

`uploads` holds the digests of the latest requests, so that one that is sent again, because its
acknowledgement was lost, is not stored twice.
"""

TABLES: Final = (RESOURCES, SPANS, LOGS, REQUESTS, METRICS, HOUSEKEEPING)

LOG_TEXT: Final = "log_text_{generation}"
"""Full-text tables over the words of log records: FTS5 without content, rowid = log_records.id.

A table holds `GENERATION` ids and is dropped whole when the last of them was deleted, because
deleting single rows from an index of this kind would need their text again.
"""
GENERATION: Final = 100_000
CREATE_LOG_TEXT: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING fts5(words, content='', tokenize='unicode61')"
)
