"""What a running application holds, and how a request reaches it."""

import ipaddress
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.requests import Request
from starlette.types import Scope

from ..branches.queries import Whereabouts
from ..calendars.content import Publishing
from ..calendars.feed_rows import RowsKept
from ..calendars.polls import PollCounter
from ..config import Settings
from ..db import Database
from ..identity import Identity
from ..language import Language, language
from ..limits import Limiter
from ..outages import Outage
from ..people.roles import Role
from ..places.lookup import Gazetteer
from .answers import STAMP, Answers, Said, Shared
from .assets import Assets
from .environment import Templates
from .watching import Revisions

SESSION_COOKIE = "session"


@dataclass(frozen=True, slots=True)
class ShownPerson:
    """Who is signed in, for templates: good also after a transaction was rolled back."""

    email: str
    name: str
    role: Role | None  # the highest

    @property
    def is_organizer(self) -> bool:
        return self.role is not None

    @property
    def is_branch_admin(self) -> bool:
        return self.role in (Role.BRANCH_ADMIN, Role.ADMIN)

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


@dataclass(frozen=True, slots=True)
class State:
    settings: Settings
    database: Database
    threads: ThreadPoolExecutor  # for whatever may take a while, or waits for its turn to write
    pages: ThreadPoolExecutor  # for pages for everybody, which are quick and wait for nothing
    long: ThreadPoolExecutor  # for lists of thousands
    probe: ThreadPoolExecutor  # for who asks whether the database is there, and stands behind nobody
    limiter: Limiter
    gazetteer: Gazetteer
    whereabouts: Whereabouts
    answers: Answers
    shared: Shared
    rows: RowsKept
    revisions: Revisions
    polls: PollCounter
    publishing: Publishing
    identity: Identity
    assets: Assets
    templates: Templates
    outage: Outage = field(default_factory=Outage)

    def close(self) -> None:
        """Once what is going on in the threads has ended."""
        self.pages.shutdown()
        self.threads.shutdown()
        self.long.shutdown()
        self.probe.shutdown()
        self.revisions.close()
        self.database.dispose()

    def cookie(self, name: str) -> str:
        """`__Host-` binds a cookie to https and this very host; on plain http browsers refuse the prefix."""
        return f"__Host-{name}" if self.settings.secure else name

    @property
    def languages(self) -> Mapping[str, Language]:
        return {code: language(code) for code in self.settings.locales}


def state_of(request: Request) -> State:
    state: State = request.app.state.branchline
    return state


def language_of(request: Request) -> Language:
    """The page's language, from its address (`/es/…`)."""
    return language(scope_language(request.scope))


def scope_language(scope: Scope) -> str:
    code: str = scope.get("branchline.language", "en")
    return code


def shared(request: Request, key: object, make: Callable[[], Said]) -> Said:
    """What many pages say alike: made once while nothing has moved and the minute lasts."""
    return state_of(request).shared.of(request.scope.get(STAMP), key, make)


def client_address(request: Request) -> str:
    return address_counted(request.client.host if request.client else "")


@lru_cache(maxsize=4096)
def address_counted(host: str) -> str:
    """Who is counted by the limits: the IPv4 address, or the /64 that an IPv6 address belongs to."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return (
            str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False).network_address)
        )
    return host
