"""Malformed requests over every route, on a raw socket: no server error, nothing comes back as it was, nothing is slow.

raw    --number requests, none of which any client would send, to a real server; each is what its number says, so that
       --first goes on where another run ended.
forms  every form of every page, filled in --fillings times, by the walk of tests/web/test_hostile_forms.py
api    --examples of each operation of /openapi.json in keeping with it and as many against it, made up by Schemathesis
"""

import argparse
import asyncio
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from starlette.routing import Match, Route

from bench._figures import line
from bench._load import site
from bench._malformed import TABLE, Request, request
from events import migrations
from events.app import publishing_of
from events.config import Settings
from events.db import Database
from events.people import tokens
from events.people.models import Person
from events.web.openapi import document
from events.web.routes import routes
from tests import awkward, pages
from tests.conftest import running
from tests.described import try_all
from tests.hostile import faults_in
from tests.small_gazetteer import build_small
from tests.test_openapi import Program
from tests.web.test_hostile_forms import Walk, distinct
from tests.web.test_routes import forgetful, parameters

SECRET = "bench"
SLOW_S = 2.0
AT_ONCE = 8
PATIENCE_S, WAITING_S = 30.0, 2.5  # the second for what the server waits for the rest of
SHOWN = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=PARTS, action="append", help="may be said several times")
    parser.add_argument("--number", type=int, default=100_000, help="of raw requests")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--minutes", type=float, default=9, help="after which the raw requests end")
    parser.add_argument("--fillings", type=int, default=24, help="of each form")
    parser.add_argument("--examples", type=int, default=100, help="of each operation, twice")


