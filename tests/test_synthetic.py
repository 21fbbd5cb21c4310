"""Made-up data are what the site itself would have written."""

import sqlalchemy as sa
from sqlmodel import select

from bench._synthetic import PATTERNS, PUBLISHING, Site, fill
from events.branches.models import Branch
from events.branches.queries import nearest_to
from events.calendars import derived, store
from events.calendars.models import Event, Rendered
from events.calendars.queries import EVERYTHING, Selection, upcoming
from events.db import Database
from events.places.geo import Point
from tests.calendars.test_feeds import weekly

from .conftest import NOW

SITE = Site("Alderbury", "IL", "60614", "US", "America/Chicago", Point(41.9, -87.65))
EVENTS = PATTERNS + 8


def test_copies_say_what_their_own_rows_say_and_what_is_added_later_fits(database: Database) -> None:
    fill(database, branches=4, events=EVENTS, sites=[SITE], now=NOW)
    with database.writing() as session:
        for number in range(PATTERNS + 1, EVENTS + 1):
            event = session.get_one(Event, number)
            texts = select(Rendered.locale, Rendered.ics).where(Rendered.event_id == number)
            before = (event.listed_in, *sorted(session.exec(texts)))
            event.fingerprint = ""  # it is that of another; so nothing is compared, and nothing moves
            session.exec(sa.delete(Rendered).where(sa.literal_column("event_id") == number))
            session.expire_all()
            derived.save(session, event, PUBLISHING, NOW)
            assert (event.listed_in, *sorted(session.exec(texts))) == before
            assert event.branch_id == (number - 1) % 4 + 1
        host = Branch(slug="new", name="New", updated_at=NOW)
        session.add(host)
        session.flush()
        assert host.id == 5
        assert store.add(session, weekly(), [host], PUBLISHING, NOW).id == EVENTS + 1


def test_branches_and_events_are_found_where_they_are(database: Database) -> None:
    fill(database, branches=4, events=12, sites=[SITE], now=NOW)
    with database.reading() as session:
        near = nearest_to(session, SITE.point, limit=10)
        everything, _ = upcoming(session, EVERYTHING, NOW)
        of_one, _ = upcoming(session, Selection(branches=("b2",)), NOW)
        assert sorted(one.branch.slug for one in near) == ["b1", "b2", "b3", "b4"]
        assert {row.branch_slug for row in everything} == {"b1", "b2", "b3", "b4"}
        assert {row.branch_slug for row in of_one} == {"b2"}
