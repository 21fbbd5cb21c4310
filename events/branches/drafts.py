"""What may be said about a branch, checked before it becomes a row. Forms and CSV rows come in as text."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated

from babel import Locale
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from ..drafts import (
    BlankIsNone,
    Draft,
    Email,
    Fault,
    HttpUrl,
    LanguageTag,
    Line,
    Paragraphs,
    TimeZone,
    faults,
)
from ..errors import Message, Unreadable, say
from ..places.geo import InvalidCoordinates, Point
from .models import Accuracy, Branch, LocationType, Status
from .territory import LONGEST, territory

SLUG_LENGTH = 80
RESERVED_SLUGS = frozenset(
    {"all", "export", "import", "near", "nearest", "new", "search"}
)  # addresses of our own


# ---------------------------------------------------------------- slugs

# Letters of the Latin alphabet that Unicode does not take apart into a letter and a mark.
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h"}
)
_APOSTROPHES = re.compile("['’ʼ`]")


def slug_for(name: str) -> str:
    """A slug made from a name: "Año Nuevo, St. Mary's" gives ano-nuevo-st-marys, other scripts `branch`."""
    letters = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", name.casefold()).translate(_LETTERS))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return shortened(re.sub("[^a-z0-9]+", "-", plain).strip("-"), SLUG_LENGTH) or "branch"


def shortened(slug: str, length: int) -> str:
    """At most `length` characters, whole words where there are several."""
    if len(slug) <= length:
        return slug
    cut = slug[: length + 1].rpartition("-")[0] if "-" in slug[: length + 1] else slug[:length]
    return cut.strip("-")


def _slug(text: str) -> str:
    if text and not re.fullmatch(f"[a-z0-9-]{{1,{SLUG_LENGTH}}}", text):
        raise Fault(
            say(
                "A slug has at most 80 small letters, digits and hyphens, such as %(example)s.",
                example=slug_for(text),
            )
        )
    return text


def _free_slug(text: str) -> str:
    if text in RESERVED_SLUGS:
        raise Fault(
            say("“%(slug)s” is an address that the service itself needs. Choose another slug.", slug=text)
        )
    return text


# ---------------------------------------------------------------- choices, numbers, dates

_YES_OR_NO = {"": False, "verdadero": True, "falso": False, "sí": True, "si": True}


def _choice(enumeration: type[StrEnum], default: str) -> Callable[[object], object]:
    """Any case, blank means `default`, and a fault tells the choices."""

    def chosen(value: object) -> object:
        if not isinstance(value, str):
            return value
        word = value.strip().lower() or default
        if word and word not in list(enumeration):
            raise Fault(
                say(
                    "“%(typed)s” is not one of the choices: %(choices)s.",
                    typed=value.strip()[:40],
                    choices=", ".join(enumeration),
                )
            )
        return word

    return chosen


def _yes_or_no(value: object) -> object:
    """True, yes or 1, as well as what a Spanish spreadsheet writes. Blank means no."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    return _YES_OR_NO.get(word, word)


def _decimal(value: object) -> object:
    """Text as a number; spreadsheets may write a decimal comma or a typographic minus."""
    if not isinstance(value, str):
        return value
    text = value.strip().replace("−", "-")
    if not text:
        return None
    if not re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d{1,3})?", text, re.ASCII | re.IGNORECASE):
        raise Fault(say("“%(typed)s” is not a number in decimal degrees, such as 41.92.", typed=text[:40]))
    return float(text.replace(",", "."))


def _latitude(value: float | None) -> float | None:
    return None if value is None else _on_earth(value, 0.0).latitude


def _longitude(value: float | None) -> float | None:
    return None if value is None else _on_earth(0.0, value).longitude


def _on_earth(latitude: float, longitude: float) -> Point:
    try:
        return Point(latitude + 0.0, longitude + 0.0)  # + 0.0 turns -0.0 into 0.0
    except InvalidCoordinates as error:
        raise Fault(error.message) from error