def run(options: argparse.Namespace) -> bool:
    good = True
    for part in options.only or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            good &= PARTS[part](Path(folder), options)
        print(f"    load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    return good


# ---------------------------------------------------------------- a site with everything


def prepared(folder: Path) -> tuple[Settings, awkward.World]:
    build_small(folder).rename(folder / "places.db")
    settings = Settings(
        data_dir=folder, database_url=f"sqlite:///{folder}/site.db", secret_key=SECRET, rate_limits=False
    )
    database = Database(settings.database_url, size=1)
    migrations.upgrade(database)
    world = awkward.build(database, settings, publishing_of(settings))
    database.dispose()
    return settings, world


def examples(world: awkward.World) -> dict[str, str]:
    """Of each kind of thing in a path one that is there, from the addresses of the pages."""
    found: dict[str, str] = {}
    for page in pages.pages(world):
        path = page.path.partition("?")[0]
        for route in routes:
            match, scope = route.matches({"type": "http", "path": path, "method": "GET"})
            if match is Match.FULL and isinstance(route, Route):
                for name in parameters(route.path):
                    last = re.findall(r"{(\w+)", name)[-1]
                    found.setdefault(name, str(scope["path_params"][last]))
                break
    return found


# ---------------------------------------------------------------- raw


@dataclass
class Seen:
    """What came of the requests."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    reflections: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    sent: int = 0

    def note(self, asked: Request, took_s: float, raw: bytes) -> None:
        self.sent += 1
        if not raw:
            self.statuses[asked.route, 0] += 1
            if asked.is_whole and took_s:
                self.slow.append(f"no answer to {asked.number}: {asked.raw[:120]!r}")
            return
        status, headers, body = read(raw)
        self.statuses[asked.route, status] += 1
        self.longest_s = max(self.longest_s, took_s)
        told = f"{asked.number}: {asked.raw[:120]!r}"
        if status >= 500:
            self.failures.append(f"{status} to {told}")
        if took_s > SLOW_S:
            self.slow.append(f"{took_s:.1f} s for {told}")
        if not asked.is_head:
            try:
                self.reflections += [f"{fault}: {told}" for fault in faults_in(headers, body)]
            except ValueError as error:
                self.reflections.append(f"{error}: {told}")


def read(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """The answer; what only says that one is to come is passed over."""
    if raw.startswith(b"HTTP/1.1 100 "):
        raw = raw.partition(b"\r\n\r\n")[2] or raw
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b"".join(re.findall(rb"[0-9a-f]+\r\n(.*?)\r\n", body, re.DOTALL))
    elif (length := headers.get("content-length", "")).isdigit():
        body = body[: int(length)]
    return int(first.split(" ", 2)[1]), headers, body


def raw_requests(folder: Path, options: argparse.Namespace) -> bool:
    _, world = prepared(folder)
    known = examples(world)
    end, seen = time.monotonic() + 60 * options.minutes, Seen()
    numbers = iter(range(options.first, options.first + options.number))
    with site(folder, f"sqlite:///{folder}/site.db", BRANCHLINE_SECRET_KEY=SECRET) as address:
        warm = range(-len(TABLE), 0)  # what a process loads for its first requests is not what they cost
        asyncio.run(all_sent(address, world, known, iter(warm), end, Seen()))
        asyncio.run(all_sent(address, world, known, numbers, end, seen))
        alive = asyncio.run(answers(address))
    return told(seen, options, alive)


async def all_sent(
    address: str, world: awkward.World, known: dict[str, str], numbers: Iterator[int], end: float, seen: Seen
) -> None:
    parts = urlsplit(address)

    async def some() -> None:
        for number in numbers:
            if time.monotonic() > end:
                return
            asked = request(number, known, world.cookies, parts.netloc)
            patience = PATIENCE_S if asked.is_whole else WAITING_S
            took, raw = await exchanged(parts.hostname or "", parts.port or 0, asked.raw, patience)
            seen.note(asked, took, raw)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def exchanged(host: str, port: int, raw: bytes, patience: float = PATIENCE_S) -> tuple[float, bytes]:
    """How long it took from the last byte that was sent to the first that came, and all that came."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(raw)
        await writer.drain()
        sent = time.monotonic()
        first = await asyncio.wait_for(reader.read(1 << 16), patience)
        took = time.monotonic() - sent
        rest = await asyncio.wait_for(reader.read(-1), patience) if first else b""
        return took, first + rest
    except ConnectionError:  # it was broken off
        return 0.0, b""
    except TimeoutError:
        return patience, b""
    finally:
        writer.transport.abort()


async def answers(address: str) -> bool:
    parts = urlsplit(address)
    asked = f"GET /readyz HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    _, raw = await exchanged(parts.hostname or "", parts.port or 0, asked)
    return raw.startswith(b"HTTP/1.1 200")


def told(seen: Seen, options: argparse.Namespace, alive: bool) -> bool:
    by_status: Counter[int] = Counter()
    by_route: dict[str, Counter[int]] = {}
    for (route, status), number in seen.statuses.items():
        by_status[status] += number
        by_route.setdefault(route, Counter())[status] += number
    for route, counted in sorted(by_route.items()):
        said = "  ".join(f"{status or 'none'}: {number}" for status, number in sorted(counted.items()))
        print(f"    {route:62} {said}")
    print(f"    by status: {dict(sorted(by_status.items()))}; none: broken off, or the rest is waited for")
    results = [
        ("malformed requests", seen.sent, f">= {options.number}", seen.sent >= options.number),
        ("routes they went to", len(by_route), f">= {len(routes)}", len(by_route) >= len(routes)),
        ("server errors", len(seen.failures), "0", not seen.failures),
        ("reflections", len(seen.reflections), "0", not seen.reflections),
        (f"answers over {SLOW_S:g} s", len(seen.slow), "0", not seen.slow),
        ("longest answer, s", round(seen.longest_s, 2), f"<= {SLOW_S:g}", seen.longest_s <= SLOW_S),
        ("ready afterwards", alive, "True", alive),
    ]
    for name, figure, target, good in results:
        line(f"{name}: {figure}", target, good)
    for fault in [*seen.failures, *seen.reflections, *seen.slow][:SHOWN]:
        print(f"    {fault}")
    if seen.sent < options.number:
        print(f"    go on with --first {options.first + seen.sent} --number {options.number - seen.sent}")
    return all(good for *_, good in results)


# ---------------------------------------------------------------- forms, and the API


@contextmanager
def walked(folder: Path) -> Iterator[tuple[Walk, list[pages.Page]]]:
    settings, world = prepared(folder)
    with running(settings) as app, forgetful(app.state.branchline.database):
        yield Walk.of(app, world), pages.pages(world)


def forms(folder: Path, options: argparse.Namespace) -> bool:
    slow: list[str] = []
    with walked(folder) as (walk, found):
        all_forms = list(distinct(walk, found))
        for number in range(options.fillings * len(all_forms)):
            who, form = all_forms[number % len(all_forms)]
            begun = time.monotonic()
            walk.send(who, form, number)
            if (took := time.monotonic() - begun) > SLOW_S:
                slow.append(f"{took:.1f} s: {form.method} {form.action}, number {number}")
    print(f"    by status: {dict(sorted(walk.answers.items()))}")
    line(
        f"forms {len(all_forms)}, filled in {walk.sent} times; faults: {len(walk.faults)}",
        "0",
        not walk.faults,
    )
    line(f"answers to forms over {SLOW_S:g} s: {len(slow)}", "0", not slow)
    for fault in [*walk.faults, *slow][:SHOWN]:
        print(f"    {fault}")
    return not walk.faults and not slow


def api(folder: Path, options: argparse.Namespace) -> bool:
    settings, world = prepared(folder)
    known = {"id": world.at["series"], "slug": "alder", "start": world.at["date"]}
    with running(settings) as app:
        database = app.state.branchline.database
        with database.writing() as session:
            token = tokens.make(session, session.get_one(Person, int(world.at["ana"])), "Bench", world.now)
        with forgetful(database):
            program = Program.of(app, token, int(known["id"]))
            found = try_all(
                document(routes, "Bench", "http://localhost"), known, program.send, options.examples
            )
    for label, number in sorted(found.items()):
        print(f"    {label:60} {number}")
    line(f"made-up requests of the API, all answered as described: {found.total()}", "all", True)
    return True


PARTS = {"raw": raw_requests, "forms": forms, "api": api}
