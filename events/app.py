"""The application, composed from its settings. Nobody imports this but the roof."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.exc import OperationalError, SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import metrics
from .branches.queries import Whereabouts
from .calendars.content import Publishing
from .calendars.feed_rows import RowsKept
from .calendars.polls import PollCounter
from .config import Settings
from .db import Database
from .errors import BranchlineError
from .identity import read_identity
from .limits import Limiter
from .places.lookup import Gazetteer
from .web.answers import Answers, Shared
from .web.assets import Assets
from .web.environment import Templates
from .web.keeping import FromMemory
from .web.observing import observed, watch_loop
from .web.responses import on_error
from .web.routes import routes
from .web.security import Guard, Language, security_headers
from .web.state import State
from .web.watching import Revisions

FLUSH_EVERY_S = 60.0
log = logging.getLogger("branchline")
# For pages: they convoy on the interpreter lock, so one is quicker than two as long as what it asks lies in a file. A
# server lets it wait, and another can go on.
PAGES, PAGES_THAT_WAIT = 1, 2
# For the rest: while one looks for long, or a form waits for its turn to write, the other makes a feed.
REQUESTS = 2
CACHE_KB = 16_000  # a list of events reads more than SQLite's usual 2 MB


def publishing_of(settings: Settings) -> Publishing:
    return Publishing(settings.public_url, settings.name, settings.locales)


class Site(Starlette):
    """Asks the memory first: middleware of Starlette's costs a tenth of what a poll does."""

    def __init__(self, memory: FromMemory, **composed: Any) -> None:
        super().__init__(**composed)
        self.memory = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif not await self.memory.answered(scope, send):
            await observed(super().__call__, scope, receive, send)


def create_app(settings: Settings) -> Starlette:
    """An application that answers. Its threads and connections end with its lifespan."""
    state = _state(settings)

    def flush_polls() -> None:
        """What cannot be written now is counted again with the next."""
        try:
            state.polls.flush(state.database)
        except SQLAlchemyError as error:
            log.warning("polls are not written down yet: %s", error)

    async def flush_now_and_then() -> None:
        while True:
            # Not all processes at once, and not where an organizer's save would stand behind it.
            await asyncio.sleep(FLUSH_EVERY_S * random.uniform(0.5, 1.5))  # noqa: S311
            await asyncio.get_running_loop().run_in_executor(None, flush_polls)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        flushing = asyncio.create_task(flush_now_and_then())
        watching = asyncio.create_task(watch_loop(state.answers))
        with metrics.published(settings.run_dir):
            yield
        flushing.cancel()
        watching.cancel()
        state.threads.submit(flush_polls)
        state.close()

    app = Site(
        FromMemory(state),
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(Language, codes=settings.locales),
            Middleware(Guard, settings=settings),
        ],
        exception_handlers={
            BranchlineError: on_error,
            HTTPException: on_error,
            OperationalError: on_error,
            ClientDisconnect: on_error,
            Exception: _for_the_unexpected(settings),
        },
    )
    app.router.redirect_slashes = False  # `on_error` does that, in the language of the address
    app.state.branchline = state
    return app


def _state(settings: Settings) -> State:
    numbers = {
        "request": REQUESTS,
        "page": PAGES if settings.is_on_sqlite else PAGES_THAT_WAIT,
        "long": 1,  # for long lists
        "probe": 1,  # for who asks whether it is well
    }
    threads = {name: ThreadPoolExecutor(number, name) for name, number in numbers.items()}
    database = Database(settings.database_url, size=sum(numbers.values()), cache_kb=CACHE_KB)
    identity = read_identity(settings.site_dir)
    assets = Assets(identity)
    return State(
        settings=settings,
        database=database,
        threads=threads["request"],
        pages=threads["page"],
        long=threads["long"],
        probe=threads["probe"],
        limiter=Limiter(database, settings.secret_key, settings.rate_limits),
        gazetteer=Gazetteer(settings.gazetteer),
        whereabouts=Whereabouts(),
        answers=Answers(),
        shared=Shared(),
        rows=RowsKept(),
        revisions=Revisions(database),
        polls=PollCounter(),
        publishing=publishing_of(settings),
        identity=identity,
        assets=assets,
        templates=Templates(settings, assets, identity),
    )


def _for_the_unexpected(settings: Settings) -> Callable[[Request, Exception], Response]:
    """Its answer is the one that is made outside of all middleware."""

    def answer(request: Request, error: Exception) -> Response:
        response = on_error(request, error)
        response.headers.update(security_headers(settings))
        return response

    return answer
