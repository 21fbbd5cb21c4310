"""Whether a link that somebody gives us to follow leads to anything inside: addresses in every form, names that lie.

A network of its own, in which every address of the world is on its loopback; listeners on all of them, at ports 80 and
443; a name server that lies: another address at each look-up, several of which one is inside, chains of other names.
Each link goes through the form for following a calendar, as an organizer sends it; then the worker fetches it.
What was contacted is counted by the packets on the wire, to whatever port they went; what an organizer is told must be
the same each time, whatever stands behind the link. Needs root.
"""

import argparse
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from sqlmodel import col, select
from starlette.testclient import TestClient

from bench._load import figure
from bench._progress import progress
from events import migrations
from events.app import create_app, publishing_of
from events.branches.models import Branch
from events.calendars.models import CalendarSource
from events.config import Settings
from events.db import Database
from events.fetching import Unreachable, is_public
from events.people import permissions, sign_in
from events.people.models import Purpose, Role
from events.worker import Worker
from tests.namespace import ADDRESS, Answer, Upstream, public_upstream
from tests.test_fetching import HOSTILE

ROUNDS, LEAST_FORMS = 20, 124
NAME_PORT = 53
HERE = f"http://{ADDRESS}"
INSIDE = (
    "10.0.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "192.168.0.1",
    "::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
)
ALIAS, REFUSED = "alias:", "refused by the form"
# Names, and what each of their look-ups gives; the last again and again. `alias:` leads to another name.
LIES: dict[str, Sequence[Sequence[str]]] = {
    **{f"inside{number}.lie": [[address]] for number, address in enumerate(INSIDE)},
    **{f"second{number}.lie": [[ADDRESS, address]] for number, address in enumerate(INSIDE[:4])},
    **{f"first{number}.lie": [[address, ADDRESS]] for number, address in enumerate(INSIDE[:4])},
    "six.lie": [[ADDRESS, "::1"]],
    "chain.lie": [[f"{ALIAS}chain2.lie"]],
    "chain2.lie": [[f"{ALIAS}chain3.lie"]],
    "chain3.lie": [["10.0.0.1"]],
    "mind.lie": [[ADDRESS], ["10.0.0.1"]],
    "mind2.lie": [[ADDRESS], [ADDRESS, "127.0.0.1"]],
    "nothing.lie": [[]],
}
TRICKS = (
    *(
        "ana@10.0.0.1",
        "ana:secret@10.0.0.1",
        "11.22.33.44@10.0.0.1",
        "10.0.0.1:8080",
        "127.0.0.1:22",
        "[::1]:6379",
    ),
    *(
        "10.0.0.1.",
        "127.0.0.1.",
        "127.1.",
        "0",
        "0x0a000001",
        "012.0.0.1",
        "10.1",
        "0xa.0.0.0x1",
        "1０.0.0.1",
    ),
    *(
        "[fe80::1%25lo]",
        "[::ffff:0:10.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "localhost:80",
        "LOCALHOST",
        "ip6-localhost",
    ),
)
TARGETS = ("http://10.0.0.1/", "http://[::1]/", "//169.254.169.254/", "http://mind.lie/")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each link is followed")


def links() -> list[str]:
    literal = [f"http://{host}/" for host in (*HOSTILE, *TRICKS, *LIES)]
    twice = [
        f"{HERE}/{status}/{number}" for status in (301, 302, 303, 307, 308) for number in range(len(TARGETS))
    ]
    changing = ["http://mind.lie/again", "http://mind2.lie/again"]
    return [*literal, *twice, *changing]


def run(options: argparse.Namespace) -> bool:
    try:
        with TemporaryDirectory() as folder, public_upstream() as upstream:
            return followed(Path(folder), upstream, options.rounds)
    except RuntimeError as error:
        raise SystemExit(str(error)) from error


