"""Every branch that may be listed, in pages: for programs and for search engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..db import table_of
from ..errors import no_such_page
from ..places.asking import said_country
from .models import Branch, Status

PAGE = 100


@dataclass(frozen=True, slots=True)
class Filter:
    """Which branches: every part narrows. `access`: words of their accessibility, all of them."""

    country: str = ""  # ISO 3166-1 alpha-2
    language: str = ""  # BCP 47
    access: Sequence[str] = ()

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Closed branches are never listed. Raises Unreadable for what is no country code."""
        found: list[sa.ColumnElement[bool]] = [col(Branch.status) != Status.CLOSED]
        if self.country:
            said_country(self.country)  # raises; what it returns takes a territory for its country
            found.append(col(Branch.country) == self.country.upper())
        if self.language:
            spoken = "," + col(Branch.languages) + ","
            found.append(sa.or_(spoken.contains(f",{self.language},"), spoken.contains(f",{self.language}-")))
        return found + [("," + col(Branch.accessibility) + ",").contains(f",{word},") for word in self.access]


def page_of(session: Session, wanted: Filter, page: int) -> tuple[Sequence[Branch], bool]:
    """One page by slug, and whether there are more. NotFound past the end."""
    query = select(Branch).where(*wanted.conditions()).order_by(col(Branch.slug))
    found = session.exec(query.offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    if page > 1 and not found:
        raise no_such_page(page)
    return found[:PAGE], len(found) > PAGE


def number(session: Session) -> int:
    """How many are listed."""
    query = sa.select(sa.func.count()).select_from(table_of(Branch)).where(*Filter().conditions())
    return session.connection().execute(query).scalar_one()


def slugs(session: Session, skip: int, most: int) -> Sequence[tuple[str, datetime]]:
    """Of those that are listed, with the time of their last change."""
    branch = table_of(Branch).c
    query = sa.select(branch.slug, branch.updated_at).where(*Filter().conditions()).order_by(branch.slug)
    return [(slug, at) for slug, at in session.connection().execute(query.offset(skip).limit(most))]
