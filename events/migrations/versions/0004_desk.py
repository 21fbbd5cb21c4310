"""The organizer's desk: history, who may join, what visitors suggest and report, passkeys, tokens and pictures."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns are added one by one: a table that is made anew would lose the triggers of its spatial index."""
    _columns()
    _history()
    _people()
    _joining()
    _events()
    _queue()


def _columns() -> None:
    op.add_column("event", sa.Column("form_key", AutoString(), nullable=True))
    op.add_column("event", sa.Column("picture_id", AutoString(), nullable=True))
    op.add_column(
        "event", sa.Column("picture_alt", AutoString(), server_default=sa.text("''"), nullable=False)
    )
    op.add_column("event", sa.Column("confirmed_at", UTCDateTime(), nullable=True))
    op.add_column("event", sa.Column("asked_at", UTCDateTime(), nullable=True))
    op.add_column("event", sa.Column("asked_since", UTCDateTime(), nullable=True))
    op.create_index(op.f("ix_event_form_key"), "event", ["form_key"], unique=True)
    op.add_column("event_branch", sa.Column("added_at", UTCDateTime(), nullable=True))
    op.add_column("membership", sa.Column("trusted", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("person", sa.Column("told_at", UTCDateTime(), nullable=True))


def _history() -> None:
    op.create_table(
        "branch_sheet",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_branch_sheet_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branch_sheet")),
    )
    op.create_index(op.f("ix_branch_sheet_created_at"), "branch_sheet", ["created_at"], unique=False)
    op.create_index(op.f("ix_branch_sheet_person_id"), "branch_sheet", ["person_id"], unique=False)
    op.create_table(
        "version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", AutoString(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("action", AutoString(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("made_at", UTCDateTime(), nullable=False),
        sa.Column("batch", AutoString(), nullable=False),
        sa.Column("snapshot", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_version_person_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version")),
        sa.UniqueConstraint("subject", "number", name=op.f("uq_version_subject_number")),
    )
    op.create_index(op.f("ix_version_batch"), "version", ["batch"], unique=False)
    op.create_index(op.f("ix_version_person_id"), "version", ["person_id"], unique=False)


def _people() -> None:
    op.create_table(
        "passkey_challenge",
        sa.Column("challenge_hash", AutoString(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("challenge_hash", name=op.f("pk_passkey_challenge")),
    )
    op.create_index(
        op.f("ix_passkey_challenge_expires_at"), "passkey_challenge", ["expires_at"], unique=False
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", AutoString(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_api_token_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )
    op.create_index(op.f("ix_api_token_expires_at"), "api_token", ["expires_at"], unique=False)
    op.create_index(op.f("ix_api_token_person_id"), "api_token", ["person_id"], unique=False)


def _joining() -> None:
    op.create_table(
        "membership_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("note", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_membership_request_branch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_membership_request_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_membership_request")),
    )
    op.create_index(
        op.f("ix_membership_request_branch_id"), "membership_request", ["branch_id"], unique=False
    )
    op.create_index(
        op.f("ix_membership_request_person_id"), "membership_request", ["person_id"], unique=False
    )
    op.create_table(
        "passkey",
        sa.Column("credential_id", AutoString(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_passkey_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_passkey")),
    )
    op.create_index(op.f("ix_passkey_person_id"), "passkey", ["person_id"], unique=False)
    op.create_table(
        "trusted_proposer",
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("email", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_trusted_proposer_branch_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("branch_id", "email", name=op.f("pk_trusted_proposer")),
    )


def _events() -> None:
    op.create_table(
        "picture",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("original", sa.LargeBinary(), nullable=True),
        sa.Column("large", sa.LargeBinary(), nullable=True),
        sa.Column("small", sa.LargeBinary(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("fault", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("run_at", UTCDateTime(), nullable=True),
        sa.Column("leased_until", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_picture_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_picture")),
    )
    op.create_index(op.f("ix_picture_branch_id"), "picture", ["branch_id"], unique=False)
    op.create_index(op.f("ix_picture_run_at"), "picture", ["run_at"], unique=False)
    op.create_table(
        "hosting_refusal",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_hosting_refusal_branch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_hosting_refusal_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "branch_id", name=op.f("pk_hosting_refusal")),
    )
    op.create_index(op.f("ix_hosting_refusal_branch_id"), "hosting_refusal", ["branch_id"], unique=False)


def _queue() -> None:
    op.create_table(
        "proposal",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("email", AutoString(), nullable=False),
        sa.Column("language", AutoString(), nullable=False),
        sa.Column("note", AutoString(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=True),
        sa.Column("answer", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_proposal_branch_id")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_proposal_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_proposal_person_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_proposal")),
    )
    op.create_index(op.f("ix_proposal_branch_id"), "proposal", ["branch_id"], unique=False)
    op.create_index(op.f("ix_proposal_created_at"), "proposal", ["created_at"], unique=False)
    op.create_index(op.f("ix_proposal_decided_at"), "proposal", ["decided_at"], unique=False)
    op.create_index(op.f("ix_proposal_person_id"), "proposal", ["person_id"], unique=False)
    op.create_table(
        "report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=True),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("message", AutoString(), nullable=False),
        sa.Column("email", AutoString(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_report_branch_id")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_report_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("key", name=op.f("uq_report_key")),
    )
    op.create_index(op.f("ix_report_branch_id"), "report", ["branch_id"], unique=False)
    op.create_index(op.f("ix_report_closed_at"), "report", ["closed_at"], unique=False)
    op.create_index(op.f("ix_report_created_at"), "report", ["created_at"], unique=False)
    op.create_index(op.f("ix_report_event_id"), "report", ["event_id"], unique=False)
