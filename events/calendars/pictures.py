"""Pictures of events and of news: kept as they were sent until the worker has made ours of them, then forgotten.

An event names its picture from the moment it was sent. It is shown, and calendars hear of it, once it is ready.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from .. import pictures
from ..db import Database, due, insert_into, lease, table_of
from ..errors import BranchlineError, NotFound
from ..later import loaded_later
from ..pictures import Prepared
from ..sandbox import Crashed, packed
from . import derived
from .content import Publishing
from .models import Event, Picture, PictureState

if TYPE_CHECKING:
    from ..people import history
else:
    history = loaded_later("events.people.history")

LEASE = timedelta(minutes=3)  # longer than decoding may take; after a crash a picture waits this long
KEEP_UNUSED = timedelta(days=30)

log = logging.getLogger("branchline.pictures")

Prepare = Callable[[bytes], Prepared]
_BLOBS: tuple[Any, ...] = (Picture.original, Picture.large, Picture.small)  # megabytes each


@dataclass(frozen=True, slots=True)
class Work:
    """A picture as it was claimed, to be decoded outside of any transaction."""

    id: str
    original: bytes


def add(session: Session, branch_id: int | None, picture_id: str, data: bytes, now: datetime) -> None:
    """Keeps what was sent, which `events.pictures.check` has passed; once, however often it is sent."""
    picture = Picture(id=picture_id, branch_id=branch_id, original=data, created_at=now, run_at=now)
    values = picture.model_dump()
    session.connection().execute(
        insert_into(session, table_of(Picture)).values(values).on_conflict_do_nothing()
    )


def one(session: Session, picture_id: str | None) -> Picture | None:
    """The picture without its bytes."""
    query = select(Picture).options(*map(defer, _BLOBS)).where(col(Picture.id) == picture_id)
    return session.exec(query).one_or_none() if picture_id else None


def ready(session: Session, ids: Collection[str]) -> Mapping[str, Picture]:
    """Those of them that can be shown, without their bytes, by their names."""
    query = select(Picture).options(*map(defer, _BLOBS)).where(col(Picture.id).in_(ids))
    found = session.exec(query.where(_is(PictureState.READY))) if ids else ()
    return {picture.id: picture for picture in found}


def data(session: Session, picture_id: str, *, small: bool = False) -> bytes:
    """What is shown. Raises NotFound for a picture that is not there, or not ready."""
    query = select(Picture.small if small else Picture.large)
    found = session.exec(query.where(col(Picture.id) == picture_id, _is(PictureState.READY))).first()
    if found is None:
        raise NotFound
    return found


def put_on(
    session: Session, event: Event, picture_id: str | None, alt: str, publishing: Publishing, now: datetime
) -> None:
    """Gives the event this picture, or none. To be called in `changes.recorded`."""
    event.picture_id, event.picture_alt = picture_id, alt
    derived.save(session, event, publishing, now)


# ---------------------------------------------------------------- what the worker does


def is_due(session: Session, now: datetime) -> bool:
    """Whether there is anything to claim: a look that takes no lock."""
    return session.connection().execute(due(table_of(Picture), now).limit(1)).first() is not None


def claim(session: Session, now: datetime) -> Work | None:
    """Leases the picture that has waited longest, by one conditional UPDATE."""
    table = table_of(Picture)
    claimed = lease(table, due(table, now), now + LEASE).returning(table.c.id, table.c.original)
    row = session.connection().execute(claimed).first()
    return Work(row.id, row.original or b"") if row else None


def work_on(
    database: Database,
    work: Work,
    publishing: Publishing,
    now: datetime,
    prepare: Prepare = pictures.prepare,
) -> None:
    """Decodes a claimed picture. What is wrong with it is kept, for the person who sent it to see."""
    try:
        prepared = prepare(work.original)
    except BranchlineError as error:
        if isinstance(error, Crashed):
            log.error("picture %s: %s", work.id, error.details)
        with database.writing() as session:
            mark_refused(session, work.id, error)
    except OSError:
        log.exception("picture %s", work.id)  # no process could be started; the lease runs out
    else:
        with database.writing() as session:
            mark_ready(session, work.id, prepared, publishing, now)


def mark_ready(
    session: Session, picture_id: str, prepared: Prepared, publishing: Publishing, now: datetime
) -> None:
    """Forgets what was sent, and tells those who follow the events that have the picture."""
    picture = _settled(session, picture_id)
    if picture is None:
        return
    picture.state = PictureState.READY
    picture.large, picture.small = prepared.large, prepared.small
    picture.width, picture.height = prepared.width, prepared.height
    session.flush()
    for event in _with_picture(session, picture_id):
        derived.save(session, event, publishing, now)


def mark_refused(session: Session, picture_id: str, error: BranchlineError) -> None:
    picture = _settled(session, picture_id)
    if picture is not None:
        picture.state, picture.fault = PictureState.REFUSED, dict(packed(error.message))


def _settled(session: Session, picture_id: str) -> Picture | None:
    """None when another worker was faster: its lease had run out meanwhile."""
    query = select(Picture).options(*map(defer, _BLOBS)).where(col(Picture.id) == picture_id)
    picture = session.exec(query.where(_is(PictureState.NEW)).with_for_update()).one_or_none()
    if picture is not None:
        picture.original, picture.run_at, picture.leased_until = None, None, None
    return picture


def _with_picture(session: Session, picture_id: str) -> Sequence[Event]:
    return session.exec(select(Event).where(col(Event.picture_id) == picture_id)).all()


def _is(state: PictureState) -> sa.ColumnElement[bool]:
    return col(Picture.state) == state


# ---------------------------------------------------------------- what nobody uses any more


def forget_unused(session: Session, now: datetime, also_used: sa.Select[Any]) -> int:
    """Removes pictures that no event has, none that was removed lately, and no version that could be had back.

    `also_used`: the names of those that are used elsewhere.
    """
    since = now - KEEP_UNUSED
    lives = sa.or_(col(Event.deleted_at).is_(None), col(Event.deleted_at) > since)
    used = sa.select(col(Event.picture_id)).where(col(Event.picture_id).is_not(None), lives)
    query = select(Picture.id, Picture.state).where(
        col(Picture.created_at) < since, col(Picture.id).not_in(used), col(Picture.id).not_in(also_used)
    )
    unused = dict(session.exec(query).all())
    if not unused:
        return 0
    gone = unused.keys() - _remembered(
        session, {key for key, state in unused.items() if state == PictureState.READY}
    )
    session.exec(sa.delete(Picture).where(col(Picture.id).in_(gone)))
    return len(gone)


def _remembered(session: Session, ids: set[str]) -> set[str]:
    """Those that a version has. What was refused is of no use to any."""
    version = history.Version
    snapshot: Any = version.snapshot
    named = snapshot["picture"][0].as_string()
    query = sa.select(named).where(col(version.subject).startswith("event:"), named.in_(ids))
    return set(session.connection().execute(query.distinct()).scalars()) if ids else set()
