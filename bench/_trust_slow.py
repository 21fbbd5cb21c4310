"""Five hundred slow clients of five kinds against the real server, and what everybody else notices of them.

slow head    a line of its head each second, without end
slow body    a byte of its form each second
slow reader  asks for a large feed thirty times in a row and takes nothing of it
idle         asks once, reads the answer, and stays
half open    connects and never says a word

Whoever is cut comes back at once, so that there are always five hundred, from five addresses. The others are visitors
from an address of their own, at a steady pace, to pages and feeds; they are measured before, meanwhile and afterwards.
"""

import argparse
import http.client
import os
import select
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._load import engines, figure, site
from bench._synthetic import HEADING, PUBLISHING, fill
from events import migrations
from events.db import Database
from tests.smtp_sink import free_port

HOST, PORT = "127.0.0.1", free_port()
FEED = "/events.ics"
VISITED = ("/", "/events", FEED, "/branches/b1", "/branches/b1.ics", "/branches?near=51.5,0")
VISITS_A_SECOND = 10
MOST_P99_MS, MOST_S, MOST_MB = 100, 20, 30
LOOK_EVERY_S, GONE = 0.1, select.POLLRDHUP | select.POLLHUP | select.POLLERR
HEAD = f"Host: localhost:{PORT}\r\n".encode()


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=500, help="slow ones, of all kinds together")
    parser.add_argument("--seconds", type=float, default=45, help="with slow clients")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")


def run(options: argparse.Namespace) -> bool:
    with TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        url = found[options.database]("slow")
        database = Database(url, size=1)
        migrations.upgrade(database)
        fill(database, branches=40, events=1000, publishing=PUBLISHING)
        database.dispose()
        with site(Path(folder), url, port=PORT, BRANCHLINE_NAME=HEADING.name):
            return measured(options)


def measured(options: argparse.Namespace) -> bool:
    process = server_process()
    visited(5)  # which is not counted: it makes what is kept
    before, memory = visited(10), resident_mb(process)
    slow = Slow(options.clients)
    thread = threading.Thread(target=slow.come)
    thread.start()
    during = visited(options.seconds, watching=lambda: slow.note_memory(resident_mb(process)))
    slow.is_over.set()
    thread.join()
    after = visited(10)
    figure("others without slow clients, before, p99", f"{p99(before):.1f} ms")
    good = figure(
        f"others beside {options.clients} slow clients, p99",
        f"{p99(during):.1f} ms",
        f"<= {MOST_P99_MS}",
        p99(during) <= MOST_P99_MS,
    )
    figure("others without slow clients, after, p99", f"{p99(after):.1f} ms")
    for kind in KINDS:
        good &= slow.report(kind)
    more = slow.most_mb - memory
    return good & figure("memory beyond what it was", f"{more:.0f} MB", f"<= {MOST_MB}", more <= MOST_MB)


# ---------------------------------------------------------------- the others


def visited(seconds: float, watching: Callable[[], None] = lambda: None) -> list[float]:
    """Milliseconds of each visit, at a steady pace: whoever waits for long has more who wait behind."""
    times: list[float] = []
    connection = http.client.HTTPConnection(HOST, PORT, timeout=30, source_address=("127.0.0.9", 0))
    begun = time.perf_counter()
    for number in range(round(seconds * VISITS_A_SECOND)):
        due = begun + number / VISITS_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        connection.request("GET", VISITED[number % len(VISITED)], headers={"Host": f"localhost:{PORT}"})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"{VISITED[number % len(VISITED)]} answered {response.status}")
        times.append((time.perf_counter() - due) * 1000)
        if number % VISITS_A_SECOND == 0:
            watching()
    connection.close()
    return times


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


# ---------------------------------------------------------------- slow clients


@dataclass
class Client:
    kind: str
    connection: socket.socket
    came: float

    @classmethod
    def of(cls, kind: str, address: str) -> "Client":
        connection = socket.socket()
        if kind == "slow reader":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((address, 0))
        connection.connect((HOST, PORT))
        connection.setblocking(False)
        connection.send(KINDS[kind])
        return cls(kind, connection, time.monotonic())

    def go_on(self) -> None:
        """Once a second. Whether it was cut is for poll to say."""
        try:
            if self.kind == "slow head":
                self.connection.send(b"X-Slow: yes\r\n")
            elif self.kind == "slow body":
                self.connection.send(b"a")
            elif self.kind == "idle":
                self.connection.recv(1 << 20)
        except OSError:
            return


KINDS = {
    "slow head": b"GET / HTTP/1.1\r\n",
    "slow body": b"POST /sign-in HTTP/1.1\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 2000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n" + HEAD + b"\r\nemail=",
    "slow reader": (f"GET {FEED} HTTP/1.1\r\n".encode() + HEAD + b"\r\n") * 30,
    "idle": b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "half open": b"",
}


@dataclass
class Slow:
    number: int
    is_over: threading.Event = field(default_factory=threading.Event)
    stayed: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    still_there: Counter[str] = field(default_factory=Counter)  # for longer than they may
    most_mb: float = 0

    def come(self) -> None:
        poll, clients = select.poll(), dict[int, Client]()
        for number in range(self.number):
            self._come_one(poll, clients, list(KINDS)[number % len(KINDS)])
        spoken = time.monotonic()
        while not self.is_over.wait(LOOK_EVERY_S):
            for descriptor, _ in poll.poll(0):
                client = clients.pop(descriptor)
                self.stayed[client.kind].append(time.monotonic() - client.came)
                poll.unregister(descriptor)
                client.connection.close()
                self._come_one(poll, clients, client.kind)
            if time.monotonic() - spoken >= 1:
                spoken = time.monotonic()
                for client in clients.values():
                    client.go_on()
        for client in clients.values():
            self.still_there[client.kind] += time.monotonic() - client.came > MOST_S
            client.connection.close()

    def _come_one(self, poll: select.poll, clients: dict[int, Client], kind: str) -> None:
        client = Client.of(kind, f"127.0.0.{2 + list(KINDS).index(kind)}")
        clients[client.connection.fileno()] = client
        poll.register(client.connection, GONE)

    def note_memory(self, megabytes: float) -> None:
        self.most_mb = max(self.most_mb, megabytes)

    def report(self, kind: str) -> bool:
        stayed = self.stayed[kind]
        longest = max(stayed, default=float("inf"))
        good = longest <= MOST_S and not self.still_there[kind]
        return figure(f"{kind}: {len(stayed)} cut, the last after", f"{longest:.1f} s", f"<= {MOST_S}", good)


# ---------------------------------------------------------------- the server


def server_process() -> int:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for child in children:
        if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise SystemExit("There is no server.")


def resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))