def followed(folder: Path, upstream: Upstream, rounds: int) -> bool:
    tried, told = links(), Counter[str]()
    with scene(folder) as (organizer, worker), liar(upstream) as names, wire(upstream) as seen:
        prepare(upstream)
        control(organizer, worker, upstream, names, seen)
        for _ in progress("rounds", range(rounds)):
            names.forget()
            for link in tried:
                give(organizer, link, told)
            upstream.inside(worker.follow_calendars)
            told.update(outcome(worker.database))
        time.sleep(0.5)
    inside = {packet: number for packet, number in seen.items() if not is_public(packet[0])}
    for (address, port), number in sorted(inside.items()):
        print(f"    {number} packets to {address} port {port}")
    answers = [sentence for sentence in told if sentence != REFUSED]
    for sentence in told:
        print(f"  {told[sentence]:6} × {sentence}")
    good = figure("links", str(len(tried)), f">= {LEAST_FORMS}", len(tried) >= LEAST_FORMS)
    good &= figure(f"packets to what is inside, {rounds} rounds", str(sum(inside.values())), "0", not inside)
    return good & figure(
        "different answers of the worker", str(len(answers)), "1", answers == [str(Unreachable())]
    )


# ---------------------------------------------------------------- the site


@contextmanager
def scene(folder: Path) -> Iterator[tuple[TestClient, Worker]]:
    """An organizer's browser, and a worker."""
    url = f"sqlite:///{folder}/site.db"
    settings = Settings(folder, url, "for this run", rate_limits=False, follow_http=True)
    app, worker, now = create_app(settings), Worker(settings, publishing_of(settings)), datetime.now(UTC)
    migrations.upgrade(worker.database)
    with worker.database.writing() as session:
        alder = Branch(slug="alder", name="Alder", timezone="America/Chicago", updated_at=now)
        alder.derive_keys()
        session.add(alder)
        session.flush()
        ana = sign_in.find_or_add(session, "ana@example.org", now)
        permissions.invite(session, ana, alder, Role.ORGANIZER)
        token = sign_in.make_link(session, ana, Purpose.SIGN_IN, now)
    with TestClient(
        app, base_url="http://localhost", headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False
    ) as organizer:
        organizer.post(f"/sign-in/{token}")
        yield organizer, worker


def give(organizer: TestClient, link: str, told: Counter[str]) -> None:
    """What the form says of a link that can be none, or that is the same as another, it says by itself."""
    answer = organizer.post("/organize/imports", data={"branch": "alder", "url": link})
    if answer.status_code not in (303, 422):
        raise SystemExit(f"The form answered {answer.status_code} to {link}")
    told[REFUSED] += answer.status_code == 422


def outcome(database: Database) -> list[str]:
    """What each calendar is said to suffer from; then they are forgotten."""
    with database.writing() as session:
        found = [
            str((source.error or {}).get("text", "nothing: it was read"))
            for source in session.exec(select(CalendarSource))
        ]
        session.exec(sa.delete(CalendarSource).where(col(CalendarSource.id) > 0))
    return found


def prepare(upstream: Upstream) -> None:
    for status in (301, 302, 303, 307, 308):
        for number, target in enumerate(TARGETS):
            upstream.answers[f"/{status}/{number}"] = Answer(status, {"Location": target})
    upstream.answers["/"] = upstream.answers["/again"] = lambda asked: Answer(
        302, {"Location": f"http://{asked.headers['Host']}/inside"}
    )


def control(
    organizer: TestClient, worker: Worker, upstream: Upstream, names: "Names", seen: Counter[tuple[str, int]]
) -> None:
    """What may be reached is reached, and what should not be would be seen: otherwise all that follows says nothing."""
    names.known["public.test"] = [[ADDRESS]]
    give(organizer, "http://public.test/calendar.ics", Counter())
    upstream.inside(worker.follow_calendars)
    outcome(worker.database)
    upstream.inside(lambda: socket.create_connection(("10.0.0.1", 80), 10).close())
    time.sleep(0.5)
    if not (seen[ADDRESS, 80] and seen["10.0.0.1", 80]):
        raise SystemExit(f"What was contacted is not seen: {dict(seen)}")
    seen.clear()


