"""The life of a calendar: 300 events, and everything that happens to events, step by step.

`python -m tests.calendars.life FOLDER` writes the feeds after each step there (by number and name), so that tools
outside the project can compare each with the one before.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from pytest import MonkeyPatch
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from events import migrations
from events.app import publishing_of
from events.branches.models import Branch, Status
from events.calendars import derived, feeds, imports, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.feed_rows import Found, RowsKept
from events.calendars.feeds import Heading, Note, Variant, assemble, finished
from events.calendars.horizon import rule_of
from events.calendars.models import Event
from events.calendars.queries import EVERYTHING, Selection
from events.calendars.recurrence import starts
from events.config import Settings
from events.db import Database
from events.people import permissions, sign_in
from events.people.models import Role
from events.places.geo import Point
from events.web.posting import form_of
from tests.conftest import branch, running, signed_in


def readings(monkeypatch: MonkeyPatch) -> Sequence[object]:
    """One more each time from now on that all of a feed is read."""
    read, whole = list[object](), feeds._all

    def noted(*asked: Any) -> Found:
        read.append(asked)
        return whole(*asked)

    monkeypatch.setattr(feeds, "_all", noted)
    return read


BRANCHES = {
    "alder": ("Alder Club", Point(41.9227, -87.6533), "America/Chicago", "en"),
    "birch": ("Club Abedul", Point(40.4203, -3.7058), "Europe/Madrid", "es"),
    "cedar": ("Cedar; Room, Ltd", Point(51.5, -0.12), "Europe/London", "en"),
    "dogwood": ("Dogwood", Point(-33.87, 151.2), "Australia/Sydney", "en"),
    "elm": ("Elm", Point(35.68, 139.69), "Asia/Tokyo", "ja"),
    "fir": ("Fir", None, "UTC", "en"),
}
SHAPES: tuple[dict[str, object], ...] = (
    {},
    {"rrule": "FREQ=WEEKLY;BYDAY=MO"},
    {"rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH"},
    {"rrule": "FREQ=MONTHLY;BYDAY={nth}MO"},
    {"rrule": "FREQ=DAILY;INTERVAL=3;COUNT=20"},
    {"rrule": "FREQ=WEEKLY;BYDAY=MO;UNTIL={until}"},
    {"all_day": True},
    {"all_day": True, "days": 3},
    {"all_day": True, "rrule": "FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={day}"},
    {"attendance": "online", "online_url": "https://meet.example.org/x?a=1,2;b"},
    {"hours": 9, "rrule": "FREQ=WEEKLY;BYDAY=MO"},  # overnight: every clock change of the year falls into it
    {"venue": {"name": "Hall “7”, upstairs", "address_1": "1 Long Street; back", "latitude": 41.9, "longitude": -87.7}},
)  # fmt: skip


@dataclass(slots=True)
class World:
    """The branches and events, a client that is signed in as an admin, and a clock that goes on by the hour."""

    database: Database
    publishing: Publishing
    admin: TestClient
    now: datetime
    ids: dict[str, int] = field(default_factory=dict)
    rows: RowsKept = field(default_factory=lambda: RowsKept(fewest=1))

    def tick(self, **more: float) -> datetime:
        self.now += timedelta(**more or {"hours": 1})
        return self.now

    def event(self, session: Session, name: str) -> Event:
        return session.get_one(Event, self.ids[name])

    def feed(self, selection: Selection = EVERYTHING, variant: Variant | None = None) -> bytes:
        heading = Heading(
            name="Life",
            description="All of it",
            capped="",
            empty=Note("Nothing yet"),
            url=self.publishing.base_url,
            source=f"{self.publishing.base_url}/events.ics",
            locale="en",
        )
        with self.database.reading() as session:
            body, _ = assemble(session, selection, heading, self.now, variant or Variant())
            patched = finished(session, selection, heading, self.now, variant or Variant(), self.rows)
        assert patched.body == body, "made of what is known and of what has moved, it says something else"
        return body

    def branch(self, session: Session, slug: str) -> Branch:
        return session.exec(select(Branch).where(col(Branch.slug) == slug)).one()


def monday(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=7 - day.weekday()), datetime.min.time())


def draft(number: int, first: datetime) -> tuple[EventDraft, str]:
    """The number-th event, and the branch that holds it."""
    shape = dict(SHAPES[number % len(SHAPES)])
    slug = list(BRANCHES)[number % len(BRANCHES) if number % 7 else 0]
    all_day = bool(shape.get("all_day"))
    start = (
        first + timedelta(weeks=number % 9) + (timedelta(0) if all_day else timedelta(hours=17 + number % 5))
    )
    length = (
        timedelta(days=int(str(shape.pop("days", 1))))
        if all_day
        else timedelta(hours=int(str(shape.pop("hours", 2))))
    )
    rule = str(shape.pop("rrule", "")).format(
        nth=(start.day - 1) // 7 + 1 if start.day <= 28 else -1,
        until=f"{start + timedelta(weeks=12):%Y%m%dT%H%M%S}",
        month=start.month,
        day=min(start.day, 28),
    )
    if "BYMONTHDAY" in rule:
        start = start.replace(day=min(start.day, 28))
    if "nth" in rule or ("MONTHLY" in rule and start.day > 28):
        rule = rule.replace(rule.split("BYDAY=")[1], "-1MO")
    _, _, zone, language = BRANCHES[slug]
    values = {
        "title": f"Event {number}: "
        + ("Reparación, ñandú; 🪚" if language == "es" else "tools, saws; and more"),
        "description": f"Line one, *two*; {number}\n\n" + "A longer text, so that lines are folded. " * 3,
        "start": start,
        "end": start + length,
        "timezone": zone,
        "rrule": rule,
        "language": language,
        "state": "published",
        "topics": ("Repair", "Kids")[: 1 + number % 2],
        "cost": "5 €" if number % 3 else "",
    }
    return EventDraft.model_validate(values | shape), slug


def populate(world: World, number: int) -> None:
    with world.database.writing() as session:
        for slug, (name, point, zone, language) in BRANCHES.items():
            session.add(branch(slug, name, point, timezone=zone, languages=language, city=name, country="US"))
        session.flush()
        hosts = {slug: world.branch(session, slug) for slug in BRANCHES}
        for each in range(number):
            wanted, slug = draft(each, monday(world.now.date()))
            event = store.add(session, wanted, [hosts[slug]], world.publishing, world.now)
            world.ids[str(each)] = event.id or 0


# ---------------------------------------------------------------- what happens


Step = Callable[[World], None]


def _saved(change: Callable[[World, Session, Event], None], name: str) -> Step:
    """A step on one event through the domain's verbs."""

    def step(world: World) -> None:
        with world.database.writing() as session:
            event = world.event(session, name)
            change(world, session, event)
            derived.save(session, event, world.publishing, world.tick())

    return step


