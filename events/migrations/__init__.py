"""The schema: every table, and the steps that bring a database to the newest one (Alembic)."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from .. import limits
from ..branches import models as branches
from ..calendars import models as calendars
from ..calendars import moves
from ..db import Database, Row
from ..desk import models as desk
from ..errors import ConfigurationError, say
from ..later import loaded_later
from ..messages import models as messages
from ..news import models as news
from ..people import history
from ..people import models as people
from ..subscriptions import models as subscriptions

if TYPE_CHECKING:
    from alembic import command, config, util
else:
    command = loaded_later("alembic.command")
    config = loaded_later("alembic.config")
    util = loaded_later("alembic.util")

TABLE_MODULES = (limits, branches, calendars, moves, messages, people, history, desk, news, subscriptions)
metadata: sa.MetaData = Row.metadata
STEPS = Path(__file__).parent / "versions"

# Where Alembic keeps the number of the last step, in a table of its own.
ALEMBICS = sa.table("alembic_version", sa.column("version_num"))

# A key for pg_advisory_xact_lock: of several processes that start together, one migrates and the others wait.
MIGRATION_LOCK = 0x6272616E


def upgrade(database: Database) -> None:
    """Brings the database to the newest schema in one transaction: all of it, or nothing.

    Raises ConfigurationError when the database is newer than this program.
    """
    engine = database.engine.execution_options(write=True)
    with engine.begin() as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        if is_newest(connection):  # at nearly every start: Alembic need not be loaded for that
            return
        steps = config.Config()
        steps.set_main_option("script_location", str(STEPS.parent))
        steps.attributes["connection"] = connection
        try:
            command.upgrade(steps, "head")
        except util.CommandError as error:
            raise ConfigurationError(
                say("The database was made by a newer Branchline than this one, which cannot use it.")
            ) from error


def is_newest(connection: sa.Connection) -> bool:
    """Whether the schema is the one this code was written for."""
    if not sa.inspect(connection).has_table(ALEMBICS.name):
        return False
    return connection.execute(sa.select(ALEMBICS.c.version_num)).scalars().all() == [newest()]


@cache
def newest() -> str:
    """Steps are one after the other, and the names of their files begin with their numbers."""
    return max(path.name.partition("_")[0] for path in STEPS.glob("[0-9]*.py"))
