"""Messages: the inbox, mails as text and HTML, news, subscriptions by mail, newsletters."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """`event` gets its columns one by one: made anew, it would lose the triggers of its spatial index."""
    _events()
    _contact()
    _outbox()
    _news()
    _subscriptions()
    _newsletters()


def _events() -> None:
    op.create_table(
        "date_change",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("run_at", UTCDateTime(), nullable=False),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_date_change_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_date_change")),
    )
    op.create_index(op.f("ix_date_change_run_at"), "date_change", ["run_at"], unique=False)
    op.add_column("event", sa.Column("published_at", UTCDateTime(), nullable=True))
    op.create_index(op.f("ix_event_modified_at"), "event", ["modified_at"], unique=False)
    op.create_index(op.f("ix_event_published_at"), "event", ["published_at"], unique=False)
    op.add_column(
        "occurrence", sa.Column("place", AutoString(), server_default=sa.text("''"), nullable=False)
    )
    with op.batch_alter_table("picture") as batch:
        batch.alter_column("branch_id", existing_type=sa.INTEGER(), nullable=True)
    # What was public before has been so since it was written, as far as anybody can tell now.
    op.execute(
        "UPDATE event SET published_at = created_at WHERE state IN ('published', 'cancelled', 'postponed')"
    )


def _contact() -> None:
    op.create_table(
        "refused_address",
        sa.Column("address", AutoString(), nullable=False),
        sa.Column("refused_at", UTCDateTime(), nullable=False),
        sa.Column("reason", AutoString(), nullable=False),
        sa.Column("unknown", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_refused_address")),
    )
    op.create_table(
        "muted_sender",
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("email", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_muted_sender_branch_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("branch_id", "email", name=op.f("pk_muted_sender")),
    )
    with op.batch_alter_table("contact_message") as batch:
        batch.add_column(sa.Column("language", AutoString(), server_default=sa.text("'en'"), nullable=False))
        batch.add_column(sa.Column("forwarded_from_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("forwarded_at", UTCDateTime(), nullable=True))
        batch.add_column(sa.Column("answered_at", UTCDateTime(), nullable=True))
        batch.add_column(sa.Column("answered_by_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("muted", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch.add_column(sa.Column("copied_at", UTCDateTime(), nullable=True))
        batch.create_index(op.f("ix_contact_message_answered_by_id"), ["answered_by_id"], unique=False)
        batch.create_index(op.f("ix_contact_message_forwarded_from_id"), ["forwarded_from_id"], unique=False)
        batch.create_foreign_key(
            op.f("fk_contact_message_forwarded_from_id"), "branch", ["forwarded_from_id"], ["id"]
        )
        batch.create_foreign_key(
            op.f("fk_contact_message_answered_by_id"),
            "person",
            ["answered_by_id"],
            ["id"],
            ondelete="SET NULL",
        )


def _outbox() -> None:
    with op.batch_alter_table("outgoing_mail") as batch:
        batch.add_column(sa.Column("kind", AutoString(), server_default=sa.text("'notice'"), nullable=False))
        batch.add_column(sa.Column("html", AutoString(), server_default=sa.text("''"), nullable=False))
        batch.add_column(sa.Column("event_file", AutoString(), server_default=sa.text("''"), nullable=False))
        batch.add_column(
            sa.Column("unsubscribe_url", AutoString(), server_default=sa.text("''"), nullable=False)
        )
        batch.add_column(sa.Column("bulk", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch.add_column(sa.Column("batch", AutoString(), server_default=sa.text("''"), nullable=False))
        batch.add_column(sa.Column("message_ref", sa.Integer(), nullable=True))
        batch.drop_index(op.f("ix_outgoing_mail_run_at"))
        batch.create_index(op.f("ix_outgoing_mail_batch"), ["batch"], unique=False)
        batch.create_index(op.f("ix_outgoing_mail_message_ref"), ["message_ref"], unique=False)
        batch.create_index(op.f("ix_outgoing_mail_recipient"), ["recipient"], unique=False)
        batch.create_index(
            "ix_outgoing_mail_waits",
            ["bulk", "run_at", "id"],
            unique=False,
            sqlite_where=sa.text("sent_at IS NULL AND failed_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL AND failed_at IS NULL"),
        )
        batch.create_foreign_key(
            op.f("fk_outgoing_mail_message_ref"),
            "contact_message",
            ["message_ref"],
            ["id"],
            ondelete="SET NULL",
        )


def _news() -> None:
    op.create_table(
        "headline_source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", AutoString(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("etag", AutoString(), nullable=False),
        sa.Column("last_modified", AutoString(), nullable=False),
        sa.Column("checksum", AutoString(), nullable=False),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("fetched_at", UTCDateTime(), nullable=True),
        sa.Column("run_at", UTCDateTime(), nullable=False),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_headline_source")),
        sa.UniqueConstraint("url", name=op.f("uq_headline_source_url")),
    )
    op.create_index(op.f("ix_headline_source_run_at"), "headline_source", ["run_at"], unique=False)
    op.create_table(
        "headline",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("entry_id", AutoString(), nullable=False),
        sa.Column("title", AutoString(), nullable=False),
        sa.Column("url", AutoString(), nullable=False),
        sa.Column("published_at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["headline_source.id"], name=op.f("fk_headline_source_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_headline")),
        sa.UniqueConstraint("source_id", "entry_id", name=op.f("uq_headline_source_id_entry_id")),
    )
    op.create_index(op.f("ix_headline_published_at"), "headline", ["published_at"], unique=False)
    op.create_index(op.f("ix_headline_source_id"), "headline", ["source_id"], unique=False)
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", AutoString(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=True),
        sa.Column("topic_id", sa.Integer(), nullable=True),
        sa.Column("form_key", AutoString(), nullable=True),
        sa.Column("title", AutoString(), nullable=False),
        sa.Column("text", AutoString(), nullable=False),
        sa.Column("language", AutoString(), nullable=False),
        sa.Column("picture_id", AutoString(), nullable=True),
        sa.Column("picture_alt", AutoString(), nullable=False),
        sa.Column("is_top", sa.Boolean(), nullable=False),
        sa.Column("shown_from", sa.Date(), nullable=False),
        sa.Column("shown_until", sa.Date(), nullable=True),
        sa.Column("timezone", AutoString(), nullable=False),
        sa.Column("published_at", UTCDateTime(), nullable=True),
        sa.Column("begins_at", UTCDateTime(), nullable=True),
        sa.Column("ends_at", UTCDateTime(), nullable=True),
        sa.Column("removed_at", UTCDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("modified_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_notice_branch_id")),
        sa.ForeignKeyConstraint(["topic_id"], ["topic.id"], name=op.f("fk_notice_topic_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("form_key", name=op.f("uq_notice_form_key")),
        sa.UniqueConstraint("slug", name=op.f("uq_notice_slug")),
    )
    op.create_index(op.f("ix_notice_begins_at"), "notice", ["begins_at"], unique=False)
    op.create_index(op.f("ix_notice_branch_id"), "notice", ["branch_id"], unique=False)
    op.create_index(op.f("ix_notice_topic_id"), "notice", ["topic_id"], unique=False)


def _subscriptions() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", AutoString(), nullable=False),
        sa.Column("nonce", AutoString(), nullable=False),
        sa.Column("language", AutoString(), nullable=False),
        sa.Column("timezone", AutoString(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("place", AutoString(), nullable=False),
        sa.Column("within_km", sa.Float(), nullable=True),
        sa.Column("frequency", AutoString(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("newsletter", sa.Boolean(), nullable=False),
        sa.Column("pending", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("asked_at", UTCDateTime(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("confirmed_at", UTCDateTime(), nullable=True),
        sa.Column("told_until", UTCDateTime(), nullable=True),
        sa.Column("run_at", UTCDateTime(), nullable=True),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        sa.UniqueConstraint("email", name=op.f("uq_subscription_email")),
    )
    op.create_index(op.f("ix_subscription_asked_at"), "subscription", ["asked_at"], unique=False)
    op.create_index(op.f("ix_subscription_run_at"), "subscription", ["run_at"], unique=False)
    op.create_table(
        "subscription_branch",
        sa.Column("subscription_id", sa.Integer(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_subscription_branch_branch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscription.id"],
            name=op.f("fk_subscription_branch_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscription_id", "branch_id", name=op.f("pk_subscription_branch")),
    )
    op.create_index(
        op.f("ix_subscription_branch_branch_id"), "subscription_branch", ["branch_id"], unique=False
    )
    op.create_table(
        "subscription_topic",
        sa.Column("subscription_id", sa.Integer(), nullable=False),
        sa.Column("topic_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscription.id"],
            name=op.f("fk_subscription_topic_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["topic_id"], ["topic.id"], name=op.f("fk_subscription_topic_topic_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("subscription_id", "topic_id", name=op.f("pk_subscription_topic")),
    )
    op.create_index(op.f("ix_subscription_topic_topic_id"), "subscription_topic", ["topic_id"], unique=False)
    op.create_table(
        "subscription_event",
        sa.Column("subscription_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_subscription_event_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscription.id"],
            name=op.f("fk_subscription_event_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscription_id", "event_id", name=op.f("pk_subscription_event")),
    )
    op.create_index(op.f("ix_subscription_event_event_id"), "subscription_event", ["event_id"], unique=False)


def _newsletters() -> None:
    op.create_table(
        "newsletter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("run_at", UTCDateTime(), nullable=True),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.Column("stopped_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.id"], name=op.f("fk_newsletter_notice_id")),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_newsletter_person_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_newsletter")),
    )
    op.create_index(op.f("ix_newsletter_notice_id"), "newsletter", ["notice_id"], unique=True)
    op.create_index(op.f("ix_newsletter_person_id"), "newsletter", ["person_id"], unique=False)
    op.create_index(op.f("ix_newsletter_run_at"), "newsletter", ["run_at"], unique=False)
