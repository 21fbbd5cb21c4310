"""Calendars made to hurt: none costs more than itself, none comes further than a sentence, and pages stay whole."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import pytest
from icalendar import Calendar
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from events.calendars import reading
from events.calendars.content import Publishing
from events.calendars.imports import branches_by_slug, taken_apart_within
from events.calendars.models import Event
from events.calendars.parsing import ImportedEvent
from events.calendars.reading import Reading, as_lines
from events.calendars.reconciling import Reconciler
from events.db import Database
from events.errors import BranchlineError, Refusal, Unreadable
from events.sandbox import Json, Limits
from tests.conftest import Cast
from tests.fixtures.hostile_calendars import GOOD, Hostile, as_file, hostile_calendars

DAY = date.today() + timedelta(days=9)
ALL = {each.name: each for each in hostile_calendars(DAY)}
# The others are for `./dev bench trust calendars`.
QUICK = [each for each in ALL.values() if not each.heavy]
once = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # its SQL is covered by others


@pytest.fixture(autouse=True)
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process for each of them takes long; tests/test_sandbox.py says what it does."""

    def run(_task: str, data: bytes, options: Mapping[str, Json], _limits: Limits) -> bytes:
        return b"".join(as_lines(BytesIO(data), **{name: str(value) for name, value in options.items()}))

    monkeypatch.setattr(reading, "run", run)


def read(data: bytes) -> Reading:
    window = taken_apart_within(datetime.now(UTC))
    return reading.read(data, window=window, default_timezone="America/Chicago", default_language="en")


def uids(found: Reading) -> set[str]:
    return {item.uid for item in found.items if isinstance(item, ImportedEvent)}


def reasons(found: Reading) -> list[str]:
    return [str(item.reason) for item in found.items if isinstance(item, Refusal)]


# ---------------------------------------------------------------- each by itself


def test_there_are_more_than_sixty_hostile_calendars_each_of_another_kind() -> None:
    assert len(ALL) == len(hostile_calendars(DAY)) >= 60
    assert len({each.make() for each in QUICK}) == len(QUICK) >= 60


@pytest.mark.parametrize("hostile", QUICK, ids=lambda hostile: hostile.name)
def test_a_hostile_calendar_costs_no_more_than_itself(hostile: Hostile) -> None:
    """What is said besides is a sentence; anything else raised here would be a crash of the process that reads."""
    try:
        found = read(hostile.make())
    except BranchlineError:
        assert not hostile.spares
    else:
        assert (GOOD in uids(found)) == hostile.spares


def test_a_series_with_more_changed_dates_than_a_draft_takes_is_refused_by_itself() -> None:
    found = read(as_file(_daily(1), *(_changed(1, day) for day in range(1001)), _daily(2)))
    assert uids(found) == {"daily-2"}
    assert reasons(found) == ["These are too many: at most 1000 are possible."]


def test_a_calendar_of_daily_series_by_the_thousand_is_refused_for_its_dates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few bytes of a file would become millions of rows."""
    monkeypatch.setattr(reading, "MOST_DATES", 1000)
    with pytest.raises(Unreadable, match="The calendar has more than 1000 dates within a year"):
        read(as_file(*(_daily(number) for number in range(3))))
    assert uids(read(as_file(_daily(1), _daily(2)))) == {"daily-1", "daily-2"}


def _changed(number: int, days: int) -> str:
    at = f"TZID=America/Chicago:{DAY + timedelta(days=days):%Y%m%d}T180000"
    lines = (
        "BEGIN:VEVENT",
        f"UID:daily-{number}",
        f"RECURRENCE-ID;{at}",
        f"DTSTART;{at}",
        f"SUMMARY:Day {days}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "END:VEVENT"))


def _daily(number: int) -> str:
    lines = (
        *("BEGIN:VEVENT", f"UID:daily-{number}", f"DTSTART;TZID=America/Chicago:{DAY:%Y%m%d}T180000"),
        *("DURATION:PT1H", "RRULE:FREQ=DAILY", "SUMMARY:Saw club", "END:VEVENT"),
    )
    return "".join(f"{line}\r\n" for line in lines)


# ---------------------------------------------------------------- afterwards


@pytest.fixture
def brought_in(database: Database, cast: Cast, publishing: Publishing) -> list[int]:
    """What comes in of the quick ones, as Alder's: a few events of each calendar."""
    with database.writing() as session:
        owners = branches_by_slug(session)
        for hostile in QUICK:
            now = datetime.now(UTC)
            taking = Reconciler(owners, publishing, now, branch="alder", source=hostile.name)
            for item in _some_of(hostile):
                taking.take(session, item)
        query = select(Event.id).where(col(Event.source_uid) != GOOD)
        return [number or 0 for number in session.exec(query)]


