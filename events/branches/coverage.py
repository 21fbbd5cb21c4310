"""What an admin should look at: branches whose data can hardly be right, or that nobody has confirmed for long.

All branches that are not closed are read once, as columns. Of each kind all findings are counted and the first
are kept, so that a million branches take no more memory than a thousand.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from ..db import table_of
from ..errors import Message, say
from ..places.gazetteer import read_only
from ..places.geo import Point
from ..places.lookup import Gazetteer
from .hours import EXAMPLE
from .models import GUESSED, Branch, ServiceKey, Status
from .oddities import (
    Directory,
    Known,
    Stated,
    no_position,
    odd_coordinates,
    unconfirmed,
    unknown_code,
    unreadable_hours,
    wrong_country,
)

SHOWN = 100  # of each kind
SHOWN_TOGETHER = 10  # of the branches at one point
STREAMED = {"yield_per": 2000}  # rows are never all in memory


class Named(NamedTuple):
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is odd about a branch, or about several together: `others` are more of them than are named."""

    branches: Sequence[Named]
    message: Message
    others: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    key: str
    title: Message
    advice: Message


@dataclass(slots=True)
class Check:
    """`total` counts all findings of the kind, `findings` holds the first."""

    kind: Kind
    total: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.total += 1
        if len(self.findings) < SHOWN:
            self.findings.append(finding)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Without a directory of places, codes and distances were not looked at."""

    branches: int
    checks: Sequence[Check]
    has_directory: bool


def coverage(session: Session, gazetteer: Gazetteer, now: datetime) -> Coverage:
    """Everything that is odd, the gravest kind first. Distances in messages are `Distance`."""
    opened = closing(read_only(gazetteer.path)) if gazetteer.exists else nullcontext()
    with opened as database:
        known = Known(Directory(database) if database else None, now.date())
        alone = [(Check(kind), test) for kind, test in ALONE]
        branches = 0
        for row in _rows(session):
            branches += 1
            for check, test in alone:
                if message := test(row, known):
                    check.add(Finding([Named(row.slug, row.name)], message))
    checks = [check for check, _ in alone] + [together(session) for together in TOGETHER]
    return Coverage(branches, checks, database is not None)


def _rows(session: Session) -> Iterator[Stated]:
    table = table_of(Branch)
    query = sa.select(*(table.c[name] for name in Stated._fields)).where(table.c.status != Status.CLOSED)
    rows = session.connection().execute(query.order_by(table.c.id), execution_options=STREAMED)
    return map(Stated._make, rows)


Test = Callable[[Stated, Known], Message | None]

ALONE: Sequence[tuple[Kind, Test]] = (
    (
        Kind(
            "coordinates",
            say("Coordinates that do not fit"),
            say(
                "Look the address up on a map, and put right the coordinates or the address. Without coordinates the"
                " postal code or the town places the branch."
            ),
        ),
        odd_coordinates,
    ),
    (
        Kind(
            "country",
            say("In another country"),
            say("Either the country or the coordinates are wrong: put right the one that is."),
        ),
        wrong_country,
    ),
    (
        Kind(
            "nowhere",
            say("Without a position"),
            say("Give coordinates, or a postal code or town that the directory of places knows."),
        ),
        no_position,
    ),
    (
        Kind(
            "codes",
            say("Postal codes that are not known"),
            say(
                "Look for a slip. Newer or finer codes than the directory of places has can be added to it with"
                " “branchline places import”."
            ),
        ),
        unknown_code,
    ),
    (
        Kind(
            "hours",
            say("Opening hours that are not understood"),
            say(
                "They are shown as they were typed, but nobody learns whether the branch is open. Write them like"
                " %(example)s.",
                example=EXAMPLE,
            ),
        ),
        unreadable_hours,
    ),
    (
        Kind(
            "confirmed",
            say("Not confirmed for a year"),
            say(
                "Ask the branch whether everything still holds, and press “It is all still right” on its page."
            ),
        ),
        unconfirmed,
    ),
)


# ---------------------------------------------------------------- branches against each other


def same_coordinates(session: Session) -> Check:
    """By points, the most crowded first; branches that only their postal code placed are not meant."""
    check = Check(
        Kind(
            "same",
            say("At exactly the same point"),
            say(
                "That is fine where branches share a building. Elsewhere one has the coordinates of another."
            ),
        )
    )
    points = session.connection().execute(_shared_points()).all()
    named = _named_at(session, [(latitude, longitude) for latitude, longitude, *_ in points])
    for latitude, longitude, number, total in points:
        check.total = total
        here = named[latitude, longitude]
        point = Point(latitude, longitude)
        message = say("%(count)d branches stand at %(point)s.", count=number, point=point)
        check.findings.append(Finding(here, message, number - len(here)))
    return check


def _shared_points() -> sa.Select[float, float, int, int]:
    """The most crowded points: each with the number of branches there, and that of all such points."""
    table = table_of(Branch)
    number, total = sa.func.count().label("number"), sa.func.count().over()
    query = sa.select(table.c.latitude, table.c.longitude, number, total).where(*_stands_exactly(table))
    shared = query.group_by(table.c.latitude, table.c.longitude).having(number > 1)
    return shared.order_by(number.desc(), table.c.latitude, table.c.longitude).limit(SHOWN)


def _named_at(
    session: Session, points: Sequence[tuple[float, float]]
) -> dict[tuple[float, float], list[Named]]:
    """The first branches at each of the points. One pass over all: there is no index by coordinates."""
    table = table_of(Branch)
    at = sa.tuple_(table.c.latitude, table.c.longitude).in_(points)
    query = sa.select(table.c.latitude, table.c.longitude, table.c.slug, table.c.name)
    named: dict[tuple[float, float], list[Named]] = {point: [] for point in points}
    for latitude, longitude, slug, name in session.connection().execute(
        query.where(at, *_stands_exactly(table)).order_by(table.c.id), execution_options=STREAMED
    ):
        here = named[latitude, longitude]
        if len(here) < SHOWN_TOGETHER:
            here.append(Named(slug, name))
    return named


def _stands_exactly(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        table.c.latitude.is_not(None),
        table.c.status != Status.CLOSED,
        table.c.geocode_accuracy.not_in(GUESSED),
    )


def overlapping_codes(session: Session) -> Check:
    """By postal codes, those that most branches serve first; a code also overlaps with a beginning of it."""
    check = Check(
        Kind(
            "shared_codes",
            say("The same postal codes"),
            say(
                "Whoever lives there is offered all of these branches: say in one service area only what one serves."
            ),
        )
    )
    found: dict[str, set[int]] = {}
    for key, one, other in session.connection().execute(_overlaps(), execution_options=STREAMED):
        found.setdefault(key.split(":")[-1], set()).update((one, other))
    check.total = len(found)
    most = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))[:SHOWN]
    table = table_of(Branch)
    wanted = {number for _, numbers in most for number in numbers}
    rows = session.connection().execute(
        sa.select(table.c.id, table.c.slug, table.c.name).where(table.c.id.in_(wanted))
    )
    named = {number: Named(slug, name) for number, slug, name in rows}
    for code, numbers in most:
        here = [named[number] for number in sorted(numbers)][:SHOWN_TOGETHER]
        message = say("%(count)d branches serve the postal code %(code)s.", count=len(numbers), code=code)
        check.findings.append(Finding(here, message, len(numbers) - len(here)))
    return check


def _overlaps() -> sa.Select[str, int, int]:
    """Pairs of branches with the key of the code, or of the longer beginning, that both serve."""
    one, other = (sa.alias(table_of(ServiceKey)) for _ in range(2))
    begun = sa.func.substr(other.c.key, len("begin:") + 1)
    beginning = sa.and_(
        other.c.key.startswith("begin:"),
        sa.or_(one.c.key.like("code:" + begun + "%"), one.c.key.like("begin:" + begun + "%")),
    )
    same = sa.or_(one.c.key == other.c.key, beginning)
    active = [
        sa.exists().where(
            table_of(Branch).c.id == alias.c.branch_id, table_of(Branch).c.status != Status.CLOSED
        )
        for alias in (one, other)
    ]
    return sa.select(one.c.key, one.c.branch_id, other.c.branch_id).where(
        one.c.branch_id != other.c.branch_id,
        sa.or_(one.c.key.startswith("code:"), one.c.key.startswith("begin:")),
        same,
        *active,
    )


# Each compares branches with each other, and is one more list on the page.
TOGETHER: Sequence[Callable[[Session], Check]] = (same_coordinates, overlapping_codes)
