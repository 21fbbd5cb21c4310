"""Mails about what waits: to those who decide, once a day at most, and at once when it is urgent, though at most
once an hour; and to those who proposed what was decided without an answer.

Who is to be told is asked from what waits, not from people or branches: of those there may be a million.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..calendars import changes
from ..calendars.content import Publishing
from ..calendars.models import PUBLIC, Event, EventBranch
from ..db import table_of
from ..errors import Message, say
from ..language import Language, closest
from ..messages import outbox
from ..people import history
from ..people.models import Membership, MembershipRequest, Person, Role
from . import cohosting, proposals, reports
from .answers import answer
from .models import Proposal, Report

DAILY, URGENT = timedelta(hours=24), timedelta(hours=1)
# What is younger is told the next time: a transaction that is still open may bring something older than it.
SETTLED = timedelta(seconds=5)
MOST_PEOPLE = 20
MOST_LINES = 30

PROPOSAL, REPORT, REQUEST, HOSTING = "proposal", "report", "request", "hosting"


def due(session: Session, now: datetime) -> bool:
    """Whether anybody is to be told or answered: a look that takes no lock."""
    return bool(_people_due(session, now, 1) or _unanswered(session, 1))


def send(session: Session, publishing: Publishing, now: datetime, most: int = MOST_PEOPLE) -> int:
    """Writes mails that are due; returns how many people were told or answered. Call again until it is 0."""
    for proposal, event in (unanswered := _unanswered(session, most)):
        _conclude(session, proposal, event, publishing, now)
    told = [_tell(session, number, publishing, now) for number in _people_due(session, now, most)]
    return len(unanswered) + sum(told)


# ---------------------------------------------------------------- who hears of what


def _waiting(now: datetime) -> sa.CTE:
    """Whatever waits: its kind and number, at which branch, and who brought it (a person, or the naming branch)."""
    event, proposal, report = table_of(Event).c, table_of(Proposal).c, table_of(Report).c
    request, hosting = table_of(MembershipRequest).c, table_of(EventBranch).c
    nobody, never = sa.cast(sa.null(), sa.Integer), sa.false()
    at_branch = sa.func.coalesce(event.branch_id, report.branch_id)
    suggested = _columns(
        *(PROPOSAL, proposal.event_id, event.branch_id, proposal.person_id, nobody),
        *(proposal.created_at, proposal.urgent),
    ).join(table_of(Event), event.id == proposal.event_id)
    reported = (
        _columns(REPORT, report.id, at_branch, nobody, nobody, report.created_at, report.urgent)
        .select_from(table_of(Report))
        .outerjoin(table_of(Event), event.id == report.event_id)
    )
    asked = _columns(
        REQUEST, request.id, request.branch_id, request.person_id, nobody, request.created_at, never
    )
    named = _columns(
        HOSTING, hosting.event_id, hosting.branch_id, nobody, event.branch_id, hosting.added_at, never
    ).join(table_of(Event), event.id == hosting.event_id)
    return sa.union_all(
        suggested.where(*proposals.waits()),
        reported.where(*reports.waits()),
        asked.where(request.decided_at.is_(None)),
        named.where(*cohosting.waits(now)),
    ).cte("waiting")


def _columns(kind: str, *values: Any) -> sa.Select[Any]:
    names = ("number", "branch_id", "author_id", "owner_id", "created_at", "urgent")
    return sa.select(
        sa.literal(kind).label("kind"),
        *(value.label(name) for name, value in zip(names, values, strict=True)),
    )


def _deciders(waiting: sa.CTE) -> sa.CTE:
    """Who has a role at the branches of what waits or above them, and whether it is to be trusted."""
    branch, membership = table_of(Branch).c, table_of(Membership).c
    places = sa.union(
        sa.select(waiting.c.branch_id.label("id")),
        sa.select(waiting.c.owner_id).where(waiting.c.owner_id.is_not(None)),
    ).subquery()
    start = sa.select(places.c.id.label("branch_id"), places.c.id.label("above_id")).cte(
        "above", recursive=True
    )
    above = start.union(
        sa.select(start.c.branch_id, branch.parent_id)
        .join(start, start.c.above_id == branch.id)
        .where(branch.parent_id.is_not(None))
    )
    roles = sa.select(above.c.branch_id, membership.person_id, membership.role, membership.trusted)
    return roles.join(above, above.c.above_id == membership.branch_id).cte("decider")


def _hears(now: datetime) -> sa.Subquery:
    """What waits, once for each person who is to hear of it: `person_id` beside the columns of `_waiting`.

    Where nobody of the branch may decide, admins hear of it. Nobody hears of what they brought themselves.
    """
    waiting = _waiting(now)
    decider = _deciders(waiting)
    person = table_of(Person).c
    other = decider.alias("other")

    def decides(one: sa.FromClause) -> sa.ColumnElement[bool]:
        right = sa.case((waiting.c.kind == REQUEST, one.c.role == Role.BRANCH_ADMIN), else_=one.c.trusted)
        return sa.and_(one.c.branch_id == waiting.c.branch_id, right, _by_others(waiting, one.c.person_id))

    named_it = sa.exists().where(
        other.c.branch_id == waiting.c.owner_id, other.c.person_id == decider.c.person_id, other.c.trusted
    )
    theirs = sa.select(waiting, decider.c.person_id).join(decider, decides(decider)).where(~named_it)
    nobodys = sa.select(waiting, person.id).join(
        table_of(Person), sa.and_(person.is_admin, _by_others(waiting, person.id))
    )
    nobodys = nobodys.where(waiting.c.kind != HOSTING, ~sa.exists().where(decides(other)))
    return sa.union(theirs, nobodys).subquery("hears")


def _by_others(waiting: sa.CTE, person_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return sa.or_(waiting.c.author_id.is_(None), waiting.c.author_id != person_id)


def _people_due(session: Session, now: datetime, most: int) -> Sequence[int]:
    hears, person, settled = _hears(now), table_of(Person).c, now - SETTLED
    ready = sa.or_(
        person.told_at.is_(None),
        person.told_at <= settled - DAILY,
        sa.and_(hears.c.urgent, person.told_at <= settled - URGENT),
    )
    query = (
        sa.select(person.id)
        .join(hears, hears.c.person_id == person.id)
        .where(_is_new(hears, person.told_at), hears.c.created_at <= settled, ready)
    )
    return session.connection().execute(query.distinct().order_by(person.id).limit(most)).scalars().all()


def _is_new(hears: sa.Subquery, told_at: Any) -> sa.ColumnElement[bool]:
    return sa.or_(told_at.is_(None), hears.c.created_at > told_at)


# ---------------------------------------------------------------- telling them


@dataclass(frozen=True, slots=True)
class Thing:
    """One row of `_hears`."""

    kind: str
    number: int
    branch_id: int
    created_at: datetime
    urgent: bool


def _tell(session: Session, person_id: int, publishing: Publishing, now: datetime) -> int:
    """One mail with everything that is new to the person; 0 when another worker is about to."""
    person = session.get_one(Person, person_id)
    before, until = person.told_at, now - SETTLED
    if not _is_first(session, person, until):
        return 0
    things = _things(session, person_id, now)
    new = [one for one in things if (before is None or one.created_at > before) and one.created_at <= until]
    spoken = closest(person.language, publishing.locales)
    subject = _URGENT if any(one.urgent for one in new) else _NEW
    outbox.put(
        session,
        now,
        recipient=person.email,
        subject=spoken.say(Message(subject.text, {"name": publishing.organisation})),
        body=_body(session, spoken, new, len(things), publishing),
        locale=spoken.code,
    )
    return 1


_NEW = say("%(name)s: something waits for you")
_URGENT = say("%(name)s: something urgent waits for you")


def _is_first(session: Session, person: Person, until: datetime) -> bool:
    """Claims the mail: from now on, what came until then has been told."""
    table = table_of(Person)
    long_ago = sa.or_(table.c.told_at.is_(None), table.c.told_at <= until - URGENT)
    claim = sa.update(table).where(table.c.id == person.id, long_ago).values(told_at=until)
    first = session.connection().execute(claim).rowcount == 1
    session.refresh(person)
    return first


def _things(session: Session, person_id: int, now: datetime) -> list[Thing]:
    """All that waits for the person, the urgent first, then the oldest."""
    hears = _hears(now)
    columns = (hears.c[name] for name in ("kind", "number", "branch_id", "created_at", "urgent"))
    query = sa.select(*columns).where(hears.c.person_id == person_id)
    query = query.order_by(hears.c.urgent.desc(), hears.c.created_at, hears.c.kind, hears.c.number)
    return [Thing(*row) for row in session.connection().execute(query)]


def _body(
    session: Session, spoken: Language, new: Sequence[Thing], waiting: int, publishing: Publishing
) -> str:
    lines = [f"- {spoken.say(_line(session, one))}" for one in new[:MOST_LINES]]
    if len(new) > MOST_LINES:
        others = len(new) - MOST_LINES
        lines.append(spoken.ngettext("- and %(num)d other", "- and %(num)d others", others) % {"num": others})
    prefix = "" if spoken.code == "en" else f"/{spoken.code}"
    in_all = spoken.ngettext("In all, %(num)d thing waits.", "In all, %(num)d things wait.", waiting)
    parts = (
        spoken.say(
            say("This is new at %(name)s, and you can decide about it:", name=publishing.organisation)
        ),
        "\n".join(lines),
        in_all % {"num": waiting},
        f"{publishing.base_url}{prefix}/organize/queue",
        spoken.say(
            say("Such an e-mail comes once a day at most, and at once only when something is urgent.")
        ),
    )
    return "\n\n".join(parts)


def _line(session: Session, thing: Thing) -> Message:
    branch = session.get_one(Branch, thing.branch_id).name
    match thing.kind:
        case "proposal":
            event = session.get_one(Event, thing.number)
            posted = session.get_one(Proposal, thing.number).person_id is not None
            values = {"branch": branch, "title": event.title, "day": event.start.date()}
            return Message((_POSTED if posted else _SUGGESTED).text, values)
        case "report":
            report = session.get_one(Report, thing.number)
            event_title = session.get_one(Event, report.event_id).title if report.event_id else ""
            values = {"what": reports.KINDS[report.kind], "branch": branch, "title": event_title}
            return Message((_REPORTED if event_title else _REPORTED_BRANCH).text, values)
        case "request":
            who = session.get_one(Person, session.get_one(MembershipRequest, thing.number).person_id)
            return say(
                "%(who)s would like to organize at %(branch)s", who=who.name or who.email, branch=branch
            )
    title = session.get_one(Event, thing.number).title
    return say("%(branch)s was named as co-host of “%(title)s”", branch=branch, title=title)


_SUGGESTED = say("Suggested to %(branch)s: “%(title)s”, %(day)s")
_POSTED = say("Waits for approval at %(branch)s: “%(title)s”, %(day)s")
_REPORTED = say("Reported about “%(title)s” of %(branch)s: %(what)s")
_REPORTED_BRANCH = say("Reported about %(branch)s: %(what)s")


# ---------------------------------------------------------------- answering those who proposed something


def _unanswered(session: Session, most: int) -> Sequence[tuple[Proposal, Event]]:
    """Decided without an answer yet, or published or removed without a word about the proposal."""
    passed_by = sa.and_(
        col(Proposal.decided_at).is_(None),
        sa.or_(col(Event.state).in_(PUBLIC), col(Event.deleted_at).is_not(None)),
    )
    unsaid = sa.and_(col(Proposal.decided_at).is_not(None), col(Proposal.language) != "")
    query = select(Proposal, Event).join(Event, col(Event.id) == col(Proposal.event_id))
    return session.exec(query.where(sa.or_(passed_by, unsaid)).order_by(col(Event.id)).limit(most)).all()


def _conclude(
    session: Session, proposal: Proposal, event: Event, publishing: Publishing, now: datetime
) -> None:
    proposals.settle(session, event, event.is_public, now)
    if _was_taken_back(session, proposal, event):
        proposal.language = ""
    else:
        answer(session, proposal, event, publishing, now)


def _was_taken_back(session: Session, proposal: Proposal, event: Event) -> bool:
    """Who removed their own post knows what became of it."""
    if event.deleted_at is None or proposal.person_id is None:
        return False
    last = next(iter(history.versions(session, changes.subject(event), most=1)), None)
    return last is not None and last.person_id == proposal.person_id
