"""Events: lists, and one event; and the same as feeds."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..calendars import content, derived, queries
from ..calendars.add_links import add_links
from ..calendars.models import Topic
from ..calendars.offered import languages_in_use
from ..calendars.queries import Listed, Selection
from ..calendars.walking import Way
from ..errors import Unreadable, say
from . import freshness, linked_data, list_words, pictures
from .endpoints import now
from .environment import link
from .finding import Finding, select_kindly
from .forms import FILTERS, Form, known_day, number_at, page_number, query
from .reading import other_links
from .responses import page_link
from .rows import by_day, event_row, repeats, unit_of
from .signing_up import can_be_followed
from .state import language_of, shared, state_of
from .subscribing import alternates, alternates_of_events, canonical_query, subscribe_links
from .templating import render
from .words import (
    ACCESS_WORDS,
    access_in_words,
    access_options,
    language_name,
    language_options,
    topic_options,
)

DATES_SHOWN = 10


def listing(request: Request, session: Session) -> Response:
    form = query(request)
    page = page_number(form)
    rows: list[Listed] = []
    more, way = False, None
    selection, finding = select_kindly(request, session, form)
    if finding.problem is None:
        way = list_words.way_to_words(session, selection)
        rows, more = queries.upcoming(session, selection, now(), page=page, way=way)
    return _list_page(
        request, session, "calendars/list.html", form, selection, finding, rows, page, more, way=way
    )


def topic(request: Request, session: Session) -> Response:
    found = queries.topic_at(session, request.path_params["slug"])
    form = query(request)
    page = page_number(form)
    selection = Selection(topics=(found.slug,))
    rows, more = queries.upcoming(session, selection, now(), page=page)
    return _list_page(
        request, session, "calendars/topic.html", form, selection, Finding(""), rows, page, more, topic=found
    )


def _list_page(
    request: Request,
    session: Session,
    template: str,
    form: Form,
    selection: Selection,
    finding: Finding,
    rows: list[Listed],
    page: int,
    more: bool,
    topic: Topic | None = None,
    way: Way | None = None,
) -> Response:
    feed_path = f"/topics/{topic.slug}.ics" if topic else "/events.ics"
    spoken, typed = language_of(request), form.only(FILTERS)
    topics, others_in_use = topic_options(request, session, selection.topics)
    today = list_words.today_there(request, session, finding, selection)
    feeds = alternates_of_events(request, selection)
    if topic:
        feeds = alternates(request, f"/topics/{topic.slug}", {}, topic.name, ("ics", "atom", "json"))
    return render(
        request,
        template,
        status_code=finding.status,
        form=form,
        finding=finding,
        others=other_links(request, form, finding, "/events"),
        sentence=finding.sentence,
        days=by_day(request, rows, selection.near),
        page=page,
        topic=topic,
        topic_options=tuple(topics),
        topic_hint=others_in_use,
        access_options=tuple(access_options(spoken)),
        language_options=(
            ("", spoken.gettext("Any")),
            *language_options(spoken, shared(request, "languages", lambda: languages_in_use(session))),
        ),
        unit=unit_of(request),
        chips=[
            *list_words.place_chips(request, form, finding, selection),
            *chips(request, session, form, selection),
        ],
        heading=list_words.heading(session, selection),
        length=list_words.length(request, session, selection, rows, page, more, way),
        days_to_choose=list_words.days_to_choose(request, form, today),
        wider=list_words.wider(request, form, selection),
        previous=page_link(request, form, FILTERS, page - 1) if page > 1 else None,
        following=page_link(request, form, FILTERS, page + 1) if more else None,
        month_href=link(spoken.code, f"/calendar/{today.year}/{today.month}", typed),
        mail_href=f"{link(spoken.code, '/subscribe', {'topic': topic.slug} if topic else typed)}#mail",
        subscribe=subscribe_links(request, feed_path, {} if topic else canonical_query(request, selection)),
        feeds=[] if finding.problem else feeds,
        data=linked_data.of_events(request, (topic.name, f"/topics/{topic.slug}") if topic else None),
    )


def chips(
    request: Request, session: Session, form: Form, selection: Selection, path: str = "/events"
) -> list[tuple[str, str]]:
    """Each filter in use, and the address of the page at `path` without it."""
    spoken = language_of(request)
    used = [("topic", each.slug, each.name) for each in queries.topics_at(session, selection.topics)]
    used += [("branch", each.slug, each.name) for each in branches.at_slugs(session, selection.branches)]
    used += [("access", word, spoken.say(ACCESS_WORDS[word])) for word in selection.access]
    if selection.first:
        used.append(("from", form["from"], spoken.say(say("From %(day)s", day=selection.first))))
    if selection.last:
        used.append(("to", form["to"], spoken.say(say("Until %(day)s", day=selection.last))))
    if selection.online is not None:
        used.append(
            ("online", form["online"], spoken.say(say("Online") if selection.online else say("In person")))
        )
    if selection.language:
        used.append(("language", form["language"], language_name(spoken, selection.language)))
    if selection.text:
        used.append(("q", form["q"], spoken.say(say("“%(text)s”", text=selection.text))))
    return [(label, _without(request, path, form, name, value)) for name, value, label in used]


def _without(request: Request, path: str, form: Form, name: str, value: str) -> str:
    kept = {
        key: [typed for typed in form.all(key) if (key, typed.strip()) != (name, value.strip())]
        for key in FILTERS
    }
    return link(language_of(request).code, path, kept)


def event(request: Request, session: Session) -> Response:
    found = queries.public_event(session, number_at(request))
    told = derived.tell(session, found)
    dates = queries.dates_of(session, found.id or 0, now(), DATES_SHOWN)
    chosen = chosen_date(session, found.id or 0, query(request)["date"], dates)
    spoken = language_of(request)
    said = (
        content.said_on(told, chosen.original_start, spoken) if chosen else content.said(told, spoken=spoken)
    )
    here = state_of(request).publishing.page_of(found, spoken, said.planned_day if chosen else None)
    return render(
        request,
        "calendars/event.html",
        event=found,
        said=said,
        shown=event_row(request, chosen) if chosen else None,
        data=linked_data.event(request, said, here),
        access=access_in_words(spoken, [word for word in found.access.split(",") if word]),
        day=said.planned_day if query(request)["date"] else None,
        hosts=[
            {"name": host.name, "href": link(spoken.code, f"/branches/{host.slug}", {})}
            for host in told.hosts
        ],
        topics=told.topics,
        picture=pictures.shown(told.picture),
        freshness=freshness.of(request, session, found),
        dates=[event_row(request, listed) for listed in dates if listed != chosen],
        repeats=repeats(spoken, chosen) if chosen else None,
        zone=spoken.zone(found.timezone),
        can_be_followed=can_be_followed(found),
        span=spoken.span(found.start, found.end, found.all_day),
        add=add_links(said, here, spoken, whole=not query(request)["date"]),
        subscribe=subscribe_links(request, f"/events/{found.id}.ics", {}),
        feeds=alternates(request, f"/events/{found.id}", {}, said.title, ("ics",)),
    )


def chosen_date(session: Session, event_id: int, text: str, dates: list[Listed]) -> Listed | None:
    """The date that `?date=` names, else the next one. Raises Unreadable or NotFound."""
    if not text:
        return dates[0] if dates else None
    try:
        day = known_day(text)
    except ValueError as error:
        raise Unreadable(
            say("“%(text)s” is not a date. Please write it as year-month-day: 2026-12-31.", text=text[:40])
        ) from error
    return queries.date_of(session, event_id, day)
