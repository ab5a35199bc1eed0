"""The tables that this version expects; `migrations/` brings a database to this schema.

Times are integers: milliseconds since the Unix epoch, UTC. Money is in nano-US-dollars. Both stay
exact in every database and in every sum. The ledger's primary key makes a repeated insert harmless;
its rows are never changed, only deleted, whole hours at a time.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text, text

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    },
)


def _counter(name: str, comment: str | None = None) -> Column[int]:
    """Return a column that was added to a table with rows in it: they have 0."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"), comment=comment)


API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("key_id", String(64), primary_key=True, comment="public id"),
    Column("secret_sha256", String(64), nullable=False, unique=True, comment="hex; the secret itself is kept nowhere"),
    Column("secret_prefix", String(8), nullable=False, comment="the secret's first characters, for recognition"),
    Column("name", String(128), nullable=False),
    Column("plan", String(128), nullable=False),
    Column("created_unix_ms", BigInteger, nullable=False),
    Column("revoked_unix_ms", BigInteger),
    Column("trial_ends_unix_ms", BigInteger),
)

# The columns are the fields of `LedgerRow`, in its order: rows are inserted as tuples.
LEDGER = Table(
    "ledger",
    METADATA,
    Column("call_id", String(64), primary_key=True),
    Column("started_unix_ms", BigInteger, nullable=False),
    Column("trace_id", String(32), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("plan", String(128), nullable=False),
    Column("operation", String(32), nullable=False),
    Column("model", String(128), nullable=False),
    Column("provider", String(128)),
    Column("status", String(32), nullable=False),
    Column("error_kind", String(64)),
    Column("stream", Boolean, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("usage_estimated", Boolean, nullable=False),
    Column("cost_nanousd", BigInteger, nullable=False),
    Column("credits_nanousd", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("first_token_ms", BigInteger),
    _counter("cached_tokens", "part of input_tokens: read from the provider's cache"),
    _counter("cache_write_tokens", "part of input_tokens: written into the provider's cache"),
    _counter("reasoning_tokens", "part of output_tokens"),
    _counter("input_audio_tokens", "part of input_tokens"),
    _counter("output_audio_tokens", "part of output_tokens"),
    Column("cost_source", String(16), comment="reported, priced, estimated or unpriced; null: nothing was used"),
    Column("reported_nanousd", BigInteger, comment="the provider's own figure"),
    _counter("unpriced_tokens", "input and output that no price is known for"),
    _counter("exposure_nanousd", "what the provider may charge beyond the cost for abandoned work"),
    Column("tags", Text, comment="JSON object of the caller's tags; null: none"),
    Index(None, "started_unix_ms"),
)

# One row per hour, provider, model and plan (`app/store/cost_rollup.py`); kept when the ledger's rows are purged.
HOURLY_COSTS = Table(
    "hourly_costs",
    METADATA,
    Column("hour_unix_ms", BigInteger, primary_key=True, autoincrement=False, comment="start of the hour, UTC"),
    Column("provider", String(128), primary_key=True, comment="empty: no provider was reached"),
    Column("model", String(128), primary_key=True),
    Column("plan", String(128), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("successes", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False, comment="errors that are not the caller's own"),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_nanousd", BigInteger, nullable=False),
    Column("credits_nanousd", BigInteger, nullable=False),
    Column("ledger_purged", Boolean, nullable=False, comment="the hour's ledger rows are gone: late ones are added"),
    _counter("cached_tokens"),
    _counter("cache_write_tokens"),
    _counter("reasoning_tokens"),
    _counter("input_audio_tokens"),
    _counter("output_audio_tokens"),
    _counter("unpriced_tokens"),
    _counter("exposure_nanousd"),
    _counter("reported_cost_nanousd"),
    _counter("priced_cost_nanousd"),
    _counter("estimated_cost_nanousd"),
)

# One row per day, key, provider, model, plan and tags (`app/store/daily_usage.py`); goes with the ledger's rows.
DAILY_USAGE = Table(
    "daily_usage",
    METADATA,
    Column("day_unix_ms", BigInteger, primary_key=True, autoincrement=False, comment="start of the day, UTC"),
    Column("key_id", String(64), primary_key=True),
    Column("provider", String(128), primary_key=True, comment="empty: no provider was reached"),
    Column("model", String(128), primary_key=True),
    Column("plan", String(128), primary_key=True),
    Column("tags", Text, primary_key=True, comment="JSON object as in the ledger; empty: none"),
    # The same sums, in the same order.
    *(
        Column(each.name, BigInteger, nullable=False)
        for each in HOURLY_COSTS.c
        if not each.primary_key and each is not HOURLY_COSTS.c.ledger_purged
    ),
)

DETECTOR_STATE = Table(
    "detector_state",
    METADATA,
    Column("name", String(128), primary_key=True),
    Column("state", Text, nullable=False, comment="JSON, the detector's own"),
    Column("updated_unix_ms", BigInteger, nullable=False),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("name", String(128), primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("expires_unix_ms", BigInteger, nullable=False),
)
