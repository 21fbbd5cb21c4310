"""Finished answers, kept in memory while nothing has moved: what apps and visitors ask for again and again."""

import gzip
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from email.utils import format_datetime
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Message, Scope

from ..calendars.kept import Finished, etag_of
from ..calendars.polls import Poll
from .conditional import fresh_answer
from .forms import FILTERS
from .watching import Revisions

MOST_BYTES = 96_000_000  # of all that is kept
MINUTE_S = 60  # what pages say of the time (what is on, what is open) changes by the minute
OVERHEAD = 3_000  # bytes, about what an answer takes beside its body
PACKED = (
    *("text/", "image/svg+xml", "application/json", "application/atom+xml", "application/feed+json"),
    *("application/geo+json", "application/xml", "application/manifest+json"),
)
ADDRESS = "branchline.address"  # in the scope: what an answer is known by
PACKED_LATER = "branchline.packed-later"  # in the scope: the page is packed when it is kept
NEAR = b"near="
FOR_EVER = float("inf")

# Chosen for a page; not where somebody is or what they look for, which is nobody's business and not asked for twice.
# With a parameter that nobody knows an address is not kept: there may be any number of them.
OF_PAGES = {*FILTERS, "open", "date", "page"} - {"near", "within", "country", "q"}
OF_PROGRAMS = {*FILTERS, "open", "event", "items", "page", "cancelled", "client", "theme", "brand", "accent"}

STAMP = "branchline.stamp"  # in the scope: how far everything had moved when the request came

Address = tuple[str, bytes, bytes]
Said = TypeVar("Said")
_MISSING: Any = object()
Pairs = list[tuple[bytes, bytes]]


def address_of(scope: Scope) -> Address:
    """Path, query, and the reader's languages where the answer may follow from them: in which country a postal code
    is looked for."""
    query: bytes = scope["query_string"]
    languages = b""
    if NEAR in query:
        languages = next((value for name, value in scope["headers"] if name == b"accept-language"), b"")
    return scope["path"], query, languages


class Kept:
    """An answer as it goes out: whole or “nothing new”, plain or packed, each written once.

    `site`: the revision that a page stands with, None for what never changes; what was finished as a list of events
    stands by itself. `branch_id`: of whose feed polls are counted. `answered`: how often it went out, in the order of
    `metrics.FROM_MEMORY`.
    """

    __slots__ = (
        *("body", "branch_id", "calendar", "etag", "finished", "for_programs", "good_until", "modified_at"),
        *(
            "answered",
            "packed_etag",
            "polls",
            "site",
            "_headers",
            "_lock",
            "_more",
            "_packed",
            "_ready",
            "_tags",
            "_type",
        ),
    )

    def __init__(
        self,
        response: Response,
        more: Mapping[str, str],
        *,
        site: int | None,
        good_until: float,
        for_programs: bool,
        finished: Finished | None = None,
        branch_id: int | None = None,
        answered: list[int] | None = None,
    ) -> None:
        own = dict(response.headers.items())
        self._type = own.pop("content-type", "")
        del own["content-length"]
        self._headers: Pairs = [(name.encode(), value.encode("latin-1")) for name, value in own.items()]
        self._more: Pairs = [
            (name.lower().encode(), value.encode()) for name, value in more.items() if name.lower() not in own
        ]
        self.body = bytes(response.body)
        self.etag = etag_of(self.body)
        self.packed_etag = f'{self.etag[:-1]}-gzip"'
        self._tags = (self.etag.encode(), self.packed_etag.encode())
        self.site, self.good_until, self.for_programs = site, good_until, for_programs
        self.finished, self.branch_id = finished, branch_id
        self.answered = answered or [0, 0, 0, 0]
        self.calendar = finished.revision if finished else 0
        self.modified_at = finished.modified_at if finished else None
        self._lock = threading.Lock()
        self._packed: bytes | None = None if self._type.startswith(PACKED) else b""
        self.polls: dict[bytes, Poll] = {}  # by what clients say of themselves
        self._ready: dict[tuple[bool, bool, bool], tuple[Message, Message]] = {}

    @property
    def size(self) -> int:
        return len(self.body) + len(self._packed or b"") + OVERHEAD

    @property
    def is_to_be_packed(self) -> bool:
        return self._packed is None

    def pack(self) -> bytes:
        """Empty where that gains nothing. A megabyte takes some 30 ms: not in the loop that answers everybody."""
        with self._lock:
            if self._packed is None:
                self._packed = gzip.compress(self.body, 6, mtime=0)
            return self._packed

    def stands(self, revisions: Revisions, now: float) -> bool:
        """Whether it is still what would be answered. `now`: seconds since 1970."""
        if now >= self.good_until:
            return False
        reach = self.finished.reach if self.finished else None
        if reach is None:
            return self.site in (revisions.site, None)
        if self.calendar != revisions.calendar:
            moves = revisions.moves_after(self.calendar)
            if moves is None or any(map(reach.touched_by, moves)):
                return False
            self._move_on(revisions)
        return True

    def _move_on(self, revisions: Revisions) -> None:
        """Something else has moved: its bytes stand, and Last-Modified is that of all calendars."""
        self.calendar = revisions.calendar
        if self.modified_at is not None and self.modified_at < revisions.moved_at:
            self.modified_at = revisions.moved_at
            self._ready = {}

    def is_known(self, tags: bytes | None, since: bytes | None) -> bool:
        """Of a client that sends If-None-Match or If-Modified-Since."""
        if tags in self._tags:
            return True
        asked = {"if-none-match": tags, "if-modified-since": since}
        headers = {name: value.decode("latin-1") for name, value in asked.items() if value is not None}
        return bool(headers) and fresh_answer(headers, (self.etag, self.packed_etag), self.modified_at)

    def messages(self, *, known: bool, packed: bool, head: bool) -> tuple[Message, Message]:
        """`packed`: the client takes it so; unless it has it already, `pack` has been called."""
        ready = self._ready.get((known, packed, head))
        if ready is None:
            zipped = packed and self._packed != b""
            body = b"" if known or head else self.pack() if zipped else self.body
            ready = self._start(known, zipped), {"type": "http.response.body", "body": body}
            self._ready[known, packed, head] = ready
        return ready

    def _start(self, known: bool, packed: bool) -> Message:
        headers: Pairs = [
            *self._headers,
            (b"etag", (self.packed_etag if packed else self.etag).encode()),
        ]
        if self.modified_at is not None:
            headers.append((b"last-modified", format_datetime(self.modified_at, usegmt=True).encode()))
        if not known:  # "nothing new" says nothing of what the client has already (RFC 9110 15.4.5)
            length = len(self.pack() if packed else self.body)
            headers += [
                *self._more,
                (b"content-type", self._type.encode()),
                (b"content-length", b"%d" % length),
            ]
            headers += [(b"content-encoding", b"gzip")] if packed else []
        return {"type": "http.response.start", "status": 304 if known else 200, "headers": headers}


