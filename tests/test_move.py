"""`branchline move`: everything from one engine into an empty database of the other, and back."""

from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select

from events.branches.models import Branch, FormerSlug, ServiceKey
from events.calendars import imports
from events.calendars.content import Publishing
from events.calendars.models import (
    CalendarSource,
    DateChange,
    Departure,
    Event,
    HostingRefusal,
    Picture,
    PollCount,
    Rendered,
)
from events.db import Database, Row, table_of
from events.desk.models import BranchSheet, Proposal, Report, TrustedProposer
from events.errors import Conflict
from events.language import language
from events.limits import CONTACT, Limiter
from events.messages import contact, outbox
from events.messages.contact import ContactDraft
from events.messages.models import MutedSender, OutgoingMail, RefusedAddress
from events.migrations import move, upgrade
from events.migrations.tables import metadata
from events.news.models import Headline, HeadlineSource, Notice
from events.people import permissions, sign_in
from events.people.history import Version
from events.people.models import ApiToken, MembershipRequest, Passkey, PasskeyChallenge, Purpose, Role
from events.places.geo import Point
from events.places.nearest import nearest
from events.subscriptions.models import (
    Newsletter,
    Subscription,
    SubscriptionBranch,
    SubscriptionEvent,
    SubscriptionTopic,
)
from tests.conftest import NOW, Engines, branch

PUBLISHING = Publishing("http://localhost:8000", "Hazel Clubs", ("en", "es"))
CALENDAR = "\r\n".join(
    """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Hazel Clubs//EN
BEGIN:VEVENT
UID:weekly@example.org
DTSTART;TZID=America/Chicago:20261124T190000
DTEND;TZID=America/Chicago:20261124T210000
RRULE:FREQ=WEEKLY;COUNT=10
EXDATE;TZID=America/Chicago:20261201T190000
SUMMARY:Saw club 🪚
DESCRIPTION:Bring “your own” saw\\; or ours.\\nÑandú
CATEGORIES:Workshops,Wood
X-BRANCHLINE-BRANCH:alder
END:VEVENT
BEGIN:VEVENT
UID:weekly@example.org
RECURRENCE-ID;TZID=America/Chicago:20261208T190000
DTSTART;TZID=America/Chicago:20261209T190000
DTEND;TZID=America/Chicago:20261209T210000
SUMMARY:Saw club on a Wednesday
X-BRANCHLINE-BRANCH:alder
END:VEVENT
BEGIN:VEVENT
UID:fiesta@example.org
DTSTART;VALUE=DATE:20261212
DTEND;VALUE=DATE:20261214
SUMMARY:Fiesta
STATUS:CANCELLED
X-BRANCHLINE-BRANCH:birch
END:VEVENT
END:VCALENDAR
""".splitlines()
)


def fill(database: Database) -> None:
    """A row at least in every table; branches that point up, down and at their successors."""
    with database.writing() as session:
        alder = branch("alder", "Alder Club", Point(41.9227, -87.6533), timezone="America/Chicago", country="US",
                       email="alder@example.org", external_id="A-1", opened_on=NOW.date())  # fmt: skip
        birch = branch(
            "birch", "Club Ábedul", Point(40.4203, -3.7058), timezone="Europe/Madrid", country="ES"
        )
        cedar = branch("cedar", "Cedar", None, status="closed", end_date=NOW.date())
        session.add_all([alder, birch, cedar])
        session.flush()
        # The first points at the last, so that no order of rows would do.
        alder.parent_id, birch.parent_id, cedar.successor_id = cedar.id, alder.id, birch.id
        session.add(FormerSlug(slug="old-alder", branch_id=alder.id or 0))
        session.add(ServiceKey(key="code:US:60614", branch_id=alder.id or 0))
        ana = sign_in.find_or_add(session, "ana@example.org", NOW)
        sign_in.set_password(session, ana, "correct horse battery")
        permissions.invite(session, ana, alder, Role.ORGANIZER)
        sign_in.begin(session, ana, "Firefox", NOW)
        sign_in.make_link(session, ana, Purpose.SIGN_IN, NOW)
        draft = ContactDraft(key="k" * 32, name="Ben", email="ben@example.org", message="¿Sí?")
        contact.send(session, alder, draft, language("es"), "Hazel Clubs", NOW)
        outbox.put(session, NOW, recipient="cy@example.org", subject="News", body="Hello\r\n\tthere")
        outbox.mark_sent(session, 1, NOW + timedelta(microseconds=123456))
    report = imports.import_events(
        database, BytesIO(CALENDAR.encode()), publishing=PUBLISHING, now=NOW, branch=None
    )
    assert (report.added, report.refusals) == (2, [])
    Limiter(database, "secret").count(CONTACT, "192.0.2.1", NOW)
    with database.writing() as session:
        session.add(CalendarSource(branch_id=1, name="alder.ics", body=b"\x00\xff", created_at=NOW, run_at=NOW,
                                   report={"new": 3}, error={"text": "¿Sí?"}))  # fmt: skip
        session.add(Departure(event_id=1, scope="branch:3", locale="es", ics="BEGIN:VEVENT\r\n", left_at=NOW,
                              timezone="UTC", all_day=False, start=NOW.replace(tzinfo=None)))  # fmt: skip
        session.add(
            PollCount(branch_id=1, day=NOW.date(), family="Google", revision="ab", polls=3, unchanged=2)
        )
        session.add_all(desk_rows())
    for rows in (mail_rows(), rows_of_subscriptions()):
        with database.writing() as session:
            session.add_all(rows)


