"""/oembed: what to show in a page where an address of ours is pasted (oEmbed 1.0, oembed.com)."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..calendars import content, queries
from ..errors import BranchlineError, NotFound, Unreadable, say
from ..language import Language, language
from . import near
from .embedding import HEIGHT, frame, present
from .environment import link, unprefixed
from .forms import FILTERS, Form, query, whole_number
from .month import first_day, following_month
from .state import state_of
from .templating import EMBEDDABLE

WIDTH = 600  # pixels
AGE_S = 3600

Frame = tuple[str, str, dict[str, object]]  # what it is called, its path, its query


class NotWritten(BranchlineError):
    """A form of answer that we do not give (oEmbed 1.0, 2.3.5)."""

    status = 501


@dataclass(frozen=True, slots=True)
class Embedded:
    """`address`: of the frame."""

    title: str
    address: str


def oembed(request: Request, session: Session) -> Response:
    form, settings = query(request), state_of(request).settings
    if form["format"].strip() not in ("", "json"):
        raise NotWritten(say("We answer in JSON only: format=json."))
    width, height = _pixels(form, "maxwidth", WIDTH), _pixels(form, "maxheight", HEIGHT)
    found = _embedded(request, session, form["url"].strip())
    body = {
        "version": "1.0",
        "type": "rich",
        "provider_name": settings.name,
        "provider_url": settings.public_url,
        "title": found.title,
        "width": width,
        "height": height,
        "cache_age": AGE_S,
        # Without the script, which would make it higher than whoever asked has room for.
        "html": frame(found.address, f"{found.title} – {settings.name}", width, height),
    }
    return JSONResponse(
        body, headers={"Cache-Control": f"public, max-age={AGE_S}", "Access-Control-Allow-Origin": "*"}
    )


def _pixels(form: Form, name: str, ours: int) -> int:
    """No more than there is room for. Raises Unreadable."""
    text = form[name].strip()
    if not text:
        return ours
    number = whole_number(text)
    if not number:
        raise Unreadable(
            say("“%(name)s” can be a number of pixels, not “%(text)s”.", name=name, text=text[:40])
        )
    return min(number, ours)


def _embedded(request: Request, session: Session, url: str) -> Embedded:
    """The frame for a page of ours, in its language and with its filters. Raises NotFound."""
    parts, state = _ours(request, url), state_of(request)
    code, path = unprefixed(parts.path, state.settings.locales)
    match = EMBEDDABLE.fullmatch(unquote(path))
    if match is None:
        raise _nothing_to_show()
    spoken, (lists, kind, name, year, month) = language(code), match.groups()
    if kind:
        title, path, asked = _one(session, spoken, kind, name)
    else:
        title, path, asked = _list(spoken, lists or "events", parts)
        asked |= _month(year, month) if year else {}
    return Embedded(title, state.settings.public_url + link(code, path, asked))


def _ours(request: Request, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:  # half an IPv6 address
        raise _nothing_to_show() from error
    if f"{parts.scheme}://{parts.netloc}".lower() != state_of(request).settings.public_url.lower():
        raise _nothing_to_show()
    return parts


def _nothing_to_show() -> NotFound:
    return NotFound(say("There is no page of this site at that address that others could show."))


def _one(session: Session, spoken: Language, kind: str, name: str) -> Frame:
    """One branch, event or topic. Raises NotFound."""
    if kind == "branches":
        branch = present(session, name)
        return branch.name, "/embed/events", {"branch": branch.slug}
    if kind == "topics":
        topic = queries.topic_at(session, name)
        return topic.name, "/embed/events", {"topic": topic.slug}
    number = whole_number(name)
    if number is None:
        raise _nothing_to_show()
    event = queries.public_event(session, number)
    return content.title(event, None, spoken).text, "/embed/events", {"event": event.id}


def _list(spoken: Language, lists: str, parts: SplitResult) -> Frame:
    try:
        form = Form(parse_qsl(parts.query, errors="strict", max_num_fields=200))
    except ValueError as error:
        raise _nothing_to_show() from error
    if lists == "branches":
        return spoken.gettext("Branches"), "/embed/branches", form.only(near.KEPT)
    return spoken.gettext("Events"), "/embed/events", form.only(FILTERS)


def _month(year: str, month: str) -> dict[str, object]:
    try:
        first = first_day(year, month)
    except Unreadable as error:
        raise _nothing_to_show() from error
    return {"from": first, "to": following_month(first) - timedelta(days=1)}
