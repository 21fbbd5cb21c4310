"""Closing branches, opening them again, merging and splitting them: events, calendars and people go along.

What goes from one branch to another leaves the first one's feed in words (`derived`), and is recorded: for the
branches, and for each event, all under one batch.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from pydantic import ValidationError
from sqlmodel import Session, col, select

from ..branches.drafts import BranchDraft
from ..branches.locating import UNKNOWN_ZONE
from ..branches.models import Branch, Status
from ..calendars import changes, derived, sources, store
from ..calendars.content import Publishing
from ..calendars.models import PUBLIC, CalendarSource, Event, EventBranch, HostingRefusal, Picture, State
from ..db import table_of
from ..errors import Conflict, Message, say
from ..people.models import Membership, MembershipRequest, Person, Role
from ..people.roles import RANK
from ..places.lookup import Gazetteer
from . import branch_changes
from .models import Proposal, Report, TrustedProposer

MOST = 200  # events that a form offers


@dataclass(frozen=True, slots=True)
class Belongings:
    """How much there is at a branch."""

    coming: int  # events of its own that are not over, drafts among them
    to_cancel: int  # those of them that people know of, and that are on
    events: int  # of its own, those that are over too
    hosted: int  # events of others that it holds as well
    calendars: int  # that are followed
    children: int
    people: int


@dataclass(frozen=True, slots=True)
class Act:
    """Who does it, when, for which site, and what is done at once has the same batch."""

    person: Person
    publishing: Publishing
    now: datetime
    batch: str


def act(person: Person, publishing: Publishing, now: datetime, batch: str = "") -> Act:
    return Act(person, publishing, now, batch or uuid.uuid4().hex)


# ---------------------------------------------------------------- looking


def belongings(session: Session, branch: Branch, now: datetime) -> Belongings:
    own = col(Event.branch_id) == branch.id
    held = col(EventBranch.branch_id) == branch.id
    foreign = sa.select(sa.func.count()).select_from(EventBranch).join(Event, col(Event.id) == _EVENT)
    return Belongings(
        coming=_number(session, Event, own, _THERE, _not_over(now)),
        to_cancel=_number(session, Event, own, _THERE, _not_over(now), _on()),
        events=_number(session, Event, own, _THERE),
        hosted=session.connection().execute(foreign.where(held, _THERE, sa.not_(own))).scalar_one(),
        calendars=_number(
            session, CalendarSource, _of(CalendarSource, branch), col(CalendarSource.url) != ""
        ),
        children=_number(session, Branch, col(Branch.parent_id) == branch.id),
        people=_number(session, Membership, _of(Membership, branch)),
    )


def coming(session: Session, branch: Branch, now: datetime) -> Sequence[Event]:
    """Its own events that are not over, the first MOST of them."""
    query = select(Event).where(col(Event.branch_id) == branch.id, _THERE, _not_over(now))
    return session.exec(query.order_by(col(Event.begins_at), col(Event.id)).limit(MOST)).all()


_EVENT = col(EventBranch.event_id)
_THERE = col(Event.deleted_at).is_(None)


def _not_over(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(col(Event.ends_at).is_(None), col(Event.ends_at) > now)


def _on() -> sa.ColumnElement[bool]:
    return col(Event.state).in_([state for state in PUBLIC if state != State.CANCELLED])


def _of(
    model: type[
        CalendarSource | Membership | MembershipRequest | Proposal | Report | TrustedProposer | Picture
    ],
    branch: Branch,
) -> sa.ColumnElement[bool]:
    return table_of(model).c.branch_id == branch.id


def _number(session: Session, model: type, *conditions: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(model).where(*conditions)
    return session.connection().execute(query).scalar_one()


def unfit(session: Session, branch: Branch, successor: Branch) -> Message | None:
    """Why it cannot take the branch's place."""
    if successor.id == branch.id:
        return say("A branch cannot take its own place.")
    if successor.status == Status.CLOSED:
        return say("%(name)s has closed itself.", name=successor.name)
    seen: set[int | None] = set()
    after: Branch | None = successor
    while after is not None and after.id not in seen:
        if after.id == branch.id:
            return say(
                "%(name)s has named this very branch as the one that takes its place.", name=successor.name
            )
        seen.add(after.id)
        after = session.get(Branch, after.successor_id) if after.successor_id else None
    return None


# ---------------------------------------------------------------- closing


