"""Answers from memory: in front of everything for what is kept, and behind the routes for what is to be kept."""

import time
from asyncio import Lock, get_running_loop
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from functools import lru_cache
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from .. import limits
from ..calendars.kept import Finished
from ..calendars.polls import Poll, family_of
from ..metrics import counts
from ..outages import RIDE_OUT_S, DatabaseAway
from .answers import (
    ADDRESS,
    FOR_EVER,
    MINUTE_S,
    NEAR,
    PACKED_LATER,
    STAMP,
    Address,
    Kept,
    address_of,
    may_be_kept,
)
from .clock import now
from .conditional import takes_gzip
from .observing import route_of
from .security import Hosts, headers_at
from .state import SESSION_COOKIE, State, address_counted, state_of

SHOWN = {"GET", "HEAD"}
# A shared cache may keep a page for as long as nobody minds that a change is not seen yet; a browser asks each time.
PAGE_AGE = "public, max-age=0, s-maxage=1, stale-if-error=600"
COUNTED = "branchline.counted"  # of a request that goes the whole way only because it must draw
MOST_CLIENTS = 50  # kinds of clients of one feed, by what they say of themselves


class For(Enum):
    """Whom what is kept is for: visitors who are not signed in, or programs, which are nobody."""

    VISITORS = "visitors"
    PROGRAMS = "programs"


