"""What our answers are measured against: Starlette with one route that does as little as can be done."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from bench._load import Target, ask, bare, compared, row

PATH = "/bare"
ROWS = 50

# As many bytes and values as a row of our list of events has, in a frame that is nothing.
LIST = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{{ title }}</title></head>
<body>
<h1>{{ title }}</h1>
<ul class="events">
{% for row in rows -%}
<li class="event{% if row.cancelled %} event--cancelled{% endif %}">
  <div class="event__body">
    <p class="event__when">
      <time datetime="{{ row.written }}">{{ row.moment }}</time>
      {% if row.zone %}<small>{{ row.zone }}</small>{% endif %}
    </p>
    <div class="event__head">
      <h3 class="event__title"><a href="{{ row.href }}"><span class="visually-hidden">{{ row.day }}, </span>
        <bdi>{{ row.title }}</bdi></a></h3>
    </div>
    <p class="event__where">
      <a href="{{ row.branch_href }}"><bdi>{{ row.branch }}</bdi></a> · <bdi>{{ row.place }}</bdi>
    </p>
  </div>
</li>
{% endfor -%}
</ul>
</body>
</html>
"""


def against_bare(name: str, ours: Target, least: float | None, seconds: float, rounds: int) -> bool:
    """A line of the table: ours against a bare route that answers the same."""
    with same_as(ours) as theirs:
        return row(name, compared(ours, theirs, seconds, rounds), least)


@contextmanager
def same_as(ours: Target) -> Iterator[Target]:
    """A bare route that answers with the same bytes, or with an empty 304."""
    answer, told = ask(ours), ours.headers
    with TemporaryDirectory() as folder:
        body = Path(folder, "body")
        body.write_bytes(answer.body)
        arguments = (body, answer.headers.get("content-type", ""), answer.headers.get("content-encoding", ""))
        made = ("bench._bare:empty",) if answer.status == 304 else ("bench._bare:same_bytes", *arguments)
        with bare(*made, pinned=ours.pinned) as address:
            yield Target(address + PATH, told, answer.status, pinned=ours.pinned)


@contextmanager
def fifty_rows_rendered() -> Iterator[Target]:
    with bare("bench._bare:fifty_rows") as address:
        yield Target.never_twice(address + PATH)


# ---------------------------------------------------------------- applications; the one route of each is at PATH


def empty() -> Starlette:
    """A conditional request that costs nothing: 304, no header of ours, nothing looked at."""

    async def answer(_: Request) -> Response:
        return Response(status_code=304)

    return _application(answer)


def same_bytes(file: str, media_type: str, encoding: str = "") -> Starlette:
    """These bytes from memory, with their type and length and, if they are compressed, how."""
    body = Path(file).read_bytes()
    headers = {"content-encoding": encoding} if encoding else {}

    async def answer(_: Request) -> Response:
        return Response(body, media_type=media_type, headers=headers)

    return _application(answer)


def fifty_rows() -> Starlette:
    """A plain `def`, which Starlette runs in a thread, renders rows that are in memory."""
    template = jinja2.Environment(autoescape=True).from_string(LIST)
    rows = [_row(number) for number in range(ROWS)]

    def answer(_: Request) -> Response:
        return HTMLResponse(template.render(title="Fifty rows", rows=rows))

    return _application(answer)


def _row(number: int) -> dict[str, object]:
    return {
        "written": f"2026-11-26T{number % 24:02}:00:00+01:00",
        "moment": f"{number % 12 + 1}:00 – {number % 12 + 2}:00 PM",
        "zone": "Berlin time" if number % 3 else "",
        "day": "Thursday, November 26, 2026, 9:00 – 10:00 AM",
        "href": f"/events/{number}",
        "title": "Repair evening & café in Elmarbury",
        "branch_href": f"/branches/b{number}",
        "branch": f"Elmarbury {number}",
        "place": "Town hall, 1 Main Street",
        "cancelled": number % 9 == 8,
    }


def _application(answer: Callable[[Request], Awaitable[Response] | Response]) -> Starlette:
    return Starlette(routes=[Route(PATH, answer)])
