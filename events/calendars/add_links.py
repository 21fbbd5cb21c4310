"""Links that put an event into a calendar once, as it stands now: what `content` says, in the forms that Google
and Outlook fill in from an address. Neither form is documented by its maker; both have been in use for years.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from markupsafe import escape

from ..language import Language
from .content import Said, in_words
from .horizon import rule_of
from .recurrence import Rule
from .timezones import to_utc

GOOGLE = "https://calendar.google.com/calendar/render"
OUTLOOK = "https://outlook.live.com/calendar/0/deeplink/compose"
OUTLOOK_AT_WORK = "https://outlook.office.com/calendar/0/deeplink/compose"
LONGEST = 1900  # characters of an address; Google refuses more than about 2,000
LONGEST_TITLE, LONGEST_PLACE = 600, 400  # as they are written in it: a letter is 6 in Russian, an emoji 12


@dataclass(frozen=True, slots=True)
class AddLinks:
    google: str
    outlook: str
    work: str
    google_repeats: bool  # Google gets the whole series; Outlook's form takes one date only


def add_links(shown: Said, page: str, spoken: Language, whole: bool) -> AddLinks | None:
    """None for what does not take place. `page`: its address; `whole`: with the dates that follow, where it can."""
    if shown.is_called_off:
        return None
    rule = _rule(shown) if whole else None
    outlook = _outlook(shown, page, spoken)
    return AddLinks(
        google=_google(shown, page, spoken, rule),
        outlook=f"{OUTLOOK}?{outlook}",
        work=f"{OUTLOOK_AT_WORK}?{outlook}",
        google_repeats=rule is not None,
    )


def _rule(shown: Said) -> Rule | None:
    """The rule, if it alone tells every date from this one on: Google's form knows no exceptions.

    One that counts its dates counts from the first.
    """
    event, rule = shown.event, rule_of(shown.event)
    excepted = [
        *map(datetime.fromisoformat, event.exdates),
        *(one.original_start for one in shown.told.overrides),
    ]
    if rule is None or any(at >= shown.start for at in excepted) or shown.override is not None:
        return None
    return rule if rule.count is None or shown.start == event.start else None


def _google(shown: Said, page: str, spoken: Language, rule: Rule | None) -> str:
    """Times by the wall clock beside the zone, so that a series keeps its hour when the clocks change."""
    event = shown.event
    form = "%Y%m%d" if event.all_day else "%Y%m%dT%H%M%S"
    values = {"action": "TEMPLATE", "dates": f"{shown.start:{form}}/{shown.end:{form}}"}
    if not event.all_day:
        values["ctz"] = event.timezone
    if rule is not None:
        values["recur"] = f"RRULE:{rule.text(event.timezone, event.all_day)}"
    values |= {"text": _cut(shown.title, LONGEST_TITLE), "location": _place(shown)}
    about = _about(shown, page, spoken, LONGEST - len(f"{GOOGLE}?{_written(values)}&details="))
    return f"{GOOGLE}?{_written(values | {'details': about})}"


def _outlook(shown: Said, page: str, spoken: Language) -> str:
    """Times in UTC, which leave nothing to guess; the text is read as HTML there."""
    event = shown.event
    values = {"path": "/calendar/action/compose", "rru": "addevent"}
    if event.all_day:
        values |= {"startdt": f"{shown.start:%Y-%m-%d}", "enddt": f"{shown.end:%Y-%m-%d}", "allday": "true"}
    else:
        start, end = to_utc(shown.start, event.timezone), to_utc(shown.end, event.timezone)
        values |= {"startdt": f"{start:%Y-%m-%dT%H:%M:%SZ}", "enddt": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    values |= {"subject": _cut(shown.title, LONGEST_TITLE), "location": _place(shown)}
    room = LONGEST - len(f"{OUTLOOK_AT_WORK}?{_written(values)}&body=")
    about = _about(shown, page, spoken, room, html=True)
    return _written(values | {"body": about})


def _place(shown: Said) -> str:
    return _cut(str(shown.place).replace("\n", ", ") or shown.online_url, LONGEST_PLACE)


def _about(shown: Said, page: str, spoken: Language, room: int, html: bool = False) -> str:
    """What it says, as much as there is room for, and its page, where the rest stands."""
    text = _cut(in_words(shown, spoken), room - _length(f"\n\n{page}", html), html)
    return _as_html(f"{text}\n\n{page}".strip(), html)


def _cut(text: str, room: int, html: bool = False) -> str:
    """The beginning of a text that fits in its written form, to the end of a word where one is near."""
    if _length(text, html) <= room:
        return text
    left, end = room - _length("…", html), 0
    while end < len(text) and (left := left - _length(text[end], html)) >= 0:
        end += 1
    kept = text[:end]
    at_word, space, _ = kept.rpartition(" ")
    return f"{at_word if space and len(at_word) > end - 30 else kept}…"


def _length(text: str, html: bool) -> int:
    return len(quote(_as_html(text, html), safe=""))


def _as_html(text: str, html: bool) -> str:
    return str(escape(text)).replace("\n", "<br>") if html else text


def _written(values: Mapping[str, str]) -> str:
    """Spaces as %20: Outlook shows a plus sign as what it is."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items() if value)
