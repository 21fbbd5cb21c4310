"""Input before it becomes a row: cleaned, checked, and explained in sentences.

`table=True` classes do not validate, so every form, import and API body is parsed into a `Draft` first.
A draft refuses unknown fields, never changes, and says what is wrong in words that can be translated:
`faults(error)` turns pydantic's `ValidationError` into one `Message` for each field.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import quote, urlsplit, urlunsplit
from zoneinfo import ZoneInfo

import idna
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NaiveDatetime,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from .errors import Message, say

FIRST_YEAR, LAST_YEAR = 1970, 2200

_BREAKS = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
# Control characters, direction overrides, byte order marks and noncharacters. Nobody types them and nobody
# sees them: they come with a paste or a broken export, so a refusal would name something invisible. Direction
# marks (U+200E, U+200F) and joiners stay, because Arabic and emoji need them.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_SPACES = "\n\t\xa0\u2009\u202f"  # that stay, and are not "printable": of times and numbers, too


class Fault(ValueError):
    """What is wrong with one value: raised in a validator, found again by `faults`."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class Contradictions(ValueError):
    """Fields that are fine alone and wrong together: a message for each field to look at."""

    def __init__(self, messages: Mapping[str, Message]) -> None:
        super().__init__("; ".join(map(str, messages.values())))
        self.messages = dict(messages)


class Draft(BaseModel):
    """Base of all input: unknown fields are refused, and a draft that exists is valid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def contradictions(self) -> Iterator[tuple[str, Message]]:
        """What is wrong between fields that are each valid: (field, sentence)."""
        return iter(())

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found: dict[str, Message] = {}
        for field, message in self.contradictions():
            found.setdefault(field, message)
        if found:
            raise Contradictions(found)
        return self


# ---------------------------------------------------------------- text


def tidy(text: str) -> str:
    """Text of one or several lines: NFC, lines ending in \\n, nothing unseen in it, trimmed. Of Markup a plain text."""
    text = str(text)
    if text.isascii() and text.isprintable():  # as nearly all is that lists say, by the thousand
        return text.strip()
    seen = text
    for space in _SPACES:
        seen = seen.replace(space, "")
    if seen.isprintable():  # there is nothing to look for
        return unicodedata.normalize("NFC", text).strip()
    return _UNSEEN.sub("", _BREAKS.sub("\n", unicodedata.normalize("NFC", text))).strip()


def paragraphs(text: object) -> object:
    """`tidy` for validators: what is no text passes through and is refused afterwards."""
    return tidy(text) if isinstance(text, str) else text


def one_line(text: object) -> object:
    """Like `paragraphs`, and every run of white space becomes one space."""
    return " ".join(tidy(text).split()) if isinstance(text, str) else text


def _nothing_when_blank(value: object) -> object:
    """Browsers send an empty text for an input left empty."""
    return None if isinstance(value, str) and not value.strip() else value


Line = BeforeValidator(one_line)
Paragraphs = BeforeValidator(paragraphs)
BlankIsNone = BeforeValidator(_nothing_when_blank)

Title = Annotated[str, Field(min_length=1, max_length=300), Line]
ShortText = Annotated[str, Field(max_length=300), Line]
LongText = Annotated[str, Field(max_length=20_000), Paragraphs]


# ---------------------------------------------------------------- addresses, places, languages

_NO_LINK = say("This is not a link. A whole one looks like https://example.org/page")
_NO_EMAIL = say("This is not an e-mail address. One looks like name@example.org")
_NO_LANGUAGE = say("This is not a language. One looks like en or es-MX")
_NO_ZONE = say("This is not a time zone. One looks like America/Chicago or Europe/Madrid")


_EMAIL_NAME = re.compile(r"[^\s@<>\"(),:;\\\[\]]{1,64}")
_HOST_LABEL = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")


def host_in_ascii(name: str) -> str:
    """As DNS knows it (IDNA 2008: by the rules of 2003, which Python's own codec has, straße.de is another's).

    Raises UnicodeError.
    """
    known = name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
    return known.encode("idna").decode("ascii")  # refuses what is empty or too long


def web_address(text: str) -> str:
    """An absolute http(s) link in ASCII (RFC 3986, its host in Punycode); nothing for nothing."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        host, port = host_in_ascii(parts.hostname or ""), parts.port
    except ValueError as error:
        raise Fault(_NO_LINK) from error
    if parts.scheme not in ("http", "https") or "." not in host or re.search(r"[\s\"<>\\]", parts.netloc):
        raise Fault(_NO_LINK)
    if parts.username is not None or parts.password is not None:
        raise Fault(say("Leave the user name and password out of the link: everybody can read it."))
    rest = (quote(part, safe="/%:@!$&'()*+,;=?~-._") for part in (parts.path, parts.query, parts.fragment))
    return urlunsplit((parts.scheme, host + (f":{port}" if port else ""), *rest))


def _email(text: str) -> str:
    if not text:
        return ""
    local, _, host = text.rpartition("@")
    labels = host.split(".")
    if not _EMAIL_NAME.fullmatch(local) or len(labels) < 2 or not all(map(_HOST_LABEL.fullmatch, labels)):
        raise Fault(_NO_EMAIL)
    return f"{local}@{host.lower()}"