# ---------------------------------------------------------------- the name server


@dataclass
class Names:
    known: dict[str, Sequence[Sequence[str]]] = field(default_factory=lambda: dict(LIES))
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)

    def forget(self) -> None:
        self.asked.clear()

    def answer(self, query: bytes) -> bytes:
        """RFC 1035 4.1: the question again and what is said to it, which holds for no time at all."""
        name, kind, end = _question(query)
        records = list(self._records(name, kind))
        head = query[:2] + struct.pack(
            "!HHHHH", 0x8180 if name in self.known else 0x8183, 1, len(records), 0, 0
        )
        return head + query[12:end] + b"".join(records)

    def _records(self, name: str, kind: int) -> Iterator[bytes]:
        looks = self.known.get(name, [])
        if not looks:
            return
        look = looks[min(self.asked[name, kind], len(looks) - 1)]
        self.asked[name, kind] += 1
        for said in look:
            if said.startswith(ALIAS):
                alias = said.removeprefix(ALIAS)
                yield _record(name, 5, _in_labels(alias))
                yield from self._records(alias, kind)
            elif kind == (28 if ":" in said else 1):
                yield _record(name, kind, ip_address(said).packed)


def _question(query: bytes) -> tuple[str, int, int]:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels).lower(), struct.unpack_from("!H", query, at + 1)[0], at + 5


def _in_labels(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _record(name: str, kind: int, data: bytes) -> bytes:
    return _in_labels(name) + struct.pack("!HHIH", kind, 1, 0, len(data)) + data


@contextmanager
def liar(upstream: Upstream) -> Iterator[Names]:
    """At whatever address this machine asks for names: all of them are here."""
    names = Names()

    def listen() -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind(("", NAME_PORT))
        listening.setsockopt(
            socket.IPPROTO_IP, 8, 1
        )  # IP_PKTINFO: the answer comes from the address that was asked
        return listening

    listening = upstream.inside(listen)

    def serve() -> None:
        while True:
            query, ancillary, _, peer = listening.recvmsg(2000, 100)
            if len(query) < 12:
                return
            to = struct.pack("=I", 0) + ancillary[0][2][8:12] + bytes(4)
            listening.sendmsg([names.answer(query)], [(socket.IPPROTO_IP, 8, to)], 0, peer)

    thread = threading.Thread(target=serve, daemon=True)
    upstream.inside(thread.start)
    yield names
    upstream.inside(
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", NAME_PORT))
    )
    thread.join(5)
    listening.close()


# ---------------------------------------------------------------- the wire


@contextmanager
def wire(upstream: Upstream) -> Iterator[Counter[tuple[str, int]]]:
    """Every packet by where it goes, but for what is asked of the name server and its answers."""
    seen: Counter[tuple[str, int]] = Counter()
    is_over = threading.Event()

    def watch(listening: socket.socket) -> None:
        with closing(listening):
            while not is_over.is_set():
                try:
                    packet, (_, protocol, way, *_rest) = listening.recvfrom(200)
                except TimeoutError:
                    continue
                if way == 4 and (where := _where(protocol, packet[14:])):  # PACKET_OUTGOING: each once
                    seen[where] += 1

    listening = upstream.inside(partial(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
    listening.settimeout(0.1)
    thread = threading.Thread(target=watch, args=(listening,))
    thread.start()
    yield seen
    is_over.set()
    thread.join()


def _where(protocol: int, packet: bytes) -> tuple[str, int] | None:
    """To whom a packet goes, unless it is about names."""
    if protocol == 0x0800:
        kind, address, rest = packet[9], packet[16:20], packet[(packet[0] & 15) * 4 :]
    elif protocol == 0x86DD:
        kind, address, rest = packet[6], packet[24:40], packet[40:]
    else:
        return None
    if kind not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        return str(ip_address(address)), 0
    source, port = struct.unpack_from("!HH", rest)
    about_names = kind == socket.IPPROTO_UDP and NAME_PORT in (source, port)
    return None if about_names else (str(ip_address(address)), port)
