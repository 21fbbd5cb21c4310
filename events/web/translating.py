"""The organizers' words in the other languages of the site: fields of the event form, gaps, and the preview."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from ..branches.models import Branch
from ..calendars import content, store
from ..calendars.drafts import EventDraft
from ..calendars.models import CALLED_OFF, Event
from ..calendars.wording import Missing, Part, Translations, Words, is_same, missing
from ..errors import InvalidForm, Message, say
from ..language import Language, language
from .forms import NO_FAULTS, Form
from .state import language_of, state_of
from .words import language_name

_OWN = say("This is the language of the event itself: write it above.")
_GAPS = {
    Missing.ALL: say("Not in %(language)s yet"),
    Missing.TITLE: say("No title in %(language)s yet"),
    Missing.TEXT: say("No text in %(language)s yet"),
}


def field(part: str, tag: str) -> str:
    """What the field is called on the form."""
    return f"{part}_{tag}"


@dataclass(frozen=True, slots=True)
class Sheet:
    """The fields for one language, and what is said when they stay empty. `open`: there is something to see."""

    tag: str
    summary: str
    title: str
    description: str
    title_label: str
    text_label: str
    hint: str
    open: bool


# ---------------------------------------------------------------- the form


def sheets(request: Request, form: Form, own: str, faults: Mapping[str, Message] = NO_FAULTS) -> list[Sheet]:
    """For each language of the site that is not the event's own. What was typed for another one is shown, too."""
    spoken = language_of(request)
    found = []
    for tag in state_of(request).settings.locales:
        names = [field(part, tag) for part in Part]
        filled = any(form[name].strip() or name in faults for name in names)
        if filled or not is_same(tag, own):
            found.append(_sheet(spoken, tag, own, filled))
    return found


def _sheet(spoken: Language, tag: str, own: str, filled: bool) -> Sheet:
    name, native = language_name(spoken, tag), language(tag).name
    named = name if name == native else f"{name} ({native})"
    hint = say(
        "For readers of the pages in %(language)s. What you leave empty they get in %(own)s.",
        language=name,
        own=language_name(spoken, own),
    )
    return Sheet(
        tag=tag,
        summary=spoken.say(say("In %(language)s", language=named)),
        title=field(Part.TITLE, tag),
        description=field(Part.TEXT, tag),
        title_label=spoken.say(say("Title in %(language)s", language=name)),
        text_label=spoken.say(say("Description in %(language)s", language=name)),
        hint="" if is_same(tag, own) else spoken.say(hint),
        open=filled,
    )


def labels(found: Iterable[Sheet]) -> dict[str, str]:
    """Of the fields, for what is wrong with them."""
    return {
        name: label
        for sheet in found
        for name, label in ((sheet.title, sheet.title_label), (sheet.description, sheet.text_label))
    }


def items(translations: Translations | None) -> list[tuple[str, str]]:
    """As the fields would have been filled in."""
    given = (translations or {}).items()
    return [(field(part, tag), text) for tag, said in given for part, text in said.items()]


def typed(form: Form, tags: Iterable[str], stored: EventDraft | None) -> dict[str, dict[str, str]]:
    """What the form says in these languages. What it has no fields for stays as it is stored."""
    found = dict(stored.worded) if stored else {}
    for tag in tags:
        was = found.pop(tag, {})
        said = {part: form.get(field(part, tag), was.get(part, "")) for part in Part}
        if any(text.strip() for text in said.values()):
            found[tag] = {part.value: text for part, text in said.items()}
    return found


def check_not_own(form: Form, tags: Iterable[str], own: str) -> None:
    """Words in the event's own language would be lost without a word. Raises InvalidForm."""
    doubled = {
        field(part, tag): _OWN
        for tag in tags
        if is_same(tag, own)
        for part in Part
        if form[field(part, tag)].strip() not in ("", form[part].strip())
    }
    if doubled:
        raise InvalidForm(doubled)


# ---------------------------------------------------------------- gaps


def gaps(request: Request, event: Event, owner: Branch, now: datetime) -> list[str]:
    """What readers of other languages will miss, of an event that is still to come."""
    over = event.ends_at is not None and event.ends_at <= now
    if over or event.state in CALLED_OFF:
        return []
    spoken = language_of(request)
    site = state_of(request).settings.locales
    found = missing(event.language, bool(event.description), event.translations, site, owner.language_list)
    return [
        spoken.say(Message(_GAPS[gap].text, {"language": language_name(spoken, tag)}))
        for tag, gap in found.items()
    ]


# ---------------------------------------------------------------- the preview


@dataclass(frozen=True, slots=True)
class Seen:
    """What readers of another language will see. `note`: what of it is not in theirs."""

    heading: str
    title: Words
    text: Words
    note: str


def previews(request: Request, draft: EventDraft, hosts: Sequence[Branch], now: datetime) -> list[Seen]:
    """For each language of the site in which something was written."""
    told, spoken = store.sketch(draft, hosts, now), language_of(request)
    found = []
    for tag in state_of(request).settings.locales:
        shown = content.said(told, spoken=language(tag))
        title, text = Words(shown.title, shown.title_language), Words(shown.text, shown.text_language)
        if is_same(tag, draft.language) or draft.language == title.language == text.language:
            continue
        name = language_name(spoken, tag)
        found.append(
            Seen(
                spoken.say(say("In %(language)s", language=name)),
                title,
                text,
                _note(spoken, draft, title, text),
            )
        )
    return found


def _note(spoken: Language, draft: EventDraft, title: Words, text: Words) -> str:
    own = language_name(spoken, draft.language)
    if title.language == draft.language:
        return spoken.say(say("The title stays in %(language)s.", language=own))
    if text.text and text.language == draft.language:
        return spoken.say(say("The description stays in %(language)s.", language=own))
    return ""