def close(
    session: Session,
    branch: Branch,
    *,
    day: date,
    successor: Branch | None,
    hand_over: bool,
    reason: str,
    act: Act,
) -> int:
    """Its coming events and followed calendars go over to the successor, or are cancelled and not followed any more.

    Returns how many events had to stay as they are.
    """
    with branch_changes.recorded(session, branch, "closed", act.person, act.now, act.batch):
        _end(branch, day, successor)
    if successor is not None and hand_over:
        left = _hand_over_all(session, branch, successor, act, _not_over(act.now))
        _move_calendars(session, branch, successor, act)
        return left
    for source in _calendars(session, branch, act.now):
        if source.is_followed:
            sources.remove(session, source)
    own = (col(Event.branch_id) == branch.id, _THERE, _not_over(act.now), _on())
    for event in session.exec(select(Event).where(*own).order_by(col(Event.id))).all():
        with changes.recorded(session, event, "cancelled", act.person, act.now, act.batch):
            event.cancel(reason, act.now)
            derived.save(session, event, act.publishing, act.now)
    return 0


def _end(branch: Branch, day: date, successor: Branch | None) -> None:
    branch.status, branch.end_date = Status.CLOSED, day
    branch.successor_id = successor.id if successor else None


def reopen(session: Session, branch: Branch, person: Person, now: datetime) -> None:
    """What was cancelled or handed over stays so."""
    with branch_changes.recorded(session, branch, "reopened", person, now):
        branch.status, branch.end_date, branch.successor_id = Status.ACTIVE, None, None


# ---------------------------------------------------------------- merging and splitting


def merge(session: Session, branch: Branch, into: Branch, *, day: date, act: Act) -> int:
    """All that is at the branch goes over, and it closes. Returns how many events had to stay as they are."""
    left = _hand_over_all(session, branch, into, act, _not_over(act.now))
    _hand_over_past(session, branch, into, act.now)
    _move_calendars(session, branch, into, act)
    _move_children(session, branch, into, act)
    _move_people(session, branch, into)
    with branch_changes.recorded(session, branch, "merged", act.person, act.now, act.batch, always=True):
        _end(branch, day, into)
    with branch_changes.recorded(session, into, "took-over", act.person, act.now, act.batch, always=True):
        pass
    return left


def split(
    session: Session,
    branch: Branch,
    draft: BranchDraft,
    events: Iterable[Event],
    gazetteer: Gazetteer,
    act: Act,
) -> Branch:
    """A new branch beside it, with the same people, that takes these events over. Twice under one batch is once."""
    parent = session.get(Branch, branch.parent_id) if branch.parent_id else None
    if branch_changes.sketch(None, draft, gazetteer, act.now).timezone == UNKNOWN_ZONE:
        draft = draft.model_copy(update={"timezone": branch.timezone})
    new, is_first = branch_changes.add(
        session, draft, gazetteer, parent, act.person, act.now, key=act.batch, action="split-off"
    )
    if not is_first:
        return new
    for one in session.exec(select(Membership).where(_of(Membership, branch))).all():
        kept = one.model_dump(exclude={"branch_id"})
        session.add(Membership(branch_id=new.id or 0, **kept))
    for event in events:
        _hand_over(session, event, branch, new, act)
    with branch_changes.recorded(session, branch, "split", act.person, act.now, act.batch, always=True):
        pass
    return new


def _move_children(session: Session, branch: Branch, into: Branch, act: Act) -> None:
    """One that lies below the branch itself comes to stand in its place first."""
    if branch_changes.is_below(session, into, branch):
        with branch_changes.recorded(session, into, "moved", act.person, act.now, act.batch):
            into.parent_id = branch.parent_id
    children = select(Branch).where(col(Branch.parent_id) == branch.id, col(Branch.id) != into.id)
    for child in session.exec(children.order_by(col(Branch.id))).all():
        with branch_changes.recorded(session, child, "moved", act.person, act.now, act.batch):
            child.parent_id = into.id


def _move_people(session: Session, branch: Branch, into: Branch) -> None:
    """Whoever has a role at both keeps the greater one. What waits for a decision waits there."""
    for one in session.exec(select(Membership).where(_of(Membership, branch))).all():
        there = session.get(Membership, (one.person_id, into.id))
        if there is None:
            session.add(Membership(branch_id=into.id or 0, **one.model_dump(exclude={"branch_id"})))
        else:
            there.role = max(Role(there.role), Role(one.role), key=lambda role: RANK[role])
            there.trusted = there.trusted or one.trusted
        session.delete(one)
    known = sa.select(col(TrustedProposer.email)).where(_of(TrustedProposer, into))
    twice = (_of(TrustedProposer, branch), col(TrustedProposer.email).in_(known))
    session.flush()
    session.connection().execute(sa.delete(TrustedProposer).where(*twice))
    for model in (MembershipRequest, Proposal, Report, TrustedProposer, Picture):
        session.connection().execute(
            sa.update(table_of(model)).where(_of(model, branch)).values(branch_id=into.id)
        )
    session.expire_all()


# ---------------------------------------------------------------- events


