"""What was sent: form fields and query parameters, read into drafts, with faults said field by field."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.requests import Request

from ..drafts import FIRST_YEAR, LAST_YEAR, Draft, faults
from ..errors import InvalidForm, Message, NotFound, Unreadable, say

# What narrows a list of events, in the order in which addresses name it.
FILTERS = (
    *("near", "country", "within", "branch", "topic", "from", "to"),
    *("online", "language", "access", "q"),
)
HONEYPOT = "website"  # a field that people do not see; whatever fills it in is a program
KEY_BYTES = 18
AnyDraft = TypeVar("AnyDraft", bound=Draft)


class Form:
    """The texts of a form as they were typed, by name, and files as bytes."""

    def __init__(
        self, items: Iterable[tuple[str, str]] = (), files: Mapping[str, bytes] | None = None
    ) -> None:
        self._items: dict[str, list[str]] = {}
        for name, value in items:
            self._items.setdefault(name, []).append(value.replace("\r\n", "\n").replace("\x00", ""))
        self.files = dict(files or {})

    def __getitem__(self, name: str) -> str:
        """The first value, or nothing: a template shows what was typed without asking whether it was."""
        return next(iter(self._items.get(name, ())), "")

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def get(self, name: str, default: str = "") -> str:
        return self[name] if name in self._items else default

    def all(self, name: str) -> Sequence[str]:
        return tuple(self._items.get(name, ()))

    def only(self, names: Iterable[str]) -> dict[str, object]:
        """These fields with all their values, for links that keep them."""
        return {name: self.all(name) for name in names}

    def with_items(self, items: Iterable[tuple[str, str]]) -> "Form":
        """A form that has these as well."""
        return Form([*self.items(), *items])

    def items(self) -> list[tuple[str, str]]:
        """Everything, in order: for a page that carries what was typed on."""
        return [(name, value) for name, values in self._items.items() for value in values]

    def draft(self, kind: type[AnyDraft], **more: object) -> AnyDraft:
        """The fields of `kind` that the form has, validated; empty optional fields count as not given.

        Raises InvalidForm with a sentence for each fault.
        """
        values: dict[str, object] = {}
        for name, field in kind.model_fields.items():
            if name in self and (self[name].strip() or field.is_required()):
                values[name] = self[name]
        return checked(kind, values | more)


def checked(kind: type[AnyDraft], values: Mapping[str, object]) -> AnyDraft:
    """A draft from values; raises InvalidForm."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InvalidForm(faults(error)) from error


EMPTY = Form()
NO_FAULTS: Mapping[str, Message] = {}


def query(request: Request) -> Form:
    """The query parameters. Raises Unreadable when they are not UTF-8."""
    raw = request.scope["query_string"].decode("latin-1")
    try:
        return Form(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=200))
    except (UnicodeDecodeError, ValueError) as error:
        raise Unreadable(
            say("The address has characters that are not UTF-8. Please type your search again.")
        ) from error


def known_day(text: str) -> date:
    """A day as year-month-day, within the years that calendars know. Raises ValueError."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        raise ValueError("not a day")
    day = date.fromisoformat(text)
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError("a year that is not known")
    return day


def whole_number(text: str) -> int | None:
    """In plain digits, such as a database may have. None: it is none (isdigit takes ² for one), or too long."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def page_number(form: Form) -> int:
    """`page`, from 1. Raises Unreadable."""
    text = form["page"].strip() or "1"
    if number := whole_number(text):
        return number
    raise Unreadable(say("“%(text)s” is not a page number. Pages are counted from 1.", text=text[:50]))


def number_at(request: Request, name: str = "id") -> int:
    """A number in the path. Raises NotFound."""
    number = whole_number(str(request.path_params[name]))
    if number is None:
        raise NotFound
    return number


def form_key(form: Form) -> str:
    """Makes a form that is sent twice count once: a new form gets a new one, and keeps it while it has faults."""
    return sent_key(form) or secrets.token_urlsafe(KEY_BYTES)


def sent_key(form: Form) -> str:
    """The key of the form; nothing for one that we did not make. (Keys of our own besides forms' have spaces.)"""
    return form["key"] if re.fullmatch(r"[\w-]{16,64}", form["key"], re.ASCII) else ""
