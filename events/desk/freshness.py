"""Series that nobody has looked at for long: people are asked whether they still take place.

Who is to be asked is found from the stale series, not from people or branches: of those there may be a million. A
person gets one mail with all of theirs, and another one a month later at the earliest. A series without an answer
fades after a month and ends after three; confirming brings it back. Nothing of this happens where nobody could answer.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import ValidationError
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..calendars import changes, content, dates, derived, horizon
from ..calendars.content import Publishing, Told
from ..calendars.models import CalendarSource, Event, State
from ..calendars.recurrence import next_dates
from ..calendars.rule_words import rule_in_words
from ..calendars.timezones import to_wall
from ..db import table_of
from ..errors import Conflict, say
from ..language import Language, closest
from ..messages import outbox
from ..people import history, permissions, sign_in
from ..people.history import Version
from ..people.models import Membership, OneTimeLink, Person, Purpose
from . import proposals

STALE_AFTER = timedelta(days=30)  # since somebody confirmed or changed it, or since it was posted
ASK_EVERY = timedelta(days=30)  # a series, and a person; links of the mail are good until the next one
STOPS_AFTER = timedelta(days=90)  # of the first mail without an answer
MOST_MAILS, MOST_SERIES = 50, 200  # of one transaction
MOST_LISTED = 30  # series with a link of their own in a mail
MOST_AT_ONCE = 500  # series that one link confirms
MOST_WAITING = 100  # on a desk

STOPPED, RESTORED, DECLINED = "stopped", "restored", "hosting-declined"  # as versions call it

NOTHING_TO_CONFIRM = say("This is not a series that goes on, so there is nothing to confirm.")


@dataclass(slots=True)
class Asking:
    """What one transaction does: the series that it claims, and the people it mails, with all of their stale series."""

    series: list[int] = field(default_factory=list)
    people: dict[int, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """`unasked`: series that wait for an answer which nobody is to give any more."""

    askings: Sequence[Asking]
    unasked: Sequence[int]


# ---------------------------------------------------------------- who is to be asked about what


def plan(session: Session, now: datetime) -> Plan:
    """All that is due, cut into transactions that hold up nobody. Changes nothing."""
    event = table_of(Event).c
    is_due = sa.and_(*_goes_on(now), *_is_due(now))
    due, people = _by_branch(session, is_due), _people_at(session, is_due)
    busy = _asked_lately(session, now)
    orphans = [number for branch, series in due.items() if not people[branch] for number in series]
    open_ = {branch: series for branch, series in due.items() if people[branch] - busy}
    all_of: defaultdict[int, list[int]] = defaultdict(list)
    for branch, series in open_.items():
        for person in people[branch] - busy:
            all_of[person] += series
    followed = sa.select(event.id).where(event.asked_since.is_not(None), event.source.in_(_followed()))
    unasked = [*orphans, *session.connection().execute(followed).scalars()]
    return Plan(list(_cut(open_, people, all_of)), unasked)


def _cut(
    series_at: Mapping[int, list[int]], people: Mapping[int, set[int]], all_of: Mapping[int, list[int]]
) -> Iterator[Asking]:
    """Each person is mailed with the first of their branches."""
    asking, mailed = Asking(), set[int]()
    for branch, series in series_at.items():
        asking.series += series
        for person in sorted((people[branch] & all_of.keys()) - mailed):
            asking.people[person] = all_of[person][:MOST_AT_ONCE]
            mailed.add(person)
        if len(asking.people) >= MOST_MAILS or len(asking.series) >= MOST_SERIES:
            yield asking
            asking = Asking()
    if asking.series:
        yield asking


def _goes_on(now: datetime) -> list[sa.ColumnElement[bool]]:
    """Series that have begun, with dates ahead, which no followed calendar keeps in step."""
    event = table_of(Event).c
    return [
        event.rrule != "",
        event.state == State.PUBLISHED,
        event.deleted_at.is_(None),
        event.begins_at <= now,
        sa.or_(event.ends_at.is_(None), event.ends_at > now),
        sa.or_(event.source.is_(None), event.source.not_in(_followed())),
    ]


def _followed() -> sa.Select[tuple[str]]:
    source = table_of(CalendarSource).c
    return sa.select(source.key).where(source.key.is_not(None))


def _is_due(now: datetime) -> list[sa.ColumnElement[bool]]:
    event = table_of(Event).c
    return [
        sa.func.coalesce(event.confirmed_at, event.created_at) <= now - STALE_AFTER,
        sa.or_(event.asked_at.is_(None), event.asked_at <= now - ASK_EVERY),
    ]


def _by_branch(session: Session, condition: sa.ColumnElement[bool]) -> dict[int, list[int]]:
    """The events of which this is true, by the branch that owns them."""
    event = table_of(Event).c
    query = sa.select(event.branch_id, event.id).where(condition).order_by(event.branch_id, event.id)
    found: defaultdict[int, list[int]] = defaultdict(list)
    for branch, number in session.connection().execute(query):
        found[branch].append(number)
    return dict(found)


def _people_at(session: Session, condition: sa.ColumnElement[bool]) -> Mapping[int, set[int]]:
    """`permissions.people_of` for all branches with such events: who has a role there or above, else the admins."""
    event, branch, membership = table_of(Event).c, table_of(Branch), table_of(Membership)
    place = sa.select(event.branch_id.label("branch_id"), event.branch_id.label("above_id"))
    start = place.where(condition).cte("above", recursive=True)
    step = sa.select(start.c.branch_id, branch.c.parent_id).join(branch, branch.c.id == start.c.above_id)
    above = start.union(step.where(branch.c.parent_id.is_not(None)))
    query = sa.select(above.c.branch_id, membership.c.person_id).join(
        membership, membership.c.branch_id == above.c.above_id
    )
    person = table_of(Person).c
    admins = set(session.connection().execute(sa.select(person.id).where(person.is_admin)).scalars())
    people: defaultdict[int, set[int]] = defaultdict(lambda: admins)
    for number, person_id in session.connection().execute(query.distinct()):
        people[number] = people.get(number, set()) | {person_id}
    return people


def _asked_lately(session: Session, now: datetime) -> set[int]:
    """Their links are still good."""
    query = select(OneTimeLink.person_id).where(
        col(OneTimeLink.purpose) == Purpose.CONFIRMATION, col(OneTimeLink.expires_at) > now
    )
    return set(session.exec(query.distinct()))


# ---------------------------------------------------------------- asking


def ask(session: Session, asking: Asking, publishing: Publishing, now: datetime) -> int:
    """Claims the series and puts the mails; returns how many. What another worker has claimed is not asked again."""
    event = table_of(Event)
    claim = (
        sa.update(event)
        .where(event.c.id.in_(asking.series), *_goes_on(now), *_is_due(now))
        .values(asked_at=now, asked_since=sa.func.coalesce(event.c.asked_since, now))
        .returning(event.c.id)
    )
    claimed = set(session.connection().execute(claim).scalars())
    busy = _asked_lately(session, now)
    told = {one.event.id: one for one in _told(session, asking)}
    number = 0
    for person in session.exec(
        select(Person).where(col(Person.id).in_(asking.people)).order_by(col(Person.id))
    ):
        series = [told[one] for one in asking.people[person.id or 0] if one in told]
        if person.id not in busy and claimed.intersection(one.event.id for one in series):
            _mail_question(session, person, series, publishing, now)
            number += 1
    return number


def _told(session: Session, asking: Asking) -> list[Told]:
    wanted = {number for series in asking.people.values() for number in series}
    query = select(Event).where(col(Event.id).in_(wanted), col(Event.deleted_at).is_(None))
    return derived.tell_all(session, session.exec(query.order_by(col(Event.id))).all())


def forget_questions(session: Session, series: Sequence[int]) -> None:
    """They wait for no answer any more."""
    event = table_of(Event)
    waits = sa.and_(event.c.id.in_(series), event.c.asked_since.is_not(None))
    session.connection().execute(sa.update(event).where(waits).values(asked_since=None))


def _mail_question(
    session: Session, person: Person, series: Sequence[Told], publishing: Publishing, now: datetime
) -> None:
    spoken = closest(person.language, publishing.locales)

    def address(numbers: Sequence[Told]) -> str:
        detail = ",".join(str(one.event.id) for one in numbers)
        token = sign_in.make_link(session, person, Purpose.CONFIRMATION, now, ASK_EVERY, detail)
        return _address(publishing, spoken, f"/sign-in/{token}")

    listed = [f"- {_question(one, spoken)}\n  {address([one])}" for one in series[:MOST_LISTED]]
    if (more := len(series) - MOST_LISTED) > 0:
        listed.append(spoken.ngettext("- and %(num)d more", "- and %(num)d more", more) % {"num": more})
    parts = [
        spoken.say(_INTRODUCTION),
        "\n".join(listed),
        *([f"{spoken.say(_ALL_OF_THEM)}\n{address(series)}"] if len(series) > 1 else []),
        f"{spoken.say(_OR_ELSE)}\n{_address(publishing, spoken, '/organize')}",
        spoken.say(_WHAT_FOLLOWS),
    ]
    subject = spoken.say(say("%(name)s: does it still take place?", name=publishing.organisation))
    body = "\n\n".join(parts)
    outbox.put(session, now, recipient=person.email, subject=subject, body=body, locale=spoken.code)


_INTRODUCTION = say(
    "Visitors rely on what is announced, and about this nobody has said anything for a month. If it still takes "
    "place as it says here, open the link and press the button. You need not sign in for that."
)
_ALL_OF_THEM = say("All of them still take place:")
_OR_ELSE = say("Is something over, or different by now? Then change it or cancel it at your desk:")
_WHAT_FOLLOWS = say(
    "Without an answer, the page says after a month that this is not confirmed, and after three months the series "
    "ends."
)


def _question(told: Told, spoken: Language) -> str:
    return spoken.say(say("%(series)s. Still so?", series=in_words(told, spoken)))


def in_words(told: Told, spoken: Language) -> str:
    """Tool night · Every Tuesday, 7:00 – 9:00 PM, at Alder Club."""
    event, rule, place = told.event, horizon.rule_of(told.event), content.place(told)
    where = say("at %(place)s", place=place.name or place.address) if str(place) else say("online")
    parts = [rule_in_words(spoken, rule)] if rule else []
    parts += [spoken.span(event.start, event.end, event.all_day), spoken.say(where)]
    return f"{event.title} · {', '.join(parts)}"


def _address(publishing: Publishing, spoken: Language, path: str) -> str:
    return publishing.base_url + ("" if spoken.code == "en" else f"/{spoken.code}") + path


# ---------------------------------------------------------------- ending what nobody answers for


def stopping(session: Session, now: datetime) -> Sequence[int]:
    """The branches that have series which nobody has answered for in three months."""
    return list(_by_branch(session, sa.and_(*_goes_on(now), *_unanswered(now))))


def _unanswered(now: datetime) -> list[sa.ColumnElement[bool]]:
    return [table_of(Event).c.asked_since <= now - STOPS_AFTER]


def stop(session: Session, branch_id: int, publishing: Publishing, now: datetime) -> int:
    """Ends these series of the branch before their next date, and tells its people; returns how many series."""
    branch = session.get_one(Branch, branch_id)
    people = permissions.people_of(session, branch)
    if not people:
        return 0
    query = select(Event).where(col(Event.branch_id) == branch_id, *_goes_on(now), *_unanswered(now))
    events = session.exec(query.order_by(col(Event.id)).limit(MOST_SERIES)).all()
    stopped = [event for event in events if _end(session, event, publishing, now)]
    for person in people if stopped else ():
        _mail_end(session, person, derived.tell_all(session, stopped), publishing, now)
    return len(stopped)


def _end(session: Session, event: Event, publishing: Publishing, now: datetime) -> bool:
    """Whether it was ended here: another worker may have been faster, and somebody may have answered meanwhile."""
    with changes.recorded(session, event, STOPPED, None, now):
        excluded = [datetime.fromisoformat(text) for text in event.exdates]
        here = to_wall(now, event.timezone)
        coming = next_dates(horizon.rule_of(event), event.start, excluded, here, 1)
        if event.asked_since is None or not coming:
            return False
        _keep_as_it_is(session, event, now)
        try:
            dates.end_before(session, event, coming[0], "", publishing, now)
        except (
            Conflict
        ):  # no date has been yet, or its clocks have changed since: that is for people to see to
            return False
    return True


def _keep_as_it_is(session: Session, event: Event, now: datetime) -> None:
    """As the newest version, to be had back: imports change events without leaving any."""
    found, [newest] = (
        changes.snapshot(session, event),
        history.versions(session, changes.subject(event), most=1),
    )
    if newest.snapshot != found:
        history.write(session, changes.subject(event), changes.FOUND, found, None, now)


def _mail_end(
    session: Session, person: Person, series: Sequence[Told], publishing: Publishing, now: datetime
) -> None:
    spoken = closest(person.language, publishing.locales)
    lines = [
        f"- {in_words(one, spoken)}\n  {_address(publishing, spoken, f'/organize/events/{one.event.id}')}"
        for one in series
    ]
    subject = spoken.say(say("%(name)s: ended, because nobody confirmed it", name=publishing.organisation))
    body = "\n\n".join((spoken.say(_HAS_ENDED), "\n".join(lines), spoken.say(_COMES_BACK)))
    outbox.put(session, now, recipient=person.email, subject=subject, body=body, locale=spoken.code)


_HAS_ENDED = say(
    "We have asked for three months whether this still takes place, and nobody has answered. So that nobody stands "
    "in front of a closed door, it is not announced any more:"
)
_COMES_BACK = say(
    "Does it take place after all? Open its page, sign in, and press “It still takes place”: all its dates come back."
)


# ---------------------------------------------------------------- answering


def confirm(
    session: Session, event: Event, person: Person | None, publishing: Publishing, now: datetime
) -> None:
    """It still takes place. A series that was ended for want of an answer goes on. Raises Conflict."""
    changes.hold(session, event)
    before = before_stop(session, event)
    if before is not None:
        if person is not None:  # it would be published again
            proposals.check_may_change(session, person, event)
        with changes.recorded(session, event, RESTORED, person, now):
            try:
                changes.restore(session, event, before, publishing, now)
            except ValidationError as error:
                raise Conflict(
                    say(
                        "It cannot go on as it was, because clocks have changed since. Please change it instead."
                    )
                ) from error
    elif not goes_on(event, now):
        raise Conflict(NOTHING_TO_CONFIRM)
    event.confirmed_at, event.asked_since = now, None


def goes_on(event: Event, now: datetime) -> bool:
    """A series that is announced, with dates ahead."""
    announced = event.is_series and event.state == State.PUBLISHED and event.deleted_at is None
    return announced and (event.ends_at is None or event.ends_at > now)


def can_be_confirmed(session: Session, event: Event, now: datetime) -> bool:
    return goes_on(event, now) or before_stop(session, event) is not None


def before_stop(session: Session, event: Event) -> Version | None:
    """How the series was before it was ended for want of an answer; None when that is not the last that was done."""
    newest = [
        one for one in history.versions(session, changes.subject(event), most=20) if one.action != DECLINED
    ]
    stopped = len(newest) > 1 and newest[0].action == STOPPED and event.deleted_at is None
    return newest[1] if stopped else None


def waiting(session: Session, branch_ids: sa.Select[tuple[int]], now: datetime) -> list[Event]:
    """Series of these branches that wait for an answer, or were ended for want of one; the longest first."""
    query = select(Event).where(
        col(Event.branch_id).in_(branch_ids),
        col(Event.asked_since).is_not(None),
        col(Event.deleted_at).is_(None),
    )
    found = session.exec(query.order_by(col(Event.asked_since), col(Event.id)).limit(MOST_WAITING)).all()
    return [event for event in found if can_be_confirmed(session, event, now)]


def theirs(session: Session, person: Person, detail: str) -> Sequence[Event]:
    """The series that a link is about, as far as they are still there and the person may still act for them."""
    numbers = [int(text) for text in detail.split(",") if text.isdigit()]
    query = select(Event).where(
        col(Event.id).in_(numbers),
        col(Event.branch_id).in_(permissions.branch_ids(person)),
        col(Event.deleted_at).is_(None),
    )
    return session.exec(query.order_by(col(Event.id))).all()
