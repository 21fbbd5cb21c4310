"""Cleaning, checking and explaining input, whatever it is about."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Literal

import pytest
from markupsafe import Markup
from pydantic import Field, ValidationError

from events.drafts import (
    BlankIsNone,
    Draft,
    Email,
    HttpUrl,
    LanguageTag,
    Latitude,
    LongText,
    ShortText,
    TimeZone,
    Title,
    WallTime,
    faults,
    tidy,
)
from events.errors import Message, say

NO_TIME = "This is not a date and time that exist. Write them like 2026-11-24T19:00"
NOT_LOCAL = "Give the time as the clock on the wall shows it, like 2026-11-24T19:00"


class Span(Draft):
    low: int = 0
    high: int = 1

    def contradictions(self) -> Iterator[tuple[str, Message]]:
        if self.low > self.high:
            yield "high", say("Too low: %(low)d is more.", low=self.low)
            yield "high", say("Only the first sentence about a field is told.")


class Everything(Draft):
    title: Title = "x"
    needed: Annotated[ShortText, Field(min_length=1)] = "x"
    brief: Annotated[LongText, Field(max_length=5)] = ""
    url: HttpUrl = ""
    email: Email = ""
    language: LanguageTag = "en"
    timezone: TimeZone = "UTC"
    at: WallTime = datetime(2026, 1, 1)
    day: date = date(2026, 1, 1)
    latitude: Annotated[Latitude | None, BlankIsNone] = None
    count: Annotated[int, Field(gt=0, lt=10)] = 1
    ticked: bool = False
    kind: Literal["a", "b"] = "a"
    names: Annotated[tuple[ShortText, ...], Field(max_length=2)] = ()
    span: Span = Span()


class Needing(Draft):
    title: Title


def wrong(**values: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as refused:
        Everything.model_validate(values)
    return {field: str(message) for field, message in faults(refused.value).items()}


def test_text_is_composed_trimmed_and_keeps_its_lines() -> None:
    assert tidy("  cafe\u0301\r\nzwei\u2028drei\rvier\t! ") == "café\nzwei\ndrei\nvier\t!"


def test_what_nobody_sees_goes_and_what_scripts_need_stays() -> None:
    assert tidy("a\x00b\x1bc\x7fd\u202ee\ufefff") == "abcdef"
    assert tidy("👩\u200d🚀 \u200f") == "👩\u200d🚀 \u200f"


def test_text_that_looks_harmless_becomes_what_any_other_does() -> None:
    """A look at the whole is quicker than one at each character; after the last one here it is never enough."""
    for number in range(0x20000):
        for text in (chr(number), f" a\n{chr(number)}\u0301 \u202fb "):
            assert tidy(text) == tidy(f"{text}\0"), hex(number)


@pytest.mark.parametrize("text", ["Repair", "Café\n7\u202fPM", "\0"])
def test_markup_becomes_text_that_can_be_escaped_like_any_other(text: str) -> None:
    assert type(tidy(Markup("<p>{}</p>").format(text))) is str


def test_a_title_is_one_line() -> None:
    assert Everything(title=" Repair\n\tcafé ").title == "Repair café"


def test_a_draft_never_changes_and_takes_no_unknown_fields() -> None:
    assert wrong(is_admin=True) == {"is_admin": "There is no such field here."}
    with pytest.raises(ValidationError):
        setattr(Everything(), "title", "y")  # noqa: B010  (a plain assignment would not type-check)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        (" https://example.org/a?b[]=1#c ", "https://example.org/a?b%5B%5D=1#c"),
        ("HTTP://Example.ORG:8080", "http://example.org:8080"),
        ("https://example.org/ñ%20x y", "https://example.org/%C3%B1%20x%20y"),
        ("https://peña.example/", "https://xn--pea-8ma.example/"),
    ],
)
def test_links_become_plain_ascii(given: str, kept: str) -> None:
    assert Everything(url=given).url == kept


@pytest.mark.parametrize(
    "given",
    [
        "example.org",
        "javascript:alert(1)",
        "https://",
        "https://localhost/",
        "ftp://example.org",
        "https://a b.c/",
        "https://[::1/",
        "https://example.org:99999/",
        "//example.org/x",
        "https://" + "a" * 64 + ".org/",
    ],
)
def test_what_is_no_web_address_is_refused(given: str) -> None:
    assert wrong(url=given) == {"url": "This is not a link. A whole one looks like https://example.org/page"}


def test_a_link_with_a_password_is_refused() -> None:
    assert "user name and password" in wrong(url="https://ana:secret@example.org/")["url"]


def test_email_addresses_are_checked_for_their_shape() -> None:
    assert Everything(email=" Ana.Pérez+x@Example.ORG ").email == "Ana.Pérez+x@example.org"
    for text in (
        "ana",
        "ana@",
        "@example.org",
        "ana@example",
        "a b@example.org",
        "a@b@c.org",
        "ana@-x.org",
        "a@b..c",
    ):
        assert "not an e-mail address" in wrong(email=text)["email"], text


def test_languages_are_spelled_as_usual() -> None:
    assert [Everything(language=text).language for text in ("ES", "es-mx", "zh-hant-tw")] == [
        "es",
        "es-MX",
        "zh-Hant-TW",
    ]
    assert "not a language" in wrong(language="español")["language"]


def test_time_zones_are_iana_names() -> None:
    assert Everything(timezone="Europe/Madrid").timezone == "Europe/Madrid"
    assert Everything(timezone="Etc/UTC").timezone == "UTC"
    assert "not a time zone" in wrong(timezone="Madrid")["timezone"]


def test_an_empty_input_for_a_number_is_no_number() -> None:
    assert Everything.model_validate({"latitude": " "}).latitude is None
    assert Everything.model_validate({"latitude": "0"}).latitude == 0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"title": " "}, "Please fill this in."),
        ({"needed": ""}, "Please fill this in."),
        ({"title": "x" * 301}, "This is too long: at most 300 characters fit."),
        ({"brief": "abcdef"}, "This is too long: at most 5 characters fit."),
        ({"title": 5}, "This should be text."),
        ({"title": "\ud800"}, "This should be text."),
        ({"latitude": "91"}, "This should be 90 or less."),
        ({"latitude": "-90.5"}, "This should be -90 or more."),
        ({"latitude": "NaN"}, "This is not a number."),
        ({"latitude": "north"}, "This is not a number."),
        ({"count": "0"}, "This should be more than 0."),
        ({"count": "10"}, "This should be less than 10."),
        ({"count": "1.5"}, "This is not a whole number."),
        ({"count": 1.5}, "This is not a whole number."),
        ({"count": "9" * 5000}, "This is not a whole number."),
        ({"ticked": "perhaps"}, "This should be yes or no."),
        ({"kind": "c"}, "This is not one of the choices."),
        ({"names": ["a", "b", "c"]}, "These are too many: at most 2 are possible."),
        ({"names": "a"}, "This should be a list."),
        ({"day": "2026-13-01"}, "This is not a date that exists. Write it like 2026-11-24"),
        ({"day": "2026-02-29"}, "This is not a date that exists. Write it like 2026-11-24"),
        ({"at": "0000-01-01T00:00"}, NO_TIME),
        ({"at": "2026-01-01T25:00"}, NO_TIME),
        ({"at": None}, NO_TIME),
        ({"at": "2026-01-01T10:00Z"}, NOT_LOCAL),
        ({"at": "1969-12-31T10:00"}, "The year should be from 1970 to 2200."),
        ({"span": 3}, "This should be an object with named fields."),
    ],
)
def test_every_fault_is_told_in_a_sentence(values: dict[str, object], sentence: str) -> None:
    assert wrong(**values) == {next(iter(values)): sentence}


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(ValidationError) as refused:
        Needing.model_validate({})
    assert faults(refused.value) == {"title": say("Please fill this in.")}


def test_a_contradiction_stands_at_its_field_with_its_values_apart() -> None:
    with pytest.raises(ValidationError) as refused:
        Everything.model_validate({"span": {"low": 5}, "names": ["x" * 301]})
    found = faults(refused.value)
    assert found["span.high"] == say("Too low: %(low)d is more.", low=5)
    assert list(found) == ["names.0", "span.high"]