class FromMemory:
    """Stands before everything else and answers what is kept: no route, no thread, no session, no template.

    Each line here is passed by every poll of every calendar: what it costs was measured (`./dev bench feeds`).
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.cookie = state.cookie(SESSION_COOKIE).encode()
        hosts = Hosts(state.settings)
        self.knows = lru_cache(maxsize=256)(lambda host: hosts.know(host.decode("latin-1")))

    async def answered(self, scope: Scope, send: Send) -> bool:
        """Whatever is in doubt goes the whole way."""
        if scope["method"] not in SHOWN:
            return False
        state = self.state
        scope[ADDRESS] = address = address_of(scope)
        found = state.answers.get(address)
        if found is None:
            return False
        headers = dict(scope["headers"])
        if len(headers) != len(scope["headers"]) or not self.knows(headers.get(b"host", b"")):
            return False
        if not found.for_programs and b"cookie" in headers and is_known_by_cookie(scope, self.cookie):
            return False
        if not await state.revisions.look() or not found.stands(state.revisions, time.time()):
            return False
        client = scope["client"]
        if not state.limiter.passes(limits.PAGES, address_counted(client[0] if client else ""), now()):
            scope[COUNTED] = True
            return False
        head = scope["method"] == "HEAD"
        known = await deliver(state, address, found, head, headers, send)
        found.answered[known + 2 * head] += 1
        return True


async def deliver(
    state: State, address: Address, found: Kept, head: bool, headers: Mapping[bytes, bytes], send: Send
) -> bool:
    """Counts the poll, and sends: whole or “nothing new”. Returns whether it was nothing new."""
    known = found.is_known(headers.get(b"if-none-match"), headers.get(b"if-modified-since"))
    packed = _takes_gzip(headers.get(b"accept-encoding", b""))
    if packed and not known and found.is_to_be_packed:
        await get_running_loop().run_in_executor(state.threads, found.pack)
        if state.answers.get(address) is found:
            state.answers.put(address, found)
    if found.branch_id is not None:
        state.polls.count(_poll(found, headers.get(b"user-agent", b"")[:300]), unchanged=known)
    start, body = found.messages(known=known, packed=packed, head=head)
    await send(start)
    await send(body)
    return known


@lru_cache(maxsize=256)
def _takes_gzip(asked: bytes) -> bool:
    return takes_gzip(asked.decode("latin-1"))


def _poll(found: Kept, user_agent: bytes) -> Poll:
    """Of a feed that is good for no longer than a day, so the day is always the same."""
    poll = found.polls.get(user_agent)
    if poll is None:
        if len(found.polls) >= MOST_CLIENTS:
            found.polls.clear()
        mark = found.finished.mark if found.finished else ""
        family = family_of(user_agent.decode("latin-1"))
        poll = found.polls[user_agent] = Poll(found.branch_id or 0, now().date(), family, mark)
    return poll


def is_known_by_cookie(scope: Scope, cookie: bytes) -> bool:
    """Whether somebody may be signed in: then the page is theirs."""
    return any(name == b"cookie" and cookie in value for name, value in scope["headers"])


# ---------------------------------------------------------------- behind the routes


class Feed(Response):
    """What a view answers with a finished list. `branch_id`: whose polls are counted."""

    def __init__(
        self, finished: Finished, media_type: str, headers: dict[str, str], branch_id: int | None
    ) -> None:
        super().__init__(finished.body, media_type=media_type, headers=headers)
        self.finished, self.branch_id = finished, branch_id


class _FromKept(Response):
    """The whole way to the same bytes as `FromMemory` sends."""

    def __init__(self, state: State, address: Address, found: Kept) -> None:
        self.status_code, self.background = 200, None
        self._state, self._address, self._found = state, address, found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def copied(message: Message) -> None:  # middleware adds headers to what it is given
            await send(dict(message))

        head, headers = scope["method"] == "HEAD", dict(scope["headers"])
        await deliver(self._state, self._address, self._found, head, headers, copied)


_making: WeakValueDictionary[tuple[int, Address], Lock] = WeakValueDictionary()


async def through_memory(request: Request, whom: For, make: Callable[[], Awaitable[Response]]) -> Response:
    """What `make` answers, made once for all who ask at the same time, and kept while it stands."""
    state, scope = state_of(request), request.scope
    address: Address = scope[ADDRESS]
    may = may_be_kept(list(request.query_params), for_programs=whom is For.PROGRAMS)
    if await state.revisions.look():
        scope[STAMP] = state.revisions.site, _minute()
    if whom is For.VISITORS and (not may or is_known_by_cookie(scope, state.cookie(SESSION_COOKIE).encode())):
        return await make()
    scope[PACKED_LATER] = True
    lock, came = _making.setdefault((id(get_running_loop()), address), Lock()), time.monotonic()
    async with lock:
        if state.outage.is_on and time.monotonic() - came > RIDE_OUT_S:
            raise DatabaseAway  # whoever was first has waited for all who stood behind
        looked = await state.revisions.look()
        found = state.answers.get(address)
        if found is None or not looked or not found.stands(state.revisions, time.time()):
            site = state.revisions.site  # before: what moves meanwhile belongs to a later one
            response = await make()
            if response.status_code != 200:
                return response
            found = _kept(state, scope, response, site, whom)
            if looked and may:
                state.answers.sweep(time.time())
                state.answers.put(address, found)
    return _FromKept(state, address, found)


def _kept(state: State, scope: Scope, response: Response, site: int, whom: For) -> Kept:
    minute_end = (_minute() + 1) * MINUTE_S
    finished = response.finished if isinstance(response, Feed) else None
    varies = "Accept-Encoding"
    if whom is For.VISITORS:
        response.headers["Cache-Control"] = PAGE_AGE
        varies += ", Cookie"
    elif NEAR in scope["query_string"]:  # in which country a code is looked for first
        varies += ", Accept-Language"
    response.headers["Vary"] = varies
    return Kept(
        response,
        headers_at(scope["path"], state.settings),
        site=site,
        good_until=finished.good_until.timestamp() if finished else minute_end,
        for_programs=whom is For.PROGRAMS,
        finished=finished,
        branch_id=response.branch_id if isinstance(response, Feed) else None,
        answered=counts.from_memory(route_of(scope)),
    )


def _minute() -> int:
    return int(time.time()) // MINUTE_S


def keep_for_ever(request: Request, response: Response) -> Response:
    """A file that has an address for each of its contents."""
    state, scope = state_of(request), request.scope
    headers = headers_at(scope["path"], state.settings)
    answered = counts.from_memory(route_of(scope))
    found = Kept(response, headers, site=None, good_until=FOR_EVER, for_programs=True, answered=answered)
    if not scope["query_string"]:
        state.answers.put(scope[ADDRESS], found)
    return _FromKept(state, scope[ADDRESS], found)
