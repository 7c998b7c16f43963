"""Alembic's door: runs migrations on the connection that `upgrade` holds, inside its one transaction."""

from alembic import context

from labelloop.adapters.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most of a table: batch mode copies it instead.
    render_as_batch=True,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