def _revised(name: str, **changes: object) -> Step:
    def step(world: World) -> None:
        with world.database.writing() as session:
            event = world.event(session, name)
            told = derived.tell(session, event)
            wanted = {**dict(store.draft_of(told)), "overrides": (), "exdates": (), **changes}
            move = wanted.pop("move", None)
            if isinstance(move, timedelta):
                wanted |= {"start": event.start + move, "end": event.end + move}
            draft_ = EventDraft.model_validate(wanted)
            store.revise(session, event, draft_, told.hosts, world.publishing, world.tick())

    return step


def _date(name: str, place: int, **changes: object) -> Step:
    """One date of a series, the place-th (from 0), changed."""

    def step(world: World) -> None:
        with world.database.writing() as session:
            event = world.event(session, name)
            original = _nth_date(event, place)
            values = dict(changes)
            move = values.pop("move", None)
            if isinstance(move, timedelta):
                values |= {"start": original + move, "end": original + move + event.duration}
            change = OverrideDraft.model_validate({"original_start": original, **values})
            store.change_date(session, event, change, world.publishing, world.tick())

    return step


def _nth_date(event: Event, place: int) -> datetime:
    rule = rule_of(event)
    return list(starts(rule, event.start, limit=place + 1))[place]


def _following(name: str, place: int, new: str, **changes: object) -> Step:
    def step(world: World) -> None:
        with world.database.writing() as session:
            event = world.event(session, name)
            original = _nth_date(event, place)
            wanted = {**dict(store.following(session, event, original)), **changes}
            hosts = derived.tell(session, event).hosts
            later = store.change_following(
                session,
                event,
                original,
                EventDraft.model_validate(wanted),
                hosts,
                world.publishing,
                world.tick(),
            )
            world.ids[new] = later.id or 0

    return step


def _posted(name: str, path: str, **fields: str) -> Step:
    """A step through the forms of the desk; without `path`, the form of the event itself."""

    def step(world: World) -> None:
        world.tick()
        with world.database.reading() as session:
            event = world.event(session, name)
            form = form_of(session, event)
            items: dict[str, object] = {field_: list(form.all(field_)) for field_, _ in form.items()}
        data = items | fields if not path else fields
        answer = world.admin.post(f"/organize/events/{world.ids[name]}{path}", data=data)
        assert answer.status_code == 303, answer.text

    return step


def _branch_closes(world: World) -> None:
    with world.database.writing() as session:
        old, new = world.branch(session, "cedar"), world.branch(session, "alder")
        old.status, old.successor_id, old.updated_at = Status.CLOSED, new.id, world.tick()
    _refreshed(world)


def _refreshed(world: World) -> None:
    with world.database.writing() as session:
        while derived.refresh(session, world.publishing, world.now):
            pass


def _later(days: float) -> Step:
    def step(world: World) -> None:
        world.tick(days=days)
        _refreshed(world)

    return step


