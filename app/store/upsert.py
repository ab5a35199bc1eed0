"""Returns the `INSERT … ON CONFLICT` of SQLite or PostgreSQL, which SQLAlchemy has once per dialect."""

from typing import TypeAlias

from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

ConflictInsert: TypeAlias = postgresql.Insert | sqlite.Insert


def insert_into(dialect: Dialect, table: Table) -> ConflictInsert:
    """Return an insert that knows `on_conflict_do_update`, `on_conflict_do_nothing` and `excluded`."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