class Answers:
    """By address, least recently used out first, bounded in bytes. Only the loop that answers touches it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self.held = 0  # bytes
        self._swept = 0  # in which minute
        self._kept: OrderedDict[Address, tuple[Kept, int]] = OrderedDict()

    def get(self, address: Address) -> Kept | None:
        found = self._kept.get(address)
        if found is None:
            return None
        self._kept.move_to_end(address)
        return found[0]

    def put(self, address: Address, answer: Kept) -> None:
        """Once more when its size has changed."""
        self.drop(address)
        size = answer.size + len(address[0]) + len(address[1]) + len(address[2])
        self._kept[address] = answer, size
        self.held += size
        while self.held > self._most and self._kept:
            self.held -= self._kept.popitem(last=False)[1][1]

    def sweep(self, now: float) -> None:
        """Once a minute lets go of what stands no longer, whatever has moved: pages of a minute that is over."""
        minute = int(now) // MINUTE_S
        if minute == self._swept:
            return
        self._swept = minute
        for address in [address for address, (kept, _) in self._kept.items() if kept.good_until <= now]:
            self.drop(address)

    def drop(self, address: Address) -> None:
        if (old := self._kept.pop(address, None)) is not None:
            self.held -= old[1]


class Shared:
    """What many pages say alike, kept for as long as a page is: while nothing has moved and the minute lasts."""

    def __init__(self, most: int = 500) -> None:
        self.most = most
        self._now: tuple[object, dict[object, Any]] = None, {}

    def of(self, stamp: object, key: object, make: Callable[[], Said]) -> Said:
        """`stamp`: how far everything had moved before anything was read; None: nobody has looked."""
        if stamp is None:
            return make()
        now = self._now
        if now[0] != stamp or len(now[1]) >= self.most:
            self._now = now = stamp, {}
        found: Said = now[1].get(key, _MISSING)
        if found is _MISSING:
            found = now[1][key] = make()
        return found


def may_be_kept(names: Sequence[str], *, for_programs: bool) -> bool:
    """Of the parameters in an address."""
    return set(names) <= (OF_PROGRAMS if for_programs else OF_PAGES)
