"""What usage is made of, where its cost comes from, and what abandoned work may cost."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DETAILS = {
    "cached_tokens": "part of input_tokens: read from the provider's cache",
    "cache_write_tokens": "part of input_tokens: written into the provider's cache",
    "reasoning_tokens": "part of output_tokens",
    "input_audio_tokens": "part of input_tokens",
    "output_audio_tokens": "part of output_tokens",
}
_OTHERS = {
    "unpriced_tokens": "input and output that no price is known for",
    "exposure_nanousd": "what the provider may charge beyond the cost for abandoned work",
}


def upgrade() -> None:
    """Add the columns; rows that are there get what is known of them: no details, and the source of a cost that is not 0."""
    for name, comment in _DETAILS.items():
        op.add_column("ledger", _counter(name, comment))
    op.add_column(
        "ledger",
        sa.Column(
            "cost_source", sa.String(16), comment="reported, priced, estimated or unpriced; null: nothing was used"
        ),
    )
    op.add_column("ledger", sa.Column("reported_nanousd", sa.BigInteger(), comment="the provider's own figure"))
    for name, comment in _OTHERS.items():
        op.add_column("ledger", _counter(name, comment))
    op.execute(
        "UPDATE ledger SET cost_source = CASE WHEN usage_estimated THEN 'estimated' ELSE 'priced' END"
        " WHERE cost_nanousd > 0"
    )
    for name in (*_DETAILS, *_OTHERS):
        op.add_column("hourly_costs", _counter(name))


def downgrade() -> None:
    """Drop the columns with what is in them."""
    for name in (*_DETAILS, *_OTHERS):
        op.drop_column("hourly_costs", name)
    for name in ("cost_source", "reported_nanousd", *_DETAILS, *_OTHERS):
        op.drop_column("ledger", name)


def _counter(name: str, comment: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment=comment)
