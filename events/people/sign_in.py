"""Who somebody is: one-time links, passwords, sessions. Tokens are random; only their hashes are stored."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..db import insert_into, table_of
from ..drafts import host_in_ascii
from ..errors import Gone, Message, NotFound, Unreadable, say
from ..later import loaded_later
from ..mail import LOCAL_PART
from .history import Version
from .models import (
    ApiToken,
    Membership,
    MembershipRequest,
    OneTimeLink,
    Passkey,
    PasskeyChallenge,
    Person,
    Purpose,
    SignedIn,
)

if TYPE_CHECKING:
    import argon2
else:
    argon2 = loaded_later("argon2")

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
KEPT = timedelta(days=30)  # what is over, so that its page can say why it does not work
DECISIONS_KEPT = timedelta(days=90)
SIGN_NOBODY_IN = (Purpose.SUGGESTION, Purpose.CONFIRMATION)  # their links open one event, not the account
_EMAIL = re.compile(
    r"[^\s@<>\"(),:;\\\[\]\x00-\x1f\x7f]+@[^\s@<>\"(),:;\\\[\]/\x00-\x1f\x7f]+\.[^\s@.<>\"(),:;\\/]{2,}"
)
# IDNA folds look-alikes: a full-width "@" or "," of a domain comes out as the real one, and is refused here.
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+")


class LinkOver(Gone):
    """A link that opens nothing (any more). `purpose` is what it was for, where that is known."""

    def __init__(self, message: Message, purpose: str = "") -> None:
        super().__init__(message)
        self.purpose = purpose


class LinkUsed(LinkOver):
    def __init__(self, purpose: str = "") -> None:
        super().__init__(say("This link has been used already. Ask for a new one below."), purpose)


class LinkExpired(LinkOver):
    def __init__(self, purpose: str = "") -> None:
        super().__init__(say("This link has expired. Ask for a new one below."), purpose)


def normal_email(text: str) -> str:
    """The form an address is kept and found in: trimmed, lower case, the domain in its ASCII form (IDNA)."""
    email = text.strip().lower()
    if len(email) > 254 or not _EMAIL.fullmatch(email) or "=?" in email or ".." in email:
        raise Unreadable(
            say("This is not an e-mail address we can write to. It should look like name@example.org.")
        )
    local, _, domain = email.rpartition("@")
    if not LOCAL_PART.fullmatch(local):
        raise Unreadable(say("Before the @ of an address only plain letters, digits and signs can stand."))
    no_domain = Unreadable(say("The part after the @ is not a name that mail can be sent to."))
    try:
        domain = host_in_ascii(domain)
    except UnicodeError as error:
        raise no_domain from error
    if not _DOMAIN.fullmatch(domain):
        raise no_domain
    return f"{local}@{domain}"


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def find(session: Session, email: str) -> Person | None:
    return session.exec(select(Person).where(col(Person.email) == email)).one_or_none()


def find_or_add(session: Session, email: str, now: datetime, language: str = "en") -> Person:
    """Of two that add the same address at the same moment, both get the one person."""
    person = find(session, email)
    if person is None:
        values = Person(email=email, language=language, created_at=now).model_dump(exclude={"id"})
        session.connection().execute(
            insert_into(session, table_of(Person)).values(values).on_conflict_do_nothing()
        )
        person = session.exec(select(Person).where(col(Person.email) == email)).one()
    return person


def make_link(
    session: Session,
    person: Person,
    purpose: Purpose,
    now: datetime,
    lifetime: timedelta = OneTimeLink.LIFETIME,
    detail: str = "",
) -> str:
    """A token for a link to be sent by mail (or printed by the command line)."""
    token = secrets.token_urlsafe(32)
    link = OneTimeLink(
        token_hash=token_hash(token),
        person_id=_id(person),
        purpose=purpose,
        detail=detail,
        expires_at=now + lifetime,
    )
    session.add(link)
    return token


def make_no_link(session: Session, now: datetime) -> None:
    """For an address that nobody has: writes as much as a link would, so that the answer takes as long."""
    nothing = token_hash(secrets.token_urlsafe(32))
    session.add(PasskeyChallenge(challenge_hash=nothing, expires_at=now))


def look_at_link(session: Session, token: str, now: datetime) -> OneTimeLink:
    """The link, still good. Raises LinkUsed, LinkExpired, or LinkOver when there never was such a link."""
    link = session.get(OneTimeLink, token_hash(token))
    if link is None:
        raise LinkOver(
            say(
                "This link is not one of ours, or was cut short by the mail program. Ask for a new one below."
            )
        )
    if link.used_at is not None:
        raise LinkUsed(link.purpose)
    if link.expires_at <= now:
        raise LinkExpired(link.purpose)
    return link


def use_link(session: Session, token: str, now: datetime) -> OneTimeLink:
    """Uses the link up. Of two that come at the same time, one gets LinkUsed.

    In one transaction with what the link does: whoever raises afterwards leaves the link good.
    """
    link = look_at_link(session, token, now)
    table = table_of(OneTimeLink)
    first = session.connection().execute(
        sa.update(table)
        .where(table.c.token_hash == link.token_hash, table.c.used_at.is_(None))
        .values(used_at=now)
    )
    if first.rowcount != 1:
        raise LinkUsed(link.purpose)
    session.refresh(link)
    return link


def set_password(session: Session, person: Person, password: str) -> None:
    """Ends every session and every link that is under way: whoever knew the old password is out.

    A link to another address may have been asked for by them; it would let them in again.
    """
    if len(password) > LONGEST_PASSWORD:
        raise Unreadable(say("A password can have at most %(most)d characters.", most=LONGEST_PASSWORD))
    if len(password) < SHORTEST_PASSWORD:
        raise Unreadable(
            say(
                "A password needs at least %(least)d characters. A few words in a row are good.",
                least=SHORTEST_PASSWORD,
            )
        )
    person.password_hash = _hasher().hash(password)
    session.add(person)
    end_all(session, _id(person))
    end_links(session, person)


def end_links(session: Session, person: Person) -> None:
    """Every link to the account that nobody has used yet, wherever it was mailed to."""
    session.exec(
        sa.delete(OneTimeLink).where(
            col(OneTimeLink.person_id) == _id(person),
            col(OneTimeLink.purpose).not_in(SIGN_NOBODY_IN),
            col(OneTimeLink.used_at).is_(None),
        )
    )


def with_password(session: Session, email: str, password: str) -> Person | None:
    """The person, if the password is theirs; the same work whether or not there is such a person."""
    person = find(session, email)
    kept = person.password_hash if person and person.password_hash else _nobody()
    try:
        _hasher().verify(kept, password[:LONGEST_PASSWORD])
    except argon2.exceptions.VerificationError:
        return None
    return person


@cache
def _hasher() -> "argon2.PasswordHasher":
    return argon2.PasswordHasher()


@cache
def _nobody() -> str:
    """Checked when there is no such person, so that the answer takes as long as when there is one."""
    return _hasher().hash(secrets.token_hex(16))


def begin(session: Session, person: Person, device: str, now: datetime) -> str:
    """A new session; returns the token for the cookie."""
    token = secrets.token_urlsafe(32)
    session.add(
        SignedIn(
            token_hash=token_hash(token),
            person_id=_id(person),
            device=device[:200],
            created_at=now,
            expires_at=now + SignedIn.LIFETIME,
        )
    )
    return token


def who(session: Session, token: str, now: datetime) -> Person | None:
    """Whose session it is, if it has not ended."""
    return session.exec(_WHO, params={"token": token_hash(token), "now": now}).one_or_none()


_WHO = (
    select(Person)
    .join(SignedIn, col(SignedIn.person_id) == col(Person.id))
    .where(col(SignedIn.token_hash) == sa.bindparam("token"), col(SignedIn.expires_at) > sa.bindparam("now"))
)


def sessions(session: Session, person_id: int) -> Sequence[SignedIn]:
    query = select(SignedIn).where(col(SignedIn.person_id) == person_id)
    return session.exec(query.order_by(col(SignedIn.created_at).desc())).all()


def label(secret: str) -> str:
    """What pages call a session or a passkey by: neither its token nor what is stored of it."""
    return hashlib.sha256(f"label {secret}".encode()).hexdigest()[:20]


def end(session: Session, token: str) -> None:
    session.exec(sa.delete(SignedIn).where(col(SignedIn.token_hash) == token_hash(token)))


def end_one(session: Session, person_id: int, labelled: str) -> None:
    """The session that `label` calls so. Raises NotFound for one that is not theirs."""
    found = [one for one in sessions(session, person_id) if label(one.token_hash) == labelled]
    if not found:
        raise NotFound
    session.delete(found[0])


def end_all(session: Session, person_id: int, except_token: str = "") -> None:
    session.exec(
        sa.delete(SignedIn).where(
            col(SignedIn.person_id) == person_id, col(SignedIn.token_hash) != token_hash(except_token)
        )
    )


# ---------------------------------------------------------------- what is over


def forget_past(session: Session, now: datetime) -> None:
    """Removes what is over, and who never came; a used link is remembered until it would have expired."""
    session.exec(sa.delete(SignedIn).where(col(SignedIn.expires_at) < now))
    session.exec(sa.delete(PasskeyChallenge).where(col(PasskeyChallenge.expires_at) < now))
    session.exec(sa.delete(OneTimeLink).where(col(OneTimeLink.expires_at) < now - KEPT))
    session.exec(sa.delete(ApiToken).where(col(ApiToken.expires_at) < now - KEPT))
    session.exec(sa.delete(MembershipRequest).where(col(MembershipRequest.decided_at) < now - DECISIONS_KEPT))
    _forget_strangers(session, now)


def _forget_strangers(session: Session, now: datetime) -> None:
    """Who gave an address and never opened the link, or has lost every role and does not sign in any more.

    Whoever was invited has a role or is an admin; who changed something is named in its history.
    """
    person = table_of(Person)
    ties = (SignedIn, OneTimeLink, Membership, MembershipRequest, Passkey, ApiToken, Version)
    session.connection().execute(
        sa.delete(person).where(
            person.c.created_at < now - KEPT,
            person.c.is_admin.is_(False),
            person.c.password_hash == "",
            *(~sa.exists().where(table_of(tie).c.person_id == person.c.id) for tie in ties),
        )
    )


def _id(person: Person) -> int:
    if person.id is None:
        raise ValueError("the person has not been saved yet")
    return person.id
