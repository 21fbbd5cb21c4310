"""Every page and every state of a page that people can come to, in the world of `tests.awkward`.

The browser test looks at all of them, `./dev bench face` at all of them in every way. A new page is a new line here;
the routing table is asked whether one is missing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.routing import Match, Route

from events.web.endpoints import declared
from events.web.routes import routes

from .awkward import LONG_TITLE, NO_SPACE, World

NO_PAGES = re.compile(
    r".*\.(ics|atom|json|csv|vcf|geojson|svg|jpg|png|xml|txt|webmanifest|ico|css|js)"
    r"|/api/.*|/static/.*|/healthz|/readyz|/metrics|/oembed|/\.well-known/.*"
)


@dataclass(frozen=True, slots=True)
class Page:
    """`path` without its language; with `fields` it is the answer to this form. `frame`: shown in other sites."""

    name: str
    path: str
    who: str = ""
    status: int = 200
    fields: Mapping[str, str] | None = field(default=None, hash=False)
    frame: bool = False

    @property
    def kind(self) -> str:
        """What comes before the comma: one page in several states."""
        return self.name.partition(",")[0]

    def at(self, language: str) -> str:
        return self.path if language == "en" else f"/{language}{self.path}".removesuffix("/")


# Names, paths in terms of `World.at`, and the status where it is not 200.
EVERYBODY: Sequence[tuple[str, str] | tuple[str, str, int]] = [
    ("home", "/"),
    ("about", "/about"),
    ("privacy", "/privacy"),
    ("credits", "/credits"),
    ("directory", "/branches"),
    ("directory, filtered", "/branches?language=es&access=step-free&open=now"),
    ("results", "/branches?near=41.92,-87.65"),
    ("results, far away", "/branches?near=-45,170&within=1km"),
    ("results, unknown", "/branches?near=nowhere-at-all"),
    ("results, unreadable", "/branches?near=91,181", 422),
    ("branch", "/branches/alder"),
    ("branch, emoji", "/branches/emoji"),
    ("branch, nothing but a name", "/branches/bare"),
    ("branch, right to left", "/branches/hebrew"),
    ("branch, no space", "/branches/long"),
    ("branch, confidential", "/branches/refuge"),
    ("branch, forming", "/branches/forming"),
    ("branch, closed", "/branches/closed"),
    ("branch, closed for good", "/branches/orphan"),
    ("branch, unknown", "/branches/nobody", 404),
    ("contact", "/branches/alder/contact"),
    ("contact, nobody reads", "/branches/bare/contact"),
    ("contact, thanks", "/branches/alder/contact/thanks"),
    ("contact, copy", "/contact-copies/{copy}"),
    ("contact, copy gone", "/contact-copies/1-abc", 410),
    ("report a branch", "/branches/alder/report"),
    ("report a branch, thanks", "/branches/alder/report/thanks"),
    ("events", "/events"),
    ("events, filtered", "/events?online=yes&access=free&q=tool&near=41.92,-87.65&within=25mi&topic=repair"),
    ("events, none", "/events?q=zzzzzz"),
    ("events, full day", "/events?from={day}&to={day}"),
    ("events, second page", "/events?page=2"),
    ("events, unreadable", "/events?from=x&within=abc", 422),
    ("event, series", "/events/{series}"),
    ("event, one date", "/events/{series}?date={date-day}"),
    ("event, online", "/events/{online}"),
    ("event, no space", "/events/{long}"),
    ("event, right to left", "/events/{arabic}"),
    ("event, emoji", "/events/{emoji}"),
    ("event, three years", "/events/{years}"),
    ("event, whole days", "/events/{whole}"),
    ("event, cancelled", "/events/{cancelled}"),
    ("event, postponed", "/events/{postponed}"),
    ("event, past", "/events/{past}"),
    ("event, its calendar not read", "/events/{night}"),
    ("event, removed", "/events/{removed}", 410),
    ("event, unknown", "/events/999999", 404),
    ("follow", "/events/{series}/follow"),
    ("follow, cancelled", "/events/{cancelled}/follow", 409),
    ("report an event", "/events/{series}/report"),
    ("report an event, thanks", "/events/{series}/report/thanks"),
    ("topic", "/topics/{topic}"),
    ("topic, unknown", "/topics/nothing", 404),
    ("month", "/calendar/{year}/{month}"),
    ("month, empty", "/calendar/2031/02"),
    ("month, unreadable", "/calendar/{year}/13", 422),
    ("poster", "/events/{series}/poster"),
    ("poster, no space", "/events/{long}/poster"),
    ("poster, right to left", "/events/{arabic}/poster"),
    ("poster, picture is a line", "/events/{years}/poster"),
    ("flyer", "/calendar/{year}/{month}/flyer"),
    ("embed", "/embed"),
    ("embed, chosen", "/embed?branch=alder&theme=dark"),
    ("frame of events", "/embed/events"),
    ("frame of events, none", "/embed/events?q=zzzzzz"),
    ("frame of branches", "/embed/branches"),
    ("news", "/news"),
    ("notice", "/news/{notice-slug}"),
    ("notice, no space", "/news/{long-notice-slug}"),
    ("notice, right to left", "/news/{arabic-notice-slug}"),
    ("notice, gone", "/news/{gone-notice-slug}", 410),
    ("subscribe", "/subscribe"),
    ("subscribe, chosen", "/subscribe?branch=alder&topic=repair&near=41.92,-87.65&within=25mi"),
    ("subscribe, sent", "/subscribe/sent"),
    ("interests", "/interests"),
    ("interests, chosen", "/interests?topic=repair&near=41.92,-87.65"),
    ("subscription, waiting", "/subscriptions/{waiting}"),
    ("subscription", "/subscriptions/{subscription}"),
    ("subscription, over", "/subscriptions/9-abc", 410),
    ("unsubscribe", "/subscriptions/{subscription}/unsubscription"),
    ("suggest", "/suggest"),
    ("suggest, thanks", "/suggest/thanks"),
    ("register", "/register"),
    ("register, sent", "/register/sent"),
    ("password", "/password"),
    ("sign in", "/sign-in"),
    ("sign in, sent", "/sign-in/sent"),
    ("sign in, passkey", "/sign-in/passkey"),
    ("link", "/sign-in/{link}"),
    ("link, password", "/sign-in/{reset}"),
    ("link, invitation", "/sign-in/{invitation}"),
    ("link, new address", "/sign-in/{change-email}"),
    ("link, series", "/sign-in/{confirmation}"),
    ("link, suggestion", "/sign-in/{suggestion}"),
    ("link, old", "/sign-in/{old-link}", 410),
    ("series confirmed", "/confirmed"),
    ("nothing here", "/nothing-here", 404),
]

# Who has signed in, then as above.
SIGNED_IN: Sequence[tuple[str, str, str] | tuple[str, str, str, int]] = [
    ("fay", "account, new", "/account"),
    ("fay", "requests", "/account/requests"),
    ("ana", "account", "/account"),
    ("ana", "desk", "/organize"),
    ("eli", "desk, needs approval", "/organize"),
    ("ana", "my branches", "/organize/my-branches"),
    ("ana", "queue", "/organize/queue"),
    ("ana", "inbox", "/organize/inbox"),
    ("ana", "inbox, none", "/organize/inbox?show=muted"),
    ("ana", "message", "/organize/messages/{message}"),
    ("ana", "post an event", "/organize/events/new"),
    ("ana", "edit a series", "/organize/events/{series}"),
    ("ana", "edit an event, no space", "/organize/events/{long}"),
    ("ana", "edit an event, right to left", "/organize/events/{suggested}"),
    ("ana", "edit a draft", "/organize/events/{draft}"),
    ("ana", "edit an event, cancelled", "/organize/events/{cancelled}"),
    ("eli", "edit an event, submitted", "/organize/events/{submitted}"),
    ("ana", "not mine", "/organize/events/{online}", 404),
    ("ana", "cancellation", "/organize/events/{series}/cancellation"),
    ("ana", "event's picture", "/organize/events/{years}/picture"),
    ("ana", "event without a picture", "/organize/events/{long}/picture"),
    ("ana", "history", "/organize/events/{series}/history"),
    ("ana", "version", "/organize/events/{series}/history/1"),
    ("ana", "removed", "/organize/removed"),
    ("ana", "cancel days", "/organize/branches/alder/cancellations?from={day}&to={day}"),
    ("ana", "days cancelled", "/organize/cancellations/{batch}"),
    ("ana", "one date", "/organize/events/{series}/dates/{date}"),
    ("ana", "following dates", "/organize/events/{series}/dates/{date}/following"),
    ("ana", "imports", "/organize/imports"),
    ("ana", "import", "/organize/imports/{import}"),
    ("ana", "followed calendar", "/organize/imports/{followed}"),
    ("ana", "news desk", "/organize/news"),
    ("ana", "write news", "/organize/news/new"),
    ("dee", "headlines", "/organize/news/headlines"),
    ("ana", "edit a notice", "/organize/news/{long-notice}"),
    ("ana", "edit a notice, draft", "/organize/news/{draft-notice}"),
    ("ana", "notice's picture", "/organize/news/{long-notice}/picture"),
    ("ana", "newsletter", "/organize/news/{unsent}/newsletter"),
    ("ana", "newsletter, going out", "/organize/news/{notice}/newsletter"),
    ("ana", "newsletter, draft", "/organize/news/{draft-notice}/newsletter"),
    ("ana", "subscribers", "/organize/branches/alder/subscribers"),
    ("dee", "branches", "/organize/branches"),
    ("dee", "new branch", "/organize/branches/new"),
    ("dee", "edit a branch", "/organize/branches/alder"),
    ("ana", "edit a branch, bare", "/organize/branches/bare"),
    ("ana", "branch's history", "/organize/branches/alder/history"),
    ("ana", "branch's version", "/organize/branches/alder/history/1"),
    ("ana", "close a branch", "/organize/branches/alder/closing"),
    ("dee", "merge a branch", "/organize/branches/alder/merger"),
    ("dee", "split a branch", "/organize/branches/alder/split"),
    ("dee", "sheet", "/organize/branches/sheets/{sheet}"),
    ("dee", "coverage", "/organize/coverage"),
    ("dee", "outbox", "/organize/outbox"),
    ("dee", "people", "/organize/people"),
    ("dee", "member", "/organize/people/{eli}/branches/alder"),
    ("dee", "request", "/organize/requests/{request}"),
]

LONG_FORM = {"title": LONG_TITLE, "branch": "alder", "start_date": "yesterday", "repeats": "weekly"}
LONG_FORM |= {"description": NO_SPACE}
POSTED = {
    "branch": "alder", "title": LONG_TITLE, "start_date": "{day}", "start_time": "19:00", "end_time": "21:00",
    "repeats": "weekly", "interval": "1", "timezone": "America/Chicago", "attendance": "in-person", "language": "en",
}  # fmt: skip

# Who, name, path, what is sent, and the status of the answer.
FORMS: Sequence[tuple[str, str, str, Mapping[str, str], int]] = [
    ("", "contact, faults", "/branches/alder/contact", {"name": NO_SPACE, "email": "ben"}, 422),
    ("", "contact, too often", "/branches/emoji/contact", {"name": "Ben"}, 429),
    ("", "report a branch, faults", "/branches/alder/report", {"email": "ben"}, 422),
    ("", "report an event, faults", "/events/{series}/report", {"email": "ben"}, 422),
    ("", "subscribe, faults", "/subscribe", {"email": "ben", "near": "nowhere", "frequency": "weekly"}, 422),
    ("", "follow, faults", "/events/{series}/follow", {"email": NO_SPACE}, 422),
    (
        "",
        "subscription, faults",
        "/subscriptions/{subscription}",
        {"frequency": "weekly", "near": "91,181"},
        422,
    ),
    ("", "suggest, faults", "/suggest", {"title": NO_SPACE, "branch": "nobody", "start_date": "x"}, 422),
    ("", "register, faults", "/register", {"email": "ben", "password": "x", "branch": "nobody"}, 422),
    ("", "password, faults", "/password", {"email": "ben"}, 422),
    ("", "sign in, faults", "/sign-in", {"email": "ben@example.org", "password": "wrong"}, 422),
    ("", "link, faults", "/sign-in/{reset}", {"password": "x"}, 422),
    ("ana", "account, faults", "/account/email", {"email": "ana"}, 422),
    (
        "ana",
        "account, faults in the password",
        "/account/password",
        {"password": "x", "new_password": "y"},
        422,
    ),
    ("ana", "post an event, faults", "/organize/events/new", LONG_FORM, 422),
    ("ana", "post an event, preview", "/organize/events/preview", POSTED, 200),
    ("ana", "edit a series, faults", "/organize/events/{series}", LONG_FORM | {"revision": "{edition}"}, 422),
    ("ana", "edit a series, conflict", "/organize/events/{series}", POSTED | {"revision": "0"}, 409),
    (
        "ana",
        "edit a series, preview",
        "/organize/events/{series}/preview",
        POSTED | {"title": "Changed"},
        200,
    ),
    ("ana", "one date, faults", "/organize/events/{series}/dates/{date}", {"start_time": "x"}, 422),
    (
        "ana",
        "following, faults",
        "/organize/events/{series}/dates/{date}/following",
        LONG_FORM | {"revision": "{edition}"},
        422,
    ),
    ("ana", "cancel days, faults", "/organize/branches/alder/cancellations", {"from": "x"}, 422),
    ("ana", "imports, faults", "/organize/imports", {"branch": "alder", "url": "ftp://x"}, 422),
    ("ana", "news, faults", "/organize/news/new", {"title": "", "branch": "alder", "shown_from": "x"}, 422),
    ("ana", "picture, faults", "/organize/events/{long}/picture", {"alt": NO_SPACE}, 422),
    ("ana", "forward, faults", "/organize/messages/{message}/forwarding", {"branch": "nobody"}, 422),
    ("ana", "close a branch, faults", "/organize/branches/alder/closing", {"successor": "nobody"}, 422),
    (
        "dee",
        "new branch, faults",
        "/organize/branches/new",
        {"name": "", "position": "x", "opening_hours": "?"},
        422,
    ),
    ("dee", "new branch, preview", "/organize/branches/new/preview", {"name": LONG_TITLE[:200]}, 200),
    ("dee", "headlines, faults", "/organize/news/headlines", {"url": "x"}, 422),
    ("dee", "people, faults", "/organize/people", {"email": "x", "branch": "nobody"}, 422),
]


def pages(world: World) -> list[Page]:
    """All of them, those of one person together."""
    found = [Page(name, path, "", next(iter(status), 200)) for name, path, *status in EVERYBODY]
    found += [Page(name, path, who, next(iter(status), 200)) for who, name, path, *status in SIGNED_IN]
    found += [Page(name, path, who, status, fields) for who, name, path, fields, status in FORMS]
    filled = [_filled(page, world) for page in found]
    return sorted(filled, key=lambda page: page.who)


def _filled(page: Page, world: World) -> Page:
    fields = page.fields and {name: _with(text, world) for name, text in page.fields.items()}
    path = _with(page.path, world)
    return Page(page.name, path, page.who, page.status, fields, path.startswith("/embed/"))


def _with(text: str, world: World) -> str:
    return re.sub(r"\{([\w-]+)\}", lambda found: world.at[found[1]], text)


# ---------------------------------------------------------------- what the routing table has


def missing(found: Sequence[Page]) -> list[str]:
    """Pages of the routing table that are not among these."""
    shown = {_route_of(page) for page in found if page.fields is None}
    said = [declared(route) for route in routes]
    return [
        one.path
        for one in said
        if not one.writes and not NO_PAGES.fullmatch(one.path) and one.path not in shown
    ]


def _route_of(page: Page) -> str:
    """The path of the route that answers; empty where none does."""
    scope = {"type": "http", "path": page.path.partition("?")[0], "method": "GET"}
    matching = (
        route.path for route in routes if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL
    )
    return next(matching, "")
