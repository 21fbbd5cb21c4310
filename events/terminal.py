"""What commands share: files and standard output, a progress bar, the database, the clock."""

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from . import migrations
from .backups import making
from .config import Settings
from .db import Database
from .errors import ConfigurationError, say
from .later import loaded_later
from .server import opened

if TYPE_CHECKING:
    import tqdm
else:
    tqdm = loaded_later("tqdm")


@contextlib.contextmanager
def ready_database(settings: Settings) -> Iterator[Database]:
    """An embedded database is brought to the newest schema; another must be there already."""
    with opened(settings) as database:
        if database.is_sqlite and (said := making.upgrade(settings, database, now())):
            print(said, file=sys.stderr)
        with database.reading() as session:
            if not migrations.is_newest(session.connection()):
                raise ConfigurationError(
                    say("The database is not at the newest schema: run branchline migrate.")
                )
        yield database


@contextlib.contextmanager
def input_file(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigurationError(
            say("%(path)s cannot be read: %(why)s", path=path, why=error.strerror)
        ) from error
    with file:
        yield file


@contextlib.contextmanager
def output_file(path: Path | None) -> Iterator[BinaryIO]:
    """The file, else standard output; that a reader such as `head` has seen enough is no error."""
    try:
        if path is None:
            yield sys.stdout.buffer
            sys.stdout.flush()
            return
        with path.open("wb") as file:
            yield file
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise ConfigurationError(
            say("%(path)s cannot be written: %(why)s", path=path or "standard output", why=error.strerror)
        ) from error


def progress_bar(what: str) -> "tqdm.tqdm[NoReturn]":
    """A progress bar on a terminal; silence otherwise."""
    return tqdm.tqdm(unit=f" {what}", disable=None, leave=False)


def now() -> datetime:
    return datetime.now(UTC)
