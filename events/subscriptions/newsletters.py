"""Newsletters: a notice by mail, once, to those who ticked that box.

They are taken up in batches, in the order of their numbers. A batch is one transaction: its mails, and how far it
came. So what is cut off is done again from there, and nobody is written to twice. Only a few mails wait at a time:
stopping is quick, and a mail server that is down does not fill the outbox.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from ..branches.models import Branch
from ..db import due, insert_into, lease, table_of
from ..errors import Conflict, Message, say
from ..language import Language
from ..letters import Heading, Letter, Link, Paragraph, Prose
from ..mail import one_line
from ..messages import outbox
from ..messages.models import OutgoingMail, RefusedAddress
from ..news.models import Notice
from ..people.models import Person
from ..places.geo import Point, geodesic
from .models import Newsletter, Subscription, SubscriptionBranch
from .writing import Site, way_out

BATCH = 100  # mails a transaction
LOOKED_AT = 1000  # subscriptions a transaction, where only some of them live near enough
MOST_WAITING = 200
AGAIN_AFTER = timedelta(seconds=2)  # while so many wait
LEASE = timedelta(minutes=5)
CONTINUE_WITHIN = timedelta(days=14)  # while the outbox still knows whom it has written to (KEEP_MESSAGES)
WAY_OUT = say(
    "Each reader finds a link here, to change what they get or to stop it."
)  # in a mail to try it out
KM_PER_LATITUDE = 110.0  # a degree is never shorter


@dataclass(frozen=True, slots=True)
class Progress:
    """How many mails went out, wait (in the outbox or to be put there), and were refused. `error`: why one waits."""

    sent: int
    waiting: int
    failed: int
    error: str

    @property
    def total(self) -> int:
        return self.sent + self.waiting + self.failed


# ---------------------------------------------------------------- who gets it


def readers(session: Session, notice: Notice) -> int:
    """How many people get it, as things stand."""
    number, after = 0, 0
    while True:
        found, last = _look(session, notice, after)
        number += len(found)
        if last is None:
            return number
        after = last


def _look(session: Session, notice: Notice, after: int) -> tuple[list[int], int | None]:
    """Whose turn it is among the next LOOKED_AT subscriptions, and where to go on; None: those were the last."""
    table, branch = table_of(Subscription).c, _branch_of(session, notice)
    point = branch.public_point if branch else None
    follows = sa.exists().where(
        col(SubscriptionBranch.subscription_id) == table.id,
        col(SubscriptionBranch.branch_id) == notice.branch_id,
    )
    query = (
        sa.select(table.id, follows, table.latitude, table.longitude, table.within_km)
        .where(table.id > after, table.newsletter, table.confirmed_at.is_not(None), _takes_mail(table.email))
        .order_by(table.id)
        .limit(LOOKED_AT)
    )
    if branch is not None:
        query = query.where(sa.or_(follows, _may_be_near(point)))
    rows = session.connection().execute(query).all()
    found = [
        number
        for number, is_follower, *circle in rows
        if branch is None or is_follower or (point and _is_within(point, *circle))
    ]
    return found, rows[-1].id if len(rows) == LOOKED_AT else None


def _branch_of(session: Session, notice: Notice) -> Branch | None:
    return session.get_one(Branch, notice.branch_id) if notice.branch_id else None


def _takes_mail(email: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    refused = sa.exists().where(col(RefusedAddress.address) == email, col(RefusedAddress.unknown))
    return sa.not_(refused)


def _may_be_near(point: Point | None) -> sa.ColumnElement[bool]:
    """By latitude alone, which a database can tell; `_is_within` decides."""
    if point is None:
        return sa.false()
    table = table_of(Subscription).c
    return sa.func.abs(table.latitude - point.latitude) * KM_PER_LATITUDE <= table.within_km


def _is_within(point: Point, latitude: float, longitude: float, within_km: float) -> bool:
    return geodesic(point, Point(latitude, longitude)).km <= within_km


# ---------------------------------------------------------------- starting, stopping, going on


def of_notice(session: Session, notice: Notice) -> Newsletter | None:
    return session.exec(select(Newsletter).where(col(Newsletter.notice_id) == notice.id)).one_or_none()


def why_not(notice: Notice, now: datetime) -> Message | None:
    """Why it cannot be sent now; None: it can."""
    if notice.is_draft:
        return say("This is a draft. Publish it first: the e-mail has a link to it.")
    if not notice.is_shown(now):
        return say("This is not on the site now, so that nobody could follow the link in the e-mail.")
    return None


def why_not_again(newsletter: Newsletter, notice: Notice, now: datetime) -> Message | None:
    """Why one that was stopped cannot go on."""
    if now - newsletter.started_at > CONTINUE_WITHIN:
        return say("It cannot go on: it was started so long ago that nobody knows any more who has got it.")
    return why_not(notice, now)


def start(session: Session, notice: Notice, person: Person, now: datetime) -> None:
    """Once: whoever presses twice, or at the same time as somebody else, finds it started. Raises Conflict."""
    if of_notice(session, notice) is not None:
        return
    if reason := why_not(notice, now):
        raise Conflict(reason)
    total = readers(session, notice)
    if not total:
        raise Conflict(say("Nobody who would get this has asked for the newsletter yet."))
    table = table_of(Newsletter)
    new = Newsletter(notice_id=notice.id or 0, person_id=person.id, started_at=now, total=total, run_at=now)
    adding = insert_into(session, table).values(new.model_dump(exclude={"id"}))
    session.connection().execute(adding.on_conflict_do_nothing(index_elements=[table.c.notice_id]))


def stop(session: Session, newsletter: Newsletter, now: datetime) -> None:
    """What was not sent yet is taken out of the outbox. Raises Conflict when all has been sent."""
    session.refresh(newsletter, with_for_update=True)
    if newsletter.stopped_at is not None:
        return  # pressed twice
    if newsletter.finished_at is not None:
        raise Conflict(say("There is nothing to stop any more: all of it has been sent."))
    newsletter.cursor = min(newsletter.cursor, _first_waiting(session, newsletter) - 1)
    newsletter.queued -= outbox.stop(session, newsletter.batch)
    newsletter.stopped_at, newsletter.run_at, newsletter.leased_until = now, None, None


def stop_all(session: Session, now: datetime) -> int:
    """Of a database that comes out of a back-up: more of them may have been sent since. Returns how many there were."""
    running = select(Newsletter).where(
        col(Newsletter.stopped_at).is_(None), col(Newsletter.finished_at).is_(None)
    )
    found = session.exec(running).all()
    for newsletter in found:
        stop(session, newsletter, now)
    return len(found)


def resume(session: Session, newsletter: Newsletter, notice: Notice, now: datetime) -> None:
    """Goes on with those who have not been written to. Raises Conflict."""
    session.refresh(newsletter, with_for_update=True)
    if newsletter.stopped_at is None:
        return
    if reason := why_not_again(newsletter, notice, now):
        raise Conflict(reason)
    newsletter.stopped_at, newsletter.run_at = None, now


def _first_waiting(session: Session, newsletter: Newsletter) -> int:
    """The lowest number of those whose mail waits: from there it goes on. Beyond all, where none does."""
    query = (
        sa.select(sa.func.min(col(Subscription.id)))
        .join(OutgoingMail, col(OutgoingMail.recipient) == col(Subscription.email))
        .where(*_waits(newsletter), col(OutgoingMail.leased_until).is_(None))
    )
    first: int | None = session.connection().execute(query).scalar()
    return newsletter.cursor + 1 if first is None else first


def _waits(newsletter: Newsletter) -> Sequence[sa.ColumnElement[bool]]:
    mail = table_of(OutgoingMail).c
    return mail.batch == newsletter.batch, mail.sent_at.is_(None), mail.failed_at.is_(None)


def progress(session: Session, newsletter: Newsletter) -> Progress:
    """Mails that were sent leave the outbox after a while, so those are told by the others."""
    _, waits, failed = outbox.progress(session, newsletter.batch)
    untaken = 0 if newsletter.run_at is None else max(newsletter.total - newsletter.queued, 0)
    error = select(OutgoingMail.last_error).where(*_waits(newsletter), col(OutgoingMail.last_error) != "")
    return Progress(
        sent=newsletter.queued - waits - failed,
        waiting=waits + untaken,
        failed=failed,
        error=session.exec(error.order_by(col(OutgoingMail.id).desc()).limit(1)).first() or "",
    )


# ---------------------------------------------------------------- what the worker does


def is_due(session: Session, now: datetime) -> bool:
    """Whether there is anything to do: a look that takes no lock."""
    work = due(table_of(Newsletter), now).limit(1)
    return session.connection().execute(work).first() is not None or bool(_over(session, _put_in()))


def advance(session: Session, site: Site, now: datetime) -> int:
    """One batch of the newsletter that has waited longest; 0 when there was nothing to put into the outbox."""
    for newsletter in _over(session, _put_in().with_for_update()):
        _finish(session, newsletter, now)
    table = table_of(Newsletter)
    claimed = lease(table, due(table, now), now + LEASE).returning(table.c.id)
    number = session.connection().execute(claimed).scalar()
    if number is None:
        return 0
    newsletter = session.get_one(Newsletter, number, populate_existing=True)
    newsletter.leased_until = None  # others have waited for this transaction, not for the lease
    notice = session.get_one(Notice, newsletter.notice_id)
    if why_not(notice, now):
        stop(session, newsletter, now)
        return 0
    if outbox.progress(session, newsletter.batch)[1] >= MOST_WAITING:
        newsletter.run_at = now + AGAIN_AFTER
        return 0
    return _take_up(session, newsletter, notice, site, now)


def _put_in() -> SelectOfScalar[Newsletter]:
    """Those that are in the outbox with all their mails."""
    return select(Newsletter).where(
        col(Newsletter.run_at).is_(None),
        col(Newsletter.stopped_at).is_(None),
        col(Newsletter.finished_at).is_(None),
    )


def _over(session: Session, query: SelectOfScalar[Newsletter]) -> Sequence[Newsletter]:
    """Those of which no mail waits any more."""
    found = session.exec(query).all()
    return [newsletter for newsletter in found if not outbox.progress(session, newsletter.batch)[1]]


def _finish(session: Session, newsletter: Newsletter, now: datetime) -> None:
    sent, _, failed = outbox.progress(session, newsletter.batch)
    newsletter.queued, newsletter.finished_at = (
        sent + failed,
        now,
    )  # without those who have unsubscribed meanwhile
    session.add(newsletter)


def _take_up(session: Session, newsletter: Newsletter, notice: Notice, site: Site, now: datetime) -> int:
    found, last = _look(session, notice, newsletter.cursor)
    taken = found[:BATCH]
    subscribers = _not_yet_written_to(session, newsletter, taken)
    for subscription in subscribers:
        _put(session, newsletter, notice, subscription, site, now)
    if len(taken) < len(found):
        newsletter.cursor, newsletter.run_at = taken[-1], now
    elif last is not None:
        newsletter.cursor, newsletter.run_at = last, now
    else:
        newsletter.cursor, newsletter.run_at = max([newsletter.cursor, *taken]), None
    newsletter.queued += len(subscribers)
    session.add(newsletter)
    return 1


def _not_yet_written_to(
    session: Session, newsletter: Newsletter, numbers: Collection[int]
) -> Sequence[Subscription]:
    """Held, so that nobody is written to who ends it at this moment. After a stop, some have had theirs."""
    wants = (col(Subscription.newsletter), col(Subscription.confirmed_at).is_not(None))
    query = (
        select(Subscription).where(col(Subscription.id).in_(numbers), *wants).order_by(col(Subscription.id))
    )
    subscribers = session.exec(query.with_for_update()).all()
    mail = table_of(OutgoingMail).c
    had = sa.select(mail.recipient).where(
        mail.batch == newsletter.batch, mail.recipient.in_([one.email for one in subscribers])
    )
    known = set(session.connection().execute(had).scalars())
    return [one for one in subscribers if one.email not in known]


# ---------------------------------------------------------------- what it says


def _put(
    session: Session,
    newsletter: Newsletter,
    notice: Notice,
    subscription: Subscription,
    site: Site,
    now: datetime,
) -> None:
    spoken = site.language_of(subscription)
    choice = site.address_of_choice(subscription, spoken)
    outbox.put(
        session,
        now,
        recipient=subscription.email,
        subject=one_line(notice.title),
        body=letter(notice, _branch_of(session, notice), spoken, site, choice),
        kind="newsletter",
        locale=spoken.code,
        unsubscribe_url=site.unsubscribing(subscription, spoken),
        bulk=True,
        batch=newsletter.batch,
    )


def put_test(
    session: Session, notice: Notice, person: Person, spoken: Language, site: Site, now: datetime
) -> None:
    """To whoever asks for it alone, and before all others: they wait for it."""
    subject = say("[Test] %(title)s", title=one_line(notice.title))
    outbox.put(
        session,
        now,
        recipient=person.email,
        subject=spoken.say(subject),
        body=letter(notice, _branch_of(session, notice), spoken, site),
        kind="newsletter",
        locale=spoken.code,
    )


def letter(notice: Notice, branch: Branch | None, spoken: Language, site: Site, choice: str = "") -> Letter:
    """The words of the notice as they were written; ours, as `spoken`.

    `choice`: where its reader changes or ends it; a mail to try it out has no such reader.
    """
    return [
        Heading(notice.title),
        Prose(notice.text),
        Link(site.address(f"/news/{notice.slug}", spoken), spoken.say(say("Read it on the site"))),
        Paragraph(spoken.say(why(branch, site)), small=True),
        way_out(choice, spoken) if choice else Paragraph(spoken.say(WAY_OUT), small=True),
    ]


def why(branch: Branch | None, site: Site) -> Message:
    """Why somebody gets it."""
    name = site.publishing.organisation
    if branch is None:
        return say("You get this because you asked for the newsletter of %(name)s.", name=name)
    return say(
        "You get this because you asked for the newsletter of %(name)s, and follow %(branch)s or chose a place near "
        "it.",
        name=name,
        branch=branch.name,
    )
