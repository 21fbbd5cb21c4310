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
from ..errors import say
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


def mark_sent(session: Session, mail_id: int, now: datetime) -> OutgoingMail | None:
    """What it says is forgotten. None: it was taken out meanwhile."""
    mail = _held(session, mail_id)
    if mail is not None:
        mail.sent_at, mail.failed_at, mail.leased_until, mail.last_error = now, None, None, ""
        mail.body = mail.html = mail.event_file = ""
    return mail


def mark_failed(session: Session, mail_id: int, error: str, now: datetime) -> OutgoingMail | None:
    """For good: an admin sees it in the outbox. None: it was taken out, or another worker has sent it."""
    mail = _held(session, mail_id)
    if mail is None or mail.sent_at is not None:
        return None
    mail.failed_at, mail.leased_until, mail.last_error = now, None, error[:500]
    return mail


def put_back(session: Session, mail_id: int, error: str, now: datetime) -> OutgoingMail | None:
    """Tries again later, ever less often, for 48 hours; then it has failed. None as in `mark_failed`."""
    mail = _held(session, mail_id)
    if mail is None or mail.sent_at is not None:
        return None
    if now - mail.created_at > GIVE_UP_AFTER:
        return mark_failed(session, mail_id, error, now)
    mail.leased_until, mail.last_error = None, error[:500]
    mail.run_at = now + backoff(mail.attempts)
    return mail


def _held(session: Session, mail_id: int) -> OutgoingMail | None:
    """The row, which nobody changes before the transaction ends."""
    return session.get(OutgoingMail, mail_id, with_for_update=True)


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


def lag(session: Session, now: datetime) -> timedelta:
    """How long the oldest mail has been due: nothing, as long as workers and mail server keep up."""
    table = table_of(OutgoingMail)
    oldest = sa.select(sa.func.min(table.c.run_at)).where(
        table.c.sent_at.is_(None), table.c.failed_at.is_(None), table.c.run_at <= now
    )
    since = session.connection().execute(oldest).scalar_one()
    return now - since if since else timedelta()


def progress(session: Session, batch: str) -> tuple[int, int, int]:
    """How many mails of a batch were sent, wait, and failed."""
    sent, failed = col(OutgoingMail.sent_at).is_not(None), col(OutgoingMail.failed_at).is_not(None)
    query = sa.select(
        sa.func.count().filter(sent),
        sa.func.count().filter(sa.not_(sa.or_(sent, failed))),
        sa.func.count().filter(failed),
    ).where(col(OutgoingMail.batch) == batch)
    went, waits, refused = session.connection().execute(query).one()
    return went, waits, refused


def stop(session: Session, batch: str) -> int:
    """Takes out what still waits of a batch, and says how many; what is being sent at this moment goes out."""
    table = table_of(OutgoingMail)
    free = (table.c.sent_at.is_(None), table.c.failed_at.is_(None), table.c.leased_until.is_(None))
    return session.connection().execute(sa.delete(table).where(*free, table.c.batch == batch)).rowcount


def forget_waiting(session: Session, recipient: str) -> int:
    """Takes out what was not sent to somebody who has unsubscribed: what has such a link, and nothing else.

    Also what is being sent, so that it is not tried again, and what has failed, so that nobody else tries it again.
    """
    table = table_of(OutgoingMail)
    theirs = (table.c.recipient == recipient, table.c.unsubscribe_url != "", table.c.sent_at.is_(None))
    return session.connection().execute(sa.delete(table).where(*theirs)).rowcount


HELD = say("Held back when a back-up was restored: it may have been sent already.")


def hold(session: Session, now: datetime) -> int:
    """What waits in a database that comes out of a back-up may have been sent since: somebody decides on each."""
    table = table_of(OutgoingMail)
    waits = sa.update(table).where(table.c.sent_at.is_(None), table.c.failed_at.is_(None))
    held = waits.values(failed_at=now, leased_until=None, last_error=str(HELD))
    return session.connection().execute(held).rowcount


def purge(session: Session, now: datetime) -> None:
    """Contact messages and sent mails are not kept: 30 days after delivery they are gone."""
    before = now - KEEP_MESSAGES
    over = sa.select(col(ContactMessage.id)).where(col(ContactMessage.created_at) < before)
    session.exec(sa.delete(OutgoingMail).where(col(OutgoingMail.message_ref).in_(over)))
    session.exec(sa.delete(ContactMessage).where(col(ContactMessage.created_at) < before))
    session.exec(sa.delete(OutgoingMail).where(col(OutgoingMail.sent_at) < before))
    session.exec(sa.delete(OutgoingMail).where(col(OutgoingMail.failed_at) < before))
