"""Daily sums by key and tags in place of the index for reports by key."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SUMS = (
    "calls",
    "successes",
    "failures",
    "input_tokens",
    "output_tokens",
    "cost_nanousd",
    "credits_nanousd",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "unpriced_tokens",
    "exposure_nanousd",
    "reported_cost_nanousd",
    "priced_cost_nanousd",
    "estimated_cost_nanousd",
)
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
    """Add the table; the first run of the job, or the first report by key, fills it from the ledger."""
    op.create_table(
        "daily_usage",
        sa.Column("day_unix_ms", sa.BigInteger(), autoincrement=False, comment="start of the day, UTC"),
        sa.Column("key_id", sa.String(64)),
        sa.Column("provider", sa.String(128), comment="empty: no provider was reached"),
        sa.Column("model", sa.String(128)),
        sa.Column("plan", sa.String(128)),
        sa.Column("tags", sa.Text(), comment="JSON object as in the ledger; empty: none"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        sa.PrimaryKeyConstraint("day_unix_ms", "key_id", "provider", "model", "plan", "tags", name="pk_daily_usage"),
    )
    op.drop_index(_INDEX, "ledger")


def downgrade() -> None:
    """Drop the table, and make the index again."""
    op.create_index(_INDEX, "ledger", list(_INDEXED))
    op.drop_table("daily_usage")
