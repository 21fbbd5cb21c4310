"""The outbox: a mail is a row written with what caused it, and a worker sends it.

Claim, commit, act, mark: a mail goes out at least once, and a repeat (the worker died between sending and
marking) carries the same Message-ID.
"""

import random
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..db import due, lease, table_of
from ..language import language
from ..letters import Letter, html_of, letter_of, text_of
from ..mail import Mail
from .models import ContactMessage, OutgoingMail

LEASE = timedelta(seconds=90)  # longer than mail.SEND_WITHIN_S; after a crash a mail waits this long
GIVE_UP_AFTER = timedelta(hours=48)
FIRST_RETRY = timedelta(seconds=15)
LONGEST_RETRY = timedelta(hours=2)
KEEP_MESSAGES = timedelta(days=30)
# What an admin reads in the outbox. In bulk goes what nobody waits for at this very moment.
KINDS = (
    *("link", "contact", "copy", "notice", "answer", "confirmation", "urgent"),
    *("digest", "newsletter"),
)


def put(
    session: Session,
    now: datetime,
    *,
    recipient: str,
    subject: str,
    body: str | Letter,
    reply_to: str = "",
    kind: str = "notice",
    locale: str = "en",
    event_file: str = "",
    unsubscribe_url: str = "",
    bulk: bool = False,
    batch: str = "",
    message_ref: int | None = None,
) -> OutgoingMail:
    """Adds a mail to the transaction that causes it: both are there afterwards, or neither.

    `body` in blocks, or as text of which blocks are made, is sent as text and as HTML in the language `locale`.
    """
    letter = letter_of(body) if isinstance(body, str) else body
    mail = OutgoingMail(
        message_id=f"<{now:%Y%m%d%H%M%S}.{secrets.token_hex(12)}@branchline>",
        kind=kind,
        recipient=recipient,
        reply_to=reply_to,
        subject=subject,
        body=body if isinstance(body, str) else text_of(letter),
        html=html_of(letter, subject, language(locale)),
        event_file=event_file,
        unsubscribe_url=unsubscribe_url,
        bulk=bulk,
        batch=batch,
        message_ref=message_ref,
        created_at=now,
        run_at=now,
    )
    session.add(mail)
    return mail


def is_due(session: Session, now: datetime) -> bool:
    """Whether there is anything to claim: a look that takes no lock."""
    return session.connection().execute(_due(now).limit(1)).first() is not None


def claim(session: Session, now: datetime, most: int = 5) -> Sequence[OutgoingMail]:
    """Leases the mails that are due, by one conditional UPDATE: no other worker has them during LEASE."""
    table = table_of(OutgoingMail)
    claimed = lease(table, _due(now), now + LEASE, most).values(attempts=table.c.attempts + 1)
    ids = session.connection().execute(claimed.returning(table.c.id)).scalars().all()
    return session.exec(select(OutgoingMail).where(col(OutgoingMail.id).in_(ids)).order_by("id")).all()


def _due(now: datetime) -> sa.Select[tuple[int]]:
    """Before a newsletter of thousands goes what somebody waits for."""
    table = table_of(OutgoingMail)
    found = due(table, now, table.c.sent_at.is_(None), table.c.failed_at.is_(None))
    return found.order_by(None).order_by(table.c.bulk, table.c.run_at, table.c.id)


def as_mail(row: OutgoingMail) -> Mail:
    return Mail(
        row.message_id,
        row.recipient,
        row.subject,
        row.body,
        row.reply_to,
        row.created_at,
        row.html,
        row.event_file,
        row.unsubscribe_url,
    )


def mark_sent(session: Session, mail_id: int, now: datetime) -> None:
    """What it says is forgotten."""
    mail = session.get_one(OutgoingMail, mail_id)
    mail.sent_at, mail.leased_until, mail.last_error = now, None, ""
    mail.body = mail.html = mail.event_file = ""


def mark_failed(session: Session, mail_id: int, error: str, now: datetime) -> None:
    """For good: an admin sees it in the outbox."""
    mail = session.get_one(OutgoingMail, mail_id)
    mail.failed_at, mail.leased_until, mail.last_error = now, None, error[:500]


def put_back(session: Session, mail_id: int, error: str, now: datetime) -> None:
    """Tries again later, ever less often, for 48 hours."""
    mail = session.get_one(OutgoingMail, mail_id)
    if now - mail.created_at > GIVE_UP_AFTER:
        mark_failed(session, mail_id, error, now)
        return
    mail.leased_until, mail.last_error = None, error[:500]
    mail.run_at = now + backoff(mail.attempts)


def backoff(attempts: int) -> timedelta:
    """15 s, doubling to two hours; between half and all of it, so that a crowd does not return at once."""
    longest: timedelta = min(FIRST_RETRY * 2 ** min(attempts - 1, 12), LONGEST_RETRY)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  (jitter, not a secret)


def waiting(session: Session) -> tuple[int, datetime | None]:
    """How many mails wait, and since when the oldest."""
    query = select(sa.func.count(col(OutgoingMail.id)), sa.func.min(col(OutgoingMail.created_at))).where(
        col(OutgoingMail.sent_at).is_(None), col(OutgoingMail.failed_at).is_(None)
    )
    number, oldest = session.exec(query).one()
    return number, oldest


def purge(session: Session, now: datetime) -> None:
    """Contact messages and sent mails are not kept: 30 days after delivery they are gone."""
    before = now - KEEP_MESSAGES
    session.exec(sa.delete(ContactMessage).where(col(ContactMessage.created_at) < before))
    session.exec(sa.delete(OutgoingMail).where(col(OutgoingMail.sent_at) < before))
    session.exec(sa.delete(OutgoingMail).where(col(OutgoingMail.failed_at) < before))
