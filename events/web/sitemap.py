"""`/sitemap.xml`: each page that search engines should know, in each language (sitemaps.org, protocol 0.9)."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple
from xml.sax.saxutils import escape

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..branches import paging as branches
from ..calendars import paging as events
from ..calendars.offered import topics_in_use
from ..config import Settings
from ..errors import no_such_page
from ..interpreter import MANY_FIRST_S, let_answers_go_first
from ..news import notices
from .endpoints import aside, now
from .environment import prefixed
from .forms import page_number, query
from .state import State, state_of

MOST_URLS = 50_000  # of one file; beyond, /sitemap.xml is an index of several
MOST_BYTES = 50_000_000  # the protocol has 52,428,800
AROUND_A_PATH = 150  # bytes of mark-up and of the longest path
AT_ONCE = 500  # pages that are written together, in some 3 ms
PAGES = (
    *("/", "/branches", "/events", "/news", "/subscribe", "/interests", "/suggest"),
    *("/embed", "/about", "/privacy", "/credits"),
)
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
XHTML = "http://www.w3.org/1999/xhtml"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class Entry(NamedTuple):
    """A page without its language. `changed_at`: None when it has no date of its own."""

    path: str
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Pages of one kind: how many, and those after the first few."""

    number: int
    rows: Callable[[int, int], Iterable[Entry]]


def sitemap(request: Request, session: Session) -> Response:
    """The pages, or an index when one file cannot hold them; `?page=` is one file of it."""
    state, form = state_of(request), query(request)
    base, codes = state.settings.public_url, state.settings.locales
    sections = _sections(session, now())
    most = pages_of_a_file(base, codes)
    files = max(1, -(-sum(section.number for section in sections) // most))
    if files > 1 and "page" not in form:
        return _answer(_index(base, files))
    page = page_number(form)
    if page > files:
        raise no_such_page(page)
    return _answer(_urlset(state, list(_part(sections, (page - 1) * most, most))))


def _sections(session: Session, moment: datetime) -> list[Section]:
    """Not what has closed or is over: those pages answer, but nobody should be led to them."""
    fixed = [*map(Entry, PAGES), *(Entry(f"/topics/{topic.slug}") for topic in topics_in_use(session))]

    def some_branches(skip: int, most: int) -> Iterator[Entry]:
        return (Entry(f"/branches/{slug}", at) for slug, at in branches.slugs(session, skip, most))

    def some_events(skip: int, most: int) -> Iterator[Entry]:
        return (Entry(f"/events/{id}", at) for id, at in events.ids_of_pages(session, moment, skip, most))

    def some_news(skip: int, most: int) -> Iterator[Entry]:
        return (Entry(f"/news/{slug}", at) for slug, at in notices.pages(session, moment, skip, most))

    return [
        Section(len(fixed), lambda skip, most: fixed[skip : skip + most]),
        Section(branches.number(session), some_branches),
        Section(events.number_of_pages(session, moment), some_events),
        Section(notices.number_of_pages(session, moment), some_news),
    ]


def _part(sections: Sequence[Section], skip: int, most: int) -> Iterator[Entry]:
    """`most` entries of all sections in their order, after the first `skip`."""
    for section in sections:
        here = max(0, min(most, section.number - skip))
        if here:
            yield from section.rows(skip, here)
        skip, most = max(0, skip - section.number), most - here


def pages_of_a_file(base: str, codes: Sequence[str]) -> int:
    """Each page is a URL in each language, and each of these names all the others and the default."""
    number, line = len(codes), len(base) + AROUND_A_PATH
    return min(MOST_URLS // number, MOST_BYTES // (number * (number + 3) * line))


# ---------------------------------------------------------------- as XML


async def _index(base: str, files: int) -> AsyncIterator[str]:
    yield f'{DECLARATION}<sitemapindex xmlns="{NAMESPACE}">\n'
    for page in range(1, files + 1):
        yield f"<sitemap><loc>{escape(base)}/sitemap.xml?page={page}</loc></sitemap>\n"
    yield "</sitemapindex>\n"


async def _urlset(state: State, entries: Sequence[Entry]) -> AsyncIterator[str]:
    """Written while it is sent, as a full file has 20 MB, and not in the loop, where nobody else would be answered."""
    yield f'{DECLARATION}<urlset xmlns="{NAMESPACE}" xmlns:xhtml="{XHTML}">\n'
    for start in range(0, len(entries), AT_ONCE):
        yield await aside(state.long, partial(_written, state.settings, entries[start : start + AT_ONCE]))
    yield "</urlset>\n"


def _written(settings: Settings, entries: Sequence[Entry]) -> str:
    let_answers_go_first(MANY_FIRST_S)
    return "".join(urls(settings.public_url, settings.locales, entry) for entry in entries)


def urls(base: str, codes: Sequence[str], entry: Entry) -> str:
    """One for each language, each with all of them: otherwise search engines take neither as the other's.

    `x-default` is for who speaks none of them, as in the head of each page.
    """
    hrefs = {code: escape(base + prefixed(code, entry.path)) for code in codes}
    named = {**hrefs, "x-default": hrefs[codes[0]]} if len(codes) > 1 else {}
    others = "".join(
        f'<xhtml:link rel="alternate" hreflang="{code}" href="{at}"/>' for code, at in named.items()
    )
    changed = f"{entry.changed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if entry.changed_at else ""
    lastmod = f"<lastmod>{changed}</lastmod>" if changed else ""
    return "".join(f"<url><loc>{href}</loc>{lastmod}{others}</url>\n" for href in hrefs.values())


def _answer(body: AsyncIterator[str]) -> Response:
    return StreamingResponse(body, media_type="application/xml")
