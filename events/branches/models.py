"""Branches: a tree, in the vocabulary of HSDS and schema.org."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Index, text
from sqlmodel import Field

from ..db import NO_TEXT_BEFORE, Row
from ..places.geo import Point
from ..places.models import Located
from ..places.naming import code_key, fold

CONFIDENTIAL_GRID = 0.1  # degrees: some 11 km


class Status(StrEnum):
    ACTIVE = "active"
    FORMING = "forming"
    INACTIVE = "inactive"
    CLOSED = "closed"


class LocationType(StrEnum):
    """HSDS 3.0 `location.location_type`."""

    PHYSICAL = "physical"
    POSTAL = "postal"
    VIRTUAL = "virtual"


VIRTUAL = text("location_type = 'virtual'")


class Accuracy(StrEnum):
    """How a branch came by its coordinates."""

    EXACT = "exact"
    POSTAL_CODE = "postal_code"
    PLACE = "place"


GUESSED = (Accuracy.POSTAL_CODE, Accuracy.PLACE)  # the middle of something


class Branch(Row, Located, table=True):
    """One local branch. Lists (links, languages, accessibility) are comma-separated, as in the CSV."""

    __table_args__ = (
        Index("ix_branch_name_id", "name", "id"),
        Index("ix_branch_virtual", "country", sqlite_where=VIRTUAL),
    )

    id: int | None = Field(default=None, primary_key=True)
    external_id: str | None = Field(default=None, unique=True)
    slug: str = Field(unique=True)
    parent_id: int | None = Field(default=None, foreign_key="branch.id", index=True)
    successor_id: int | None = Field(default=None, foreign_key="branch.id")
    name: str
    alternate_name: str = ""
    # How what is typed finds it, kept by `derive_keys`.
    search_key: str = Field(default="", index=True)  # both names, folded
    name_key: str = Field(default="", index=True, sa_column_kwargs=NO_TEXT_BEFORE)  # the name, folded
    city_key: str = Field(default="", index=True, sa_column_kwargs=NO_TEXT_BEFORE)  # the town, folded
    code_key: str = Field(
        default="", index=True, sa_column_kwargs=NO_TEXT_BEFORE
    )  # the postal code as codes are compared
    description: str = ""
    location_type: str = LocationType.PHYSICAL
    address_1: str = ""
    address_2: str = ""
    city: str = ""
    region: str = ""
    state_province: str = ""
    postal_code: str = ""
    country: str = Field(default="", index=True)  # ISO 3166-1 alpha-2
    geocode_accuracy: str = ""  # exact, postal_code or place
    timezone: str = "UTC"  # IANA
    phone: str = ""
    email: str = ""  # never leaves the service
    url: str = ""
    links: str = ""
    languages: str = ""  # BCP 47
    accessibility: str = ""
    opening_hours: str = ""  # OpenStreetMap's opening_hours syntax
    service_area: str = ""
    status: str = Status.ACTIVE
    opened_on: date | None = None
    end_date: date | None = None
    confidential: bool = False  # only the city may be shown
    verified_at: date | None = None
    updated_at: datetime

    def derive_keys(self) -> None:
        """To be called when a name, the town or the postal code has changed."""
        self.search_key = fold(f"{self.name} {self.alternate_name}")
        self.name_key = fold(self.name)
        self.city_key = fold(self.city)
        self.code_key = code_key(self.postal_code)

    @property
    def language_list(self) -> list[str]:
        return _listed(self.languages)

    @property
    def accessibility_list(self) -> list[str]:
        return _listed(self.accessibility)

    @property
    def link_list(self) -> list[str]:
        return _listed(self.links)

    @property
    def public_point(self) -> Point | None:
        """Where searches may place it: a confidential branch only within some kilometres, however often one asks."""
        return self.point.snapped(CONFIDENTIAL_GRID) if self.point and self.confidential else self.point

    def stand_at(self, point: Point | None) -> None:
        super().stand_at(point)
        if self.public_point is not None:
            self.x, self.y, self.z = self.public_point.ecef()

    @property
    def shows_position(self) -> bool:
        return self.point is not None and not self.confidential

    @property
    def street(self) -> tuple[str, ...]:
        """The lines of the street address that may be shown: none for a confidential branch."""
        return () if self.confidential else tuple(line for line in (self.address_1, self.address_2) if line)

    @property
    def city_line(self) -> str:
        """City and state or region, as an envelope has them, without the street: Madrid is both."""
        return ", ".join(dict.fromkeys(part for part in (self.city, self.state_province) if part))


class ServiceKey(Row, table=True):
    """What a branch's territory is looked up by: `territory.keys`, made anew whenever the branch changes."""

    __tablename__ = "service_key"

    key: str = Field(primary_key=True)
    branch_id: int = Field(foreign_key="branch.id", primary_key=True, index=True, ondelete="CASCADE")


class FormerSlug(Row, table=True):
    """An address a branch had before: it keeps answering with a permanent redirect."""

    __tablename__ = "former_slug"

    slug: str = Field(primary_key=True)
    branch_id: int = Field(foreign_key="branch.id", index=True)


def _listed(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]
