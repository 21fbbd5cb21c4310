"""The schema: every table, and the steps that bring a database to the newest one (Alembic)."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from .. import limits
from ..branches import models as branches
from ..calendars import models as calendars
from ..db import Database, Row
from ..desk import models as desk
from ..errors import ConfigurationError, say
from ..messages import models as messages
from ..news import models as news
from ..people import history
from ..people import models as people
from ..subscriptions import models as subscriptions

TABLE_MODULES = (limits, branches, calendars, messages, people, history, desk, news, subscriptions)
metadata: sa.MetaData = Row.metadata

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
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigurationError(
                say("The database was made by a newer Branchline than this one, which cannot use it.")
            ) from error


def is_newest(connection: sa.Connection) -> bool:
    """Whether the schema is the one this code was written for."""
    return MigrationContext.configure(connection).get_current_revision() == newest()


def newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
