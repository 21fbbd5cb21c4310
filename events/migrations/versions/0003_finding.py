"""Keys that what is typed finds a branch by: its name, town and postal code, and what it serves."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

from events.places.naming import code_key, fold

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHUNK = 1000
branch = sa.table(
    "branch", *map(sa.column, ("id", "name", "city", "postal_code", "name_key", "city_key", "code_key"))
)


def upgrade() -> None:
    for name in ("name_key", "city_key", "code_key"):
        op.add_column("branch", sa.Column(name, AutoString(), nullable=False, server_default=sa.text("''")))
    _fill()
    for name in ("name_key", "city_key", "code_key"):
        op.create_index(op.f(f"ix_branch_{name}"), "branch", [name], unique=False)
    virtual = sa.text("location_type = 'virtual'")
    op.create_index(
        "ix_branch_virtual", "branch", ["country"], sqlite_where=virtual, postgresql_where=virtual
    )
    op.create_table(
        "service_key",
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("branch_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch_id"], ["branch.id"], name=op.f("fk_service_key_branch_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", "branch_id", name=op.f("pk_service_key")),
    )
    op.create_index(op.f("ix_service_key_branch_id"), "service_key", ["branch_id"], unique=False)


def _fill() -> None:
    """What areas of service there are was written for people: none of them has keys yet."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.select(branch.c.id, branch.c.name, branch.c.city, branch.c.postal_code)
    ).all()
    change = (
        sa.update(branch)
        .where(branch.c.id == sa.bindparam("row"))
        .values({name: sa.bindparam(f"new_{name}") for name in ("name_key", "city_key", "code_key")})
    )
    keys = [
        {"row": id, "new_name_key": fold(name), "new_city_key": fold(city), "new_code_key": code_key(code)}
        for id, name, city, code in rows
    ]
    for start in range(0, len(keys), CHUNK):
        connection.execute(change, keys[start : start + CHUNK])
