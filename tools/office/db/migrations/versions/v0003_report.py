"""What the report of a day asks for: when visits, alarms and acts were, and contact with gates."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add indexes over times, and the table of contacts."""
    op.create_table(
        "contacts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("gate", sa.String(length=12), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
    )
    op.create_index(op.f("ix_contacts_time"), "contacts", ["time"])
    op.create_index(op.f("ix_visits_opened"), "visits", ["opened"])
    op.create_index(op.f("ix_alarms_time"), "alarms", ["time"])
    op.create_index(op.f("ix_audit_time"), "audit", ["time"])
    op.create_index("ix_events_type_time", "events", ["type", "time"])
    op.create_index("ix_events_gate_time", "events", ["gate", "time"])
