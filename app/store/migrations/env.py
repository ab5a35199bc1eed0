"""What Alembic runs for each command: the migrations on the connection that the caller opened.

It must not configure logging (the application's is already there) and opens no connection of its
own.
"""

from alembic import context

from app.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
