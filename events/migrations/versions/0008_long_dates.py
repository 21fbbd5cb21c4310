"""An index of the few dates that are long, so that lists need not walk past all that are over."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_occurrence_long",
        "occurrence",
        ["ends_at", "starts_at"],
        sqlite_where=sa.text("julianday(ends_at) - julianday(starts_at) > 2"),
        postgresql_where=sa.text("ends_at - starts_at > interval '2 days'"),
    )
