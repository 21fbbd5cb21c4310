"""The wrappers of the routing table: a view that reads, one that writes, one that writes for a program.

A view is a plain function. `read(view)`, `write(view)` and `write_json(view)` hop once to a worker thread, open
the one transaction, find out who asks, and check that they may. Returning commits a write; raising rolls it
back; a read never commits. `plain(view)` is for the few answers that need neither a thread nor a database.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from python_multipart.multipart import parse_options_header
from sqlmodel import Session
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from .. import interpreter, limits
from ..errors import BranchlineError, InvalidForm, Message, NotFound, TooLarge, Unreadable, say
from ..later import loaded_later
from ..people.roles import RANK, Role
from . import keeping
from .clock import now as now
from .forms import Form
from .responses import Unauthorized, sign_in_first
from .security import API, LARGEST_BODY, bearer_token, is_api
from .state import SESSION_COOKIE, ShownPerson, State, client_address, state_of

if TYPE_CHECKING:  # who visits needs nothing of these
    from ..people import permissions, sign_in, tokens
    from ..people.models import Person
else:
    permissions = loaded_later("events.people.permissions")
    sign_in = loaded_later("events.people.sign_in")
    tokens = loaded_later("events.people.tokens")

MOST_FIELDS = 300
LARGEST_JSON = (
    250_000  # bytes: a long series with all its changed dates; a name for each byte would take long to refuse
)

Answer = TypeVar("Answer")
View = Callable[[Request, Session], Response]
Change = Callable[[Request, Session, Form], Response]
JsonObject = dict[str, Any]
JsonChange = Callable[[Request, Session, JsonObject], Response]
Again = Callable[[Request, Session, Form, Mapping[str, Message]], Response]
PlainView = Callable[[Request], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Who(Enum):
    """Who may use a route. A view still scopes its queries to the branches of the person."""

    ANYBODY = "anybody"
    SIGNED_IN = "signed in"
    ORGANIZER = "organizer of a branch"
    BRANCH_ADMIN = "admin of a branch"
    ADMIN = "admin"


ANYBODY, SIGNED_IN, ORGANIZER, BRANCH_ADMIN, ADMIN = Who
_LEAST = {ORGANIZER: Role.ORGANIZER, BRANCH_ADMIN: Role.BRANCH_ADMIN, ADMIN: Role.ADMIN}


@dataclass(frozen=True, slots=True)
class Counted:
    """A limit that a request draws on, and by what requests are told apart."""

    limit: limits.Limit
    each: str  # a word for the table of routes
    key: Callable[[Request], str]

    def __call__(self, request: Request) -> tuple[limits.Limit, str]:
        return self.limit, self.key(request)


def read(
    view: View,
    who: Who = ANYBODY,
    *,
    at_once: bool = False,
    kept: keeping.For | None = None,
    long: bool = False,
) -> Endpoint:
    """`at_once`: what asks whether the database is there is not kept waiting until it is, nor behind anybody.

    `kept`: answered from memory while nothing has moved. Such a view depends on the address alone, and on who asks.
    `long`: of thousands of rows, so that others should not stand behind it; they may be fetched a few at a time.
    """
    return Read(view, who, at_once, kept, long).answer


def write(
    view: Change, who: Who = ANYBODY, *, again: Again | None = None, counted: Sequence[Counted] = ()
) -> Endpoint:
    """`again` shows the form once more when the view raises InvalidForm: 422, with what was typed.

    `counted` are the limits that a request draws on before anything is done.
    """
    return Write(view, who, again, tuple(counted)).answer


def write_json(view: JsonChange, who: Who) -> Endpoint:
    """For programs: a JSON object instead of a form, a bearer token instead of a session."""
    return WriteJson(view, who).answer


def plain(view: PlainView) -> Endpoint:
    """For anybody, and that is said here: there is no route without a declaration."""
    return Plain(view).answer


def by_address(limit: limits.Limit) -> Counted:
    return Counted(limit, "address", client_address)


def by_path(limit: limits.Limit) -> Counted:
    """For what is limited whoever asks: all requests to one path count together."""
    return Counted(limit, "path", lambda request: request.scope["path"])


@dataclass(frozen=True, slots=True)
class Read:
    view: View
    who: Who
    at_once: bool = False
    kept: keeping.For | None = None
    long: bool = False

    async def answer(self, request: Request) -> Response:
        state = state_of(request)
        await _count_page(request, state)
        await _count_token(request, state)
        if self.at_once:
            return await in_thread(state.probe, lambda: self.work(request, state))
        if self.kept is None:
            return await in_database(state, self.threads(state), lambda: self.work(request, state))
        return await keeping.through_memory(
            request,
            self.kept,
            lambda: in_database(state, self.threads(state), lambda: self.work(request, state)),
        )

    def threads(self, state: State) -> Executor:
        if self.long:
            return state.long
        return state.pages if self.kept is keeping.For.VISITORS else state.threads

    def work(self, request: Request, state: State) -> Response:
        with state.database.reading(in_transaction=self.long) as session:
            return admit(request, session, self.who) or self.view(request, session)


@dataclass(frozen=True, slots=True)
class Write:
    view: Change
    who: Who
    again: Again | None
    counted: tuple[Counted, ...]

    async def answer(self, request: Request) -> Response:
        state = state_of(request)
        await _count_page(request, state)
        _check_charset(request)
        async with request.form(max_fields=MOST_FIELDS, max_files=1, max_part_size=LARGEST_BODY) as data:
            form = await _read_form(data)
        await self._count(request, state)
        return await in_database(state, state.threads, lambda: self.work(request, state, form))

    async def _count(self, request: Request, state: State) -> None:
        """Once, however often the rest is tried."""
        for counted in self.counted:
            limit, who = counted(request)
            await counting(state, lambda: state.limiter.count(limit, who, now()))  # noqa: B023

    def work(self, request: Request, state: State, form: Form) -> Response:
        try:
            with state.database.writing() as session:
                return admit(request, session, self.who) or self.view(request, session, form)
        except InvalidForm as error:
            if self.again is None:
                raise
            with state.database.reading(in_transaction=True) as session:
                turned_away = admit(request, session, self.who)
                response = turned_away or self.again(request, session, form, error.faults)
            response.status_code = error.status
            return response


@dataclass(frozen=True, slots=True)
class WriteJson:
    view: JsonChange
    who: Who

    async def answer(self, request: Request) -> Response:
        if bearer_token(request.scope) is None:
            raise Unauthorized
        state = state_of(request)
        await _count_page(request, state)
        raw = await request.body()
        if len(raw) > LARGEST_JSON:
            raise TooLarge(say("That is more than we can take at once: 250 KB at most."))
        await _count_token(request, state)
        return await in_database(state, state.threads, lambda: self.work(request, state, raw))

    def work(self, request: Request, state: State, raw: bytes) -> Response:
        body = json_object(request.headers.get("content-type", ""), raw)
        with state.database.writing() as session:
            return admit(request, session, self.who) or self.view(request, session, body)


@dataclass(frozen=True, slots=True)
class Plain:
    view: PlainView
    who: Who = ANYBODY

    async def answer(self, request: Request) -> Response:
        return await self.view(request)


def person_of(request: Request) -> "Person":
    """Who asks, in a view that is not for anybody."""
    person: Person | None = request.state.person
    if person is None:
        raise NotFound
    return person


def admit(request: Request, session: Session, who: Who) -> Response | None:
    """Finds out who asks; an answer instead of the view when they must sign in. Not theirs: not there."""
    person = _who_asks(request, session)
    role = permissions.highest_role(session, person) if person else None
    request.state.person = person
    request.state.shown_person = person and ShownPerson(person.email, person.name, role)
    if who is ANYBODY:
        return None
    if person is None and is_api(request.scope):
        raise Unauthorized
    if person is None:
        return sign_in_first(request)
    if who in _LEAST and (role is None or RANK[role] < RANK[_LEAST[who]]):
        raise NotFound
    return None


def _who_asks(request: Request, session: Session) -> "Person | None":
    """The API knows tokens alone: as no cookie counts there, no page of another site can write by one."""
    if not is_api(request.scope):
        cookie = request.cookies.get(state_of(request).cookie(SESSION_COOKIE))
        return sign_in.who(session, cookie, now()) if cookie else None
    token = bearer_token(request.scope)
    if token is None:
        return None
    person = tokens.person_of(session, token, now())
    if person is None:
        raise Unauthorized
    return person


async def in_thread(threads: Executor, work: Callable[[], Answer]) -> Answer:
    with interpreter.answering():
        return await _hop(threads, work)


async def aside(threads: Executor, work: Callable[[], Answer]) -> Answer:
    """As `in_thread`, while answers that are quicker go first."""
    return await _hop(threads, interpreter.computing_for_long()(work))


async def _hop(threads: Executor, work: Callable[[], Answer]) -> Answer:
    # With what is known of the request, so that the log can say it there too.
    return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, work)


async def in_database(state: State, threads: Executor, work: Callable[[], Answer]) -> Answer:
    """In a thread, and again while the database is away, unless it may have been done. What waits holds no thread.

    Raises DatabaseAway or CommitLost.
    """
    hop = partial(aside if threads is state.long else in_thread, threads)
    return await state.outage.ride_out(hop, state.database.reach, work)


async def counting(state: State, work: Callable[[], None]) -> None:
    """For a limit it is no harm if one counts twice."""
    hop = partial(in_thread, state.threads)
    await state.outage.ride_out(hop, state.database.reach, work, may_be_repeated=True)


async def _count_page(request: Request, state: State) -> None:
    address = client_address(request)
    if keeping.COUNTED in request.scope or not state.limiter.passes(limits.PAGES, address, now()):
        await counting(state, lambda: state.limiter.draw(limits.PAGES, address, now()))


async def _count_token(request: Request, state: State) -> None:
    """Before the view's transaction begins, because counting has one of its own.

    Only a token that is known is counted: whoever makes tokens up writes nothing.
    """
    token = bearer_token(request.scope)
    if token is not None:
        await counting(state, lambda: _count_known(state, token))


def _count_known(state: State, token: str) -> None:
    with state.database.reading() as session:
        known = tokens.person_of(session, token, now()) is not None
    if not known:
        raise Unauthorized
    state.limiter.count(limits.API, token, now())


def _check_charset(request: Request) -> None:
    """Browsers name none (RFC 7578). Starlette decodes by any codec of Python's that a request names, and some of
    them make text of no letters. Raises Unreadable."""
    _, options = parse_options_header(request.headers.get("content-type", ""))
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise Unreadable(say("The request cannot be read."))


async def _read_form(data: FormData) -> Form:
    texts: list[tuple[str, str]] = []
    files: dict[str, bytes] = {}
    for name, value in data.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
            texts.append((f"{name}_name", value.filename or ""))
        else:
            texts.append((name, value))
    return Form(texts, files)


# ---------------------------------------------------------------- JSON


class NotJson(BranchlineError):
    status = 400


class NotSentAsJson(BranchlineError):
    status = 415


def json_object(content_type: str, raw: bytes) -> JsonObject:
    """What a program sent; no body at all is an object without fields."""
    if not raw:
        return {}
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise NotSentAsJson(say("Send JSON, and say so: Content-Type: application/json"))
    try:
        value = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_number)
        # Half a surrogate pair (\ud83d alone) passes as JSON and can neither be stored nor said again.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise NotJson(say("This is not JSON in UTF-8.")) from error
    if not isinstance(value, dict):
        raise Unreadable(say("Send one JSON object, with the names of fields."))
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


# ---------------------------------------------------------------- what a route declares


@dataclass(frozen=True, slots=True)
class Declared:
    """What the table says of a route. `counted`: its limits, and by what requests are told apart."""

    path: str
    methods: Sequence[str]
    writes: bool
    who: Who
    counted: Sequence[tuple[limits.Limit, str]]


def declared(route: BaseRoute) -> Declared:
    """Raises TypeError for a route that does not say who may use it."""
    owner = getattr(getattr(route, "endpoint", None), "__self__", None)
    if not isinstance(route, Route) or not isinstance(owner, Read | Write | WriteJson | Plain):
        raise TypeError(f"{route} does not say who may use it")
    counted = [(each.limit, each.each) for each in owner.counted] if isinstance(owner, Write) else []
    if route.path.startswith(API):
        counted.append((limits.API, "token"))
    if not isinstance(owner, Plain):
        counted.append((limits.PAGES, "address"))
    methods = sorted((route.methods or set()) - {"HEAD"})
    return Declared(route.path, methods, isinstance(owner, Write | WriteJson), owner.who, counted)
