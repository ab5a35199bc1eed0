"""State that outlives the process: hourly costs, what detectors have learned, and who holds a lease."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "hourly_costs",
        sa.Column("hour_unix_ms", sa.BigInteger(), nullable=False, comment="start of the hour, UTC"),
        sa.Column("provider", sa.String(128), nullable=False, comment="empty: no provider was reached"),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("plan", sa.String(128), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("successes", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False, comment="errors that are not the caller's own"),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("credits_nanousd", sa.BigInteger(), nullable=False),
        sa.Column(
            "ledger_purged",
            sa.Boolean(),
            nullable=False,
            comment="the hour's ledger rows are gone: late ones are added",
        ),
        sa.PrimaryKeyConstraint("hour_unix_ms", "provider", "model", "plan", name="pk_hourly_costs"),
    )
    op.create_table(
        "detector_state",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="JSON, the detector's own"),
        sa.Column("updated_unix_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_detector_state"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("holder", sa.String(128), nullable=False),
        sa.Column("expires_unix_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )


def downgrade() -> None:
    """Drop the three tables with what is in them."""
    op.drop_table("leases")
    op.drop_table("detector_state")
    op.drop_table("hourly_costs")
