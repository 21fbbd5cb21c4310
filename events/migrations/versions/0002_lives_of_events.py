"""What happened to events (moved, withdrawn, gone elsewhere), calendars that come in, and counted polls."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns are added one by one: a table that is made anew would lose the triggers of its spatial index."""
    _columns()
    _departures()
    _sources()
    _polls()


def _columns() -> None:
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("upstream", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("cancelled_at", UTCDateTime(), nullable=True),
        sa.Column("withdrawn_at", UTCDateTime(), nullable=True),
        sa.Column("moved_from", sa.DateTime(), nullable=True),
        _text("related_uid"),
        _text("fingerprint"),
        _text("listed_in"),
    )
    for column in columns:
        op.add_column("event", column)
    some = sa.text("withdrawn_at IS NOT NULL")
    op.create_index(
        "ix_event_withdrawn_at", "event", ["withdrawn_at"], sqlite_where=some, postgresql_where=some
    )
    columns = (
        sa.Column("cancelled_at", UTCDateTime(), nullable=True),
        sa.Column("left_out", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_at", UTCDateTime(), nullable=True),
        sa.Column("modified_at", UTCDateTime(), nullable=True),
        _text("fingerprint"),
    )
    for column in columns:
        op.add_column("override", column)
    op.add_column("rendered", sa.Column("without_cancelled", AutoString(), nullable=True))
    # What was cancelled or removed before this was written down counts from its last change.
    op.execute("UPDATE event SET cancelled_at = modified_at WHERE state = 'cancelled'")
    op.execute("UPDATE event SET withdrawn_at = deleted_at WHERE deleted_at IS NOT NULL")
    op.execute(
        "UPDATE override SET cancelled_at = (SELECT modified_at FROM event WHERE event.id = override.event_id)"
        " WHERE cancelled"
    )
    op.execute(
        "UPDATE event SET source = 'file:' || (SELECT id FROM branch WHERE source = 'file:' || slug)"
        " WHERE EXISTS (SELECT id FROM branch WHERE source = 'file:' || slug)"
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, AutoString(), nullable=False, server_default=sa.text("''"))


def _departures() -> None:
    op.create_table(
        "departure",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("scope", AutoString(), nullable=False),
        sa.Column("locale", AutoString(), nullable=False),
        sa.Column("ics", AutoString(), nullable=False),
        sa.Column("timezone", AutoString(), nullable=False),
        sa.Column("all_day", sa.Boolean(), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=False),
        sa.Column("left_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_departure_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "scope", "locale", name=op.f("pk_departure")),
    )
    op.create_index("ix_departure_scope_left_at", "departure", ["scope", "left_at"], unique=False)


def _sources() -> None:
    op.create_table(
        "calendar_source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("url", AutoString(), nullable=False),
        sa.Column("key", AutoString(), nullable=True),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("etag", AutoString(), nullable=False),
        sa.Column("last_modified", AutoString(), nullable=False),
        sa.Column("checksum", AutoString(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("fetched_at", UTCDateTime(), nullable=True),
        sa.Column("changed_at", UTCDateTime(), nullable=True),
        sa.Column("run_at", UTCDateTime(), nullable=True),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_calendar_source_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_source")),
        sa.UniqueConstraint("key", name=op.f("uq_calendar_source_key")),
    )
    for name in ("branch_id", "run_at"):
        op.create_index(op.f(f"ix_calendar_source_{name}"), "calendar_source", [name], unique=False)


def _polls() -> None:
    op.create_table(
        "poll_count",
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("family", AutoString(), nullable=False),
        sa.Column("revision", AutoString(), nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_poll_count_branch_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("branch_id", "day", "family", "revision", name=op.f("pk_poll_count")),
    )
    op.create_index(op.f("ix_poll_count_day"), "poll_count", ["day"], unique=False)
