"""The urgent lane: dates that change are told at once to those who follow the event, and those of the next two days to
those who asked for that and live near it, or chose its branch.

The mails are written in the transaction that forgets the change, so that each is told exactly once. If the event is
changed again before that, it is told anew, from what is true then.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from ..branches.models import Branch
from ..calendars import dates_changed, feeds
from ..calendars.content import Told
from ..calendars.dates_changed import Difference, Work
from ..calendars.derived import tell_all
from ..calendars.feeds import Heading, Note
from ..calendars.models import Event, Occurrence
from ..calendars.queries import Selection
from ..db import UNEXPECTED, Database, table_of
from ..language import Language, language
from ..messages import outbox
from ..messages.models import OutgoingMail, RefusedAddress
from ..places.geo import Point, geodesic
from .models import Subscription, SubscriptionBranch, SubscriptionEvent, SubscriptionTopic
from .urgent_letter import News, ending, letter, subject
from .writing import Site, way_out

BATCH = 50
SOON = timedelta(hours=48)
AT_ONCE = 500  # numbers in one query
KM_PER_LATITUDE = 110.0  # a degree is never shorter

log = logging.getLogger("branchline.urgent")

is_due = dates_changed.is_due


def send(database: Database, site: Site, now: datetime) -> int:
    """Tells what has become of the dates of some events; returns how many were looked at. Call again until it is 0."""
    with database.writing() as session:
        works = dates_changed.claim(session, now, BATCH)
    if not works:
        return 0
    with database.reading() as session:
        concerned = _concern_anybody(session, works, now)
    with database.writing() as session:
        for work in works:
            if work.event_id not in concerned:
                dates_changed.settle(session, work)
    for work in works:
        if work.event_id in concerned:
            try:
                _tell(database, work, site, now)
            except OperationalError:
                raise
            except UNEXPECTED:
                log.exception("the changes of event %s", work.event_id)
    return len(works)


def _concern_anybody(session: Session, works: Sequence[Work], now: datetime) -> frozenset[int]:
    """Events that somebody follows, or that were or are to be soon. Of an import of thousands, that is a few."""
    ids, soon = [work.event_id for work in works], now + SOON
    followed, occurrence = table_of(SubscriptionEvent).c, table_of(Occurrence).c
    was = (work.event_id for work in works if any(date.starts_at <= soon for date in work.before))
    followers = sa.select(followed.event_id).where(followed.event_id.in_(ids))
    coming = sa.select(occurrence.event_id).where(
        occurrence.event_id.in_(ids), occurrence.starts_at <= soon, occurrence.ends_at > now
    )
    return frozenset([*was, *session.connection().execute(sa.union(followers, coming)).scalars()])


def _tell(database: Database, work: Work, site: Site, now: datetime) -> None:
    with database.reading() as session:
        telling = _telling(session, work, site, now)
    mails = telling.mails(now) if telling else []
    with database.writing() as session:
        if dates_changed.settle(session, work) and telling is not None:
            telling.follow_on(session)
            held = telling.held(session)
            wanted = [
                mail for (one, _), mail in zip(telling.readers, mails, strict=True) if _key(one) in held
            ]
            if wanted:
                session.connection().execute(sa.insert(table_of(OutgoingMail)), wanted)


@dataclass(frozen=True, slots=True)
class _Telling:
    """Who is to be told what; `continued_by`: series that those who follow this one follow from now on."""

    site: Site
    event_id: int
    continued_by: Sequence[int]
    readers: Sequence[tuple[Subscription, News]]
    files: Mapping[str, str]

    def mails(self, now: datetime) -> list[dict[str, Any]]:
        """As rows: thousands of them are written before the transaction, in which nobody else can write."""
        nowhere = Session()  # has no database: the mails are only composed in it
        return [self._mail(nowhere, *reader, now).model_dump(exclude={"id"}) for reader in self.readers]

    def _mail(self, nowhere: Session, subscription: Subscription, news: News, now: datetime) -> OutgoingMail:
        spoken = self.site.language_of(subscription)
        file = self.files[spoken.code]
        choice = way_out(self.site.address_of_choice(subscription, spoken), spoken)
        return outbox.put(
            nowhere,
            now,
            recipient=subscription.email,
            subject=subject(news, spoken),
            body=[*letter(news, self.site, spoken, bool(file)), *ending(news, choice, spoken)],
            kind="urgent",
            locale=spoken.code,
            event_file=file,
            unsubscribe_url=self.site.unsubscribing(subscription, spoken),
        )

    def held(self, session: Session) -> frozenset[tuple[int, str]]:
        """Those who still want it: somebody may have ended it while the mails were composed. Nobody does until these
        are written, and then finds them in the outbox."""
        table, follower = table_of(Subscription).c, table_of(SubscriptionEvent).c
        follows = sa.exists().where(follower.subscription_id == table.id, follower.event_id == self.event_id)
        query = sa.select(table.id, table.nonce).where(
            table.confirmed_at.is_not(None), sa.or_(table.urgent, follows)
        )
        found, numbers = set[tuple[int, str]](), [one.id or 0 for one, _ in self.readers]
        for begin in range(0, len(numbers), AT_ONCE):
            some = query.where(table.id.in_(numbers[begin : begin + AT_ONCE])).order_by(table.id)
            rows = session.connection().execute(some.with_for_update(of=table_of(Subscription)))
            found.update((row.id, row.nonce) for row in rows)
        return frozenset(found)

    def follow_on(self, session: Session) -> None:
        for number in self.continued_by:
            _follow_on(session, self.event_id, number)


def _key(one: Subscription) -> tuple[int, str]:
    """A number alone may be given out again."""
    return one.id or 0, one.nonce


def _telling(session: Session, work: Work, site: Site, now: datetime) -> _Telling | None:
    """None when all is as it was known, or over, or nobody wants to know."""
    event = session.get(Event, work.event_id)
    if event is None:
        return None
    told = tell_all(session, [event, *dates_changed.continuations(session, event, work.created_at)])
    found = dates_changed.differences(session, told, work.before, now)
    soon = [one for one in found if _is_soon(one, now)]
    followers, others = News(told[0], found, True), News(told[0], soon, False)
    readers = [
        (subscription, followers if follows else others)
        for subscription, follows in (_audience(session, told[0], bool(soon)) if found else ())
    ]
    codes = {site.language_of(subscription).code for subscription, _ in readers}
    return _Telling(
        site=site,
        event_id=work.event_id,
        continued_by=[one.event.id or 0 for one in told[1:]],
        readers=readers,
        files={code: _file(session, event, followers, language(code), site, now) for code in codes},
    )


def _is_soon(one: Difference, now: datetime) -> bool:
    """It was to begin, or begins now, within two days; or is on."""
    return any(date is not None and date.starts_at <= now + SOON for date in (one.was, one.now))


# ---------------------------------------------------------------- who is told


def _audience(session: Session, told: Told, soon: bool) -> Iterator[tuple[Subscription, bool]]:
    """Each subscription once, and whether it follows the event; without `soon`, those that do."""
    table = table_of(Subscription)
    follower = table_of(SubscriptionEvent).c
    follows = sa.exists().where(follower.subscription_id == table.c.id, follower.event_id == told.event.id)
    near, wanted = _is_near(told.event.point), _wanted(session, told)
    query = (
        sa.select(table, follows.label("follows"), sa.or_(*wanted).label("chosen"))
        .where(table.c.confirmed_at.is_not(None), _takes_mail(table.c.email))
        .order_by(table.c.id)
    )
    asked = sa.and_(table.c.urgent, sa.or_(near, *wanted), _of_topics(told)) if soon else sa.false()
    for row in session.connection().execute(query.where(sa.or_(follows, asked))).mappings():
        values = dict(row)
        following, chosen = values.pop("follows"), values.pop("chosen")
        if following or chosen or _is_within(told.event.point, values):
            yield Subscription(**values), following


def _wanted(session: Session, told: Told) -> list[sa.ColumnElement[bool]]:
    """It chose one of the branches, or neither a branch nor a place."""
    table, link = table_of(Subscription).c, table_of(SubscriptionBranch).c
    of_it = link.subscription_id == table.id
    holders = _with_those_before(session, [host.id or 0 for host in told.hosts])
    nowhere = sa.and_(table.latitude.is_(None), sa.not_(sa.exists().where(of_it)))
    return [sa.exists().where(of_it, link.branch_id.in_(holders)), nowhere]


def _with_those_before(session: Session, branch_ids: Sequence[int]) -> list[int]:
    """And the branches that these took over from: who chose one of them means these."""
    branch = table_of(Branch)
    start = sa.select(branch.c.id).where(branch.c.id.in_(branch_ids)).cte("holder", recursive=True)
    line = start.union(sa.select(branch.c.id).join(start, branch.c.successor_id == start.c.id))
    return list(session.connection().execute(sa.select(line.c.id)).scalars())


def _of_topics(told: Told) -> sa.ColumnElement[bool]:
    table, link = table_of(Subscription).c, table_of(SubscriptionTopic).c
    of_it = link.subscription_id == table.id
    listed = link.topic_id.in_([topic.id for topic in told.topics])
    return sa.or_(sa.not_(sa.exists().where(of_it)), sa.exists().where(of_it, listed))


def _is_near(point: Point | None) -> sa.ColumnElement[bool]:
    """By latitude alone, which a database can tell; `_is_within` decides."""
    if point is None:
        return sa.false()
    table = table_of(Subscription).c
    return sa.func.abs(table.latitude - point.latitude) * KM_PER_LATITUDE <= table.within_km


def _is_within(point: Point | None, values: Mapping[str, float]) -> bool:
    here = Point(values["latitude"], values["longitude"])
    return point is not None and geodesic(point, here).km <= values["within_km"]


def _takes_mail(email: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    refused = table_of(RefusedAddress).c
    return sa.not_(sa.exists().where(refused.address == sa.func.lower(email), refused.unknown))


def _follow_on(session: Session, event_id: int, successor_id: int) -> None:
    table = table_of(SubscriptionEvent)
    already = table.alias("already").c
    known = sa.exists().where(
        already.subscription_id == table.c.subscription_id, already.event_id == successor_id
    )
    followers = sa.select(table.c.subscription_id, sa.literal(successor_id)).where(
        table.c.event_id == event_id, sa.not_(known)
    )
    session.connection().execute(sa.insert(table).from_select(["subscription_id", "event_id"], followers))


# ---------------------------------------------------------------- the file


def _file(session: Session, event: Event, news: News, spoken: Language, site: Site, now: datetime) -> str:
    """The event's calendar, as at its own address; empty when that says nothing of it any more."""
    page = site.address(f"/events/{event.id}", spoken)
    heading = Heading(
        name=f"{site.publishing.organisation}: {news.title(spoken)}",
        description="",
        capped="",
        empty=Note(""),
        url=page,
        source=f"{page}.ics",
        locale=spoken.code,
    )
    body, mark = feeds.assemble(session, Selection(event_id=event.id), heading, now)
    return body.decode() if mark else ""
