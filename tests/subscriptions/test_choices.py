"""What is typed for an address waits; its owner confirms, changes and ends it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, col, select

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.models import Event, Topic
from events.config import Settings
from events.db import Database
from events.errors import NotFound
from events.messages import outbox
from events.messages.models import OutgoingMail
from events.places.geo import Distance, Point
from events.subscriptions import choices
from events.subscriptions.choices import Choice
from events.subscriptions.models import (
    Frequency,
    Subscription,
    SubscriptionBranch,
    SubscriptionEvent,
    SubscriptionTopic,
)
from events.worker import Worker
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast

BEN = "ben@example.org"
CHICAGO, MADRID = Point(41.92, -87.64), Point(40.42, -3.7)
NEAR = Choice(place="Chicago", point=CHICAGO, within=Distance.from_miles(25), frequency=Frequency.WEEKLY)
WEEK = timedelta(days=7)


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.writing() as session:
        yield session


@pytest.fixture
def tool_night(session: Session, cast: Cast, publishing: Publishing) -> Event:
    return store.add(session, weekly(), [cast.alder], publishing, NOW)


@pytest.fixture
def bike_night(session: Session, cast: Cast, publishing: Publishing) -> Event:
    return store.add(session, weekly(title="Bike night"), [cast.birch], publishing, NOW)


def confirmed(session: Session, choice: Choice = NEAR) -> Subscription:
    subscription = choices.ask(session, BEN, choice, NOW)
    choices.confirm(session, subscription, NOW)
    return subscription


# ---------------------------------------------------------------- asking and confirming


def test_what_is_typed_waits_and_holds_once_it_is_confirmed(session: Session, cast: Cast) -> None:
    choice = replace(NEAR, branches=(cast.birch.id or 0,), urgent=True, newsletter=True, language="es")
    subscription = choices.ask(session, BEN, choice, NOW)
    assert choices.pending_of(subscription) == choice and subscription.asked_at == NOW
    assert subscription.confirmed_at is None and subscription.run_at is None
    assert choices.choice_of(session, subscription).is_empty

    choices.confirm(session, subscription, NOW)
    assert choices.choice_of(session, subscription) == replace(choice, timezone="America/Chicago")
    assert subscription.pending is None and subscription.confirmed_at == NOW
    assert subscription.run_at is not None and subscription.run_at > NOW


def test_what_is_typed_for_a_known_address_changes_nothing_before_its_owner_confirms(
    session: Session,
) -> None:
    subscription = confirmed(session)
    before = choices.choice_of(session, subscription)
    again = choices.ask(session, BEN, Choice(newsletter=True), NOW)
    assert again.id == subscription.id and choices.choice_of(session, again) == before
    choices.ask(session, BEN, replace(NEAR, frequency=Frequency.DAILY), NOW)
    choices.confirm(session, again, NOW)
    held = choices.choice_of(session, again)
    assert held.frequency == Frequency.DAILY and not held.newsletter, "the later replaced the one that waited"


def test_confirming_twice_changes_nothing_more(session: Session) -> None:
    subscription = confirmed(session)
    subscription.told_until = NOW
    choices.confirm(session, subscription, NOW + WEEK)
    assert (subscription.confirmed_at, subscription.told_until) == (NOW, NOW)


def test_a_whole_choice_replaces_what_held_but_for_the_events_that_are_followed(
    session: Session, tool_night: Event
) -> None:
    subscription = confirmed(session, replace(NEAR, events=(tool_night.id or 0,), newsletter=True))
    choices.ask(session, BEN, Choice(frequency=Frequency.DAILY), NOW)
    assert not choices.is_added(subscription)
    choices.confirm(session, subscription, NOW)
    held = choices.choice_of(session, subscription)
    assert held.is_everywhere and not held.newsletter and held.events == (tool_night.id,)


def test_following_an_event_is_added_and_the_digest_goes_on(session: Session, tool_night: Event) -> None:
    subscription = confirmed(session)
    subscription.told_until = NOW
    choices.ask(session, BEN, Choice(events=(tool_night.id or 0,), adds=True), NOW)
    assert choices.is_added(subscription)
    choices.confirm(session, subscription, NOW)
    held = choices.choice_of(session, subscription)
    assert held.events == (tool_night.id,) and held.place == "Chicago"
    assert subscription.told_until == NOW


def test_what_adds_is_added_to_what_waits_too(session: Session, tool_night: Event, bike_night: Event) -> None:
    choices.ask(session, BEN, NEAR, NOW)
    for event in (tool_night, bike_night):
        subscription = choices.ask(session, BEN, Choice(events=(event.id or 0,), adds=True), NOW)
    waiting = choices.pending_of(subscription)
    assert waiting == replace(NEAR, events=(tool_night.id or 0, bike_night.id or 0))


def test_what_was_removed_before_it_is_confirmed_is_left_out(
    session: Session, cast: Cast, tool_night: Event
) -> None:
    gone = replace(NEAR, branches=(cast.alder.id or 0, 999), topics=(999,), events=(tool_night.id or 0, 999))
    held = choices.choice_of(session, confirmed(session, gone))
    assert (held.branches, held.topics, held.events) == ((cast.alder.id,), (), (tool_night.id,))


def test_the_mark_changes_with_what_waits(session: Session) -> None:
    subscription = choices.ask(session, BEN, NEAR, NOW)
    before = choices.mark(subscription)
    assert choices.mark(choices.ask(session, BEN, NEAR, NOW + WEEK)) == before
    assert choices.mark(choices.ask(session, BEN, Choice(newsletter=True), NOW)) != before


# ---------------------------------------------------------------- adding


def test_who_adds_something_hears_of_nothing_less() -> None:
    birch = Choice(branches=(2,), frequency=Frequency.MONTHLY, adds=True)
    both = NEAR.plus(birch)
    assert (both.place, both.branches, both.frequency) == ("Chicago", (2,), Frequency.WEEKLY)
    everywhere = Choice(frequency=Frequency.DAILY)
    assert NEAR.plus(everywhere).is_everywhere and everywhere.plus(birch).is_everywhere
    repair = replace(NEAR, topics=(1,))
    assert NEAR.plus(repair).topics == repair.plus(NEAR).topics == ()
    assert repair.plus(replace(NEAR, topics=(2, 1))).topics == (1, 2)


def test_what_wants_no_events_widens_nothing() -> None:
    newsletter, followed = Choice(newsletter=True), Choice(events=(7,))
    both = newsletter.plus(NEAR).plus(followed)
    assert both == replace(NEAR, newsletter=True, events=(7,))
    assert newsletter.plus(Choice(newsletter=True, branches=(2,))).branches == (2,)


def test_there_is_one_place_the_later() -> None:
    madrid = replace(NEAR, place="Madrid", point=MADRID)
    assert NEAR.plus(madrid).place == "Madrid" and NEAR.plus(replace(madrid, branches=(2,))).point == MADRID


def test_no_more_is_kept_than_anybody_chooses() -> None:
    many = Choice(events=tuple(range(1, choices.MOST + 1)))
    assert many.plus(Choice(events=(999,))).events == many.events


# ---------------------------------------------------------------- changing


def test_the_digest_begins_anew_when_other_events_are_meant(session: Session, cast: Cast) -> None:
    topic = Topic(slug="repair", name="Repair")
    session.add(topic)
    session.flush()
    subscription = confirmed(session)
    held = choices.choice_of(session, subscription)
    for other in (
        replace(held, frequency=Frequency.DAILY),
        replace(held, branches=(cast.alder.id or 0,)),
        replace(held, topics=(topic.id or 0,)),
        replace(held, within=Distance(5.0)),
        replace(held, place="", point=None, within=None),
    ):
        subscription.told_until = NOW
        choices.change(session, subscription, replace(other, timezone=""), NOW)
        assert subscription.told_until is None, other


def test_it_goes_on_when_only_the_rest_changes(session: Session) -> None:
    subscription = confirmed(session)
    subscription.told_until = NOW
    held = choices.choice_of(session, subscription)
    choices.change(session, subscription, replace(held, urgent=True, newsletter=True, language="es"), NOW)
    assert subscription.told_until == NOW and subscription.language == "es" and subscription.urgent


def test_who_wants_none_any_more_waits_for_no_digest(session: Session) -> None:
    subscription = confirmed(session)
    choices.change(session, subscription, Choice(newsletter=True), NOW)
    assert subscription.run_at is None and subscription.newsletter


@pytest.mark.parametrize(
    ("place", "branch", "event", "zone"),
    [
        (True, True, True, "America/Chicago"),
        (False, True, True, "Europe/Madrid"),
        (False, False, True, "America/Chicago"),
        (False, False, False, "UTC"),
    ],
)
def test_mornings_are_those_of_the_place_else_of_the_branch_else_of_the_event(
    session: Session, cast: Cast, tool_night: Event, place: bool, branch: bool, event: bool, zone: str
) -> None:
    choice = Choice(
        point=CHICAGO if place else None,
        branches=(cast.birch.id or 0,) if branch else (),
        events=(tool_night.id or 0,) if event else (),
    )
    assert choices.timezone_of(session, choice) == zone


def test_without_any_of_them_mornings_are_those_of_the_topmost_branch(session: Session, cast: Cast) -> None:
    birch = session.merge(cast.birch)
    birch.parent_id = cast.alder.id
    session.flush()
    assert choices.timezone_of(session, Choice()) == "America/Chicago"


# ---------------------------------------------------------------- refusing, ending, forgetting


def left(session: Session) -> list[Subscription]:
    session.flush()
    return list(session.exec(select(Subscription).order_by(col(Subscription.id))))


def test_what_was_not_asked_for_by_the_owner_is_forgotten(session: Session) -> None:
    assert not choices.refuse(session, choices.ask(session, BEN, NEAR, NOW))
    assert left(session) == []
    subscription = confirmed(session)
    choices.ask(session, BEN, Choice(newsletter=True), NOW)
    assert choices.refuse(session, subscription) and subscription.pending is None
    assert choices.choice_of(session, subscription).place == "Chicago"


def test_ending_it_keeps_nothing_and_takes_out_what_waits_to_be_sent(
    session: Session, cast: Cast, tool_night: Event
) -> None:
    topics = tuple(topic.id or 0 for topic in session.exec(select(Topic)))
    subscription = confirmed(
        session, replace(NEAR, branches=(cast.alder.id or 0,), topics=topics, events=(tool_night.id or 0,))
    )
    for unsubscribe_url in ("https://clubs.example.org/subscriptions/1/unsubscription", ""):
        outbox.put(session, NOW, recipient=BEN, subject="", body="", unsubscribe_url=unsubscribe_url)
    session.flush()
    choices.end(session, subscription)
    assert left(session) == []
    for model in (SubscriptionBranch, SubscriptionTopic, SubscriptionEvent):
        assert session.exec(select(model)).all() == []
    assert [mail.unsubscribe_url for mail in session.exec(select(OutgoingMail))] == [""]


def test_an_event_is_followed_no_more_and_with_the_last_thing_all_ends(
    session: Session, tool_night: Event, bike_night: Event
) -> None:
    numbers = (tool_night.id or 0, bike_night.id or 0)
    subscription = confirmed(session, Choice(events=numbers))
    assert choices.unfollow(session, subscription, numbers[0])
    assert choices.choice_of(session, subscription).events == numbers[1:]
    with pytest.raises(NotFound):
        choices.unfollow(session, subscription, numbers[0])
    assert not choices.unfollow(session, subscription, numbers[1])
    assert left(session) == []


def test_what_nobody_confirms_within_a_week_is_forgotten(session: Session) -> None:
    confirmed(session)
    choices.ask(session, BEN, Choice(newsletter=True), NOW)
    choices.ask(session, "ana@example.org", NEAR, NOW)
    choices.ask(session, "cy@example.org", NEAR, NOW + timedelta(hours=1))
    session.flush()
    choices.forget_past(session, NOW + WEEK + timedelta(seconds=1))
    session.expire_all()
    ben, cy = left(session)
    assert (ben.email, ben.pending, ben.asked_at, ben.place) == (BEN, None, None, "Chicago")
    assert cy.email == "cy@example.org" and cy.pending is not None


def test_the_worker_forgets_it(database: Database, settings: Settings, publishing: Publishing) -> None:
    now = datetime.now(UTC)
    with database.writing() as session:
        for days in (6, 8):
            choices.ask(session, f"{days}@example.org", NEAR, now - timedelta(days=days))
    worker = Worker(settings, publishing)
    worker.clean()
    worker.database.dispose()
    with database.reading() as session:
        assert [one.email for one in session.exec(select(Subscription))] == ["6@example.org"]


# ---------------------------------------------------------------- at the same moment


def test_an_address_that_is_typed_by_several_at_once_has_one_row(database: Database) -> None:
    def ask(number: int) -> None:
        with database.writing() as session:
            choices.ask(session, BEN, replace(NEAR, branches=(number,)), NOW)

    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(ask, range(1, 13)))
    with database.reading() as session:
        waiting = choices.pending_of(session.exec(select(Subscription)).one())
    assert waiting is not None and len(waiting.branches) == 1


def test_who_follows_a_branch_follows_the_one_that_took_its_place_as_well(
    session: Session, cast: Cast
) -> None:
    alder, birch = cast.alder.id or 0, cast.birch.id or 0
    found = []
    for email, wanted in (("a", (alder,)), ("b", (alder, birch)), ("c", ())):
        choice = replace(NEAR, branches=wanted)
        found.append(choices.ask(session, f"{email}@example.org", choice, NOW))
        choices.confirm(session, found[-1], NOW)
    choices.follow_on(session, cast.alder, cast.birch)
    held = [choices.choice_of(session, one).branches for one in found]
    assert held == [(alder, birch), (alder, birch), ()]