def _imported(world: World) -> None:
    first = monday(world.tick().date()) + timedelta(days=70, hours=18)
    dates = ",".join(f"{first + timedelta(days=days):%Y%m%dT%H%M%S}" for days in (3, 11, 26))
    lines = (
        *(
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//x//y//EN",
            "BEGIN:VEVENT",
            "UID:irregular@example.org",
        ),
        *(f"DTSTART;TZID=Europe/London:{first:%Y%m%dT%H%M%S}", "DURATION:PT1H"),
        *(f"RDATE;TZID=Europe/London:{dates}", "SUMMARY:Choir", "END:VEVENT", "END:VCALENDAR", ""),
    )
    file = BytesIO("\r\n".join(lines).encode())
    report = imports.import_events(
        world.database, file, publishing=world.publishing, now=world.now, branch="birch"
    )
    assert (report.added, report.refusals) == (4, [])


def _co_host(world: World, session: Session, event: Event) -> None:
    told = derived.tell(session, event)
    hosts = [*told.hosts, world.branch(session, "birch")]
    store.revise(session, event, store.draft_of(told), hosts, world.publishing, world.tick())


STEPS: tuple[tuple[str, Step], ...] = (
    ("new title", _revised("1", title="Another title")),
    ("new text by the form", _posted("1", "", description="Another text.")),
    ("one date cancelled", _date("1", 2, cancelled=True, reason="The boiler is broken.")),
    ("one date moved", _date("1", 4, move=timedelta(days=2, hours=-1))),
    ("one date has another title and place", _date("1", 5, title="In the park", venue_name="Park", venue_address="1")),
    ("the moved date moves again", _date("1", 4, move=timedelta(days=1))),
    ("the cancelled date is on again", _date("1", 2)),
    ("one date cancelled for good", _date("1", 3, cancelled=True)),
    ("the series ends", _revised("1", rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=30")),
    ("this and following", _following("1", 8, "1b", title="From now on upstairs")),
    ("a date of the later part is cancelled", _date("1b", 1, cancelled=True)),
    ("the hour of a series changes with its dates", _revised("1b", move=timedelta(hours=-1))),
    ("the weekday of a series changes", _revised("1b", move=timedelta(days=1), rrule="FREQ=WEEKLY;BYDAY=TU")),
    ("cancelled by the form", _posted("2", "/cancellation", reason="Too few people.")),
    ("on again by the form", _posted("2", "/publication")),
    ("a single event moves to another day", _revised("12", move=timedelta(days=2))),
    ("and to another hour", _revised("12", move=timedelta(hours=1))),
    ("postponed", _saved(lambda world, _, event: event.postpone("The hall is flooded.", world.now), "0")),
    ("a new date is found", _revised("0", move=timedelta(days=21), state="published", reason="")),
    ("all-day becomes timed", _revised("6", all_day=False, move=timedelta(hours=10))),
    ("removed by the form", _posted("18", "/removal")),
    ("another zone by the form", _posted("3", "", timezone="Asia/Kolkata")),
    ("another branch by the form", _posted("14", "", branch="elm")),
    ("another topic", _revised("16", topics=("Gardening",))),
    ("no topic", _revised("17", topics=())),
    ("a branch joins", _saved(_co_host, "20")),
    ("back to a draft", _saved(lambda world, _, event: event.unpublish(), "13")),
    ("the draft changes unseen", _revised("13", title="Not public")),
    ("published again", _saved(lambda world, _, event: event.publish(), "13")),
    ("an irregular series is imported", _imported),
    ("a branch closes into another", _branch_closes),
    ("a series is cancelled", _saved(lambda world, _, event: event.cancel("It is over.", world.now), "10")),
    ("nothing happens for a day", _later(1)),
    ("and for a month", _later(32)),
    ("and for another", _later(35)),
)  # fmt: skip


def lived(world: World, number: int = 300) -> Iterator[str]:
    """Makes the events, then takes step by step; yields after each."""
    populate(world, number)
    yield "the beginning"
    for name, step in STEPS:
        step(world)
        yield name


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/life.db"
        settings = Settings(data_dir=Path(scratch), database_url=url, secret_key="x", rate_limits=False)
        database = Database(url, size=4)
        migrations.upgrade(database)
        with database.writing() as session:
            dee = sign_in.find_or_add(session, "dee@example.org", datetime.now(UTC))
            permissions.invite(session, dee, None, Role.ADMIN)
        with running(settings) as app:
            world = World(database, publishing_of(settings), signed_in(app, database, dee), datetime.now(UTC))
            for number, name in enumerate(lived(world)):
                kinds = {
                    "all": EVERYTHING,
                    "cedar": Selection(branches=("cedar",)),
                    "repair": Selection(topics=("repair",)),
                }
                for kind, selection in kinds.items():
                    (folder / f"{kind}-{number:02d}-{name.replace(' ', '-')}.ics").write_bytes(
                        world.feed(selection)
                    )
        database.dispose()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
