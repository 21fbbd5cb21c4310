"""News for everybody: the list, one notice, feeds, and what the home page and branches show of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..branches.models import Branch
from ..calendars import lists, pictures, queries
from ..calendars.entries import Front
from ..calendars.models import Picture, Topic
from ..calendars.timezones import to_wall
from ..errors import say
from ..news import feed as feeds
from ..news import notices
from ..news.models import Notice
from ..news.notices import Listed, Told, Wish
from . import linked_data
from .endpoints import now
from .environment import link
from .feeds import feed_answer
from .forms import Form, page_number, query
from .pictures import PictureRow, shown
from .responses import page_link
from .state import language_of, shared, state_of
from .subscribing import Alternate, alternates
from .templating import render

FILTERS = ("branch", "topic")
FORMS = ("atom", "json")
MOST = 50  # branches or topics of one list
OF_A_BRANCH = 3
RECENT = 8


@dataclass(frozen=True, slots=True)
class NewsRow:
    """One line of a list. `href` leads elsewhere for a headline. `language`: empty where it is not known."""

    title: str
    href: str
    language: str
    day: date
    day_label: str
    by: str
    by_href: str
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """A notice as the home page shows it: with how its text begins, and its picture."""

    id: int
    row: NewsRow
    text: str
    picture: PictureRow | None
    alt: str


# ---------------------------------------------------------------- the list


def listing(request: Request, session: Session) -> Response:
    form, moment = query(request), now()
    page = page_number(form)
    chosen = _chosen(session, form)
    rows, more = notices.listed(session, chosen.wish, moment, page=page)
    return render(
        request,
        "news/list.html",
        whose=", ".join(chosen.names),
        rows=[_row(request, row) for row in rows],
        chips=[
            (label, _without(request, form, name, slug))
            for name, slug, label in [
                *(("branch", branch.slug, branch.name) for branch in chosen.branches),
                *(("topic", topic.slug, topic.name) for topic in chosen.topics),
            ]
        ],
        topics=[
            (
                topic.name,
                link(language_of(request).code, "/news", _query(form) | {"topic": topic.slug}),
                False,
            )
            for topic in notices.topics(session, moment)
            if not chosen.topics
        ],
        previous=page_link(request, form, FILTERS, page - 1) if page > 1 else None,
        following=page_link(request, form, FILTERS, page + 1) if more else None,
        feeds=news_feeds(request, _query(form)),
        data=linked_data.standing(request, (language_of(request).gettext("News"), "/news")),
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What the query asks for."""

    branches: Sequence[Branch]
    topics: Sequence[Topic]

    @property
    def wish(self) -> Wish:
        return Wish(_ids(self.branches), _ids(self.topics))

    @property
    def names(self) -> list[str]:
        return [*(branch.name for branch in self.branches), *(topic.name for topic in self.topics)]


def _ids(rows: Sequence[Branch] | Sequence[Topic]) -> list[int]:
    return [row.id for row in rows if row.id is not None]


def _chosen(session: Session, form: Form) -> _Chosen:
    """Raises NotFound for a branch or topic that is none."""
    asked = _query(form)
    found = {branch.slug: branch for branch in branches.at_slugs(session, asked["branch"])}
    return _Chosen(
        [found.get(slug) or branches.here(session, slug) for slug in asked["branch"]],
        [queries.topic_at(session, slug) for slug in asked["topic"]],
    )


def _query(form: Form) -> dict[str, list[str]]:
    """The filters, in the one form that their feed has."""
    return {
        name: list(dict.fromkeys(slug.strip() for slug in form.all(name) if slug.strip()))[:MOST]
        for name in FILTERS
    }


def _without(request: Request, form: Form, name: str, slug: str) -> str:
    kept = {key: [one for one in slugs if (key, one) != (name, slug)] for key, slugs in _query(form).items()}
    return link(language_of(request).code, "/news", kept)


def news_feeds(request: Request, wanted: Mapping[str, object]) -> list[Alternate]:
    return alternates(request, "/news", wanted, language_of(request).gettext("News"), FORMS)


