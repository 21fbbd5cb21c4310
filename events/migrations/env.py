"""Run by Alembic, on the connection and within the transaction of `upgrade`."""

from alembic import context

from events.migrations.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
