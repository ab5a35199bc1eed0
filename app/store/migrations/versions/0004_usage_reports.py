"""Tags of calls, costs by source in the rollup, and an index for reports by key."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SOURCES = ("reported", "priced", "estimated")
_INDEX = "ix_ledger_key_usage"
_INDEXED = (
    "key_id",
    "started_unix_ms",
    "status",
    "error_kind",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "cost_source",
    "cost_nanousd",
    "credits_nanousd",
    "unpriced_tokens",
    "exposure_nanousd",
)


def upgrade() -> None:
    """Add columns and index. Hours whose rows are in the ledger are summed again, so that their sums have sources."""
    op.add_column("ledger", sa.Column("tags", sa.Text(), comment="JSON object of the caller's tags; null: none"))
    for source in _SOURCES:
        op.add_column("hourly_costs", _counter(f"{source}_cost_nanousd"))
    op.execute("DELETE FROM hourly_costs WHERE NOT ledger_purged")
    op.create_index(_INDEX, "ledger", list(_INDEXED))


def downgrade() -> None:
    """Drop them with what is in them."""
    op.drop_index(_INDEX, "ledger")
    for source in _SOURCES:
        op.drop_column("hourly_costs", f"{source}_cost_nanousd")
    op.drop_column("ledger", "tags")


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