def _row(request: Request, row: Listed) -> NewsRow:
    spoken = language_of(request)
    day = to_wall(row.at, row.timezone).date()
    return NewsRow(
        title=row.title,
        href=row.url or link(spoken.code, f"/news/{row.slug}", {}),
        language=row.language,
        day=day,
        day_label=spoken.short_day(day),
        by=row.by,
        by_href=link(spoken.code, f"/branches/{row.by_slug}", {}) if row.by_slug else "",
        elsewhere=bool(row.url),
    )


# ---------------------------------------------------------------- one


def page(request: Request, session: Session) -> Response:
    told = notices.public(session, request.path_params["slug"], now())
    notice, branch, topic = told
    picture = _pictures(session, [told]).get(notice.picture_id or "")
    day = to_wall(notice.begins_at or notice.modified_at, notice.timezone).date()
    return render(
        request,
        "news/page.html",
        news=notice,
        branch=branch,
        topic=topic,
        day=day,
        picture=shown(picture),
        data=linked_data.article(request, told, picture, f"/news/{notice.slug}"),
    )


def _address(request: Request, notice: Notice) -> str:
    code = language_of(request).code
    return state_of(request).settings.public_url + link(code, f"/news/{notice.slug}", {})


# ---------------------------------------------------------------- feeds


def feed(request: Request, session: Session) -> Response:
    """`/news.atom` and `/news.json`, with the filters of the page."""
    state, spoken, form = state_of(request), language_of(request), query(request)
    extension = request.scope["path"].rpartition(".")[2]
    chosen = _chosen(session, form)
    base, wanted = state.settings.public_url, _query(form)
    front = Front(
        name=spoken.say(say("%(name)s: news", name=", ".join(chosen.names) or state.settings.name)),
        description=spoken.say(say("News of %(name)s", name=state.settings.name)),
        url=base + link(spoken.code, "/news", wanted),
        source=base + link(spoken.code, f"/news.{extension}", wanted),
        locale=spoken.code,
    )
    finished = feeds.finished(
        session,
        extension,
        chosen.wish,
        front,
        state.publishing,
        lambda notice: _address(request, notice),
        now(),
    )
    return feed_answer(finished, lists.FORMATS[extension].media_type)


# ---------------------------------------------------------------- on other pages


def top_stories(request: Request, session: Session) -> list[Story]:
    found = notices.top_stories(session, now())
    ready = _pictures(session, found)
    return [_story(request, told, shown(ready.get(told[0].picture_id or ""))) for told in found]


def _story(request: Request, told: Told, picture: PictureRow | None) -> Story:
    notice, branch, _ = told
    by, by_slug = (branch.name, branch.slug) if branch else ("", "")
    at: datetime = notice.begins_at or notice.modified_at
    row = Listed(notice.title, notice.language, at, notice.timezone, notice.slug, "", by, by_slug)
    text = notices.excerpt(notice.text)
    return Story(notice.id or 0, _row(request, row), text, picture, notice.picture_alt)


def _pictures(session: Session, told: Sequence[Told]) -> Mapping[str, Picture]:
    return pictures.ready(session, {notice.picture_id for notice, *_ in told if notice.picture_id})


def recent(request: Request, session: Session, without: Collection[Story]) -> list[NewsRow]:
    """What is new besides these."""
    wish = Wish(without=[story.id for story in without])
    rows, _ = notices.listed(session, wish, now(), size=RECENT)
    return [_row(request, row) for row in rows]


def of_branch(request: Request, session: Session, branch: Branch) -> list[NewsRow]:
    """The newest on its own page, where nobody need be told whose they are."""
    if branch.id not in shared(request, "branches with news", lambda: notices.branches(session, now())):
        return []
    rows, _ = notices.listed(session, Wish(_ids([branch])), now(), size=OF_A_BRANCH)
    return [replace(_row(request, row), by="", by_href="") for row in rows]
