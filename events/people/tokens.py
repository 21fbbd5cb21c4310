"""Tokens that let a program write for a person: random, shown once, good for a year. Only their hashes are stored."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from ..errors import Conflict, NotFound, say
from .models import ApiToken, Person
from .sign_in import token_hash

PREFIX = "bl_"  # so that a token is recognised where it does not belong: in a log, in a repository
MOST = 20  # of one person


def make(session: Session, person: Person, name: str, now: datetime) -> str:
    """The token itself, which nobody can be told again. Raises Conflict for a name that is taken, and past MOST.

    A name is used once, so that a form that is sent twice makes one token.
    """
    # Of two at the same moment, the second waits here.
    session.get_one(Person, person.id, with_for_update=True)
    there = of(session, person)
    if name in {one.name for one in there}:
        raise Conflict(say("You have a token of this name already."))
    if len(there) >= MOST:
        raise Conflict(say("You can have %(most)d tokens at most. Remove one that is not used.", most=MOST))
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiToken(
            token_hash=token_hash(token),
            person_id=person.id or 0,
            name=name,
            created_at=now,
            expires_at=now + ApiToken.LIFETIME,
        )
    )
    session.flush()
    return token


def person_of(session: Session, token: str, now: datetime) -> Person | None:
    """For whom the token writes, if it is one of ours and has not expired."""
    if not token.startswith(PREFIX):
        return None
    query = (
        select(Person)
        .join(ApiToken, col(ApiToken.person_id) == col(Person.id))
        .where(col(ApiToken.token_hash) == token_hash(token), col(ApiToken.expires_at) > now)
    )
    return session.exec(query).one_or_none()


def of(session: Session, person: Person) -> Sequence[ApiToken]:
    """The newest first."""
    query = select(ApiToken).where(col(ApiToken.person_id) == person.id)
    return session.exec(query.order_by(col(ApiToken.created_at).desc(), col(ApiToken.id).desc())).all()


def remove(session: Session, person: Person, id: int) -> None:
    """Raises NotFound for one that is not theirs."""
    token = session.get(ApiToken, id)
    if token is None or token.person_id != person.id:
        raise NotFound
    session.delete(token)