def _language(text: str) -> str:
    """BCP 47 in its usual spelling: es-mx becomes es-MX, zh-hant becomes zh-Hant."""
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", text):
        raise Fault(_NO_LANGUAGE)
    first, *rest = text.split("-")
    spelled = (p.upper() if len(p) == 2 else p.title() if len(p) == 4 else p.lower() for p in rest)
    return "-".join((first.lower(), *spelled))


@cache
def zone_names() -> frozenset[str]:
    """Every IANA name in the installed tzdata package (the operating system's older list does not count)."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def zone_info(key: str) -> ZoneInfo:
    """One of `zone_names`, from that package too, and one object for each."""
    with resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=key)


_UTC_NAMES = {"Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"}


def time_zone(text: str) -> str:
    """An IANA name as given, or UTC for one of its many names. Raises Fault."""
    if text not in zone_names():
        raise Fault(_NO_ZONE)
    return "UTC" if text in _UTC_NAMES else text


def _wall_time(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise Fault(say("The year should be from %(first)d to %(last)d.", first=FIRST_YEAR, last=LAST_YEAR))
    return moment.replace(microsecond=0, fold=0)


HttpUrl = Annotated[str, Field(max_length=500), Line, AfterValidator(web_address)]
Email = Annotated[str, Field(max_length=254), Line, AfterValidator(_email)]
LanguageTag = Annotated[str, Field(max_length=35), Line, AfterValidator(_language)]
TimeZone = Annotated[str, Field(max_length=64), Line, AfterValidator(time_zone)]
WallTime = Annotated[NaiveDatetime, AfterValidator(_wall_time)]
Access = Literal["step-free", "hearing-loop", "sign-language", "childcare", "free"]  # what an event offers
ACCESS: tuple[Access, ...] = get_args(Access)
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


# ---------------------------------------------------------------- faults in words

_NOT_A_DATE = say("This is not a date that exists. Write it like 2026-11-24")
_NOT_A_TIME = say("This is not a date and time that exist. Write them like 2026-11-24T19:00")
_NOT_A_NUMBER = say("This is not a number.")
_NOT_WHOLE = say("This is not a whole number.")
_NOT_TEXT = say("This should be text.")
_NOT_YES_OR_NO = say("This should be yes or no.")
_EMPTY = say("Please fill this in.")
_UNREADABLE = say("This could not be read.")

# pydantic's error types; a sentence may name what pydantic puts into the error's context.
_SENTENCES = {
    "missing": _EMPTY,
    "string_too_short": say("This is too short: at least %(min_length)d characters are needed."),
    "string_too_long": say("This is too long: at most %(max_length)d characters fit."),
    "too_short": say("Please choose at least %(min_length)d."),
    "too_long": say("These are too many: at most %(max_length)d are possible."),
    "greater_than": say("This should be more than %(gt)s."),
    "greater_than_equal": say("This should be %(ge)s or more."),
    "less_than": say("This should be less than %(lt)s."),
    "less_than_equal": say("This should be %(le)s or less."),
    "literal_error": say("This is not one of the choices."),
    "enum": say("This is not one of the choices."),
    "extra_forbidden": say("There is no such field here."),
    "timezone_naive": say("Give the time as the clock on the wall shows it, like 2026-11-24T19:00"),
    "timezone_aware": say("Give the time with its offset, like 2026-11-24T19:00:00+01:00"),
    "tuple_type": say("This should be a list."),
    "list_type": say("This should be a list."),
    "model_type": say("This should be an object with named fields."),
    "string_pattern_mismatch": say("This is not written in the way that is needed here."),
    **dict.fromkeys(("string_type", "string_unicode", "string_sub_type"), _NOT_TEXT),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), _NOT_WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _NOT_A_NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _NOT_YES_OR_NO),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), _NOT_A_DATE),
    **dict.fromkeys(("date_from_datetime_inexact", "time_type", "time_parsing"), _NOT_A_TIME),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _NOT_A_TIME),
    **dict.fromkeys(("datetime_object_invalid",), _NOT_A_TIME),
}


def _sentence(detail: ErrorDetails) -> Message:
    context: dict[str, Any] = detail.get("ctx", {})
    cause, kind = context.get("error"), detail["type"]
    if isinstance(cause, Fault):
        return cause.message
    if context.get("field_type") == "Value":  # how pydantic calls a text whose length is limited once more
        kind = f"string_{kind}"
    if kind == "string_too_short" and context["min_length"] == 1:
        return _EMPTY
    template = _SENTENCES.get(kind, _UNREADABLE)
    values = {name: value for name, value in context.items() if f"%({name})" in template.text}
    return Message(template.text, {name: _plain(value) for name, value in values.items()})


def _plain(value: object) -> object:
    """A limit of 90.0 is told as 90."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def faults(error: ValidationError) -> dict[str, Message]:
    """One sentence for each field that is wrong, by its dotted path: `title`, `venue.name`, `topics.3`.

    A contradiction between fields stands at the field that the draft named.
    """
    found: dict[str, Message] = {}
    for detail in error.errors(include_url=False, include_input=False):
        path = ".".join(map(str, detail["loc"]))
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, Contradictions):
            for field, message in cause.messages.items():
                found.setdefault(f"{path}.{field}" if path else field, message)
        else:
            found.setdefault(path, _sentence(detail))
    return found
