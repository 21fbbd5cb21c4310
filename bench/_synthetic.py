"""Branches and events of any number that nobody has, on either engine: seeded, so the same every time.

usage: python -m bench._synthetic --branches 20000 --events 100000 [--seed 7] [--base-url URL] DATABASE_URL

The first events of each time zone are written as the site writes them; all others are copies of these, made by the
database, with branches, keys, places and titles of their own. Their fingerprints are those of what they are copies
of, so the first save of a copy moves it. DATABASE_URL names an empty database; it is brought to the newest schema.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel, col, select

from events import migrations
from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.calendars.feeds import Heading, Note
from events.calendars.models import Event, EventBranch, EventTopic, Occurrence, Rendered
from events.config import database_url
from events.db import Database, table_of
from events.places.geo import Point
from events.places.naming import code_key, fold

PUBLISHING = Publishing("https://events.example.org", "Bench", ("en", "es"))
HEADING = Heading(
    name="Bench",
    description="",
    capped="",
    empty=Note(""),
    url="https://events.example.org/events",
    source="https://events.example.org/events.ics",
    locale="en",
)
CHUNK = 20_000
PATTERNS, COPIES = 72, 100  # events of each time zone that the site itself writes: so many, or one in so many
PAST_DAYS, COMING_DAYS = 50, 330  # short of what feeds drop and of what is written out
SITES = 600
SCATTERED = 0.05  # of the branches stand anywhere in their region
SQLITE_CACHE_KB = 200_000

# Country, time zone, per cent of the towns; from south to north, from west to east.
REGIONS = (
    ("US", "America/New_York", 30, 33, 43, -84, -74),
    ("US", "America/Chicago", 20, 31, 45, -97, -88),
    ("US", "America/Los_Angeles", 10, 34, 48, -122, -117),
    ("GB", "Europe/London", 12, 51, 55, -3, 0),
    ("DE", "Europe/Berlin", 9, 48, 54, 7, 13),
    ("ES", "Europe/Madrid", 7, 37, 43, -6, -1),
    ("BR", "America/Sao_Paulo", 4, -28, -16, -52, -42),
    ("JP", "Asia/Tokyo", 4, 34, 39, 134, 140),
    ("AU", "Australia/Sydney", 4, -37, -29, 145, 152),
)
BEGINNINGS = ("Alder", "Birch", "Cedar", "Dunn", "Elm", "Fern", "Glen", "Hazel", "Iver", "Juniper")
MIDDLES = ("ar", "bel", "cor", "dan", "en", "fal")
ENDINGS = ("bury", "dale", "ford", "ham", "ley", "mouth", "port", "stead", "ton", "wick")
KINDS = (
    ("Repair evening", "Repair"),
    ("Choir", "Music"),
    ("Seed swap", "Garden"),
    ("Language table", "Languages"),
    ("Reading group", "Books"),
    ("Tenants' meeting", "Housing"),
    ("Film night", "Film"),
    ("Open house", "Community"),
)
TEXT = (
    "Bring **anything** with a plug, or only yourself. We begin on time, and there is tea. "
    "The room is on the ground floor; whoever needs help on the way calls us the day before."
)


@dataclass(frozen=True, slots=True)
class Site:
    """A town where branches stand: about it by `spread` degrees, more of them the greater the `weight`."""

    town: str
    region: str
    code: str
    country: str
    timezone: str
    point: Point
    spread: float = 0.03
    weight: float = 1.0


def fill(
    database: Database,
    *,
    branches: int,
    events: int = 0,
    seed: int = 7,
    now: datetime | None = None,
    sites: Sequence[Site] = (),
    publishing: Publishing = PUBLISHING,
) -> None:
    """Branches 1 to `branches` (`b1`, `b2`, …), each with its share of the events, most of them after `now` (None:
    today). They crowd in towns, made up unless `sites` are given."""
    chance = random.Random(seed)
    moment = now or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    zones = _branches(database, branches, chance, sites or towns(seed), moment)
    if events:
        _events(database, _shares(zones, events), chance, publishing, moment)
    _settle(database)


def towns(seed: int = 7) -> list[Site]:
    """The largest first: a town has as many branches as its rank says, the second half of the first."""
    chance = random.Random(f"towns {seed}")
    names = [f"{first}{middle}{last}" for middle in MIDDLES for last in ENDINGS for first in BEGINNINGS]
    return [_town(name, rank, chance) for rank, name in enumerate(names[:SITES])]


def _town(name: str, rank: int, chance: random.Random) -> Site:
    shares = [share for _, _, share, *_ in REGIONS]
    country, timezone, _, south, north, west, east = (
        REGIONS[0] if not rank else chance.choices(REGIONS, shares)[0]
    )
    return Site(
        town=name,
        region=timezone.rpartition("/")[2][:2].upper(),
        code=str(10_000 + rank * 149),
        country=country,
        timezone=timezone,
        point=Point(round(chance.uniform(south, north), 4), round(chance.uniform(west, east), 4)),
        spread=0.15 / (1 + rank / 100),
        weight=1 / (1 + rank),
    )


# ---------------------------------------------------------------- branches


def _branches(
    database: Database, number: int, chance: random.Random, sites: Sequence[Site], now: datetime
) -> list[str]:
    """Returns the time zone of each."""
    weights, zones = [site.weight for site in sites], list[str]()
    for numbers in _chunks(range(1, number + 1)):
        there = chance.choices(sites, weights, k=len(numbers))
        rows = [_branch(each, site, chance, now) for each, site in zip(numbers, there, strict=True)]
        with _writing(database) as connection:
            connection.execute(table_of(Branch).insert(), rows)
        zones += [site.timezone for site in there]
    return zones


def _branch(number: int, site: Site, chance: random.Random, now: datetime) -> dict[str, Any]:
    spread = site.spread if chance.random() > SCATTERED else 1.5
    latitude = min(max(site.point.latitude + chance.gauss(0, spread), -89.0), 89.0)
    longitude = (site.point.longitude + chance.gauss(0, spread) + 180) % 360 - 180
    point, name = Point(round(latitude, 6), round(longitude, 6)), f"{site.town} {number}"
    x, y, z = point.ecef()
    return {
        **{
            "id": number,
            "slug": f"b{number}",
            "name": name,
            "search_key": fold(name),
            "name_key": fold(name),
        },
        **{"city_key": fold(site.town), "code_key": code_key(site.code), "geocode_accuracy": "exact"},
        **{"address_1": f"{number % 200 + 1} Main Street", "city": site.town, "state_province": site.region},
        **{"postal_code": site.code, "country": site.country, "timezone": site.timezone, "languages": "en"},
        **{"latitude": point.latitude, "longitude": point.longitude, "x": x, "y": y, "z": z},
        **{"opening_hours": "Mo-Fr 10:00-18:00; Sa 10:00-13:00", "updated_at": now},
    }


# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class _Shares:
    """Which branch each event is of, by id: of those that the site writes, and of the copies with their zones."""

    patterns: Sequence[tuple[int, str]]
    copies: Sequence[tuple[int, str]]


def _shares(zones: Sequence[str], number: int) -> _Shares:
    """The branches take turns, so each has as many as any other, or one more. The more there are, the more patterns:
    of a million events no thousand begins at the same moment."""
    written, patterns, copies = Counter[str](), list[tuple[int, str]](), list[tuple[int, str]]()
    most = {zone: max(PATTERNS, number * of // len(zones) // COPIES) for zone, of in Counter(zones).items()}
    for each in range(number):
        branch, zone = each % len(zones) + 1, zones[each % len(zones)]
        written[zone] += 1
        (patterns if written[zone] <= most[zone] else copies).append((branch, zone))
    return _Shares(patterns, copies)


def _events(
    database: Database, shares: _Shares, chance: random.Random, publishing: Publishing, now: datetime
) -> None:
    patterns: dict[str, list[int]] = {}
    with database.writing() as session:
        for branch, zone in shares.patterns:
            written = patterns.setdefault(zone, [])
            host = session.get_one(Branch, branch)
            event = store.add(
                session, _draft(len(written), host, now), [host], publishing, now, uid=_uid(chance)
            )
            written.append(event.id or 0)
    first = len(shares.patterns) + 1
    for numbers in _chunks(range(len(shares.copies))):
        made = [
            {
                "id": first + each,
                "pattern": chance.choice(patterns[zone]),
                "uid": _uid(chance),
                "branch": branch,
            }
            for each, (branch, zone) in ((each, shares.copies[each]) for each in numbers)
        ]
        with _writing(database) as connection:
            _copy_all(connection, made)


def _uid(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}"


def _draft(number: int, host: Branch, now: datetime) -> EventDraft:
    """The pattern of that number in its time zone: every seventh is past, every ninth goes on for weeks."""
    kind, topic = KINDS[number % len(KINDS)]
    days = -1 - number * 5 % PAST_DAYS if number % 7 == 3 else number * 37 % COMING_DAYS
    start = datetime(now.year, now.month, now.day, 9 + number % 12, 15 * (number // 3 % 4)) + timedelta(
        days=days
    )
    rule = "FREQ=WEEKLY" if number % 72 == 4 else "FREQ=WEEKLY;COUNT=10" if number % 9 == 4 else ""
    online, called_off = number % 10 == 6, number % 24 == 20
    return EventDraft.model_validate(
        {
            "title": f"{kind} in {host.city}",
            "description": TEXT,
            "language": "en",
            "start": start,
            "end": start + timedelta(hours=1 + number % 3),
            "timezone": host.timezone,
            "rrule": rule,
            "topics": (topic,) if number % 5 else (topic, "For beginners"),
            "attendance": "online" if online else "in-person",
            "online_url": "https://meet.example.org/room" if online else "",
            "venue": None if online else {"name": "Town hall", "address_1": "1 Main Street"},
            "access": ("step-free",) if number % 3 else ("step-free", "childcare"),
            "cost": "Free",
            "state": "cancelled" if called_off else "published",
            "reason": "The room is under water." if called_off else "",
        }
    )


MADE = sa.Table(
    "made",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("pattern", sa.Integer),
    sa.Column("uid", sa.String),
    sa.Column("branch", sa.Integer),
    prefixes=["TEMPORARY"],
)


def _copy_all(connection: sa.Connection, made: Sequence[Mapping[str, Any]]) -> None:
    """The rows of each pattern once more: what they say of their event and of its branch is exchanged."""
    event, old, new = table_of(Event), table_of(Branch).alias("old"), table_of(Branch).alias("new")
    MADE.create(connection)
    connection.execute(MADE.insert(), made)
    whose = (
        MADE.join(event, event.c.id == MADE.c.pattern)
        .join(old, old.c.id == event.c.branch_id)
        .join(new, new.c.id == MADE.c.branch)
    )
    title = _exchanged(" in ", old.c.city, new.c.city)
    of_event, of_branch = {"event_id": MADE.c.id}, {"branch_id": MADE.c.branch}
    changed: dict[str, Any] = {"id": MADE.c.id, "uid": MADE.c.uid, "title": title(event.c.title)} | of_branch
    changed["search_key"] = _exchanged(" in ", old.c.city_key, new.c.city_key)(event.c.search_key)
    changed["listed_in"] = _exchanged("branch:", old.c.id, new.c.id, ",")(event.c.listed_in)
    for name in ("latitude", "longitude", "x", "y", "z"):  # what is only online is nowhere
        changed[name] = sa.case((event.c[name].is_not(None), new.c[name]))
    _copy(connection, event, whose, changed)
    rendered, occurrence = table_of(Rendered).c, table_of(Occurrence).c
    page = _exchanged("/events/", event.c.id, MADE.c.id)
    text = title(page(sa.func.replace(rendered.ics, event.c.uid, MADE.c.uid)))
    of_pattern: Sequence[tuple[type[SQLModel], dict[str, Any]]] = (
        (Rendered, of_event | {"ics": text}),
        (Occurrence, of_event | {"title": title(occurrence.title)}),
        (EventBranch, of_event | of_branch),
        (EventTopic, of_event),
    )
    for model, values in of_pattern:
        table = table_of(model)
        _copy(connection, table, whose.join(table, table.c.event_id == MADE.c.pattern), values)
    MADE.drop(connection)


def _exchanged(before: str, old: Any, new: Any, after: str = "") -> Any:
    """A function of a text: what stands between the two is another."""
    was, becomes = (before + sa.cast(value, sa.String) + after for value in (old, new))
    return lambda text: sa.func.replace(text, was, becomes)


def _copy(
    connection: sa.Connection, table: sa.Table, whose: sa.FromClause, changed: Mapping[str, Any]
) -> None:
    values = [changed.get(column.name, column) for column in table.columns]
    query = sa.select(*values).select_from(whose).order_by(MADE.c.id)
    connection.execute(table.insert().from_select([column.name for column in table.columns], query))


# ---------------------------------------------------------------- pieces


def _chunks(numbers: range) -> Iterator[range]:
    for begin in range(0, len(numbers), CHUNK):
        yield numbers[begin : begin + CHUNK]


@contextmanager
def _writing(database: Database) -> Iterator[sa.Connection]:
    """With memory for the indexes, which are filled in no order."""
    with database.writing() as session:
        if database.is_sqlite:
            session.connection().exec_driver_sql(f"PRAGMA cache_size=-{SQLITE_CACHE_KB}")
        yield session.connection()


def _settle(database: Database) -> None:
    """What PostgreSQL does by itself in time, and planners know what there is."""
    if not database.is_sqlite:
        with _writing(database) as connection:
            for table in (table_of(Branch), table_of(Event)):
                last = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 1)).scalar_subquery()
                sequence = sa.func.pg_get_serial_sequence(table.name, "id")
                connection.execute(sa.select(sa.func.setval(sequence, last)))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE" if database.is_sqlite else "VACUUM ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", metavar="DATABASE_URL")
    parser.add_argument("--branches", type=int, default=1000)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--base-url", default=PUBLISHING.base_url, help="that of the site, or it renders all anew"
    )
    options = parser.parse_args()
    database = Database(database_url(options.url), size=1)
    migrations.upgrade(database)
    with database.reading() as session:
        if session.exec(select(col(Branch.id)).limit(1)).first() is not None:
            sys.exit("There are branches in this database already: name an empty one.")
    begun = time.perf_counter()
    publishing = replace(PUBLISHING, base_url=options.base_url)
    fill(database, branches=options.branches, events=options.events, seed=options.seed, publishing=publishing)
    database.dispose()
    print(f"{options.branches} branches, {options.events} events in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
