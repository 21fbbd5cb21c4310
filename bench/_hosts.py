"""For `bench/hosts.py`: two machines (network namespaces), one PostgreSQL, and nginx as docs/operating.md has it."""

import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from events import migrations
from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.db import Database
from events.people import permissions, sign_in
from events.people.models import Purpose, Role
from tests.postgres import LOCALE, Account, find_binaries, within_reach

ROOT = Path(__file__).parents[1]
FRONT, MACHINES, NETWORK = "10.77.0.1", ("10.77.0.11", "10.77.0.12"), "10.77.0.0/24"
BRIDGE, MACHINE = "brl-hosts", "brl-host-{}"
PROXY_PORT, SITE_PORT, DATABASE_PORT = 8135, 8000, 8136
PROXY = f"{FRONT}:{PROXY_PORT}"
DIRECTLY = [f"{address}:{SITE_PORT}" for address in MACHINES]
EVENTS = 100
READY_WITHIN_S = 120
EMAIL = "ana@example.org"
BRANCH = "alder"


# ---------------------------------------------------------------- the machines


@dataclass
class Postgres:
    """With fsync and synchronous_commit as an operator has them: what was acknowledged is what is counted."""

    data: Path
    programs: Path
    account: Account

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@{FRONT}:{DATABASE_PORT}/postgres"

    def create(self) -> None:
        self.account.run(
            *(self.programs / "initdb", "--pgdata", self.data, "--username=postgres", "--auth=trust"),
            *("--encoding=UTF8", f"--locale={LOCALE}", "--no-instructions"),
        )
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {NETWORK} trust\n")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = '{FRONT}'\nport = {DATABASE_PORT}\nunix_socket_directories = ''\n"
            )

    def start(self) -> None:
        self.account.run(*self._control, "--log", self.data / "log", "start")

    def stop(self, mode: str) -> None:
        self.account.run(*self._control, "--mode", mode, "stop")

    @property
    def _control(self) -> tuple[str | Path, ...]:
        return self.programs / "pg_ctl", "--pgdata", self.data, "--wait", "--silent"


@dataclass
class Scene:
    postgres: Postgres
    database: Database
    folder: Path
    cookie: str = ""
    events: list[int] = field(default_factory=list)


@contextmanager
def everything() -> Iterator[Scene]:
    with ExitStack() as stack:
        base = Path(tempfile.mkdtemp(prefix="branchline-hosts-", dir="/tmp"))
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        base.chmod(0o755)
        stack.enter_context(network())
        server = stack.enter_context(running_postgres(base))
        database = Database(server.url, size=2)
        stack.callback(database.dispose)
        scene = Scene(server, database, base)
        filled(scene)
        for number, address in enumerate(MACHINES):
            stack.enter_context(machine(base / str(number), number, address, server.url))
        stack.enter_context(nginx(base / "nginx"))
        wait_until(lambda: is_ready(PROXY))
        scene.cookie = signed_in(scene)
        yield scene


@contextmanager
def network() -> Iterator[None]:
    """A bridge with an address of ours, and at each of its ends a machine."""
    with ExitStack() as stack:
        ip("link", "add", BRIDGE, "type", "bridge")
        stack.callback(ip, "link", "delete", BRIDGE)
        ip("address", "add", f"{FRONT}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, address in enumerate(MACHINES):
            name, wire = MACHINE.format(number), f"brl-wire-{number}"
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
            ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", wire, "master", BRIDGE, "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def running_postgres(base: Path) -> Iterator[Postgres]:
    account = Account.unprivileged()
    server = Postgres(
        account.make_folder(base / "data"), within_reach(find_binaries()[0], account, base), account
    )
    server.create()
    server.start()
    yield server
    server.stop("immediate")


@contextmanager
def machine(folder: Path, number: int, address: str, database_url: str) -> Iterator[None]:
    """Two web processes and a worker."""
    folder.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "BRANCHLINE_DATA_DIR": str(folder),
        "BRANCHLINE_DATABASE_URL": database_url,
        "BRANCHLINE_BASE_URL": f"http://{PROXY}",
        "BRANCHLINE_SECRET_KEY": "the same on all machines",
        "BRANCHLINE_TRUSTED_PROXIES": FRONT,
        "BRANCHLINE_RATE_LIMITS": "off",
    }
    inside = ["ip", "netns", "exec", MACHINE.format(number), sys.executable, "-m", "events"]
    serving = ["serve", "--host", address, "--port", str(SITE_PORT), "--workers", "2"]
    with ExitStack() as stack:
        for command in (serving, ["work"]):
            stack.enter_context(process([*inside, *command], folder / f"{command[0]}.log", environment))
        wait_until(lambda: is_ready(f"{address}:{SITE_PORT}"))
        yield


