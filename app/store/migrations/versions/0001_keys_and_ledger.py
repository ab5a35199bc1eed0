"""API keys and the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(64), nullable=False, comment="public id"),
        sa.Column("secret_sha256", sa.String(64), nullable=False, comment="hex; the secret itself is kept nowhere"),
        sa.Column(
            "secret_prefix", sa.String(8), nullable=False, comment="the secret's first characters, for recognition"
        ),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("plan", sa.String(128), nullable=False),
        sa.Column("created_unix_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_unix_ms", sa.BigInteger()),
        sa.Column("trial_ends_unix_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sa.UniqueConstraint("secret_sha256", name="uq_api_keys_secret_sha256"),
    )
    op.create_table(
        "ledger",
        sa.Column("call_id", sa.String(64), nullable=False),
        sa.Column("started_unix_ms", sa.BigInteger(), nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("plan", sa.String(128), nullable=False),
        sa.Column("operation", sa.String(32), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("provider", sa.String(128)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("error_kind", sa.String(64)),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("usage_estimated", sa.Boolean(), nullable=False),
        sa.Column("cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("credits_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_token_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("call_id", name="pk_ledger"),
    )
    op.create_index("ix_ledger_started_unix_ms", "ledger", ["started_unix_ms"])


def downgrade() -> None:
    """Drop both tables with what is in them."""
    op.drop_table("ledger")
    op.drop_table("api_keys")
