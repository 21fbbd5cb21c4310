"""Addresses that refuse mail, and where a message to a branch goes then: up the tree, so that none is lost."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch, Status
from ..db import insert_into, table_of
from ..people import joining, permissions
from .models import RefusedAddress

KEEP = timedelta(days=30)  # of an address that no branch has
LONGEST_REASON = 500


def destination(session: Session, branch: Branch, *, besides: Collection[str] = ()) -> str | None:
    """Where a message to the branch goes: its own address, else the nearest up the tree, else somebody who acts for it.

    A branch above that has closed is passed over, and so are people whose posts need approval: they do not read the
    inbox either. Left out are addresses that refuse mail, and those of `besides`. None: there is nobody.
    """
    return next((one for one in _candidates(session, branch) if _takes_mail(session, one, besides)), None)


def _candidates(session: Session, branch: Branch) -> Iterator[str]:
    seen: set[int | None] = set()
    current: Branch | None = branch
    while current is not None and current.id not in seen:
        if current.email and (current is branch or current.status != Status.CLOSED):
            yield current.email
        seen.add(current.id)
        current = session.get(Branch, current.parent_id) if current.parent_id else None
    people = permissions.people_of(session, branch)
    trusted = [person for person in people if permissions.is_trusted(session, person, branch)]
    yield from (person.email for person in trusted or joining.admins(session))


def _takes_mail(session: Session, address: str, besides: Collection[str]) -> bool:
    refused = session.get(RefusedAddress, address.lower())
    return (refused is None or not refused.unknown) and address.lower() not in besides


# ---------------------------------------------------------------- marking


def mark(session: Session, address: str, reason: str, now: datetime, *, unknown: bool) -> None:
    """The last refusal counts. Two workers may be refused by the same address at once."""
    values = {"refused_at": now, "reason": reason[:LONGEST_REASON], "unknown": unknown}
    marked = insert_into(session, table_of(RefusedAddress)).values(address=address.lower(), **values)
    session.connection().execute(marked.on_conflict_do_update(index_elements=["address"], set_=values))


def forget(session: Session, address: str) -> None:
    """It takes mail: one has arrived, or somebody says so."""
    session.exec(sa.delete(RefusedAddress).where(col(RefusedAddress.address) == address.lower()))


def forget_past(session: Session, now: datetime) -> None:
    """Of addresses that belong to no branch no record is kept for long."""
    of_branches = sa.select(sa.func.lower(table_of(Branch).c.email))
    session.exec(
        sa.delete(RefusedAddress).where(
            col(RefusedAddress.refused_at) < now - KEEP, col(RefusedAddress.address).not_in(of_branches)
        )
    )


# ---------------------------------------------------------------- looking


def of_branch(session: Session, branch: Branch) -> RefusedAddress | None:
    """What is known against the address of the branch."""
    return session.get(RefusedAddress, branch.email.lower()) if branch.email else None


def listed(session: Session, most: int) -> Sequence[tuple[RefusedAddress, Branch | None]]:
    """The newest first, each with a branch that has the address; those of branches before others."""
    address, newest = col(RefusedAddress.address), col(RefusedAddress.refused_at).desc()
    of_branches = sa.func.lower(col(Branch.email))
    # Two looks: in an outer join SQLite would go through all branches for each address.
    query = select(RefusedAddress, Branch).join(Branch, of_branches == address)
    found: list[tuple[RefusedAddress, Branch | None]] = [
        (refused, branch) for refused, branch in session.exec(query.order_by(newest, address).limit(most))
    ]
    others = select(RefusedAddress).where(address.not_in(sa.select(of_branches)))
    rest = session.exec(others.order_by(newest, address).limit(most - len(found)))
    return [*found, *((refused, None) for refused in rest)]


def number_of_branches(session: Session) -> int:
    """How many branches have an address that refuses mail."""
    refused = table_of(RefusedAddress)
    query = select(sa.func.count(col(Branch.id))).where(
        sa.func.lower(col(Branch.email)).in_(sa.select(refused.c.address))
    )
    return session.exec(query).one()
