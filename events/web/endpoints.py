"""The two wrappers of the routing table: a view that reads, a view that writes.

A view is a plain function. `read(view)` and `write(view)` hop once to a worker thread, open the one
transaction, find out who asks, and check that they may. Returning commits a write; raising rolls it back; a
read never commits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

from sqlmodel import Session
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from .. import limits
from ..errors import InvalidForm, Message, NotFound
from ..people import permissions, sign_in
from ..people.models import Person, Role
from .forms import Form
from .responses import sign_in_first
from .state import SESSION_COOKIE, ShownPerson, State, client_address, state_of

MOST_FIELDS = 300

Answer = TypeVar("Answer")
View = Callable[[Request, Session], Response]
Change = Callable[[Request, Session, Form], Response]
Again = Callable[[Request, Session, Form, Mapping[str, Message]], Response]
Counted = Callable[[Request], tuple[limits.Limit, str]]


class Who(Enum):
    """Who may use a route. A view still scopes its queries to the branches of the person."""

    ANYBODY = "anybody"
    SIGNED_IN = "signed in"
    ORGANIZER = "organizer of a branch"
    BRANCH_ADMIN = "admin of a branch"
    ADMIN = "admin"


ANYBODY, SIGNED_IN, ORGANIZER, BRANCH_ADMIN, ADMIN = Who
_LEAST = {ORGANIZER: Role.ORGANIZER, BRANCH_ADMIN: Role.BRANCH_ADMIN, ADMIN: Role.ADMIN}


def now() -> datetime:
    """The one clock of the web; below it, time is an argument."""
    return datetime.now(UTC)


def read(view: View, who: Who = ANYBODY) -> Callable[[Request], Awaitable[Response]]:
    return Read(view, who).answer


def write(
    view: Change, who: Who = ANYBODY, *, again: Again | None = None, counted: Sequence[Counted] = ()
) -> Callable[[Request], Awaitable[Response]]:
    """`again` shows the form once more when the view raises InvalidForm: 422, with what was typed.

    `counted` are the limits that a request draws on before anything is done.
    """
    return Write(view, who, again, tuple(counted)).answer


def by_address(limit: limits.Limit) -> Counted:
    return lambda request: (limit, client_address(request))


def by_path(limit: limits.Limit) -> Counted:
    """For what is limited whoever asks: all requests to one path count together."""
    return lambda request: (limit, request.scope["path"])


@dataclass(frozen=True, slots=True)
class Read:
    view: View
    who: Who

    async def answer(self, request: Request) -> Response:
        state = state_of(request)
        await _count_page(request, state)
        return await in_thread(state, lambda: self.work(request, state))

    def work(self, request: Request, state: State) -> Response:
        with state.database.reading() as session:
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
        async with request.form(max_fields=MOST_FIELDS, max_files=1) as data:
            form = await _read_form(data)
        return await in_thread(state, lambda: self.work(request, state, form))

    def work(self, request: Request, state: State, form: Form) -> Response:
        for counted in self.counted:
            state.limiter.count(*counted(request), now())
        try:
            with state.database.writing() as session:
                return admit(request, session, self.who) or self.view(request, session, form)
        except InvalidForm as error:
            if self.again is None:
                raise
            with state.database.reading() as session:
                turned_away = admit(request, session, self.who)
                response = turned_away or self.again(request, session, form, error.faults)
            response.status_code = error.status
            return response


def person_of(request: Request) -> Person:
    """Who asks, in a view that is not for anybody."""
    person = request.state.person
    if not isinstance(person, Person):
        raise NotFound
    return person


def admit(request: Request, session: Session, who: Who) -> Response | None:
    """Finds out who asks; an answer instead of the view when they must sign in. Not theirs: not there."""
    token = request.cookies.get(state_of(request).cookie(SESSION_COOKIE))
    person = sign_in.who(session, token, now()) if token else None
    role = permissions.highest_role(session, person) if person else None
    request.state.person = person
    request.state.shown_person = person and ShownPerson(person.email, person.name, role)
    if who is ANYBODY:
        return None
    if person is None:
        return sign_in_first(request)
    if who in _LEAST and (role is None or permissions.RANK[role] < permissions.RANK[_LEAST[who]]):
        raise NotFound
    return None


async def in_thread(state: State, work: Callable[[], Answer]) -> Answer:
    return await asyncio.get_running_loop().run_in_executor(state.threads, work)


async def _count_page(request: Request, state: State) -> None:
    address = client_address(request)
    if not state.limiter.passes(limits.PAGES, address, now()):
        await in_thread(state, lambda: state.limiter.draw(limits.PAGES, address, now()))


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
