"""The same rows make the same bytes: whoever asks, on whichever engine, with whatever seed for hashes."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette

from events.calendars.content import Publishing
from events.db import Database
from events.migrations import move
from events.people import permissions, sign_in
from events.people.models import Role
from tests.calendars.life import World, lived
from tests.conftest import Engines, signed_in

ROOT = Path(__file__).parents[2]
FEEDS = """
import hashlib, sys
from datetime import datetime
from events.calendars.feeds import Heading, Note, Variant, finished
from events.calendars.queries import Selection
from events.db import Database
from events.places.geo import Distance, Point

heading = Heading("Life", "All", "https://example.org/", "https://example.org/x.ics", sys.argv[3], "", Note("Nothing"))
database = Database(sys.argv[1], size=1)
near = Selection(near=Point(41.92, -87.64), within=Distance(40.0))
selections = (Selection(), Selection(branches=("cedar", "alder")), Selection(topics=("repair",)), near)
with database.reading() as session:
    for selection in selections:
        for variant in (Variant(), Variant(hide_cancelled=True), Variant(for_google=True)):
            feed = finished(session, selection, heading, datetime.fromisoformat(sys.argv[2]), variant)
            print(hashlib.sha256(feed.body).hexdigest(), feed.etag, feed.modified_at, len(feed.body))
database.dispose()
"""


def feeds(url: str, now: datetime, locale: str, seed: str) -> str:
    """From a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", FEEDS, url, now.isoformat(), locale],
        cwd=ROOT,
        env={
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(ROOT),
            "TZ": "Asia/Kathmandu" if seed == "2" else "UTC",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_two_processes_two_seeds_two_hours_two_engines_and_one_answer(
    app: Starlette, database: Database, publishing: Publishing, engines: Engines
) -> None:
    with database.writing() as session:
        dee = sign_in.find_or_add(session, "dee@example.org", datetime.now(UTC))
        permissions.invite(session, dee, None, Role.ADMIN)
    world = World(database, publishing, signed_in(app, database, dee), datetime.now(UTC))
    for _ in lived(world, 36):
        pass
    other = Database(engines.fresh_url("postgresql"))
    move.move(database, other)
    noon = world.now.replace(hour=12, minute=0)
    for locale in ("en", "es"):
        asked = [
            feeds(database.url, noon, locale, "1"),
            feeds(database.url, noon + timedelta(hours=1), locale, "2"),
            feeds(other.url, noon + timedelta(hours=1), locale, "3"),
        ]
        assert len(set(asked)) == 1 and len(asked[0].splitlines()) == 12
    other.dispose()
