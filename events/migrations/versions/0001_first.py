"""The first schema: branches, people, calendars, messages."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LOCATED = ("branch", "event")

# The spatial index, and the triggers that keep it in step (`places.nearest` reads it).
RTREE = (
    "CREATE VIRTUAL TABLE {table}_spot USING rtree(id, min_x, max_x, min_y, max_y, min_z, max_z)",
    "CREATE TRIGGER {table}_spot_added AFTER INSERT ON {table} WHEN new.x IS NOT NULL BEGIN"
    " INSERT INTO {table}_spot VALUES (new.id, new.x, new.x, new.y, new.y, new.z, new.z); END",
    "CREATE TRIGGER {table}_spot_moved AFTER UPDATE OF x, y, z ON {table} BEGIN"
    " DELETE FROM {table}_spot WHERE id = old.id;"
    " INSERT INTO {table}_spot SELECT new.id, new.x, new.x, new.y, new.y, new.z, new.z"
    " WHERE new.x IS NOT NULL; END",
    "CREATE TRIGGER {table}_spot_removed AFTER DELETE ON {table} BEGIN"
    " DELETE FROM {table}_spot WHERE id = old.id; END",
)
# PostgreSQL without the extension (a contrib package) ranks row by row: slower, and as exact. Rows without a
# position stand at the centre of the earth, because `cube` takes no NULL; nothing is ever near them.
CUBE = (
    "DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS cube;"
    " EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN"
    " RAISE NOTICE 'without the cube extension, nearest searches are slower'; END $$",
    "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'cube') THEN"
    " CREATE INDEX ix_{table}_spot ON {table}"
    " USING gist (cube(ARRAY[coalesce(x, 0), coalesce(y, 0), coalesce(z, 0)])); END IF; END $$",
)


def upgrade() -> None:
    _tables()
    for table in LOCATED:
        for statement in RTREE if op.get_bind().dialect.name == "sqlite" else CUBE:
            op.execute(statement.format(table=table))


def _tables() -> None:
    """Keys stand first: SQLite 3.40's RETURNING gives keys as floats where a table begins with a REAL column."""
    op.create_table(
        "branch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("x", sa.Float(), nullable=True),
        sa.Column("y", sa.Float(), nullable=True),
        sa.Column("z", sa.Float(), nullable=True),
        sa.Column("external_id", AutoString(), nullable=True),
        sa.Column("slug", AutoString(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("successor_id", sa.Integer(), nullable=True),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("alternate_name", AutoString(), nullable=False),
        sa.Column("search_key", AutoString(), nullable=False),
        sa.Column("description", AutoString(), nullable=False),
        sa.Column("location_type", AutoString(), nullable=False),
        sa.Column("address_1", AutoString(), nullable=False),
        sa.Column("address_2", AutoString(), nullable=False),
        sa.Column("city", AutoString(), nullable=False),
        sa.Column("region", AutoString(), nullable=False),
        sa.Column("state_province", AutoString(), nullable=False),
        sa.Column("postal_code", AutoString(), nullable=False),
        sa.Column("country", AutoString(), nullable=False),
        sa.Column("geocode_accuracy", AutoString(), nullable=False),
        sa.Column("timezone", AutoString(), nullable=False),
        sa.Column("phone", AutoString(), nullable=False),
        sa.Column("email", AutoString(), nullable=False),
        sa.Column("url", AutoString(), nullable=False),
        sa.Column("links", AutoString(), nullable=False),
        sa.Column("languages", AutoString(), nullable=False),
        sa.Column("accessibility", AutoString(), nullable=False),
        sa.Column("opening_hours", AutoString(), nullable=False),
        sa.Column("service_area", AutoString(), nullable=False),
        sa.Column("status", AutoString(), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.Column("confidential", sa.Boolean(), nullable=False),
        sa.Column("verified_at", sa.Date(), nullable=True),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["branch.id"], name=op.f("fk_branch_parent_id")),
        sa.ForeignKeyConstraint(["successor_id"], ["branch.id"], name=op.f("fk_branch_successor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branch")),
        sa.UniqueConstraint("external_id", name=op.f("uq_branch_external_id")),
        sa.UniqueConstraint("slug", name=op.f("uq_branch_slug")),
    )
    op.create_index(op.f("ix_branch_country"), "branch", ["country"], unique=False)
    op.create_index("ix_branch_name_id", "branch", ["name", "id"], unique=False)
    op.create_index(op.f("ix_branch_parent_id"), "branch", ["parent_id"], unique=False)
    op.create_index(op.f("ix_branch_search_key"), "branch", ["search_key"], unique=False)
    op.create_table(
        "calendar_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("moved_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_revision")),
    )
    op.create_table(
        "outgoing_mail",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", AutoString(), nullable=False),
        sa.Column("recipient", AutoString(), nullable=False),
        sa.Column("reply_to", AutoString(), nullable=False),
        sa.Column("subject", AutoString(), nullable=False),
        sa.Column("body", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("run_at", UTCDateTime(), nullable=False),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", UTCDateTime(), nullable=True),
        sa.Column("failed_at", UTCDateTime(), nullable=True),
        sa.Column("last_error", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing_mail")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outgoing_mail_message_id")),
    )
    op.create_index(op.f("ix_outgoing_mail_run_at"), "outgoing_mail", ["run_at"], unique=False)
    op.create_table(
        "person",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", AutoString(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("password_hash", AutoString(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("language", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("email", name=op.f("uq_person_email")),
    )
    op.create_table(
        "request_count",
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("ends_at", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "ends_at", name=op.f("pk_request_count")),
    )
    op.create_index(op.f("ix_request_count_ends_at"), "request_count", ["ends_at"], unique=False)
    op.create_table(
        "topic",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", AutoString(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_topic")),
        sa.UniqueConstraint("slug", name=op.f("uq_topic_slug")),
    )
    op.create_table(
        "contact_message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("about", AutoString(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("email", AutoString(), nullable=False),
        sa.Column("subject", AutoString(), nullable=False),
        sa.Column("message", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_contact_message_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_message")),
        sa.UniqueConstraint("key", name=op.f("uq_contact_message_key")),
    )
    op.create_index(op.f("ix_contact_message_branch_id"), "contact_message", ["branch_id"], unique=False)
    op.create_index(op.f("ix_contact_message_created_at"), "contact_message", ["created_at"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("x", sa.Float(), nullable=True),
        sa.Column("y", sa.Float(), nullable=True),
        sa.Column("z", sa.Float(), nullable=True),
        sa.Column("uid", AutoString(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("source", AutoString(), nullable=True),
        sa.Column("source_uid", AutoString(), nullable=True),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("cancelled_reason", AutoString(), nullable=False),
        sa.Column("deleted_at", UTCDateTime(), nullable=True),
        sa.Column("title", AutoString(), nullable=False),
        sa.Column("description", AutoString(), nullable=False),
        sa.Column("language", AutoString(), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=False),
        sa.Column("end", sa.DateTime(), nullable=False),
        sa.Column("all_day", sa.Boolean(), nullable=False),
        sa.Column("timezone", AutoString(), nullable=False),
        sa.Column("rrule", AutoString(), nullable=False),
        sa.Column("exdates", sa.JSON(), nullable=False),
        sa.Column("attendance", AutoString(), nullable=False),
        sa.Column("venue_name", AutoString(), nullable=False),
        sa.Column("venue_address", AutoString(), nullable=False),
        sa.Column("online_url", AutoString(), nullable=False),
        sa.Column("registration_url", AutoString(), nullable=False),
        sa.Column("contact", AutoString(), nullable=False),
        sa.Column("cost", AutoString(), nullable=False),
        sa.Column("access", AutoString(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("modified_at", UTCDateTime(), nullable=False),
        sa.Column("begins_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=True),
        sa.Column("known_until", UTCDateTime(), nullable=True),
        sa.Column("derived_at", UTCDateTime(), nullable=False),
        sa.Column("search_key", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_event_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("source", "source_uid", name=op.f("uq_event_source_source_uid")),
        sa.UniqueConstraint("uid", name=op.f("uq_event_uid")),
    )
    op.create_index(op.f("ix_event_begins_at"), "event", ["begins_at"], unique=False)
    op.create_index(op.f("ix_event_branch_id"), "event", ["branch_id"], unique=False)
    op.create_index(op.f("ix_event_derived_at"), "event", ["derived_at"], unique=False)
    op.create_index(op.f("ix_event_ends_at"), "event", ["ends_at"], unique=False)
    op.create_index(op.f("ix_event_known_until"), "event", ["known_until"], unique=False)
    op.create_table(
        "former_slug",
        sa.Column("slug", AutoString(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_former_slug_branch_id")),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_former_slug")),
    )
    op.create_index(op.f("ix_former_slug_branch_id"), "former_slug", ["branch_id"], unique=False)
    op.create_table(
        "membership",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("role", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_membership_branch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_membership_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", "branch_id", name=op.f("pk_membership")),
    )
    op.create_index(op.f("ix_membership_branch_id"), "membership", ["branch_id"], unique=False)
    op.create_table(
        "one_time_link",
        sa.Column("token_hash", AutoString(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("purpose", AutoString(), nullable=False),
        sa.Column("detail", AutoString(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_one_time_link_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_one_time_link")),
    )
    op.create_index(op.f("ix_one_time_link_expires_at"), "one_time_link", ["expires_at"], unique=False)
    op.create_index(op.f("ix_one_time_link_person_id"), "one_time_link", ["person_id"], unique=False)
    op.create_table(
        "signed_in",
        sa.Column("token_hash", AutoString(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("device", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_signed_in_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_signed_in")),
    )
    op.create_index(op.f("ix_signed_in_expires_at"), "signed_in", ["expires_at"], unique=False)
    op.create_index(op.f("ix_signed_in_person_id"), "signed_in", ["person_id"], unique=False)
    op.create_table(
        "event_branch",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_event_branch_branch_id")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_event_branch_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "branch_id", name=op.f("pk_event_branch")),
    )
    op.create_index(op.f("ix_event_branch_branch_id"), "event_branch", ["branch_id"], unique=False)
    op.create_table(
        "event_topic",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("topic_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_event_topic_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["topic_id"], ["topic.id"], name=op.f("fk_event_topic_topic_id")),
        sa.PrimaryKeyConstraint("event_id", "topic_id", name=op.f("pk_event_topic")),
    )
    op.create_index(op.f("ix_event_topic_topic_id"), "event_topic", ["topic_id"], unique=False)
    op.create_table(
        "occurrence",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("original_start", sa.DateTime(), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=False),
        sa.Column("end", sa.DateTime(), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("title", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_occurrence_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "original_start", name=op.f("pk_occurrence")),
    )
    op.create_index(op.f("ix_occurrence_ends_at"), "occurrence", ["ends_at"], unique=False)
    op.create_index("ix_occurrence_starts_at_event_id", "occurrence", ["starts_at", "event_id"], unique=False)
    op.create_table(
        "override",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("original_start", sa.DateTime(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("reason", AutoString(), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=True),
        sa.Column("end", sa.DateTime(), nullable=True),
        sa.Column("title", AutoString(), nullable=True),
        sa.Column("description", AutoString(), nullable=True),
        sa.Column("venue_name", AutoString(), nullable=True),
        sa.Column("venue_address", AutoString(), nullable=True),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_override_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_override")),
        sa.UniqueConstraint("event_id", "original_start", name=op.f("uq_override_event_id_original_start")),
    )
    op.create_index(op.f("ix_override_event_id"), "override", ["event_id"], unique=False)
    op.create_table(
        "rendered",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("locale", AutoString(), nullable=False),
        sa.Column("ics", AutoString(), nullable=False),
        sa.Column("made_for", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_rendered_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "locale", name=op.f("pk_rendered")),
    )
    op.create_index(op.f("ix_rendered_made_for"), "rendered", ["made_for"], unique=False)
