"""What alembic runs for each command: the steps go over the connection that `engine.upgrade` gives."""

from alembic import context

from tools.office.db.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