def _some_of(hostile: Hostile) -> list[ImportedEvent | Refusal]:
    try:
        return read(hostile.make()).items[:3]
    except BranchlineError:
        return []


PAGES = ("/", "/events", "/branches/alder", "/embed/events", f"/calendar/{DAY:%Y/%m}")
MACHINES = [
    *(f"/{of}.{kind}" for of in ("events", "branches/alder") for kind in ("atom", "json")),
    *("/events.csv", "/api/v1/events", "/api/v1/occurrences", "/sitemap.xml"),
]
DESK = ("/organize", "/organize/queue", "/organize/imports")


@once
def test_no_page_or_feed_breaks_by_what_hostile_calendars_brought_in(
    brought_in: list[int], ben: TestClient, ana: TestClient
) -> None:
    assert len(brought_in) > 40
    own = [f"/events/{number}{more}" for number in brought_in for more in ("", "/poster")]
    for path in (*PAGES, *own):
        assert is_whole(ben, path), path
    for path in (*DESK, *(f"/organize/events/{number}" for number in brought_in)):
        assert is_whole(ana, path), path
    assert [path for path in MACHINES if ben.get(path).status_code != 200] == []
    assert_reads_strictly(ben.get("/events.ics").content, at_least=len(brought_in))


def is_whole(who: TestClient, path: str) -> bool:
    answer = who.get(path)
    return answer.status_code == 200 and "</html>" in answer.text and "<script>alert" not in answer.text


def assert_reads_strictly(feed: bytes, at_least: int) -> None:
    calendar = Calendar.from_ical(feed)
    entries = calendar.walk("VEVENT")
    assert not calendar.errors and not any(entry.errors for entry in entries)
    assert len(entries) >= at_least
    assert all(len(line) <= 75 for line in feed.split(b"\r\n"))


@once
def test_an_import_never_replaces_an_event_of_another_branch_or_source(
    database: Database, cast: Cast, publishing: Publishing
) -> None:
    """Whatever UID it says, Birch's own and ours included."""
    theirs = {"X-BRANCHLINE-BRANCH:birch", "UID:daily-1"}
    with database.writing() as session:
        Reconciler(branches_by_slug(session), publishing, datetime.now(UTC), branch="birch").take(
            session, _only(read(as_file(_daily(1))))
        )
        before = _said(session, cast.birch.id)
    ours = before[0][1]
    for uid in ("daily-1", ours):
        file = (
            _daily(1).replace("UID:daily-1", f"UID:{uid}\r\nX-BRANCHLINE-BRANCH:birch").replace("Saw", "Not")
        )
        assert theirs & set(file.split("\r\n"))
        with database.writing() as session:
            Reconciler(
                branches_by_slug(session), publishing, datetime.now(UTC), branch="alder", source=f"url:{uid}"
            ).take(session, _only(read(as_file(file))))
    with database.reading() as session:
        assert _said(session, cast.birch.id) == before
        assert len({uid for _, uid in _said(session, cast.alder.id)} - {ours}) == 2


def _only(found: Reading) -> ImportedEvent | Refusal:
    (item,) = found.items
    return item


def _said(session: Session, branch_id: int | None) -> list[tuple[str, str]]:
    query = select(Event).where(col(Event.branch_id) == branch_id).order_by(col(Event.id))
    return [(event.title, event.uid) for event in session.exec(query)]
