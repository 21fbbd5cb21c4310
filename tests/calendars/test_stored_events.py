"""A stored event can never break a page that shows it: whatever a draft accepts is stored, and everything is asked."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from icalendar import Calendar
from pydantic import ValidationError
from sqlmodel import col, delete
from starlette.testclient import TestClient

from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.calendars.models import Event, Occurrence
from events.db import Database
from events.drafts import ACCESS
from tests.conftest import Cast
from tests.fixtures.hostile_calendars import BIDI, FORMULA, SCRIPT

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # its SQL is covered by others

NOW = datetime.now(UTC).replace(microsecond=0)
SOON = NOW.replace(tzinfo=None, hour=18, minute=0, second=0) + timedelta(days=3)
EXAMPLES = 20
SHOWN = (200, 404, 409, 410)  # a draft is not there for others, and what is cancelled cannot be followed

# Surrogates too: JSON can hold them.
LETTERS = st.text(st.characters(exclude_categories=()), max_size=30)
NASTY = (
    SCRIPT,
    FORMULA,
    BIDI,
    "]]>&amp;'\"",
    "{{ 7*7 }}%(name)s{}",
    "\x00\x1b[31m",
    "a\r\nBEGIN:VEVENT\r\n",
    "\\n\\,;:",
)
WORDS = st.one_of(LETTERS, st.sampled_from(NASTY), st.sampled_from("W🏳️‍🌈ع").map(lambda letter: letter * 300))
TEXTS = st.one_of(
    WORDS, st.sampled_from(("> " * 5000, "[" * 9000, "[x](javascript:1)\n" * 99, "- a\n" * 999, "```\n<b>"))
)
ZONES = st.sampled_from(
    ("America/Chicago", "Europe/Madrid", "Asia/Kathmandu", "Pacific/Apia", "UTC", "Africa/Casablanca")
)
RULES = st.sampled_from(
    (
        *(
            "",
            "",
            "FREQ=DAILY",
            "FREQ=DAILY;INTERVAL=1000",
            "FREQ=WEEKLY;COUNT=3",
            "FREQ=MONTHLY;COUNT=100000",
        ),
        *("FREQ=YEARLY", "FREQ=YEARLY;INTERVAL=4", "FREQ=DAILY;UNTIL=22001231", "FREQ=MONTHLY"),
    )
)
DAYS = st.one_of(st.integers(-200, 400), st.integers(-20_000, 63_000), st.just(0))
LENGTHS = st.one_of(st.integers(1, 5000), st.sampled_from((24 * 60, 365 * 24 * 60, 1098 * 24 * 60)))
LINKS = st.sampled_from(
    ("", "https://example.org/?a=1&b=<x>#y", "http://[::1]/", "https://xn--bcher-kva.example/'\"")
)
TAGS = st.sampled_from(("en", "es", "ar", "zh-Hant", "fr-CA", "x-odd", "de"))
VENUES = st.fixed_dictionaries(
    {"name": WORDS, "address_1": WORDS, "city": WORDS},
    optional={"latitude": st.floats(-90, 90), "longitude": st.floats(-180, 180)},
)


@st.composite
def drafts(draw: st.DrawFn) -> EventDraft:
    """Of what was made up, what a draft accepts."""
    start = SOON + timedelta(days=draw(DAYS), minutes=draw(st.integers(0, 1439)))
    all_day = draw(st.booleans())
    length = timedelta(minutes=draw(LENGTHS))
    if all_day:
        start, length = start.replace(hour=0, minute=0), timedelta(days=length.days + 1)
    values: dict[str, Any] = {
        **{"title": draw(WORDS), "description": draw(TEXTS), "language": draw(TAGS)},
        **{"start": start, "end": start + length, "all_day": all_day, "timezone": draw(ZONES)},
        **{"rrule": draw(RULES), "attendance": draw(st.sampled_from(("in-person", "online", "hybrid")))},
        **{
            "online_url": draw(LINKS),
            "registration_url": draw(LINKS),
            "contact": draw(WORDS),
            "cost": draw(WORDS),
        },
        **{"topics": draw(st.lists(WORDS.map(lambda word: word[:60]), max_size=4))},
        **{"access": draw(st.lists(st.sampled_from(ACCESS), max_size=3)), "reason": draw(WORDS)},
        "state": draw(
            st.sampled_from(("published", "published", "cancelled", "postponed", "draft", "submitted"))
        ),
        "translations": draw(
            st.dictionaries(TAGS, st.fixed_dictionaries({"title": WORDS, "description": TEXTS}), max_size=2)
        ),
    }
    if values["attendance"] != "online":
        values["venue"] = draw(st.none() | VENUES)
    if values["rrule"]:
        values["overrides"] = draw(st.lists(_changed(start), max_size=1))
    try:
        return EventDraft.model_validate(values)
    except ValidationError:
        hypothesis.reject()


def _changed(start: datetime) -> st.SearchStrategy[dict[str, Any]]:
    moved = st.none() | st.integers(1, 400).map(lambda days: start + timedelta(days=days))
    changes: dict[str, st.SearchStrategy[Any]] = {
        "cancelled": st.booleans(),
        "start": moved,
        "title": st.none() | WORDS,
    }
    return st.fixed_dictionaries({"original_start": st.just(start), "reason": WORDS, **changes})


def test_a_stored_event_can_never_break_a_page_that_shows_it(
    database: Database, cast: Cast, publishing: Publishing, ben: TestClient, dee: TestClient
) -> None:
    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(drafts())
    def any_event(draft: EventDraft) -> None:
        with database.writing() as session:
            number = store.add(session, draft, [cast.alder], publishing, NOW).id or 0
        try:
            for path in _everywhere(number, draft):
                who = dee if path.startswith("/organize") else ben
                answer = who.get(path)
                assert answer.status_code in SHOWN, (path, answer.status_code)
                _check(path, answer.headers.get("content-type", ""), answer.text)
        finally:
            with database.writing() as session:
                event = session.get_one(Event, number)
                event.delete(NOW)
                derived.save(session, event, publishing, NOW)
                session.exec(delete(Occurrence).where(col(Occurrence.event_id) == number))

    any_event()


def _everywhere(number: int, draft: EventDraft) -> Iterator[str]:
    day = draft.start.date()
    yield from (f"/events/{number}{more}" for more in ("", ".ics", "/poster", "/follow", f"?date={day}"))
    yield from (
        f"/es/events/{number}",
        f"/events?from={day}&to={day}",
        f"/calendar/{day:%Y/%m}",
        "/embed/events",
    )
    yield from (f"/events.{kind}?from={day}" for kind in ("ics", "atom", "json", "csv"))
    yield from (
        "/",
        "/events",
        "/es/events",
        "/branches/alder",
        f"/api/v1/events?from={day}",
        "/api/v1/occurrences",
    )
    yield from (f"/organize/events/{number}{more}" for more in ("", "/history", "/cancellation"))
    yield from ("/organize", f"/oembed?url=http://localhost/events/{number}")


def _check(path: str, kind: str, text: str) -> None:
    if kind.startswith("text/html"):
        assert "</html>" in text and SCRIPT not in text, path
    if kind.startswith("text/calendar"):
        calendar = Calendar.from_ical(text)
        assert not any(each.errors for each in calendar.walk()), path
