"""The books as they began."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables as they were first."""
    op.create_table(
        "alarms",
        sa.Column("id", _ID, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("gate", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("text", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    op.create_table(
        "audit",
        sa.Column("seq", _ID, autoincrement=False, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=24), nullable=False),
        sa.Column("details", sa.String(), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_table(
        "bookings",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("cls", sa.String(length=16), nullable=False),
        sa.Column("begin", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("slow", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_bookings")),
    )
    op.create_table(
        "cards",
        sa.Column("uid", sa.String(length=20), nullable=False),
        sa.Column("key", sa.LargeBinary(length=8), nullable=False),
        sa.Column("product", sa.String(length=32), nullable=False),
        sa.Column("tier", sa.String(length=8), nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("record", sa.LargeBinary(length=16), nullable=True),
        sa.Column("list_seq", sa.BigInteger(), nullable=False),
        sa.Column("keyed_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_cards")),
        sa.UniqueConstraint("key", name=op.f("uq_cards_key")),
    )
    with op.batch_alter_table("cards", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_cards_list_seq"), ["list_seq"], unique=False)

    op.create_table(
        "events",
        sa.Column("gate", sa.String(length=12), nullable=False),
        sa.Column("journal_id", sa.LargeBinary(length=4), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("raw", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("key", sa.LargeBinary(length=8), nullable=False),
        sa.PrimaryKeyConstraint("gate", "journal_id", "seq", name=op.f("pk_events")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_key"), ["key"], unique=False)
        batch_op.create_index(batch_op.f("ix_events_time"), ["time"], unique=False)

    op.create_table(
        "gates",
        sa.Column("name", sa.String(length=12), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("confirmed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_gates")),
        sa.UniqueConstraint("number", name=op.f("uq_gates_number")),
    )
    op.create_table(
        "movements",
        sa.Column("id", _ID, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.LargeBinary(length=8), nullable=False),
        sa.Column("direction", sa.Integer(), nullable=False),
        sa.Column("cls", sa.Integer(), nullable=False),
        sa.Column("party", sa.Integer(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("gate", sa.String(length=12), nullable=False),
        sa.Column("journal_id", sa.LargeBinary(length=4), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_movements")),
        sa.UniqueConstraint("rank", name=op.f("uq_movements_rank")),
    )
    with op.batch_alter_table("movements", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_movements_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_movements_time"), ["time"], unique=False)

    op.create_table(
        "parties",
        sa.Column("id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parties")),
    )
    with op.batch_alter_table("parties", schema=None) as batch_op:
        batch_op.create_index(
            "uq_parties_live",
            ["number"],
            unique=True,
            sqlite_where=sa.text("closed IS NULL"),
            postgresql_where=sa.text("closed IS NULL"),
        )

    op.create_table(
        "positions",
        sa.Column("key", sa.LargeBinary(length=8), nullable=False),
        sa.Column("position", sa.String(length=8), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("gate", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_positions")),
    )
    op.create_table(
        "state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("site", sa.String(length=12), nullable=False),
        sa.Column("list_seq", sa.BigInteger(), nullable=False),
        sa.Column("list_floor", sa.BigInteger(), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("last_party", sa.Integer(), nullable=False),
        sa.Column("last_move", sa.BigInteger(), nullable=False),
        sa.Column("reclaimed", sa.BigInteger(), nullable=False),
        sa.Column("audit_seq", sa.BigInteger(), nullable=False),
        sa.Column("audit_mac", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_state")),
    )
    op.create_table(
        "commands",
        sa.Column("nonce", sa.String(length=16), nullable=False),
        sa.Column("gate", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("argument", sa.String(length=200), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["gate"], ["gates.name"], name=op.f("fk_commands_gate")),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_commands")),
    )
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_commands_gate"), ["gate"], unique=False)

    op.create_table(
        "identities",
        sa.Column("id", _ID, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("party", _ID, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["parties.id"], name=op.f("fk_identities_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
    )
    with op.batch_alter_table("identities", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identities_day"), ["day"], unique=False)
        batch_op.create_index(batch_op.f("ix_identities_hash"), ["hash"], unique=False)

    op.create_table(
        "journals",
        sa.Column("gate", sa.String(length=12), nullable=False),
        sa.Column("journal_id", sa.LargeBinary(length=4), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("acknowledged", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["gate"], ["gates.name"], name=op.f("fk_journals_gate")),
        sa.PrimaryKeyConstraint("gate", "journal_id", name=op.f("pk_journals")),
    )
    op.create_table(
        "visits",
        sa.Column("id", _ID, nullable=False),
        sa.Column("card", sa.String(length=20), nullable=False),
        sa.Column("booking", sa.String(length=32), nullable=True),
        sa.Column("cls", sa.String(length=16), nullable=False),
        sa.Column("begin", sa.BigInteger(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("slow", sa.Boolean(), nullable=False),
        sa.Column("party", _ID, nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["booking"], ["bookings.code"], name=op.f("fk_visits_booking")),
        sa.ForeignKeyConstraint(["card"], ["cards.uid"], name=op.f("fk_visits_card")),
        sa.ForeignKeyConstraint(["party"], ["parties.id"], name=op.f("fk_visits_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visits")),
    )
    with op.batch_alter_table("visits", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_visits_card"), ["card"], unique=False)
        batch_op.create_index(batch_op.f("ix_visits_party"), ["party"], unique=False)
        batch_op.create_index(
            "uq_visits_live_booking",
            ["booking"],
            unique=True,
            sqlite_where=sa.text("state = 'live' AND booking IS NOT NULL"),
            postgresql_where=sa.text("state = 'live' AND booking IS NOT NULL"),
        )
        batch_op.create_index(
            "uq_visits_live_card",
            ["card"],
            unique=True,
            sqlite_where=sa.text("state = 'live'"),
            postgresql_where=sa.text("state = 'live'"),
        )

    op.create_table(
        "deposits",
        sa.Column("id", _ID, nullable=False),
        sa.Column("visit", _ID, nullable=False),
        sa.Column("document", sa.String(length=32), nullable=False),
        sa.Column("place", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["visit"], ["visits.id"], name=op.f("fk_deposits_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deposits")),
        sa.UniqueConstraint("visit", name=op.f("uq_deposits_visit")),
    )
