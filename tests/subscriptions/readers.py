"""People who get mails about events, and what came to them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlmodel import Session, col, select

from events.branches.models import Branch
from events.calendars.models import Event, Topic
from events.db import Database
from events.messages.models import OutgoingMail
from events.places.geo import Distance, Point
from events.subscriptions.models import (
    Frequency,
    Subscription,
    SubscriptionBranch,
    SubscriptionEvent,
    SubscriptionTopic,
)
from tests.conftest import NOW

CHICAGO, MADRID = Point(41.92, -87.64), Point(40.42, -3.7)
AROUND = Distance.from_miles(25)
DAY = timedelta(days=1)


def reader(
    session: Session,
    name: str = "ben",
    near: Point | None = None,
    within: Distance = AROUND,
    branches: Sequence[Branch] = (),
    topics: Sequence[str] = (),
    follows: Sequence[Event] = (),
    **more: Any,
) -> Subscription:
    """Confirmed, and due now; was told until a day ago unless it says otherwise."""
    values: dict[str, Any] = {
        "email": f"{name}@example.org",
        "nonce": name,
        "timezone": "America/Chicago",
        "frequency": Frequency.DAILY,
        "created_at": NOW - 9 * DAY,
        "confirmed_at": NOW - 9 * DAY,
        "told_until": NOW - DAY,
        "run_at": NOW,
    }
    if near is not None:
        at = {"latitude": near.latitude, "longitude": near.longitude, "within_km": within.km}
        values |= {**at, "place": "Chicago, Illinois" if near == CHICAGO else "Madrid, Spain"}
    one = Subscription(**{**values, **more})
    session.add(one)
    session.flush()
    number = one.id or 0
    known = {topic.slug: topic.id or 0 for topic in session.exec(select(Topic))}
    session.add_all(SubscriptionBranch(subscription_id=number, branch_id=each.id or 0) for each in branches)
    session.add_all(SubscriptionTopic(subscription_id=number, topic_id=known[each]) for each in topics)
    session.add_all(SubscriptionEvent(subscription_id=number, event_id=each.id or 0) for each in follows)
    session.flush()
    return one


def mails(database: Database) -> list[OutgoingMail]:
    with database.reading() as session:
        return list(session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id))).all())


def mail_to(database: Database, name: str) -> OutgoingMail | None:
    found = [mail for mail in mails(database) if mail.recipient == f"{name}@example.org"]
    assert len(found) <= 1, "each is written to once"
    return found[0] if found else None


def empty_outbox(database: Database) -> None:
    with database.writing() as session:
        for mail in session.exec(select(OutgoingMail)):
            session.delete(mail)


def plain(text: str) -> str:
    """With the spaces of a keyboard."""
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{THIN SPACE}", " ")