def _iso_date(value: object) -> object:
    """Only year-month-day: 03/04/2026 is March to some and April to others."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        raise Fault(say("“%(typed)s” is not a date. Write it like 2026-11-24.", typed=text[:40]))
    return text or None


@cache
def country_codes() -> frozenset[str]:
    """ISO 3166-1 alpha-2 codes as CLDR knows them, without its groups and private codes."""
    groups = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ", "AC", "CP", "CQ", "DG", "EA", "IC", "TA"}
    codes = map(str, Locale("en").territories)
    return frozenset(code for code in codes if re.fullmatch("[A-Z]{2}", code)) - groups


def _country(text: str) -> str:
    code = {"UK": "GB"}.get(
        text.upper(), text.upper()
    )  # ISO reserves UK for the United Kingdom and lists it as GB
    if code and code not in country_codes():
        raise Fault(
            say("“%(typed)s” is not a country code of two letters, such as US or ES.", typed=text[:40])
        )
    return code


# ---------------------------------------------------------------- lists


def _listed(text: str) -> str:
    """Commas, semicolons or bars between the words; kept with commas, each word once."""
    return ",".join(
        dict.fromkeys(filter(None, (" ".join(word.split()) for word in re.split(r"[,;|\n]", text))))
    )


_TAGS = TypeAdapter(tuple[LanguageTag, ...])
_LINKS = TypeAdapter(tuple[HttpUrl, ...])


def _languages(text: str) -> str:
    words = _listed(text)
    return ",".join(dict.fromkeys(_each(_TAGS, words.split(",")))) if words else ""


def _links(text: str) -> str:
    """Links part only where the next one begins: a link may hold commas, which are kept percent-encoded."""
    words = [word for word in re.split(r"[,;|\s]+(?=https?:)", text, flags=re.IGNORECASE) if word]
    return ",".join(dict.fromkeys(link.replace(",", "%2C") for link in _each(_LINKS, words)))


def _each(adapter: TypeAdapter[tuple[str, ...]], words: list[str]) -> tuple[str, ...]:
    try:
        return adapter.validate_python(tuple(words))
    except ValidationError as error:
        place, message = next(iter(faults(error).items()))
        raise Fault(say("“%(typed)s”: %(fault)s", typed=words[int(place)][:80], fault=message)) from error


# ---------------------------------------------------------------- the draft


def _service_area(text: str) -> str:
    """As it was written, if it can be read."""
    try:
        territory(text)
    except Unreadable as error:
        raise Fault(error.message) from error
    return text


Words60 = Annotated[str, Field(max_length=60), Line]
Words200 = Annotated[str, Field(max_length=200), Line]
Listed = Annotated[str, Field(max_length=500), Paragraphs, AfterValidator(_listed)]
Reference = Annotated[str, Line, AfterValidator(_slug)]
DateOrNone = Annotated[date | None, BeforeValidator(_iso_date)]


class BranchDraft(Draft):
    """Every column of the contract. What was not given is not in `model_fields_set` and changes nothing."""

    external_id: Annotated[str | None, Field(max_length=200), Line, BlankIsNone] = None
    slug: Annotated[str, Line, AfterValidator(_slug), AfterValidator(_free_slug)] = (
        ""  # blank: made from the name
    )
    parent_slug: Reference = ""
    name: Annotated[str, Field(min_length=1, max_length=200), Line]
    alternate_name: Words200 = ""
    description: Annotated[str, Field(max_length=20_000), Paragraphs] = ""
    location_type: Annotated[str, BeforeValidator(_choice(LocationType, LocationType.PHYSICAL))] = "physical"
    address_1: Words200 = ""
    address_2: Words200 = ""
    city: Words200 = ""
    region: Words200 = ""
    state_province: Words200 = ""
    postal_code: Annotated[str, Field(max_length=20), Line] = ""
    country: Annotated[str, Line, AfterValidator(_country)] = ""
    latitude: Annotated[float | None, BeforeValidator(_decimal), AfterValidator(_latitude)] = None
    longitude: Annotated[float | None, BeforeValidator(_decimal), AfterValidator(_longitude)] = None
    geocode_accuracy: Annotated[str, BeforeValidator(_choice(Accuracy, ""))] = ""
    timezone: Annotated[TimeZone | None, BlankIsNone] = None  # None: found from the coordinates
    phone: Words60 = ""
    email: Email = ""
    url: HttpUrl = ""
    links: Annotated[str, Field(max_length=4000), Paragraphs, AfterValidator(_links)] = ""
    languages: Annotated[str, Field(max_length=500), Paragraphs, AfterValidator(_languages)] = ""
    accessibility: Listed = ""
    opening_hours: Annotated[str, Field(max_length=1000), Line] = ""
    service_area: Annotated[str, Field(max_length=LONGEST), Line, AfterValidator(_service_area)] = ""
    status: Annotated[str, BeforeValidator(_choice(Status, Status.ACTIVE))] = "active"
    opened_on: DateOrNone = None
    end_date: DateOrNone = None
    successor_slug: Reference = ""
    confidential: Annotated[bool, BeforeValidator(_yes_or_no)] = False
    verified_at: DateOrNone = None

    @property
    def point(self) -> Point | None:
        if self.latitude is None or self.longitude is None:
            return None
        return Point(self.latitude, self.longitude)

    def gives(self, field: str) -> bool:
        """Whether the form or the file had this field, were it empty."""
        return field in self.model_fields_set

    def contradictions(self) -> Iterator[tuple[str, Message]]:
        if (self.latitude is None) != (self.longitude is None):
            missing = "longitude" if self.longitude is None else "latitude"
            yield missing, say("Latitude and longitude come together: fill in both, or leave both empty.")
        if self.latitude == 0 and self.longitude == 0:
            yield (
                "latitude",
                say("0,0 is a point in the sea off Africa, where nobody is. Leave both empty instead."),
            )
        if self.opened_on and self.end_date and self.end_date < self.opened_on:
            yield "end_date", say("The end (%(end)s) is before the opening.", end=self.end_date)
        if self.slug and self.slug == self.parent_slug:
            yield "parent_slug", say("A branch cannot be its own parent.")
        if self.slug and self.slug == self.successor_slug:
            yield "successor_slug", say("A branch cannot be its own successor.")

    def write_to(self, branch: Branch) -> None:
        """Sets what was given and what follows from it; slugs that name other branches need the database."""
        for field in self.model_fields_set - _NOT_COPIED:
            setattr(branch, field, getattr(self, field))
        if self.timezone is not None:
            branch.timezone = self.timezone
        if self.gives("latitude") or self.gives("longitude"):
            self._place(branch)
        branch.derive_keys()

    def _place(self, branch: Branch) -> None:
        """Given coordinates are exact unless it is said otherwise; unchanged ones stay as they were."""
        if self.gives("geocode_accuracy"):
            branch.geocode_accuracy = self.geocode_accuracy if self.point else ""
        elif self.point != branch.point:
            branch.geocode_accuracy = Accuracy.EXACT if self.point else ""
        branch.stand_at(self.point)


_NOT_COPIED = {
    "slug",
    "parent_slug",
    "successor_slug",
    "latitude",
    "longitude",
    "geocode_accuracy",
    "timezone",
}


def new_branch(draft: BranchDraft, slug: str, now: datetime) -> Branch:
    """A row that is not yet in the database, everything else still to be written to it."""
    return Branch(slug=slug, name=draft.name, updated_at=now)
