"""Settings: one frozen object, read once from an environment and passed on."""

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigurationError, say
from .language import LOCALE_DIR, SOURCE
from .later import loaded_later
from .logs import Format

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy import exc
else:
    sa = loaded_later("sqlalchemy")
    exc = loaded_later("sqlalchemy.exc")

DEMO_DATABASE = "demo.db"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator can set; `from_environment` documents the variables by its code."""

    data_dir: Path
    database_url: str
    secret_key: str
    base_url: str | None = None  # None: only loopback names are accepted as Host
    name: str = "Branchline"
    smtp_url: str | None = None  # None: mails are written as files under data_dir/mail
    mail_from: str = "branchline@localhost"
    countries: tuple[str, ...] = ()
    locales: tuple[str, ...] = ("en", "es")
    units: Literal["mi", "km"] | None = None
    trusted_proxies: tuple[str, ...] = ()
    rate_limits: bool = True
    follow_http: bool = False  # followed calendars may use plain http
    port: int = 8000
    metrics_token: str = ""  # none: /metrics is for this machine alone
    log_format: Format = "text"

    @property
    def is_on_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite:")

    @property
    def public_url(self) -> str:
        """Where links in feeds and mails point; without a base URL, this machine."""
        return self.base_url or f"http://localhost:{self.port}"

    @property
    def secure(self) -> bool:
        return self.public_url.startswith("https:")

    @property
    def gazetteer(self) -> Path:
        return self.data_dir / "places.db"

    @property
    def site_dir(self) -> Path:
        """What the operator writes: site.toml (`identity`), its pictures, and Markdown pages."""
        return self.data_dir / "site"

    @property
    def run_dir(self) -> Path:
        """What processes of this machine tell each other while they live."""
        return self.data_dir / "run"

    @property
    def mail_dir(self) -> Path:
        return self.data_dir / "mail"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises ConfigurationError with one clear line; makes the data directory and the secret key."""
        read = _Reader(environ)
        data_dir = _usable_directory(Path(read("BRANCHLINE_DATA_DIR", "data")))
        url = read("BRANCHLINE_DATABASE_URL") or read("DATABASE_URL") or f"sqlite:///{data_dir}/branchline.db"
        return cls(
            data_dir=data_dir,
            database_url=database_url(url),
            secret_key=read("BRANCHLINE_SECRET_KEY") or _kept_secret(data_dir),
            base_url=_base_url(read("BRANCHLINE_BASE_URL")),
            name=read("BRANCHLINE_NAME", "Branchline"),
            smtp_url=_smtp_url(read("BRANCHLINE_SMTP_URL")),
            mail_from=_mail_from(read("BRANCHLINE_MAIL_FROM", "branchline@localhost")),
            countries=_words(read("BRANCHLINE_COUNTRIES").upper()),
            locales=_locales(read("BRANCHLINE_LOCALES", "en,es")),
            units=_units(read("BRANCHLINE_UNITS")),
            trusted_proxies=_words(read("BRANCHLINE_TRUSTED_PROXIES")),
            rate_limits=_switch("BRANCHLINE_RATE_LIMITS", read("BRANCHLINE_RATE_LIMITS", "on")),
            follow_http=_switch("BRANCHLINE_FOLLOW_HTTP", read("BRANCHLINE_FOLLOW_HTTP", "off")),
            port=_port(read("PORT", "8000")),
            metrics_token=read("BRANCHLINE_METRICS_TOKEN"),
            log_format=_log_format(read("BRANCHLINE_LOG_FORMAT", "text")),
        )


class _Reader:
    """Every X may come from a file named in X_FILE."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def __call__(self, name: str, default: str = "") -> str:
        if path := self.environ.get(f"{name}_FILE"):
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    say("%(name)s_FILE names %(path)s, which cannot be read.", name=name, path=path)
                ) from error
        return self.environ.get(name, "").strip() or default


def database_url(url: str) -> str:
    """SQLAlchemy's form of the URL, whichever common spelling was used."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ConfigurationError(
            say(
                "The database URL must begin with sqlite:/// or postgresql://, not %(url)s.",
                url=url.split("://")[0],
            )
        )
    if url.startswith("sqlite:"):  # all that follows is a path
        return url
    try:
        sa.make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise ConfigurationError(
            say("The database URL must look like postgresql://user:password@host:port/name.")
        ) from error
    return url


def _usable_directory(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people wrote is in it
    except OSError as error:
        raise ConfigurationError(
            say("The data directory %(path)s cannot be made: %(why)s.", path=path, why=error.strerror)
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigurationError(say("The data directory %(path)s cannot be written.", path=path))
    return path


def _kept_secret(data_dir: Path) -> str:
    """The key made at the first start; two processes that start together agree on one."""
    path = data_dir / "secret.key"
    try:
        if not path.exists():
            _keep_secret(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(say("The secret key %(path)s cannot be read or made.", path=path)) from error
    if not key:
        raise ConfigurationError(say("The secret key %(path)s is empty: remove the file.", path=path))
    return key


def _keep_secret(path: Path) -> None:
    """Written aside and linked, so that nobody reads half of it; whoever links first has made the key."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".secret.", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)


def _split(url: str) -> SplitResult | None:
    """The parts of a URL with a host, and with a port that is a number if it has one."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port) else None
    except ValueError:
        return None


def _base_url(url: str) -> str | None:
    if not url:
        return None
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or parts.path.strip("/") or "@" in parts.netloc:
        raise ConfigurationError(
            say(
                "BRANCHLINE_BASE_URL must be a scheme and a host, as in https://events.example.org, not %(url)s.",
                url=url,
            )
        )
    return f"{parts.scheme}://{parts.netloc}"


def _smtp_url(url: str) -> str | None:
    if not url:
        return None
    parts = _split(url)
    if parts is None or parts.scheme not in ("smtp", "smtps"):
        raise ConfigurationError(
            say("BRANCHLINE_SMTP_URL must look like smtp://user:password@host:port or smtps://host.")
        )
    return url


def _mail_from(text: str) -> str:
    """The plain address: the name beside it is the organisation's."""
    _, address = parseaddr(text)
    if not address.isascii() or not re.fullmatch(r"[^\s@]+@[^\s@]+", address):
        raise ConfigurationError(
            say("BRANCHLINE_MAIL_FROM must be an address, as in events@example.org, not %(text)s.", text=text)
        )
    return address


def _locales(text: str) -> tuple[str, ...]:
    codes = _words(text)
    known = sorted({SOURCE, *(path.stem for path in LOCALE_DIR.glob("*.po"))})
    for code in codes:
        if code not in known:
            raise ConfigurationError(
                say(
                    "BRANCHLINE_LOCALES names %(code)s; there are %(known)s.",
                    code=code,
                    known=", ".join(known),
                )
            )
    return codes


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\s,]+", text))


def _units(text: str) -> Literal["mi", "km"] | None:
    match text:
        case "":
            return None
        case "mi" | "km":
            return text
    raise ConfigurationError(say("BRANCHLINE_UNITS must be mi or km, not %(text)s.", text=text))


def _log_format(text: str) -> Format:
    match text:
        case "text" | "json":
            return text
    raise ConfigurationError(say("BRANCHLINE_LOG_FORMAT must be text or json, not %(text)s.", text=text))


def _switch(name: str, text: str) -> bool:
    if text not in ("on", "off"):
        raise ConfigurationError(say("%(name)s must be on or off, not %(text)s.", name=name, text=text))
    return text == "on"


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= 65535:
        raise ConfigurationError(say("PORT must be a number up to 65535, not %(text)s.", text=text))
    return int(text)
