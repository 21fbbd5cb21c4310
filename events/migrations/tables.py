"""Every table there is, for whoever looks at all of them: the steps of the schema, and copying a database."""

import sqlalchemy as sa

from .. import limits
from ..branches import models as branches
from ..calendars import models as calendars
from ..calendars import moves
from ..db import Row
from ..desk import models as desk
from ..messages import models as messages
from ..news import models as news
from ..people import history
from ..people import models as people
from ..subscriptions import models as subscriptions

# Each after those that its rows refer to.
TABLE_MODULES = (limits, branches, people, calendars, moves, messages, history, desk, news, subscriptions)
metadata: sa.MetaData = Row.metadata

# An index over some of the rows is one on either engine. Models say it for SQLite alone: a word for PostgreSQL among
# them would load all that SQLAlchemy knows of it, at each start.
for table in metadata.tables.values():
    for index in table.indexes:
        some = index.dialect_options["sqlite"]["where"]
        if some is not None:
            index.dialect_options["postgresql"]["where"] = some