def _hand_over_all(
    session: Session, branch: Branch, to: Branch, act: Act, *conditions: sa.ColumnElement[bool]
) -> int:
    """Its own and those it holds with others, each as people would do it; returns how many had to stay."""
    held = sa.select(col(EventBranch.event_id)).where(col(EventBranch.branch_id) == branch.id)
    query = select(Event).where(col(Event.id).in_(held), _THERE, *conditions).order_by(col(Event.id))
    events = session.exec(query).all()
    left = sum(not _hand_over(session, event, branch, to, act) for event in events)
    _rename_source(session, f"file:{branch.id}", f"file:{to.id}")
    return left


def _hand_over_past(session: Session, branch: Branch, to: Branch, now: datetime) -> None:
    """What is over may be thousands, too many for one transaction: its rows go over, and the worker says it anew."""
    event, host, other = table_of(Event), table_of(EventBranch), table_of(EventBranch).alias()
    over = sa.select(event.c.id).where(_THERE, sa.not_(_not_over(now)))
    own = sa.select(event.c.id).where(event.c.branch_id == branch.id)
    there = sa.select(other.c.event_id).where(other.c.branch_id == to.id)
    refused = sa.select(col(HostingRefusal.event_id)).where(col(HostingRefusal.branch_id) == to.id)
    held = (host.c.branch_id == branch.id, host.c.event_id.in_(over))
    unwanted = sa.and_(host.c.event_id.in_(refused), host.c.event_id.not_in(own))
    session.flush()
    for statement in (
        sa.delete(host).where(*held, sa.or_(host.c.event_id.in_(there), unwanted)),
        sa.update(host).where(*held).values(branch_id=to.id),
        sa.update(event).where(event.c.branch_id == branch.id, event.c.id.in_(over)).values(branch_id=to.id),
    ):
        session.connection().execute(statement)
    session.expire_all()
    branch_changes.follow(session, to, now)


def _hand_over(session: Session, event: Event, branch: Branch, to: Branch, act: Act) -> bool:
    """The other takes the branch's place. False: the event cannot be said again, because clocks have changed since."""
    told = derived.tell(session, event)
    instead = {host.id: host for host in (to if host.id == branch.id else host for host in told.hosts)}
    if event.branch_id != branch.id and session.get(HostingRefusal, (event.id, to.id)) is not None:
        instead.pop(to.id, None)
    try:
        draft = store.draft_of(told)
    except ValidationError:  # its feed goes on in that of its successor, where it stays as it was
        return False
    with changes.recorded(session, event, "handed-over", act.person, act.now, act.batch):
        store.replace_with(session, event, draft, list(instead.values()), act.publishing, act.now)
    proposal = session.get(Proposal, event.id)
    if proposal is not None and proposal.branch_id == branch.id:
        proposal.branch_id = to.id or 0
    return True


# ---------------------------------------------------------------- followed calendars


def _calendars(session: Session, branch: Branch, now: datetime) -> Sequence[CalendarSource]:
    """Raises Conflict while one of them is being read: its events would still go to where it was."""
    found = session.exec(select(CalendarSource).where(_of(CalendarSource, branch)).with_for_update()).all()
    if any(source.leased_until is not None and source.leased_until > now for source in found):
        raise Conflict(
            say("A calendar that comes in there is being read right now. Please try again in a minute.")
        )
    return found


def _move_calendars(session: Session, branch: Branch, to: Branch, act: Act) -> None:
    for source in _calendars(session, branch, act.now):
        if not source.is_followed:
            source.branch_id = to.id or 0
            continue
        old, new = source.key or "", sources.source_key(source.url, to.id or 0)
        _rename_source(session, old, new)
        _remove_twins(session, old, act)
        if session.exec(select(CalendarSource).where(col(CalendarSource.key) == new)).first():
            sources.remove(session, source)  # the other follows it already
        else:
            source.branch_id, source.key = to.id or 0, new
        session.flush()


def _rename_source(session: Session, old: str, new: str) -> None:
    """By which events are known again; those that are known there already keep the old one."""
    event, twin = table_of(Event), table_of(Event).alias()
    there = sa.select(twin.c.source_uid).where(twin.c.source == new, twin.c.source_uid.is_not(None))
    session.flush()
    session.connection().execute(
        sa.update(event).where(event.c.source == old, event.c.source_uid.not_in(there)).values(source=new)
    )
    session.expire_all()


def _remove_twins(session: Session, old: str, act: Act) -> None:
    """Both branches had brought these in from the same calendar: one of each is enough."""
    for event in session.exec(select(Event).where(col(Event.source) == old, _THERE)).all():
        with changes.recorded(session, event, "removed", act.person, act.now, act.batch):
            event.delete(act.now)
            derived.save(session, event, act.publishing, act.now)
