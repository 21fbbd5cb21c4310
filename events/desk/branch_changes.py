"""Changing branches so that it can be taken back: each change leaves a version of what the branch came to say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from ..branches import exchange, queries
from ..branches.columns import COLUMNS
from ..branches.comparing import differences, text_of
from ..branches.drafts import BranchDraft, new_branch
from ..branches.formats import csv_cells
from ..branches.hours import zone_of
from ..branches.locating import Locator
from ..branches.models import Branch, Status
from ..branches.serving import write_keys
from ..calendars import moves
from ..errors import Conflict, NotFound, no_such_page, say
from ..people import history, permissions
from ..people.history import Version
from ..people.models import Person, Role
from ..places.lookup import Gazetteer
from ..places.naming import fold

Snapshot = dict[str, Any]

PAGE = 50
FOUND = "found"  # how the branch was before anybody changed it here, or what an import had made of it
# Closing and opening again are done on purpose, with all that hangs on them: going back to a version does neither.
ENDS = frozenset({"status", "end_date", "successor_slug"})
FOR_ADMINS = frozenset({"parent_slug", "external_id"})


def subject(branch: Branch) -> str:
    return f"branch:{branch.id}"


def snapshot(session: Session, branch: Branch) -> Snapshot:
    """The cells of its row in a table, private ones too."""
    return csv_cells(branch, exchange.related_slugs(session, [branch]))


@contextmanager
def recorded(
    session: Session,
    branch: Branch,
    action: str,
    person: Person | None,
    now: datetime,
    batch: str = "",
    *,
    always: bool = False,
) -> Iterator[None]:
    """What is done to the branch in the block becomes a version, unless the branch says the same afterwards.

    `always`: also then, because something else was done for it. Feeds, lists and events follow what has changed.
    """
    lock(session, branch)
    before = snapshot(session, branch)
    newest = history.versions(session, subject(branch), most=1)
    if not newest or differences(newest[0].snapshot, before):  # an import has changed it since
        history.write(session, subject(branch), FOUND, before, None, branch.updated_at)
    yield
    session.flush()
    after = snapshot(session, branch)
    if after != before:
        follow(session, branch, now)
    if after != before or always:
        history.write(session, subject(branch), action, after, person, now, batch)


def follow(session: Session, branch: Branch, now: datetime) -> None:
    """Brings along what hangs on a branch; its events are said anew by the worker, because it has changed since."""
    branch.updated_at = now
    session.add(branch)
    session.flush()
    write_keys(session, [branch])
    moves.move_revision(session, now)


def lock(session: Session, branch: Branch) -> None:
    """As it is now, and nobody else changes it until the transaction ends."""
    session.refresh(branch, with_for_update=True)


# ---------------------------------------------------------------- changing


def change(
    session: Session, branch: Branch, draft: BranchDraft, gazetteer: Gazetteer, parent: Branch | None
) -> None:
    """Makes the branch say what the draft says. To be called in `recorded`. Raises Conflict."""
    exchange.bring_up(branch, draft, Locator(gazetteer))
    if draft.gives("parent_slug"):
        branch.parent_id = parent.id if parent else None
    with _untaken():
        exchange.rename(session, branch, draft.slug or branch.slug)
        session.flush()


def add(
    session: Session,
    draft: BranchDraft,
    gazetteer: Gazetteer,
    parent: Branch | None,
    person: Person | None,
    now: datetime,
    *,
    key: str,
    action: str = "added",
) -> tuple[Branch, bool]:
    """A new branch with its first version; True. What was added under this key before: that branch; False."""
    if (before := _added_with(session, key)) is not None:
        return before, False
    branch = new_branch(draft, draft.slug or exchange.free_slug(session, draft), now)
    exchange.bring_up(branch, draft, Locator(gazetteer))
    branch.parent_id = parent.id if parent else None
    with _untaken():
        session.add(branch)
        session.flush()
    write_keys(session, [branch])
    moves.move_revision(session, now)
    history.write(session, subject(branch), action, snapshot(session, branch), person, now, key)
    return branch, True


@contextmanager
def _untaken() -> Iterator[None]:
    """Somebody may have taken an address since it was found to be free."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(
            say("Somebody else has just taken this address or reference. Please try again.")
        ) from error


def _added_with(session: Session, key: str) -> Branch | None:
    """The branch whose first version was made by the form that has this key."""
    first = (version for version in history.of_batch(session, key) if version.number == 1)
    found = next((version for version in first if version.subject.startswith("branch:")), None)
    return session.get(Branch, int(found.subject.partition(":")[2])) if found else None


