"""Events have the number by which they came to count: whoever reads along goes on where it was."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Number what is there, in the order of time."""
    op.add_column("events", sa.Column("arrived", sa.BigInteger(), nullable=True))
    op.add_column("state", sa.Column("last_event", sa.BigInteger(), server_default="0", nullable=False))
    op.execute(
        "UPDATE events SET arrived = numbered.number FROM ("
        "SELECT gate, journal_id, seq, row_number() OVER (ORDER BY time, gate, journal_id, seq) AS number "
        "FROM events WHERE state = 'counts') AS numbered "
        "WHERE events.gate = numbered.gate AND events.journal_id = numbered.journal_id "
        "AND events.seq = numbered.seq"
    )
    op.execute("UPDATE state SET last_event = (SELECT coalesce(max(arrived), 0) FROM events)")
    op.create_index("ix_events_arrived", "events", ["arrived"], unique=True)
