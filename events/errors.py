"""Errors as domain words.

Each carries what a page needs to help its reader. The web maps them once to pages, plain text and
`application/problem+json`; the command line prints `str(error)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """An English sentence to be translated where it is shown, with named values (`%(name)s`)."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text % self.values if self.values else self.text


def say(text: str, /, **values: object) -> Message:
    """Marks `text` for the catalogues (a Babel keyword) and keeps its values apart from it."""
    return Message(text, values)


class BranchlineError(Exception):
    """Anything we can say in one clear sentence."""

    status = 422

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class ConfigurationError(BranchlineError):
    """The environment or the command line cannot be used as it is (exit status 2)."""


class Unreadable(BranchlineError):
    """A value or a file that cannot be read: says what was wrong and what would be right."""


class InvalidForm(BranchlineError):
    """A form with faults: a message for each field; what was typed is kept by the page."""

    def __init__(self, faults: Mapping[str, Message]) -> None:
        super().__init__(say("Some answers need another look."))
        self.faults = dict(faults)


class NotFound(BranchlineError):
    """No such thing, or not for this person (a stranger's object is not admitted to exist)."""

    status = 404

    def __init__(self, message: Message | None = None) -> None:
        super().__init__(message or say("There is nothing at this address."))


def no_such_page(page: int) -> NotFound:
    """Of a list that has fewer pages."""
    return NotFound(say("There is no page %(page)d of this list.", page=page))


class Gone(BranchlineError):
    """It was here and has been removed."""

    status = 410


class Conflict(BranchlineError):
    """Somebody else changed it first, or it is already so."""

    status = 409


class Forbidden(BranchlineError):
    """Not allowed whoever asks: a request forged from another site, or without the right token."""

    status = 403


class TooLarge(BranchlineError):
    status = 413


class TooOften(BranchlineError):
    """A limit was reached; `retry_after` is in seconds."""

    status = 429

    def __init__(self, retry_after: int) -> None:
        super().__init__(say("Too many requests in a short time. Please wait a little and try again."))
        self.retry_after = retry_after


class Unavailable(BranchlineError):
    """The service cannot do this now (disk full, database away); nothing was half done."""

    status = 503
    retry_after = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """One item of an import that stayed out: where it stands in the file, and why.

    `uid`: of an event that is there, but could not be read; None when it may be any. Empty: of nothing to be missed.
    """

    row: int
    reason: Message
    uid: str | None = ""


class RefusedRows(BranchlineError):
    """Some rows stayed out; the good ones went in (exit status 1)."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(say("%(count)d rows were refused.", count=len(refusals)))
        self.refusals = tuple(refusals)
