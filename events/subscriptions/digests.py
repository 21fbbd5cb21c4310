"""Digests: "Events near you" by mail, to each subscriber in the morning where they are.

Some subscriptions at a time are claimed, read for and composed for; then their mails and how far they were told are
written in one transaction, for those whose claim still holds. So whatever is cut off is done again, and nobody hears of
anything twice, or not at all.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..calendars.models import Topic
from ..calendars.queries import Listed
from ..db import UNEXPECTED, Database, Row, due, lease, table_of
from ..letters import Letter
from ..messages import outbox
from ..messages.models import RefusedAddress
from ..news import notices
from ..news.models import Notice
from ..places.geo import Distance, Point
from . import news_of_events, schedule
from .choices import Choice
from .digest_letter import Digest, Gone, Section, letter
from .models import Frequency, Subscription, SubscriptionBranch, SubscriptionTopic
from .news_of_events import WINDOW, Found, Key, Span
from .withdrawn import farewells, withdrawn
from .writing import Site

BATCH = 25
LEASE = timedelta(minutes=5)  # a batch takes a second; after a crash its subscriptions wait this long
# What is younger is told the next time: a transaction that is still open may bring something older than it.
SETTLED = timedelta(seconds=60)
MOST_NOTICES = 10  # and a link to all of them
MOST_GONE = 30

log = logging.getLogger("branchline.digests")


def is_due(session: Session, now: datetime) -> bool:
    """Whether there is anything to claim: a look that takes no lock."""
    return session.connection().execute(_due(now).limit(1)).first() is not None


def send(database: Database, site: Site, now: datetime) -> int:
    """Writes to a batch of subscribers; returns how many were looked at. Call again until it is 0."""
    with database.writing() as session:
        taken = _claim(session, now)
    if not taken:
        return 0
    with database.reading() as session:
        mails, failed = _composed(_digests(session, taken, site, now), site)
    with database.writing() as session:
        held = _moved_on(session, [one for one in taken if _number(one) not in failed], now)
        for mail in mails:
            if mail.number in held:
                mail.put(session, now)
    return len(taken)


def _composed(found: Iterable[Digest], site: Site) -> tuple[list["Mail"], set[int]]:
    """And those that could not be: they are looked at again after their lease, and keep nobody else from theirs."""
    mails, failed = list[Mail](), set[int]()
    for digest in found:
        try:
            mails += [] if digest.is_empty else [Mail.of(digest, site)]
        except OperationalError:
            raise
        except UNEXPECTED:
            log.exception("the digest of subscription %s", digest.subscription.id)
            failed.add(_number(digest.subscription))
    return mails, failed


@dataclass(frozen=True, slots=True)
class Mail:
    """Composed before the transaction that writes it."""

    number: int  # of the subscription
    recipient: str
    subject: str
    text: Letter
    locale: str
    unsubscribe_url: str

    @classmethod
    def of(cls, digest: Digest, site: Site) -> "Mail":
        one = digest.subscription
        spoken = site.language_of(one)
        subject, text = letter(digest, site, spoken)
        way_out = site.unsubscribing(one, spoken)
        return cls(_number(one), one.email, subject, text, spoken.code, way_out)

    def put(self, session: Session, now: datetime) -> None:
        outbox.put(
            session,
            now,
            recipient=self.recipient,
            subject=self.subject,
            body=self.text,
            kind="digest",
            locale=self.locale,
            unsubscribe_url=self.unsubscribe_url,
            bulk=True,
        )


def _due(now: datetime) -> sa.Select[tuple[int]]:
    table = table_of(Subscription)
    return due(table, now, table.c.confirmed_at.is_not(None), table.c.frequency != Frequency.NEVER)


def _claim(session: Session, now: datetime) -> list[Subscription]:
    table = table_of(Subscription)
    claimed = lease(table, _due(now), now + LEASE, BATCH).returning(*table.c)
    rows = session.connection().execute(claimed).mappings().all()
    return sorted((Subscription(**row) for row in rows), key=_number)


def _moved_on(session: Session, taken: Sequence[Subscription], now: datetime) -> frozenset[int]:
    """Those that nobody has changed, ended or claimed meanwhile: they have been told all there was until now."""
    table, alike = table_of(Subscription), defaultdict[datetime | None, list[int]](list)
    for one in taken:
        alike[schedule.next_run(one.frequency, one.timezone, now)].append(_number(one))
    held: set[int] = set()
    for run_at, numbers in alike.items():
        mine = (table.c.id.in_(numbers), table.c.leased_until == now + LEASE)
        values = {"told_until": now - SETTLED, "run_at": run_at, "leased_until": None}
        moved = sa.update(table).where(*mine).values(values).returning(table.c.id)
        held.update(session.connection().execute(moved).scalars())
    return frozenset(held)


def skip(session: Session, now: datetime) -> int:
    """Of a database that comes out of a back-up: what was due may have been sent since, so it comes the next time,
    and tells what has happened from now on. Returns how many were due."""
    table = table_of(Subscription)
    session.connection().execute(
        sa.update(table).where(table.c.told_until.is_not(None)).values(told_until=now, leased_until=None)
    )
    taken = session.exec(select(Subscription).where(table.c.id.in_(_due(now)))).all()
    for one in taken:
        one.told_until, one.run_at = now, schedule.next_run(one.frequency, one.timezone, now)
        one.leased_until = None
    return len(taken)


def _number(subscription: Subscription) -> int:
    return subscription.id or 0


# ---------------------------------------------------------------- what a batch has to be told


@dataclass(frozen=True, slots=True)
class _Choices:
    """What the subscriptions of a batch chose, by their numbers."""

    branches: Mapping[int, list[int]]
    topics: Mapping[int, list[int]]
    known_branches: Mapping[int, Branch]  # and those that took over from them
    known_topics: Mapping[int, Topic]

    def of(self, one: Subscription) -> Choice:
        """Its branches are those it chose and those that took over from them, as in feeds."""
        placed = one.latitude is not None and one.longitude is not None and one.within_km
        chosen = (number for first in self.branches[_number(one)] for number in self._line_of(first))
        return Choice(
            place=one.place,
            point=Point(one.latitude or 0.0, one.longitude or 0.0) if placed else None,
            within=Distance(one.within_km) if one.within_km else None,
            branches=tuple(dict.fromkeys(chosen)),
            topics=tuple(self.topics[_number(one)]),
        )

    def _line_of(self, number: int | None) -> Iterator[int]:
        seen: set[int] = set()
        while number is not None and number not in seen:
            seen.add(number)
            yield number
            number = self.known_branches[number].successor_id


def _choices(session: Session, taken: Sequence[Subscription]) -> _Choices:
    numbers = [_number(one) for one in taken]
    branches = _linked(session, SubscriptionBranch, numbers)
    topics = _linked(session, SubscriptionTopic, numbers)
    wanted = {number for chosen in topics.values() for number in chosen}
    found = session.exec(select(Topic).where(col(Topic.id).in_(wanted))).all() if wanted else ()
    return _Choices(
        branches=branches,
        topics=topics,
        known_branches=_with_successors(
            session, {number for chosen in branches.values() for number in chosen}
        ),
        known_topics={topic.id or 0: topic for topic in found},
    )


def _linked(session: Session, model: type[Row], numbers: Sequence[int]) -> Mapping[int, list[int]]:
    own, other = table_of(model).c
    found = defaultdict[int, list[int]](list)
    query = sa.select(own, other).where(own.in_(numbers)).order_by(own, other)
    for number, linked in session.connection().execute(query):
        found[number].append(linked)
    return found


def _with_successors(session: Session, wanted: Collection[int]) -> Mapping[int, Branch]:
    found: dict[int, Branch] = {}
    missing = set(wanted)
    while missing:
        rows = session.exec(select(Branch).where(col(Branch.id).in_(missing))).all()
        found |= {branch.id or 0: branch for branch in rows}
        missing = {branch.successor_id for branch in rows if branch.successor_id} - found.keys()
    return found


def _digests(session: Session, taken: Sequence[Subscription], site: Site, now: datetime) -> Iterator[Digest]:
    """One for each whose address takes mail, also when there is nothing to tell."""
    until, refused = now - SETTLED, _refused(session, taken)
    taken = [one for one in taken if one.email not in refused]
    choices, batch = _choices(session, taken), _Batch(session, taken, now)
    found = [(one, choices.of(one)) for one in taken]
    gone = _gone(session, found, site, until)
    asked = {(replace(choice, place=""), one.told_until) for one, choice in found}  # neighbours ask the same
    news = {(c, since): news_of_events.news(session, c, Span(since, until, now)) for c, since in asked}
    said = news_of_events.dates(session, {key for each in news.values() for key in each.keys})
    for one, choice in found:
        each = news[replace(choice, place=""), one.told_until]
        yield Digest(
            subscription=one,
            choice=choice,
            branches=[choices.known_branches[number] for number in choices.branches[_number(one)]],
            topics=[choices.known_topics[number] for number in choice.topics],
            first=one.told_until is None,
            new=_section(each.new, said),
            changed=_section(each.changed, said),
            off=_section(each.off, said),
            gone=gone[_number(one)],
            notices=batch.notices(one, choice),
            holders=batch.holders,
        )


def _refused(session: Session, taken: Sequence[Subscription]) -> frozenset[str]:
    emails = [one.email for one in taken]
    query = select(RefusedAddress.address).where(
        col(RefusedAddress.address).in_(emails), RefusedAddress.unknown
    )
    return frozenset(session.exec(query))


def _section(found: Found, said: Mapping[Key, Listed]) -> Section:
    return Section([said[key] for key in found.keys if key in said], found.total)


def _gone(
    session: Session, found: Sequence[tuple[Subscription, Choice]], site: Site, until: datetime
) -> Mapping[int, list[Gone]]:
    """What is not announced any more, for each subscription."""
    untold = [one.told_until for one, _ in found if one.told_until is not None]
    every = withdrawn(session, min(untold), until, WINDOW) if untold else ()
    of_each = {
        _number(one): [
            each.number
            for each in every
            if one.told_until and each.concerns(one.told_until) and each.fits(choice)
        ][:MOST_GONE]
        for one, choice in found
    }
    wanted = {number for numbers in of_each.values() for number in numbers}
    said = farewells(session, wanted, site.publishing.locales)
    return {
        one: [Gone(said[each].titles, said[each].day, said[each].branch) for each in numbers if each in said]
        for one, numbers in of_each.items()
    }


class _Batch:
    """The news, which are asked for once for all of a batch."""

    def __init__(self, session: Session, taken: Sequence[Subscription], now: datetime) -> None:
        until, untold = now - SETTLED, [one.told_until for one in taken if one.told_until is not None]
        since = min(untold, default=until)
        self._notices = notices.since(session, since if len(untold) == len(taken) else None, until)
        self.holders = _holders(session, self._notices)

    def notices(self, one: Subscription, choice: Choice) -> list[Notice]:
        """Those of the organisation, and of branches that were chosen or lie near enough."""
        mine = [each for each in self._notices if self._is_for(each, one.told_until, choice)]
        return mine[:MOST_NOTICES]

    def _is_for(self, notice: Notice, since: datetime | None, choice: Choice) -> bool:
        if since is not None and (notice.begins_at is None or notice.begins_at <= since):
            return False
        if choice.topics and notice.topic_id is not None and notice.topic_id not in choice.topics:
            return False
        holder = self.holders.get(notice.branch_id or 0)
        if holder is None or choice.is_everywhere or holder.id in choice.branches:
            return True
        return news_of_events.is_near(holder.public_point, choice)


def _holders(session: Session, found: Sequence[Notice]) -> Mapping[int, Branch]:
    numbers = {notice.branch_id for notice in found if notice.branch_id}
    rows = session.exec(select(Branch).where(col(Branch.id).in_(numbers))).all() if numbers else ()
    return {branch.id or 0: branch for branch in rows}
