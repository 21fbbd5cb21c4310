"""The columns of the contract, under whatever names a file has them, and a row's cells as a draft."""

import re
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from ..drafts import faults
from ..errors import Message, Refusal, Unreadable, say
from ..places.naming import home
from .drafts import BranchDraft, country_codes
from .sheet import Record, plain

COLUMNS = (
    "external_id", "slug", "parent_slug", "name", "alternate_name", "description", "location_type",
    "address_1", "address_2", "city", "region", "state_province", "postal_code", "country",
    "latitude", "longitude", "geocode_accuracy", "timezone", "phone", "email", "url", "links", "languages",
    "accessibility", "opening_hours", "service_area", "status", "opened_on", "end_date", "successor_slug",
    "confidential", "verified_at",
)  # fmt: skip

_MAILBOX = re.compile(r"(?:mailto:|[^<>@]*<)\s*([^<>@\s]+@[^<>@\s?]+)\s*>?", re.IGNORECASE)
_SHORT_ZIP = re.compile(r"\d{3,4}(-\d{4})?", re.ASCII)


class RowReader:
    """Makes drafts of a file's records. Raises Unreadable when the columns cannot be understood.

    `mapping` gives our column for theirs (`A+B`: two of theirs, joined by a hyphen); `country` stands in
    where a row names none.
    """

    def __init__(self, header: list[str], mapping: Mapping[str, str], country: str) -> None:
        if country and country not in country_codes():
            raise Unreadable(say("“%(typed)s” is not a country code, such as US or ES.", typed=country))
        self.country = country
        self._width = len(header)
        self._places = _places(header, mapping)
        self._unknown = _unknown(header, self._places)
        self._padded = self._no_phones = 0

    def draft(self, record: Record | Refusal) -> tuple[int, BranchDraft] | Refusal:
        """The draft with the row it came from; a row with faults comes back as a refusal."""
        if isinstance(record, Refusal):
            return record
        if any(cell.strip() for cell in record.cells[self._width :]):
            reason = say(
                "The row has %(cells)d cells, but there are %(columns)d columns."
                " Text that holds the delimiter needs quotation marks.",
                cells=len(record.cells),
                columns=self._width,
            )
            return Refusal(record.row, reason)
        try:
            return record.row, BranchDraft.model_validate(self._values(record.cells))
        except ValidationError as error:
            return Refusal(record.row, _told(faults(error)))

    def notes(self) -> Iterator[Message]:
        """What to know besides, once all rows were read."""
        if self._unknown:
            yield say("Columns that were ignored: %(columns)s.", columns=", ".join(self._unknown))
        if self._padded:
            yield say(
                "%(count)d US postal codes had lost their leading zeros; they were given back.",
                count=self._padded,
            )
        if self._no_phones:
            yield say(
                "%(count)d telephone numbers had fewer than three digits and were left out.",
                count=self._no_phones,
            )

    def _values(self, cells: list[str]) -> dict[str, str]:
        """Text for each column of ours that the file has. Some spreadsheets drop empty cells at the end."""
        cells = [*map(plain, cells), *[""] * (self._width - len(cells))]
        values = {
            column: "-".join(filter(None, (cells[place].strip() for place in places)))
            for column, places in self._places.items()
        }
        if self.country and not values.get("country"):
            values["country"] = self.country
        self._mend(values)
        return values

    def _mend(self, values: dict[str, str]) -> None:
        """Puts right what spreadsheets and statistics offices do to codes and numbers, and counts it."""
        code = values.get("postal_code", "")
        if _SHORT_ZIP.fullmatch(code) and home(values.get("country", "").upper()) == "US":
            values["postal_code"] = f"{code:0>5}" if "-" not in code else f"{code:0>10}"
            self._padded += 1
        if address := _MAILBOX.fullmatch(values.get("email", "")):
            values["email"] = address[1]
        phone = values.get("phone", "")
        if phone and sum(map(str.isdigit, phone)) < 3:
            values["phone"] = ""
            self._no_phones += 1


def _places(header: list[str], mapping: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Where in a row each column of ours is: at one place, or at several that are joined."""
    for ours in mapping:
        if ours not in COLUMNS:
            raise Unreadable(
                say(
                    "“%(column)s” is none of our columns: %(columns)s.",
                    column=ours,
                    columns=", ".join(COLUMNS),
                )
            )
    places = {
        ours: tuple(_place(header, name) for name in _named(header, theirs))
        for ours, theirs in mapping.items()
    }
    for column in COLUMNS:
        own = [place for place, name in enumerate(header) if name == column]
        if column in places or not own:
            continue
        if len(own) > 1:
            raise Unreadable(say("The file has the column “%(column)s” more than once.", column=column))
        places[column] = (own[0],)
    if ("latitude" in places) != ("longitude" in places):
        raise Unreadable(
            say("The file has only one of the columns “latitude” and “longitude”: both are needed.")
        )
    if "name" not in places:
        raise Unreadable(
            say("The file has no column “name”. Its columns are: %(columns)s.", columns=_listed(header))
        )
    return places


def _named(header: list[str], theirs: str) -> list[str]:
    return [theirs] if theirs in header else theirs.split("+")


def _place(header: list[str], name: str) -> int:
    if name.strip() not in header:
        raise Unreadable(
            say(
                "The file has no column “%(column)s”. Its columns are: %(columns)s.",
                column=name,
                columns=_listed(header),
            )
        )
    return header.index(name.strip())


def _unknown(header: list[str], places: Mapping[str, tuple[int, ...]]) -> list[str]:
    used = {place for several in places.values() for place in several}
    return [name for place, name in enumerate(header) if name and place not in used]


def _listed(header: list[str]) -> str:
    return ", ".join(filter(None, header)) or "–"


def _told(found: Mapping[str, Message]) -> Message:
    """All that is wrong with a row, in one message that names the columns."""
    messages = [say("%(column)s: %(fault)s", column=column, fault=fault) for column, fault in found.items()]
    told = messages[0]
    for message in messages[1:]:
        told = say("%(first)s %(second)s", first=told, second=message)
    return told
