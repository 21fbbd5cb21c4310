"""Addresses that refuse mail, and where a message to a branch goes then: up the tree, so that none is lost."""

from collections.abc import Collection, Iterator

from sqlmodel import Session

from ..branches.models import Branch
from ..people import permissions
from .models import RefusedAddress


def destination(session: Session, branch: Branch, *, besides: Collection[str] = ()) -> str | None:
    """Where a message to the branch goes: its own address, else the nearest up the tree, else somebody who acts for it.

    Left out are addresses that refuse mail, and those of `besides`. None: there is nobody.
    """
    return next((one for one in _candidates(session, branch) if _takes_mail(session, one, besides)), None)


def _candidates(session: Session, branch: Branch) -> Iterator[str]:
    seen: set[int | None] = set()
    current: Branch | None = branch
    while current is not None and current.id not in seen:
        if current.email:
            yield current.email
        seen.add(current.id)
        current = session.get(Branch, current.parent_id) if current.parent_id else None
    yield from (person.email for person in permissions.people_of(session, branch))


def _takes_mail(session: Session, address: str, besides: Collection[str]) -> bool:
    refused = session.get(RefusedAddress, address.lower())
    return (refused is None or not refused.unknown) and address.lower() not in besides
