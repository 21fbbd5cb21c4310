"""Building the place directory: one SQLite file, written beside the old one and renamed over it at the end.

Sources are GeoNames (CC BY 4.0) by way of registry packages, and files of postal codes that an operator adds.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..errors import ConfigurationError, Refusal, say
from .filling import (
    ADD_CODE,
    IMPORTED,
    STAGING,
    Choice,
    counted,
    create,
    fill,
    index_codes,
    note,
    note_shapes,
    settle,
    stage,
)
from .packages import Packages, PostalRow, download
from .postal_files import read_postal

SCHEMA_VERSION = 2  # PRAGMA user_version: a file of another version counts as none
REPORTED = 20  # refused rows that are told one by one
LEFTOVER_SECONDS = 6 * 3600
CACHE_KB = 32_768


@dataclass(slots=True)
class FileReport:
    """What became of one imported file; the first refusals are told, all are counted."""

    name: str
    rows: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def accepted(self, rows: Iterable[PostalRow | Refusal]) -> Iterator[PostalRow]:
        """The rows that are good, while counting."""
        for row in rows:
            self.rows += 1
            if isinstance(row, PostalRow):
                yield row
                continue
            self.refused += 1
            if len(self.refusals) < REPORTED:
                self.refusals.append(row)


def build(
    target: Path,
    now: datetime,
    *,
    countries: Sequence[str] | None = None,
    min_population: int = 0,
    progress: bool = False,
) -> None:
    """Brings the packages and writes the directory to `target`, keeping the codes that were imported.

    `countries` (ISO 3166-1 alpha-2) limits it; `progress` shows a bar when standard error is a terminal.
    Raises GazetteerUnavailable, or ConfigurationError when `target` cannot be written: the old file stays.
    """
    choice = Choice.of(countries, min_population, progress)
    with (
        _rewriting(target, now) as database,
        tempfile.TemporaryDirectory(prefix="branchline-places-") as folder,
    ):
        for _ in counted(range(1), "Bringing packages", 1, progress):
            archives = download(Path(folder))
        _build(database, target, now, archives, choice)


def build_from(
    archives: Sequence[Path],
    target: Path,
    now: datetime,
    *,
    countries: Sequence[str] | None = None,
    min_population: int = 0,
    progress: bool = False,
) -> None:
    """As `build`, from archives that are here already."""
    with _rewriting(target, now) as database:
        _build(database, target, now, archives, Choice.of(countries, min_population, progress))


def _build(
    database: sqlite3.Connection, target: Path, now: datetime, archives: Sequence[Path], choice: Choice
) -> None:
    fill(database, Packages(archives), choice)
    _keep_imported(database, target)
    note_shapes(database)
    note(database, now, {"sources": ", ".join(path.name for path in archives)})


def import_postal(
    target: Path, files: Sequence[Path], now: datetime, *, progress: bool = False
) -> list[FileReport]:
    """Adds the codes of `files`, in the place of those already there; makes the directory when there is none.

    All files go in, or none. Raises Unreadable, TooLarge, ConfigurationError.
    """
    reports = [FileReport(path.name) for path in files]
    with _rewriting(target, now, keep=True) as database:
        for path, report in zip(files, reports, strict=True):
            stage(database, counted(report.accepted(read_postal(path)), report.name, None, progress))
        index_codes(database)
        settle(database, IMPORTED, progress)
        note_shapes(database)
        note(database, now, {})
    return reports


def is_usable(path: Path) -> bool:
    """Whether a directory of this version is there."""
    if not path.is_file():
        return False
    with contextlib.closing(read_only(path)) as database:
        try:
            version: int = database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError:  # not SQLite at all
            return False
    return version == SCHEMA_VERSION


def read_only(path: Path) -> sqlite3.Connection:
    """Immutable, because a directory is only ever replaced as a whole: no locks are taken."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


@contextlib.contextmanager
def _rewriting(target: Path, now: datetime, *, keep: bool = False) -> Iterator[sqlite3.Connection]:
    """A new directory (with `keep` a copy of the old one) that takes the target's place if nothing raises."""
    with _writable(target):
        draft = _draft_beside(target, now)
    try:
        with _writable(target):
            if keep and is_usable(target):
                shutil.copyfile(target, draft)
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as database:
            # A draft that is not finished is thrown away, so it needs neither journal nor care.
            for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KB}"):
                database.execute(f"PRAGMA {pragma}")
            if not draft.stat().st_size:
                create(database)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            database.executescript(STAGING)
            database.execute("BEGIN")
            with _writable(target):
                yield database
                database.execute("COMMIT")
        with _writable(target):
            _put_in_place(draft, target)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _writable(target: Path) -> Iterator[None]:
    """A full or read-only disk in a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
            raise
        reason = str(error)
    else:
        return
    raise ConfigurationError(say("%(path)s cannot be written: %(reason)s.", path=target, reason=reason))


def _draft_beside(target: Path, now: datetime) -> Path:
    """An empty file in the target's folder, without what builds that were killed left there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(f".{target.name}-*"):
        if old.stat().st_mtime < now.timestamp() - LEFTOVER_SECONDS:
            old.unlink(missing_ok=True)
    number, path = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    os.close(number)
    return Path(path)


def _put_in_place(draft: Path, target: Path) -> None:
    draft.chmod(0o644)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(target)


def _keep_imported(database: sqlite3.Connection, target: Path) -> None:
    """What an operator added to the old file comes before what the packages say."""
    if not is_usable(target):
        return
    with contextlib.closing(read_only(target)) as old:
        database.executemany(ADD_CODE, old.execute("SELECT * FROM postal WHERE source = ?", (IMPORTED,)))
