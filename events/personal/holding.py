"""Everything that is held about one person: told as it is kept, or removed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from ..db import table_of
from ..messages.models import OutgoingMail
from ..people import joining, sign_in
from ..people.history import Version
from .kinds import KINDS, Kind, Whom
from .searching import Mention, mentions

HELD_NOT_SHOWN = "held, not shown"


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of the rows of one kind. `stay`: for others, without the person."""

    kind: str
    number: int
    stay: bool


def whom(session: Session, email: str) -> Whom:
    """Who is meant by an address, however it is written. Raises Unreadable for what is none."""
    normal = sign_in.normal_email(email)
    person = sign_in.find(session, normal)
    return Whom(_spellings(normal), person.id if person else None)


def _spellings(email: str) -> tuple[str, ...]:
    """Visitors' addresses may be kept with the domain as people read it."""
    local, _, domain = email.rpartition("@")
    try:
        read = domain.encode("ascii").decode("idna")
    except UnicodeError:  # a domain that only looks like one of those; there is no other spelling of it
        read = domain
    return tuple(dict.fromkeys((email, f"{local}@{read}")))


def held(session: Session, about: Whom) -> dict[str, Any]:
    """By kind, each row with its columns; secrets are named and not told."""
    found = {kind.name: list(_rows(session, kind, about)) for kind in KINDS}
    elsewhere = [str(mention) for mention in mentions(session, about)]
    return {"address": about.email, **found, "named in": elsewhere}


def _rows(session: Session, kind: Kind, about: Whom) -> Iterator[dict[str, Any]]:
    query = sa.select(kind.table).where(kind.theirs(about)).order_by(*kind.table.primary_key.columns)
    for row in session.connection().execute(query).mappings():
        yield _told(kind, dict(row))


def _told(kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in kind.shows.split()}
    secrets = (
        name for name in kind.hides.split() if not (name == "id" or name.endswith("_id")) and row[name]
    )
    return shown | dict.fromkeys(secrets, HELD_NOT_SHOWN)


def remove(session: Session, about: Whom) -> list[Removed]:
    """All that is about the person. Raises Conflict for the last admin of the whole site."""
    if about.person_id is not None:
        person = sign_in.find(session, about.email)
        if person is not None and person.is_admin:
            joining.keep_an_admin(session, person)
    removed = [_removed(session, kind, about) for kind in KINDS]
    removed.append(Removed("mails about them", _forget_old_mails(session, about), stay=False))
    removed.append(Removed("old versions with their address", _forget_in_history(session, about), stay=True))
    return [one for one in removed if one.number]


def left(session: Session, about: Whom) -> list[Mention]:
    """Where somebody else has written the address: to be changed by whoever wrote it."""
    return list(mentions(session, about))


def _removed(session: Session, kind: Kind, about: Whom) -> Removed:
    theirs = kind.theirs(about)
    statement = (
        sa.update(kind.table).where(theirs).values(dict(kind.leaves))
        if kind.leaves
        else sa.delete(kind.table).where(theirs)
    )
    number = session.connection().execute(statement).rowcount
    return Removed(kind.name, number, bool(kind.leaves))


def _forget_old_mails(session: Session, about: Whom) -> int:
    """Mails to others that name the address, and that went out or never will: nobody waits for them."""
    table = table_of(OutgoingMail)
    over = sa.or_(table.c.sent_at.is_not(None), table.c.failed_at.is_not(None))
    told = sa.func.lower(table.c.subject + table.c.body + table.c.html)
    named = sa.or_(*(told.contains(spelled, autoescape=True) for spelled in about.spellings))
    return session.connection().execute(sa.delete(table).where(over, named)).rowcount


def _forget_in_history(session: Session, about: Whom) -> int:
    """What a branch said before may have the address as its own: going back to it must not bring it back."""
    table = table_of(Version)
    text = sa.func.lower(sa.cast(table.c.snapshot, sa.Text))
    named = sa.or_(*(text.contains(spelled, autoescape=True) for spelled in about.spellings))
    query = sa.select(table.c.id, table.c.snapshot).where(named)
    changed = 0
    for id, snapshot in session.connection().execute(query).all():
        without = _without(snapshot, about)
        if without != snapshot:
            session.connection().execute(sa.update(table).where(table.c.id == id).values(snapshot=without))
            changed += 1
    return changed


def _without(value: Any, about: Whom) -> Any:
    """The same with nothing where there was the address alone."""
    match value:
        case dict():
            return {name: _without(one, about) for name, one in value.items()}
        case list():
            return [_without(one, about) for one in value]
        case str() if value.lower() in about.spellings:
            return ""
    return value