def desk_rows() -> list[Row]:
    """What stands on the desk of the organizers: of person 1, branch 1 and event 1."""
    return [
        MembershipRequest(person_id=1, branch_id=1, note="¿Sí?", created_at=NOW),
        Passkey(credential_id="abc", person_id=1, public_key=b"\x00\xff", created_at=NOW),
        PasskeyChallenge(challenge_hash="ab", expires_at=NOW),
        ApiToken(token_hash="cd", person_id=1, created_at=NOW, expires_at=NOW),
        Version(subject="event:1", number=1, action="added", person_id=1, made_at=NOW, snapshot={"a": ["é"]}),
        HostingRefusal(event_id=1, branch_id=2),
        Picture(id="ef", branch_id=1, original=b"\xff\x00", fault={"text": "¿Sí?"}, created_at=NOW),
        Proposal(event_id=1, branch_id=1, email="ben@example.org", created_at=NOW, accepted=False),
        TrustedProposer(branch_id=1, email="ben@example.org", created_at=NOW),
        Report(key="k", branch_id=1, event_id=1, kind="closed", created_at=NOW),
        BranchSheet(id="gh", person_id=1, name="branches.csv", body=b"\xef\xbb\xbf", created_at=NOW),
    ]


def mail_rows() -> list[Row]:
    return [
        MutedSender(branch_id=1, email="spam@example.org", created_at=NOW),
        RefusedAddress(address="gone@example.org", refused_at=NOW, reason="550 ¿Quién?"),
        DateChange(event_id=1, before=[{"title": "¿Sí?"}], created_at=NOW, run_at=NOW),
        Notice(
            slug="neu",
            branch_id=1,
            topic_id=1,
            title="¡Nuevo!",
            shown_from=NOW.date(),
            created_at=NOW,
            modified_at=NOW,
        ),
        HeadlineSource(url="https://example.org/feed", error={"text": "¿Sí?"}, created_at=NOW, run_at=NOW),
        Subscription(
            email="ben@example.org", nonce="n", pending={"place": "Ávila"}, asked_at=NOW, created_at=NOW
        ),
    ]


def rows_of_subscriptions() -> list[Row]:
    return [
        Headline(
            source_id=1,
            entry_id="1",
            title="¿Sí?",
            url="https://example.org/1",
            published_at=NOW,
            seen_at=NOW,
        ),
        SubscriptionBranch(subscription_id=1, branch_id=1),
        SubscriptionTopic(subscription_id=1, topic_id=1),
        SubscriptionEvent(subscription_id=1, event_id=1),
        Newsletter(notice_id=1, person_id=1, started_at=NOW, run_at=NOW),
    ]


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.engine.connect() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in metadata.sorted_tables
        }


class Bases:
    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self.made: list[Database] = []

    def blank(self, engine: str) -> Database:
        self.made.append(Database(self._engines.blank_url(engine), size=2))
        return self.made[-1]


