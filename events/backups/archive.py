"""The archive itself: what it says of itself, writing it, and taking it apart without trusting it."""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from ..errors import BranchlineError, ConfigurationError, Unreadable, say

FORMAT = 1
MANIFEST, SECRET, SITE = "manifest.json", "secret.key", "site/"
DATABASES = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}
MOST_OF_MANIFEST, MOST_MEMBERS = 4_000_000, 10_000
SPARE = 50_000_000  # bytes of the disk that stay free
CHUNK = 1_048_576
_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]{1,200}")
_TABLE = re.compile(r"[a-z][a-z_]{0,62}")


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`schema`: the number of the last step of the schema. `rows`: how many each table has."""

    version: str
    schema: str
    engine: str
    made_at: datetime
    members: tuple[Member, ...]
    rows: Mapping[str, int]

    @property
    def database(self) -> str:
        return DATABASES[self.engine]

    @property
    def has_secret(self) -> bool:
        return any(member.name == SECRET for member in self.members)

    def written(self) -> bytes:
        said = asdict(self) | {"format": FORMAT, "product": "branchline", "made_at": self.made_at.isoformat()}
        return json.dumps(said, indent=1).encode()

    @classmethod
    def read(cls, text: bytes) -> "Manifest":
        """Raises ValueError, TypeError, LookupError or RecursionError when it is none of ours."""
        said: dict[str, Any] = json.loads(text)
        if said["product"] != "branchline" or said["engine"] not in DATABASES:
            raise ValueError("it is of something else")
        if said["format"] != FORMAT:
            raise NewerFormat(_NEWER)
        members = tuple(
            Member(str(one["name"]), int(one["size"]), str(one["sha256"])) for one in said["members"]
        )
        rows = {str(name): int(number) for name, number in said["rows"].items()}
        made_at = datetime.fromisoformat(said["made_at"])
        names = [member.name for member in members]
        if (
            made_at.tzinfo is None
            or len(set(names)) != len(names)
            or len(names) > MOST_MEMBERS
            or any(member.size < 0 for member in members)
            or DATABASES[said["engine"]] not in names
            or not all(_is_known(name, said["engine"]) for name in names)
            or not all(map(_TABLE.fullmatch, rows))
        ):
            raise ValueError("it says what none of ours says")
        return cls(str(said["version"]), str(said["schema"]), said["engine"], made_at, members, rows)


_NEWER = say("This back-up was made by a newer Branchline than this one, which cannot read it.")


class NewerFormat(BranchlineError):
    """Raised as it is: all else that is wrong with a manifest is damage."""


def _is_known(name: str, engine: str) -> bool:
    """No way out of the folder that it is put into, and nothing beside what we put there ourselves."""
    if name in (DATABASES[engine], SECRET):
        return True
    folder, *path = name.split("/")
    return folder == SITE.rstrip("/") and bool(path) and all(map(_SEGMENT.fullmatch, path))


# ---------------------------------------------------------------- writing


def member_of(name: str, path: Path) -> Member:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Member(name, size, digest.hexdigest())


def write(out: BinaryIO, manifest: Manifest, folder: Path) -> None:
    """Into a file or a pipe. The members are files below `folder`, which nobody else changes."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        head = manifest.written()
        tar.addfile(_entry(MANIFEST, len(head), manifest.made_at), io.BytesIO(head))
        for member in manifest.members:
            with (folder / member.name).open("rb") as file:
                tar.addfile(_entry(member.name, member.size, manifest.made_at), file)


def _entry(name: str, size: int, made_at: datetime) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(made_at.timestamp())
    return entry


@contextlib.contextmanager
def whole_or_nothing(target: Path, room: Path) -> Iterator[BinaryIO]:
    """A file that only its owner reads, with its name when all of it is on the disk. `room`: on the same disk."""
    part = room / "whole.tar"
    with open(part, "xb", opener=_private) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, target)
    sync_folder(target.parent)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """So that a power cut does not take back a name that was given."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


# ---------------------------------------------------------------- reading


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[tarfile.TarFile, Manifest]]:
    """Raises Unreadable when it is no archive of ours, or damaged, here or while it is read in the block."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigurationError(
            say("%(path)s cannot be read: %(why)s", path=path, why=error.strerror)
        ) from error
    try:
        with file, tarfile.open(fileobj=file, mode="r:") as tar:
            first = tar.next()
            if (
                first is None
                or first.name != MANIFEST
                or not _is_plain(first)
                or first.size > MOST_OF_MANIFEST
            ):
                raise damaged(path)
            yield tar, _manifest(path, tar, first)
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise damaged(path) from error


def _manifest(path: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Manifest:
    content = tar.extractfile(entry)
    try:
        return Manifest.read(content.read() if content else b"")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise damaged(path) from error


def damaged(path: Path) -> Unreadable:
    return Unreadable(
        say("%(path)s is damaged, or no back-up of Branchline: nothing was changed.", path=path)
    )


def check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE:
        numbers = {"wanted": -(-(wanted + SPARE) // 1_000_000), "free": free // 1_000_000}
        raise ConfigurationError(
            say(
                "The disk of %(folder)s has %(free)d MB free, and %(wanted)d are needed.",
                folder=folder,
                **numbers,
            )
        )


def unpack(path: Path, tar: tarfile.TarFile, manifest: Manifest, places: Mapping[str, Path]) -> None:
    """Each member into a new file: `places` names the folder for the first part of its name. All of it must be as the
    manifest says, or Unreadable is raised."""
    wanted = {member.name: member for member in manifest.members}
    while (entry := tar.next()) is not None:
        member = wanted.pop(entry.name, None)
        if member is None or not _is_plain(entry) or entry.size != member.size:
            raise damaged(path)
        content = tar.extractfile(entry)
        if content is None:
            raise damaged(path)
        target = places[entry.name.partition("/")[0]] / entry.name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(target, "xb", opener=_private) as file:
            if _copied(content, file) != member.sha256:
                raise damaged(path)
            file.flush()
            os.fsync(file.fileno())
    if wanted:
        raise damaged(path)


def _copied(content: IO[bytes], file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := content.read(CHUNK):
        digest.update(chunk)
        file.write(chunk)
    return digest.hexdigest()


def _is_plain(entry: tarfile.TarInfo) -> bool:
    """A file: no link, no device, none with holes, which could be larger than the archive."""
    return entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not entry.sparse