def sketch(branch: Branch | None, draft: BranchDraft, gazetteer: Gazetteer, now: datetime) -> Branch:
    """What the branch would say, as a row that is in no session."""
    found = Branch(**branch.model_dump()) if branch else new_branch(draft, draft.slug, now)
    exchange.bring_up(found, draft, Locator(gazetteer))
    return found


def would_change(
    branch: Branch, draft: BranchDraft, gazetteer: Gazetteer, parent: Branch | None, now: datetime
) -> bool:
    """False: the branch says all that already."""
    moves = draft.gives("parent_slug") and (parent.id if parent else None) != branch.parent_id
    renamed = draft.slug not in ("", branch.slug)
    return moves or renamed or sketch(branch, draft, gazetteer, now).model_dump() != branch.model_dump()


def confirm(branch: Branch, now: datetime) -> None:
    """All that it says is right: today, by its own clock."""
    branch.verified_at = now.astimezone(zone_of(branch) or UTC).date()


def restore(
    session: Session, branch: Branch, version: Version, gazetteer: Gazetteer, *, by_admin: bool
) -> None:
    """Makes the branch say what it said then. To be called in `recorded`.

    Raises ValidationError when it cannot be said any more, and Conflict when its old address has gone to another.
    """
    said, kept = version.snapshot, {"verified_at", "successor_slug"} | (set() if by_admin else FOR_ADMINS)
    if Status.CLOSED in (branch.status, said.get("status")):
        kept |= ENDS
    above = text_of(said.get("parent_slug"))
    parent = branch_at(session, above) if above else None
    if above and (parent is None or is_below(session, parent, branch)):
        kept |= {"parent_slug"}
    texts = {column: text_of(said.get(column)) for column in COLUMNS if column not in kept}
    draft = BranchDraft.model_validate(texts)
    if (owner := other_at(session, draft.slug, branch)) is not None:
        raise Conflict(
            say("The address /branches/%(slug)s leads to “%(name)s” now.", slug=draft.slug, name=owner.name)
        )
    change(session, branch, draft, gazetteer, parent)


# ---------------------------------------------------------------- other branches


def branch_at(session: Session, slug: str) -> Branch | None:
    """The branch at an address, or that had it before."""
    try:
        found = queries.by_slug(session, slug)
    except NotFound:
        return None
    return found if isinstance(found, Branch) else queries.here(session, found.slug)


def other_at(session: Session, slug: str, branch: Branch | None) -> Branch | None:
    """Another branch that has this address, or to which it still leads."""
    owner = branch_at(session, slug)
    return None if owner is None or (branch is not None and owner.id == branch.id) else owner


def other_with(session: Session, external_id: str | None, branch: Branch | None) -> Branch | None:
    """Another branch with this reference."""
    if not external_id:
        return None
    query = select(Branch).where(col(Branch.external_id) == external_id)
    owner = session.exec(query).one_or_none()
    return None if owner is None or (branch is not None and owner.id == branch.id) else owner


def is_below(session: Session, branch: Branch | None, above: Branch) -> bool:
    """Whether it is `above` itself or belongs to it, through however many others."""
    seen: set[int | None] = set()
    while branch is not None and branch.id not in seen:
        if branch.id == above.id:
            return True
        seen.add(branch.id)
        branch = session.get(Branch, branch.parent_id) if branch.parent_id else None
    return False


def listed(session: Session, person: Person, part: str, page: int) -> tuple[Sequence[Branch], int]:
    """A page of the branches whose data the person may change, and the number of pages. NotFound past the end.

    `part`: of the names of those that are wanted.
    """
    mine = sa.and_(_administered(person), col(Branch.search_key).contains(fold(part[:200]), autoescape=True))
    total = session.exec(select(sa.func.count(col(Branch.id))).where(mine)).one()
    pages = max(1, -(-total // PAGE))
    if page > pages:
        raise no_such_page(page)
    query = select(Branch).where(mine).order_by(*_BY_NAME)
    return session.exec(query.offset((page - 1) * PAGE).limit(PAGE)).all(), pages


def administered(session: Session, person: Person, most: int = 500) -> Sequence[Branch]:
    """All of them, for a menu."""
    return session.exec(select(Branch).where(_administered(person)).order_by(*_BY_NAME).limit(most)).all()


def may_change(session: Session, person: Person | None, branch: Branch) -> bool:
    if person is None:
        return False
    mine = select(Branch.id).where(col(Branch.id) == branch.id, _administered(person))
    return session.exec(mine).first() is not None


_BY_NAME = (col(Branch.name), col(Branch.id))


def _administered(person: Person) -> sa.ColumnElement[bool]:
    return col(Branch.id).in_(permissions.branch_ids(person, Role.BRANCH_ADMIN))
