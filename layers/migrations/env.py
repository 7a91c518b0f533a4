"""Alembic's entry: runs the catalogue's migrations on the connection that it is handed."""

from alembic import context

from layers.tables import CATALOGUE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=CATALOGUE,
    include_schemas=True,
)
context.run_migrations()
