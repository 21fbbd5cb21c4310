"""What a visitor typed, what it may mean, and which branches are there: the territory first, the nearest second."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..db import table_of
from ..places.geo import Distance, Point
from ..places.known import Wanted
from ..places.lookup import Gazetteer
from ..places.naming import fold
from ..places.readings import Interpretation, KnownPlace, UnknownPlace
from .models import VIRTUAL, Branch, Status
from .queries import FOUND, Near, named_like, named_so, nearest_to
from .serving import Served, serving

NEAREST = 5
MOST_SERVING = 5
MOST_EXAMINED = 400  # of the nearest, for what only a look at each can tell (whether it is open)
MOST_ONLINE = 3
MOST_RESTING = 2
RESTING = (Status.INACTIVE, Status.CLOSED)
BRANCH_PRECISION_KM, CONFIDENTIAL_PRECISION_KM = 0.1, 10.0
MOST_KNOWN = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed and for whom it is read."""

    text: str
    country: str | None = None  # said
    prefer: Sequence[str] = ()  # `country_order(…)`
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class Wish:
    """Which branches: `conditions` on the table, `fits` for what only a look at each can tell."""

    conditions: Sequence[sa.ColumnElement[bool]] = ()
    fits: Callable[[Branch], bool] | None = None

    def is_met_by(self, branch: Branch) -> bool:
        """Of a branch that meets the conditions."""
        return self.fits is None or self.fits(branch)


@dataclass(frozen=True, slots=True)
class Found:
    """Around one place. `serving` come first and are not among the `nearest` again."""

    serving: Sequence[Served] = ()
    nearest: Sequence[Near] = ()
    more: bool = False  # there is another page of the nearest
    online: Sequence[Branch] = ()
    resting: Sequence[Near] = ()  # inactive or closed, and nearer than the nearest

    @property
    def branches(self) -> list[Branch]:
        """In the order of the list."""
        return [*(one.branch for one in self.serving), *(one.branch for one in self.nearest)]


ANY = Wish()


def read(session: Session, gazetteer: Gazetteer, asked: Asked) -> list[Interpretation]:
    """What was typed may mean, the likeliest first, the names of branches included.

    Raises Unreadable, InvalidCoordinates and UnknownPlace.
    """
    called = _named(session, named_so, asked.text)
    try:
        places = gazetteer.interpretations(
            asked.text,
            country=asked.country,
            prefer=asked.prefer,
            locale=asked.locale,
            known=lambda wanted: known_places(session, wanted),
        )
    except UnknownPlace:
        called = called or _named(session, named_like, asked.text)
        if not called:
            raise
        return called
    if not called and (places[0].mended or places[0].used):
        called = _named(session, named_like, asked.text)
    return [*called, *places]


def around(
    session: Session,
    gazetteer: Gazetteer,
    place: Interpretation,
    *,
    farthest: Distance | None = None,
    page: int = 1,
    size: int = NEAREST,
    wish: Wish = ANY,
) -> Found:
    """The branches for a place: who serves it, the nearest (or a page of all within a distance), who is online."""
    fitting = (
        one for one in serving(session, gazetteer, place, wish.conditions) if wish.is_met_by(one.branch)
    )
    served = list(islice(fitting, MOST_SERVING))
    if place.point is None:
        return Found(serving=served, online=online(session, place.country, wish))
    shown = {one.branch.id for one in served}
    wanted = page * size + len(shown) + (farthest is not None)
    there, resting = _nearest(session, place.point, wanted, farthest, wish)
    near = [one for one in there if one.branch.id not in shown]
    return Found(
        serving=served if page == 1 else (),
        nearest=near[(page - 1) * size : page * size],
        more=farthest is not None and len(near) > page * size,
        online=online(session, place.country, wish) if page == 1 else (),
        resting=resting if page == 1 else (),
    )


def _nearest(
    session: Session, point: Point, wanted: int, farthest: Distance | None, wish: Wish
) -> tuple[list[Near], list[Near]]:
    """As many as are wanted of those that fit the wish, and those that are nearer and not open any more."""
    limit, gone = wanted + MOST_RESTING, list[Near]()
    while True:
        statuses = (*FOUND, *RESTING) if limit < MOST_EXAMINED else FOUND
        near = nearest_to(
            session, point, limit=limit, farthest=farthest, statuses=statuses, also=wish.conditions
        )
        gone = list(takewhile(lambda one: one.branch.status in RESTING, near)) or gone
        there = [one for one in near if one.branch.status in FOUND]
        fitting = [one for one in there if wish.is_met_by(one.branch)]
        if len(fitting) >= wanted or len(near) < limit or limit >= MOST_EXAMINED:
            return fitting[:wanted], gone[:MOST_RESTING]
        limit = min(limit * 4, MOST_EXAMINED)


def online(session: Session, country: str | None, wish: Wish = ANY) -> Sequence[Branch]:
    """Branches without a place that meet online, those of the country first."""
    found = session.exec(
        _ONLINE.where(*wish.conditions) if wish.conditions else _ONLINE, params={"here": country or ""}
    )
    return [branch for branch in found if wish.is_met_by(branch)][:MOST_ONLINE]


_ONLINE = (
    select(Branch)
    .where(VIRTUAL, col(Branch.status) == Status.ACTIVE)
    .order_by(
        sa.case((col(Branch.country) == sa.bindparam("here"), 0), else_=1), col(Branch.name), col(Branch.id)
    )
    .limit(4 * MOST_ONLINE)
)


def known_places(session: Session, wanted: Wanted) -> Iterator[KnownPlace]:
    """Where branches are: serves where the directory of places does not know a place, or is missing."""
    codes = [col(Branch.code_key).startswith(code, autoescape=True) for code in sorted(wanted.codes)]
    branch = table_of(Branch).c
    columns = (branch.postal_code, branch.city, branch.state_province, branch.country)
    query = sa.select(*columns, branch.latitude, branch.longitude).where(
        sa.or_(branch.city_key.in_(wanted.towns), *codes),
        branch.latitude.is_not(None),
        branch.confidential.is_(False),
        branch.status != Status.CLOSED,
    )
    rows = session.connection().execute(query.order_by(branch.id).limit(MOST_KNOWN))
    for code, city, region, country, latitude, longitude in rows:
        yield KnownPlace(code, city, region, country, Point(latitude, longitude))


def _named(
    session: Session, way: Callable[[Session, str], Sequence[Branch]], typed: str
) -> list[Interpretation]:
    """The name of a branch is a place too; a confidential one is about as far as its town."""
    return [
        Interpretation(
            kind="branch",
            label=branch.name,
            country=branch.country or None,
            point=branch.public_point,
            precision_km=CONFIDENTIAL_PRECISION_KM if branch.confidential else BRANCH_PRECISION_KM,
            slug=branch.slug,
        )
        for branch in way(session, fold(typed))
    ]
