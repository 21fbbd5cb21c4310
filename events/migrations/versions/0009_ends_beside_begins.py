"""When an event ends stands beside when it begins, so that feeds need not read all that are over to leave them out."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_event_begins_at_ends_at", "event", ["begins_at", "ends_at"])
    op.drop_index("ix_event_begins_at", "event")