@contextmanager
def process(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with log.open("w") as file:
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
    try:
        yield
        if running.poll() is not None:
            sys.exit(f"{' '.join(command)} ended by itself:\n{log.read_text()[-3000:]}")
    finally:
        running.terminate()
        running.wait(30)


# ---------------------------------------------------------------- nginx, as the handbook has it


@contextmanager
def nginx(folder: Path) -> Iterator[None]:
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; user root; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{\n{as_documented(folder)}\n}}\n"
    )
    with process(["nginx", "-c", str(configuration)], folder / "log", {"PATH": os.environ["PATH"]}):
        yield


def as_documented(folder: Path) -> str:
    """What differs is named here, and each of it must be there."""
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    section = text[text.index("\n## When one machine is not enough\n") :]
    found = re.search(r"```nginx\n(.*?)```", section, re.DOTALL)
    if found is None:
        sys.exit("docs/operating.md has no configuration of nginx for several machines.")
    said = found[1]
    for pattern, instead in {
        r"server 10\.0\.0\.11:8000;": f"server {MACHINES[0]}:{SITE_PORT};",
        r"server 10\.0\.0\.12:8000;": f"server {MACHINES[1]}:{SITE_PORT};",
        r"listen 443 ssl;": f"listen {PROXY};",
        r" *listen \[::\]:443 ssl;\n": "",
        r" *ssl_certificate .*\n": "",
        r" *ssl_certificate_key .*\n": "",
        r"/var/cache/nginx": f"{folder}/cache",
        r"/var/log/nginx": str(folder),
        r"proxy_set_header Host \$host;": "proxy_set_header Host $http_host;",
        r"proxy_cache branchline;": "proxy_cache branchline; add_header X-Cache $upstream_cache_status always;",
    }.items():
        said, times = re.subn(pattern, instead, said)
        if not times:
            sys.exit(f"The configuration of nginx in docs/operating.md has no {pattern}")
    (folder / "cache").mkdir()
    return said


# ---------------------------------------------------------------- what is there, and how it is asked


def filled(scene: Scene) -> None:
    """A branch, its events, and somebody who may do everything."""
    migrations.upgrade(scene.database)
    now = datetime.now(UTC)
    publishing = Publishing(f"http://{PROXY}", "Branchline", ("en", "es"))
    with scene.database.writing() as session:
        alder = Branch(slug=BRANCH, name="Alder", timezone="America/Chicago", email=EMAIL, updated_at=now)
        alder.derive_keys()
        session.add(alder)
        session.flush()
        permissions.invite(session, sign_in.find_or_add(session, EMAIL, now), None, Role.ADMIN)
        events = [
            store.add(session, draft(number, now), [alder], publishing, now) for number in range(EVENTS)
        ]
        scene.events = [event.id or 0 for event in events]


def draft(number: int, now: datetime) -> EventDraft:
    start = now.replace(tzinfo=None, microsecond=0) + timedelta(days=2 + number % 60, minutes=number)
    return EventDraft.model_validate(
        {
            **{"title": f"Tool night number {number}", "description": "Bring anything with a plug. " * 6},
            **{"start": start, "end": start + timedelta(hours=2), "timezone": "America/Chicago"},
            **{"topics": ("Repair",), "state": "published"},
        }
    )


def signed_in(scene: Scene) -> str:
    """The cookie of a session."""
    with scene.database.writing() as session:
        person = sign_in.find_or_add(session, EMAIL, datetime.now(UTC))
        token = sign_in.make_link(session, person, Purpose.SIGN_IN, datetime.now(UTC))
    answer = post(PROXY, f"/sign-in/{token}", {})
    if answer.status != 303:
        sys.exit(f"Signing in was answered {answer.status}.")
    return answer.headers["set-cookie"].partition(";")[0]


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def cache(self) -> str:
        """What nginx did with it: MISS, HIT, BYPASS …; nothing when it did not ask its cache."""
        return self.headers.get("x-cache", "")


def ask(
    where: str, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: str = ""
) -> Answer:
    """Raises OSError or HTTPException."""
    connection = http.client.HTTPConnection(where, timeout=60)
    try:
        connection.request(method, path, body or None, {"Host": PROXY, **(headers or {})})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
    finally:
        connection.close()


def post(where: str, path: str, form: Mapping[str, str], cookie: str = "") -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    if cookie:
        headers["Cookie"] = cookie
    return ask(where, path, headers, "POST", urlencode(form))


def is_ready(where: str) -> bool:
    try:
        return ask(where, "/readyz").status == 200
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while not condition():
        if time.monotonic() > until:
            sys.exit("It was not ready in time.")
        time.sleep(0.1)
