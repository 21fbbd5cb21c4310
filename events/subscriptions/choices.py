"""What somebody chose to hear of by mail: typed, it waits; the owner of the address confirms, changes or ends it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches import queries as branches
from ..branches.locating import zone_at
from ..branches.models import Branch
from ..calendars.models import Event, Topic
from ..db import Row, insert_into, table_of
from ..errors import NotFound
from ..messages import outbox
from ..places.geo import Distance, Point
from . import schedule
from .links import new_nonce
from .models import Frequency, Subscription, SubscriptionBranch, SubscriptionEvent, SubscriptionTopic

CONFIRM_WITHIN = timedelta(days=7)
MOST = 100  # branches, topics or events of one choice
OFTEN_FIRST = (Frequency.DAILY, Frequency.WEEKLY, Frequency.MONTHLY, Frequency.NEVER)
NOWHERE_KNOWN = "UTC"


@dataclass(frozen=True, slots=True)
class Choice:
    """Numbers of branches, topics and events; no place and no branch: everywhere; no topic: all of them.

    `adds`: it comes on top of what was confirmed before; otherwise it takes its place.
    """

    place: str = ""  # what it is called
    point: Point | None = None  # on the grid of 0.02 degrees
    within: Distance | None = None
    timezone: str = ""  # IANA; empty: that of the place
    language: str = "en"
    branches: tuple[int, ...] = ()
    topics: tuple[int, ...] = ()
    events: tuple[int, ...] = ()
    frequency: Frequency = Frequency.NEVER
    urgent: bool = False
    newsletter: bool = False
    adds: bool = False

    @property
    def wants_events(self) -> bool:
        """Those that are announced, besides single ones that are followed."""
        return self.frequency != Frequency.NEVER or self.urgent

    @property
    def is_everywhere(self) -> bool:
        return self.point is None and not self.branches

    @property
    def is_empty(self) -> bool:
        return not (self.wants_events or self.newsletter or self.events)

    def plus(self, more: "Choice") -> "Choice":
        """Both together: who adds something hears of nothing less, and no less often. There is one place: the later."""
        wanting = [one for one in (self, more) if one.wants_events]
        counting = wanting or [self, more]
        everywhere = any(one.is_everywhere for one in wanting)
        of_all_topics = any(not one.topics for one in wanting)
        placed = next((one for one in reversed(counting) if one.point and not everywhere), Choice())
        return Choice(
            place=placed.place,
            point=placed.point,
            within=placed.within,
            language=self.language,
            branches=() if everywhere else _together(one.branches for one in counting),
            topics=() if of_all_topics else _together(one.topics for one in counting),
            events=_together((self.events, more.events)),
            frequency=min(self.frequency, more.frequency, key=OFTEN_FIRST.index),
            urgent=self.urgent or more.urgent,
            newsletter=self.newsletter or more.newsletter,
            adds=self.adds,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "place": self.place,
            "point": [self.point.latitude, self.point.longitude] if self.point else None,
            "within_km": self.within.km if self.within else None,
            "timezone": self.timezone,
            "language": self.language,
            "branches": list(self.branches),
            "topics": list(self.topics),
            "events": list(self.events),
            "frequency": self.frequency.value,
            "urgent": self.urgent,
            "newsletter": self.newsletter,
            "adds": self.adds,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Choice":
        return cls(
            place=values["place"],
            point=Point(*values["point"]) if values["point"] else None,
            within=Distance(values["within_km"]) if values["within_km"] else None,
            timezone=values["timezone"],
            language=values["language"],
            branches=tuple(values["branches"]),
            topics=tuple(values["topics"]),
            events=tuple(values["events"]),
            frequency=Frequency(values["frequency"]),
            urgent=values["urgent"],
            newsletter=values["newsletter"],
            adds=values["adds"],
        )


# ---------------------------------------------------------------- what somebody does


def ask(session: Session, email: str, choice: Choice, now: datetime) -> Subscription:
    """Lets the choice wait for the owner of the address; it takes the place of one that waits, unless it adds.

    The same work whether or not the address is known.
    """
    subscription = _row(session, email, choice.language, now)
    waiting = pending_of(subscription)
    choice = waiting.plus(choice) if waiting and choice.adds else choice
    subscription.pending, subscription.asked_at = choice.to_json(), now
    session.add(subscription)
    return subscription


def confirm(session: Session, subscription: Subscription, now: datetime) -> None:
    """What waits holds from now on. To be called with the row held; without anything that waits, nothing happens."""
    choice = to_hold(session, subscription)
    if choice is not None:
        subscription.pending = subscription.asked_at = None
        change(session, subscription, choice, now)


def refuse(session: Session, subscription: Subscription) -> bool:
    """Forgets what waits. False: nothing else is left, and the row has gone with it."""
    subscription.pending = subscription.asked_at = None
    session.add(subscription)
    if subscription.confirmed_at is None:
        end(session, subscription)
    return subscription.confirmed_at is not None


def change(session: Session, subscription: Subscription, choice: Choice, now: datetime) -> None:
    """Puts the choice in the place of what held before. The digest begins anew when other events are meant."""
    before, choice = choice_of(session, subscription), _still_there(session, choice)
    subscription.place, subscription.within_km = choice.place, choice.within.km if choice.within else None
    subscription.latitude = choice.point.latitude if choice.point else None
    subscription.longitude = choice.point.longitude if choice.point else None
    subscription.timezone = choice.timezone or timezone_of(session, choice)
    subscription.language, subscription.frequency = choice.language, choice.frequency
    subscription.urgent, subscription.newsletter = choice.urgent, choice.newsletter
    session.add(subscription)
    for model, wanted in zip(LINKED, (choice.branches, choice.topics, choice.events), strict=True):
        _keep_only(session, model, subscription, wanted)
    if subscription.confirmed_at is None or _meant(before) != _meant(choice):
        schedule.start(subscription, now)
    subscription.confirmed_at = subscription.confirmed_at or now


def unfollow(session: Session, subscription: Subscription, event_id: int) -> bool:
    """Raises NotFound for an event that is not followed. False: it was all there was, and the row has gone with it."""
    followed = session.get(SubscriptionEvent, (subscription.id, event_id))
    if followed is None:
        raise NotFound
    session.delete(followed)
    session.flush()
    if choice_of(session, subscription).is_empty and subscription.pending is None:
        end(session, subscription)
        return False
    return True


def end(session: Session, subscription: Subscription) -> None:
    """Nothing more goes to the address, not even what waits in the outbox; nothing of it is kept."""
    outbox.forget_waiting(session, subscription.email)
    session.delete(subscription)
    session.flush()


def forget_past(session: Session, now: datetime) -> None:
    """What nobody confirmed within a week."""
    table = table_of(Subscription)
    over = table.c.asked_at < now - CONFIRM_WITHIN
    connection = session.connection()
    connection.execute(sa.delete(table).where(over, table.c.confirmed_at.is_(None)))
    connection.execute(sa.update(table).where(over).values(pending=sa.null(), asked_at=None))


def follow_on(session: Session, branch: Branch, successor: Branch) -> None:
    """Who follows a branch by mail follows the one that took its place as well: its events are there now."""
    table = table_of(SubscriptionBranch)
    there = sa.select(table.c.subscription_id).where(table.c.branch_id == successor.id)
    found = sa.select(table.c.subscription_id, sa.literal(successor.id)).where(
        table.c.branch_id == branch.id, table.c.subscription_id.not_in(there)
    )
    session.connection().execute(sa.insert(table).from_select(["subscription_id", "branch_id"], found))


# ---------------------------------------------------------------- what holds, and what would


def choice_of(session: Session, subscription: Subscription) -> Choice:
    """What was confirmed; nothing where nothing was yet."""
    placed = subscription.latitude is not None and subscription.longitude is not None
    return Choice(
        place=subscription.place,
        point=Point(subscription.latitude or 0.0, subscription.longitude or 0.0) if placed else None,
        within=Distance(subscription.within_km) if subscription.within_km else None,
        timezone=subscription.timezone,
        language=subscription.language,
        branches=_numbers(session, SubscriptionBranch, subscription),
        topics=_numbers(session, SubscriptionTopic, subscription),
        events=_numbers(session, SubscriptionEvent, subscription),
        frequency=Frequency(subscription.frequency),
        urgent=subscription.urgent,
        newsletter=subscription.newsletter,
    )


def pending_of(subscription: Subscription) -> Choice | None:
    return Choice.from_json(subscription.pending) if subscription.pending else None


def is_added(subscription: Subscription) -> bool:
    """Whether what waits comes on top of what holds."""
    waiting = pending_of(subscription)
    return waiting is not None and waiting.adds


def to_hold(session: Session, subscription: Subscription) -> Choice | None:
    """What will hold once the choice that waits is confirmed. Events that are followed stay followed."""
    waiting = pending_of(subscription)
    if waiting is None or subscription.confirmed_at is None:
        return waiting
    held = choice_of(session, subscription)
    if waiting.adds:
        return held.plus(waiting)
    return replace(waiting, events=_together((held.events, waiting.events)))


def mark(subscription: Subscription) -> str:
    """Of the choice that waits: whoever confirms it confirms what they saw, not what was typed meanwhile."""
    text = json.dumps(subscription.pending, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def timezone_of(session: Session, choice: Choice) -> str:
    """Where its mornings are: at the place, else at its first branch or event, else at the topmost branch."""
    if choice.point is not None:
        return zone_at(choice.point)
    first: Branch | Event | None = session.get(Branch, choice.branches[0]) if choice.branches else None
    if first is None and choice.events:
        first = session.get(Event, choice.events[0])
    first = first or branches.parent_or_top(session, None)
    return first.timezone if first else NOWHERE_KNOWN


def branches_of(session: Session, choice: Choice) -> Sequence[Branch]:
    query = select(Branch).where(col(Branch.id).in_(choice.branches))
    return session.exec(query.order_by(col(Branch.name), col(Branch.id))).all()


def topics_of(session: Session, choice: Choice) -> Sequence[Topic]:
    return session.exec(select(Topic).where(col(Topic.id).in_(choice.topics)).order_by(col(Topic.name))).all()


def events_of(session: Session, choice: Choice) -> Sequence[Event]:
    """Those that are followed; what is public of them, the caller looks at."""
    query = select(Event).where(col(Event.id).in_(choice.events))
    return session.exec(query.order_by(col(Event.title), col(Event.id))).all()


# ---------------------------------------------------------------- rows

LINKED: tuple[type[Row], ...] = (SubscriptionBranch, SubscriptionTopic, SubscriptionEvent)


def _row(session: Session, email: str, language: str, now: datetime) -> Subscription:
    """The one row of the address, held: of two that ask at the same moment the second waits here."""
    table = table_of(Subscription)
    new = Subscription(email=email, nonce=new_nonce(), language=language, created_at=now)
    statement = insert_into(session, table).values(new.model_dump(exclude={"id"}))
    held = statement.on_conflict_do_update(
        index_elements=[table.c.email], set_={"email": statement.excluded.email}
    )
    number = session.connection().execute(held.returning(table.c.id)).scalar_one()
    return session.get_one(Subscription, number, populate_existing=True)


def _still_there(session: Session, choice: Choice) -> Choice:
    """Without what has been removed since it was chosen."""
    return replace(
        choice,
        branches=_known(session, Branch, choice.branches),
        topics=_known(session, Topic, choice.topics),
        events=_known(session, Event, choice.events),
    )


def _known(session: Session, model: type[Row], wanted: tuple[int, ...]) -> tuple[int, ...]:
    if not wanted:
        return ()
    table = table_of(model)
    there = set(session.connection().execute(sa.select(table.c.id).where(table.c.id.in_(wanted))).scalars())
    return tuple(number for number in wanted if number in there)


def _keep_only(session: Session, model: type[Row], subscription: Subscription, wanted: Sequence[int]) -> None:
    table = table_of(model)
    own, other = table.c.subscription_id, _other(table)
    connection = session.connection()
    connection.execute(sa.delete(table).where(own == subscription.id, other.not_in(wanted)))
    held = set(connection.execute(sa.select(other).where(own == subscription.id)).scalars())
    new = [
        {own.name: subscription.id, other.name: number}
        for number in dict.fromkeys(wanted)
        if number not in held
    ]
    if new:
        connection.execute(sa.insert(table), new)


def _numbers(session: Session, model: type[Row], subscription: Subscription) -> tuple[int, ...]:
    table = table_of(model)
    other = _other(table)
    query = sa.select(other).where(table.c.subscription_id == subscription.id).order_by(other)
    return tuple(session.connection().execute(query).scalars())


def _other(table: sa.Table) -> sa.Column[Any]:
    """The column that says what is chosen."""
    return next(column for column in table.c if column.name != "subscription_id")


def _meant(choice: Choice) -> tuple[object, ...]:
    """Which events, and how often."""
    where = (choice.point, choice.within, frozenset(choice.branches), frozenset(choice.topics))
    return *where, choice.frequency


def _together(parts: Iterable[Sequence[int]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(number for part in parts for number in part))[:MOST]
