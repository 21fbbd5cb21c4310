"""What moves with every visible change, so that finished answers can be kept while nothing has; and indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "site_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site_revision")),
    )
    op.create_table(
        "calendar_move",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=True),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("points", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_calendar_move")),
    )
    op.drop_index("ix_occurrence_starts_at_event_id", "occurrence")
    op.create_index(
        "ix_occurrence_starts_at_event_id_ends_at", "occurrence", ["starts_at", "event_id", "ends_at"]
    )
    some = sa.text("cancelled_at IS NOT NULL")
    op.create_index(
        "ix_event_cancelled_at", "event", ["cancelled_at"], sqlite_where=some, postgresql_where=some
    )
    op.create_index("ix_event_language_state", "event", ["language", "state"])
