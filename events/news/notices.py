"""Which notices are shown where and when, with headlines beside them; and the list that organizers see."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import Select

from ..branches.models import Branch
from ..calendars.models import Topic
from ..db import table_of
from ..errors import Gone, NotFound, no_such_page, say
from ..markdown import html
from .models import Headline, HeadlineSource, Notice

PAGE = 30
TOP_STORIES = 3
LETTERS_OF_AN_EXCERPT = 160
RETURNS_FOR = timedelta(days=30)  # how long what was removed can be brought back

Told = tuple[
    Notice, Branch | None, Topic | None
]  # a notice, whose it is (None: the organisation's), and its topic


def shown(now: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    """Notices that anybody sees at that moment; a draft has no beginning."""
    return sa.and_(
        col(Notice.begins_at) <= now,
        sa.or_(col(Notice.ends_at).is_(None), col(Notice.ends_at) > now),
        col(Notice.removed_at).is_(None),
    )


def excerpt(text: str) -> str:
    """How a Markdown text begins: its first paragraph in one line, whole words."""
    line = html(text).partition("</p>")[0].striptags()
    if len(line) <= LETTERS_OF_AN_EXCERPT:
        return line
    cut = line[:LETTERS_OF_AN_EXCERPT]
    return f"{cut.rpartition(' ')[0] or cut}…"


def since(
    session: Session,
    since: datetime | None,
    until: datetime,
    branch_ids: Collection[int] = (),
    topic_ids: Collection[int] = (),
) -> Sequence[Notice]:
    """Those shown at `until` that became visible after `since` (None: ever) and not after `until`, newest first.

    The organisation's and those of these branches; no branches: of all. Of topics likewise: one without a topic is
    for everybody.
    """
    query = select(Notice).where(shown(until))
    if since is not None:
        query = query.where(col(Notice.begins_at) > since)
    if branch_ids:
        query = query.where(sa.or_(col(Notice.branch_id).is_(None), col(Notice.branch_id).in_(branch_ids)))
    if topic_ids:
        query = query.where(sa.or_(col(Notice.topic_id).is_(None), col(Notice.topic_id).in_(topic_ids)))
    return session.exec(query.order_by(*_NEWEST_FIRST)).all()


_NEWEST_FIRST = (col(Notice.begins_at).desc(), col(Notice.id).desc())


# ---------------------------------------------------------------- lists


@dataclass(frozen=True, slots=True)
class Wish:
    """Which news: every part narrows. Branches and topics are alternatives among themselves; headlines have neither."""

    branch_ids: Collection[int] = ()
    topic_ids: Collection[int] = ()
    without: Collection[int] = ()  # notices that are shown elsewhere on the page

    def conditions(self, now: datetime) -> list[sa.ColumnElement[bool]]:
        """On the `notice` table."""
        found = [shown(now)]
        if self.branch_ids:
            found.append(col(Notice.branch_id).in_(self.branch_ids))
        if self.topic_ids:
            found.append(col(Notice.topic_id).in_(self.topic_ids))
        if self.without:
            found.append(col(Notice.id).not_in(self.without))
        return found

    def values(self) -> dict[str, object]:
        """What of them was given."""
        given = {"branches": self.branch_ids, "topics": self.topic_ids, "without": self.without}
        return {name: list(ids) for name, ids in given.items() if ids}


@dataclass(frozen=True, slots=True)
class Listed:
    """One line: a notice with its slug, or a headline with the address that it leads to.

    `by`: the branch (and its slug), or what the headline's source calls itself; nothing for the organisation.
    """

    title: str
    language: str
    at: datetime
    timezone: str
    slug: str
    url: str
    by: str
    by_slug: str


def listed(
    session: Session, wish: Wish, now: datetime, *, page: int = 1, size: int = PAGE
) -> tuple[list[Listed], bool]:
    """Notices and headlines, newest first, and whether there are more. NotFound past the end."""
    query = _listing(bool(wish.branch_ids), bool(wish.topic_ids), bool(wish.without))
    asked = {"now": now, "until": page * size + 1, "skip": (page - 1) * size, "most": size + 1}
    rows = [Listed(*row) for row in session.connection().execute(query, asked | wish.values())]
    if page > 1 and not rows:
        raise no_such_page(page)
    return rows[:size], len(rows) > size


@cache
def _listing(branches: bool, topics: bool, without: bool) -> sa.Select[Any]:
    """Made once for each kind of wish, and as long to make as to execute: its values are said then."""
    now = sa.bindparam("now", type_=table_of(Notice).c.begins_at.type)
    until, skip, most = (
        sa.bindparam(name, type_=sa.Integer(), literal_execute=True) for name in ("until", "skip", "most")
    )
    given = [(branches, col(Notice.branch_id).in_, "branches"), (topics, col(Notice.topic_id).in_, "topics")]
    given.append((without, col(Notice.id).not_in, "without"))
    wanted = [among(sa.bindparam(name, expanding=True)) for asked, among, name in given if asked]
    kinds = [_notices(shown(now), *wanted).order_by(*_NEWEST_FIRST).limit(until).subquery()]
    if not branches and not topics:
        newest = col(Headline.published_at).desc(), col(Headline.id).desc()
        kinds.append(_headlines(now).order_by(*newest).limit(until).subquery())
    line = sa.union_all(*map(sa.select, kinds)).subquery().c
    query = sa.select(*(line[name] for name in Listed.__slots__))
    return query.order_by(line.at.desc(), line.url, line.id.desc()).offset(skip).limit(most)


def _notices(*wanted: sa.ColumnElement[bool]) -> sa.Select[Any]:
    notice, branch = table_of(Notice).c, table_of(Branch).c
    return (
        sa.select(
            notice.id,
            notice.title,
            notice.language,
            notice.begins_at.label("at"),
            notice.timezone,
            notice.slug,
            sa.literal("").label("url"),
            sa.func.coalesce(branch.name, "").label("by"),
            sa.func.coalesce(branch.slug, "").label("by_slug"),
        )
        .select_from(table_of(Notice))
        .outerjoin(table_of(Branch), branch.id == notice.branch_id)
        .where(*wanted)
    )


def _headlines(now: sa.BindParameter[datetime]) -> sa.Select[Any]:
    headline, source = table_of(Headline).c, table_of(HeadlineSource).c
    return (
        sa.select(
            headline.id,
            headline.title,
            sa.literal("").label("language"),
            headline.published_at.label("at"),
            sa.literal("UTC").label("timezone"),
            sa.literal("").label("slug"),
            headline.url,
            source.name.label("by"),
            sa.literal("").label("by_slug"),
        )
        .select_from(table_of(Headline))
        .join(table_of(HeadlineSource), source.id == headline.source_id)
        .where(headline.published_at <= now)
    )


def told(session: Session, wish: Wish, now: datetime, most: int) -> Sequence[Told]:
    """Whole notices, newest first."""
    query = _told().where(*wish.conditions(now)).order_by(*_NEWEST_FIRST)
    return _all(session, query.limit(most))


def top_stories(session: Session, now: datetime) -> Sequence[Told]:
    """What admins have put on top, newest first; where there is nothing, the newest of the organisation."""
    of_all = sa.or_(col(Notice.is_top), col(Notice.branch_id).is_(None))
    order = (col(Notice.is_top).desc(), *_NEWEST_FIRST)
    ids = sa.select(col(Notice.id)).where(shown(now), of_all).order_by(*order).limit(TOP_STORIES)
    found = _all(session, _told().where(col(Notice.id).in_(ids)).order_by(*order))
    return [one for one in found if one[0].is_top] or found


def _told() -> Select[Notice, Branch, Topic]:
    """Branch and topic are None where there are none."""
    return (
        select(Notice, Branch, Topic)
        .outerjoin(Branch, col(Branch.id) == col(Notice.branch_id))
        .outerjoin(Topic, col(Topic.id) == col(Notice.topic_id))
    )


def _all(session: Session, query: Select[Notice, Branch, Topic]) -> list[Told]:
    return [(notice, branch, topic) for notice, branch, topic in session.exec(query)]


def topics(session: Session, now: datetime) -> Sequence[Topic]:
    """Of what is shown, by name."""
    used = sa.select(col(Notice.topic_id)).where(shown(now), col(Notice.topic_id).is_not(None))
    return session.exec(select(Topic).where(col(Topic.id).in_(used)).order_by(col(Topic.name))).all()


def branches(session: Session, now: datetime) -> frozenset[int | None]:
    """The ids of those of which something is shown."""
    return frozenset(session.exec(select(Notice.branch_id).where(shown(now)).distinct()))


def public(session: Session, slug: str, now: datetime) -> Told:
    """Raises Gone for what was shown once, NotFound for what never was (yet)."""
    found = session.exec(_told().where(col(Notice.slug) == slug)).first()
    if found is None:
        raise NotFound(say("There is no news at this address."))
    notice, branch, topic = found
    if notice.begins_at is None or notice.begins_at > now:
        raise NotFound(say("There is no news at this address."))
    if notice.removed_at is not None:
        raise Gone(say("This news has been removed."))
    if not notice.is_shown(now):
        raise Gone(say("This news is over."))
    return notice, branch, topic


# ---------------------------------------------------------------- for search engines, and for feeds


def number_of_pages(session: Session, now: datetime) -> int:
    return session.exec(select(sa.func.count(col(Notice.id))).where(shown(now))).one()


def pages(session: Session, now: datetime, skip: int, most: int) -> Sequence[tuple[str, datetime]]:
    """The slugs of what is shown, each with its last change."""
    query = select(Notice.slug, Notice.modified_at).where(shown(now)).order_by(col(Notice.id))
    return session.exec(query.offset(skip).limit(most)).all()


@dataclass(frozen=True, slots=True)
class Moves:
    """When something last changed, began or ended, and when something next begins or ends."""

    changed_at: datetime | None
    next_at: datetime | None


def moves(session: Session, now: datetime) -> Moves:
    """One look at all notices that were ever published."""
    notice = table_of(Notice).c
    moments = (notice.begins_at, notice.ends_at)
    past = [sa.func.max(sa.case((at <= now, at))) for at in moments]
    coming = [sa.func.min(sa.case((at > now, at))) for at in moments]
    wanted: list[sa.ColumnElement[Any]] = [sa.func.max(notice.modified_at), *past, *coming]
    query = sa.select(*wanted).where(notice.begins_at.is_not(None))
    changed_at, began, ended, begins, ends = session.connection().execute(query).one()
    return Moves(
        max((at for at in (changed_at, began, ended) if at), default=None),
        min((at for at in (begins, ends) if at), default=None),
    )


# ---------------------------------------------------------------- for organizers


class Stage(StrEnum):
    """In the order in which organizers see them."""

    DRAFT = "draft"
    SHOWN = "shown"
    COMING = "coming"
    OVER = "over"


def stage_of(notice: Notice, now: datetime) -> Stage:
    if notice.begins_at is None:
        return Stage.DRAFT
    if notice.begins_at > now:
        return Stage.COMING
    return Stage.OVER if notice.ends_at is not None and notice.ends_at <= now else Stage.SHOWN


def of_desk(
    session: Session, branch_ids: sa.Select[tuple[int]], everywhere: bool, now: datetime, page: int
) -> tuple[list[tuple[Notice, str | None]], bool]:
    """What these branches (with `everywhere`, the organisation too) have written, by stage and then the newest first.

    Each with the name of its branch; and whether there are more. NotFound past the end.
    """
    begins, ends = col(Notice.begins_at), col(Notice.ends_at)
    stage = sa.case(
        (begins.is_(None), 0), (begins > now, 2), (sa.or_(ends.is_(None), ends > now), 1), else_=3
    )
    query = (
        _own(branch_ids, everywhere)
        .where(col(Notice.removed_at).is_(None))
        .order_by(stage, sa.func.coalesce(begins, col(Notice.modified_at)).desc(), col(Notice.id).desc())
    )
    rows = session.exec(query.offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    if page > 1 and not rows:
        raise no_such_page(page)
    return [(notice, name) for notice, name in rows[:PAGE]], len(rows) > PAGE


def removed_lately(
    session: Session, branch_ids: sa.Select[tuple[int]], everywhere: bool, now: datetime
) -> Sequence[tuple[Notice, str | None]]:
    """What may still be brought back, the newest first."""
    query = _own(branch_ids, everywhere).where(col(Notice.removed_at) > now - RETURNS_FOR)
    rows = session.exec(query.order_by(col(Notice.removed_at).desc(), col(Notice.id)).limit(PAGE)).all()
    return [(notice, name) for notice, name in rows]


def _own(branch_ids: sa.Select[tuple[int]], everywhere: bool) -> Select[Notice, str]:
    """With the name of the branch, None for the organisation's."""
    own = col(Notice.branch_id).in_(branch_ids)
    whose = sa.or_(own, col(Notice.branch_id).is_(None)) if everywhere else own
    return select(Notice, Branch.name).outerjoin(Branch, col(Branch.id) == col(Notice.branch_id)).where(whose)


def pictures_in_use(now: datetime) -> sa.Select[Any]:
    """Of notices that are there, or may be brought back."""
    lives = sa.or_(col(Notice.removed_at).is_(None), col(Notice.removed_at) > now - RETURNS_FOR)
    return sa.select(col(Notice.picture_id)).where(col(Notice.picture_id).is_not(None), lives)