@pytest.fixture
def bases(engines: Engines) -> Iterator[Bases]:
    bases = Bases(engines)
    yield bases
    for database in bases.made:
        database.dispose()


@pytest.fixture
def filled(bases: Bases) -> Database:
    database = bases.blank("sqlite")
    upgrade(database)
    fill(database)
    return database


def test_everything_arrives_on_the_other_engine_and_comes_back_the_same(
    filled: Database, bases: Bases
) -> None:
    before = contents(filled)
    assert [name for name, rows in before.items() if not rows] == []
    there, back = bases.blank("postgresql"), bases.blank("sqlite")
    counts = {name: len(rows) for name, rows in before.items()}
    assert move.move(filled, there) == counts
    assert contents(there) == before
    assert move.move(there, back) == counts
    assert contents(back) == before


def test_what_feeds_publish_is_the_same_to_the_byte(filled: Database, bases: Bases) -> None:
    there = bases.blank("postgresql")
    move.move(filled, there)

    def published(database: Database) -> list[bytes]:
        with database.reading() as session:
            rows = session.exec(select(Rendered).order_by("event_id", "locale")).all()
            return [row.ics.encode() for row in rows]

    assert len(published(filled)) >= 2
    assert "🪚".encode() in b"".join(published(filled))
    assert published(there) == published(filled)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_new_rows_get_new_keys_after_a_move(filled: Database, bases: Bases, engine: str) -> None:
    there = bases.blank("postgresql")
    move.move(filled, there)
    if engine == "sqlite":
        back = bases.blank("sqlite")
        move.move(there, back)
        there = back
    with there.writing() as session:
        dogwood = branch("dogwood", "Dogwood", Point(41.9, -87.6))
        session.add(dogwood)
        dee = sign_in.find_or_add(session, "dee@example.org", NOW)
        outbox.put(session, NOW, recipient="dee@example.org", subject="News", body="Hello")
        session.flush()
        assert (dogwood.id, dee.id) == (4, 2)
    more = CALENDAR.replace("weekly@", "another@").replace("fiesta@", "otra@")
    report = imports.import_events(there, BytesIO(more.encode()), publishing=PUBLISHING, now=NOW, branch=None)
    assert (report.added, report.refusals) == (2, [])
    with there.reading() as session:
        assert set(session.exec(select(Event.id)).all()) == {1, 2, 3, 4}
        assert len(session.exec(select(OutgoingMail)).all()) == 3


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_nearest_branches_are_found_after_a_move(filled: Database, bases: Bases, engine: str) -> None:
    """The spatial index is no table of ours: it must fill itself."""
    there = bases.blank("postgresql")
    move.move(filled, there)
    if engine == "sqlite":
        back = bases.blank("sqlite")
        move.move(there, back)
        there = back
    with there.reading() as session:
        query = select(Branch)
        found = nearest(session, query, table_of(Branch), Point(40.4, -3.7), 5)
    assert [row[0].slug for row in found] == ["birch", "alder"]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_target_with_rows_is_refused_and_left_as_it_is(filled: Database, bases: Bases, engine: str) -> None:
    there = bases.blank(engine)
    upgrade(there)
    with there.writing() as session:
        sign_in.find_or_add(session, "cy@example.org", NOW)
    before = contents(there)
    with pytest.raises(Conflict, match="not empty: table person has rows"):
        move.move(filled, there)
    assert contents(there) == before


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_move_that_is_interrupted_leaves_the_target_empty(
    filled: Database, bases: Bases, engine: str
) -> None:
    there = bases.blank(engine)

    def fail(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("INSERT INTO rendered"):
            raise KeyboardInterrupt

    sa.event.listen(there.engine, "before_cursor_execute", fail)
    with pytest.raises(KeyboardInterrupt):
        move.move(filled, there)
    sa.event.remove(there.engine, "before_cursor_execute", fail)
    assert not any(contents(there).values())
    move.move(filled, there)
    assert contents(there) == contents(filled)


def test_more_rows_than_fit_into_one_chunk_arrive(
    filled: Database, bases: Bases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "CHUNK", 2)
    there = bases.blank("postgresql")
    move.move(filled, there)
    assert contents(there) == contents(filled)
