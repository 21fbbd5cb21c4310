"""What an event says, decided in one place; the formats only write it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from markupsafe import Markup, escape

from ..branches.models import Branch
from ..errors import Message, say
from ..language import Language, closest
from ..markdown import html, plain
from ..places.geo import Point
from .models import CALLED_OFF, Attendance, Event, Override, Picture, State, Topic
from .wording import Part, Words, worded


@dataclass(frozen=True, slots=True)
class Publishing:
    """What calendars say besides the events themselves."""

    base_url: str
    organisation: str
    locales: tuple[str, ...]

    def page_of(self, event: Event, spoken: Language, day: date | None = None) -> str:
        """The page of the event, or of one of its dates."""
        return self._page(f"/events/{event.id}", spoken) + (f"?date={day}" if day else "")

    def page_of_branch(self, branch: Branch, spoken: Language) -> str:
        return self._page(f"/branches/{branch.slug}", spoken)

    def _page(self, path: str, spoken: Language) -> str:
        return self.base_url + ("" if spoken.code == "en" else f"/{spoken.code}") + path

    def address_of(self, picture: Picture | None) -> str:
        return f"{self.base_url}/pictures/{picture.id}.jpg" if picture else ""


@dataclass(frozen=True, slots=True)
class Told:
    """An event with all that its text is made of. `hosts`: the owner first, then the co-hosts."""

    event: Event
    overrides: Sequence[Override]
    hosts: Sequence[Branch]
    topics: Sequence[Topic]
    picture: Picture | None = None  # when it is ready

    @property
    def owner(self) -> Branch:
        return self.hosts[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go: a name and one line of address, either may be empty."""

    name: str
    address: str

    def __str__(self) -> str:
        return "\n".join(part for part in (self.name, self.address) if part)


def place(told: Told, override: Override | None = None) -> Place:
    """The venue's where there is one, else the branch's; nothing for what is only online."""
    event = told.event
    name, address = event.venue_name, event.venue_address
    if override is not None and override.venue_name is not None:
        name, address = override.venue_name, override.venue_address or ""
    elif override is not None and override.venue_address is not None:
        address = override.venue_address
    if name or address:
        return Place(name, address)
    if event.attendance == Attendance.ONLINE:
        return Place("", "")
    return branch_place(told.owner)


def branch_place(branch: Branch) -> Place:
    """Name and address of a branch as they may be shown: the town alone for a confidential one."""
    code = "" if branch.confidential else branch.postal_code
    return Place(branch.name, ", ".join(part for part in (*branch.street, branch.city_line, code) if part))


@dataclass(frozen=True, slots=True)
class Said:
    """What an event, or one date of it, says: every format writes this and adds nothing of its own.

    Times are by the wall clock of the event's zone, `end` is exclusive. `moved_from`: the start it had first.
    `status`: confirmed, cancelled or postponed. Title and text may be in two languages (BCP 47).
    """

    told: Told
    override: Override | None
    title: str
    title_language: str
    start: datetime
    end: datetime
    status: str
    reason: Message | str
    moved_from: datetime | None
    place: Place
    latitude: float | None
    longitude: float | None
    text: str  # Markdown
    text_language: str

    @property
    def event(self) -> Event:
        return self.told.event

    @property
    def planned_day(self) -> date | None:
        """How the page of a series calls this date: by the day it was to be at first. None: a single event."""
        if not self.event.is_series:
            return None
        return (self.override.original_start if self.override else self.start).date()

    @property
    def is_called_off(self) -> bool:
        return self.status != "confirmed"

    @property
    def online_url(self) -> str:
        return self.event.online_url if self.event.attendance != Attendance.IN_PERSON else ""

    @property
    def moved(self) -> Message | None:
        """Moved from when to when; nothing for what does not take place anyway."""
        if self.moved_from is None or self.is_called_off:
            return None
        return moved(self.moved_from, self.start, self.event.all_day)


def said(
    told: Told,
    override: Override | None = None,
    original_start: datetime | None = None,
    spoken: Language | None = None,
) -> Said:
    """The event as a whole, one changed date of it, or the date with that original start.

    For readers of that language, as far as the organizers have said it in it; None: in the event's own words.
    """
    event = told.event
    name, text = title(event, override, spoken), _text(event, override, spoken)
    start, end = times(event, override)
    if override is None and original_start is not None:
        start, end = original_start, original_start + event.duration
    elsewhere = override is not None and (override.venue_name, override.venue_address) != (None, None)
    point = None if elsewhere else _shown_point(told)
    return Said(
        told=told,
        override=override,
        title=name.text,
        title_language=name.language,
        start=start,
        end=end,
        status=status(event, override),
        reason=reason_of(event, override),
        moved_from=_moved_from(event, override),
        place=place(told, override),
        latitude=point.latitude if point else None,
        longitude=point.longitude if point else None,
        text=text.text,
        text_language=text.language,
    )


def _shown_point(told: Told) -> Point | None:
    """Where exactly. A venue without a position of its own stands at its branch for searches, which is no address."""
    event = told.event
    if event.venue_name or event.venue_address:
        return event.point if event.point != told.owner.public_point else None
    return event.point if told.owner.shows_position else None


def said_on(told: Told, original_start: datetime, spoken: Language | None = None) -> Said:
    """The date with that original start, as it is by now, in words as in `said`."""
    changed = (one for one in changed_dates(told) if one.original_start == original_start)
    return said(told, next(changed, None), original_start, spoken)


def changed_dates(told: Told) -> list[Override]:
    """Of a series, by original start."""
    changed = told.overrides if told.event.is_series else ()
    return sorted(changed, key=lambda override: override.original_start)


def times(event: Event, override: Override | None) -> tuple[datetime, datetime]:
    """Start and end by the wall clock, of the series' first date or of an override."""
    if override is None:
        return event.start, event.end
    start = override.start or override.original_start
    return start, override.end or start + event.duration


def is_cancelled(event: Event, override: Override | None) -> bool:
    return event.is_called_off or (override is not None and override.cancelled)


def status(event: Event, override: Override | None) -> str:
    if event.state == State.POSTPONED and event.withdrawn_at is None:
        return "postponed"
    return "cancelled" if is_cancelled(event, override) else "confirmed"


def title(event: Event, override: Override | None, spoken: Language | None = None) -> Words:
    """That of a changed date is its own, in the language of the event."""
    if override is not None and override.title is not None:
        return Words(override.title, event.language)
    return _worded(event, event.title, Part.TITLE, spoken)


def _text(event: Event, override: Override | None, spoken: Language | None) -> Words:
    if override is not None and override.description is not None:
        return Words(override.description, event.language)
    return _worded(event, event.description, Part.TEXT, spoken)


def _worded(event: Event, own: str, part: Part, spoken: Language | None) -> Words:
    words = Words(own, event.language)
    return worded(words, part, event.translations, spoken.code) if spoken else words


def reason_of(event: Event, override: Override | None) -> Message | str:
    """The organizers' words where there are any."""
    if event.withdrawn_at is not None and event.state not in CALLED_OFF:
        return say("This event is no longer announced.")
    return (override.reason if override is not None and override.cancelled else "") or event.cancelled_reason


def _moved_from(event: Event, override: Override | None) -> datetime | None:
    if override is None:
        return event.moved_from if not event.is_series and event.moved_from != event.start else None
    return override.original_start if override.start and override.start != override.original_start else None


def moved(was: datetime, now: datetime, all_day: bool) -> Message:
    """From when to when; within one day the hours are enough."""
    if all_day:
        return say("Moved from %(was)s to %(now)s.", was=was.date(), now=now.date())
    return say("Moved from %(was)s to %(now)s.", was=was, now=now.time() if was.date() == now.date() else now)


# ---------------------------------------------------------------- in words


def headline(shown: Said, publishing: Publishing) -> str:
    """What does not take place says so in its title too, in the title's language: some apps do not show STATUS."""
    own = closest(shown.title_language, publishing.locales)
    match shown.status:
        case "postponed":
            return own.say(say("Postponed: %(title)s", title=shown.title))
        case "cancelled":
            return own.say(say("Cancelled: %(title)s", title=shown.title))
    return shown.title


def dated_headline(shown: Said, publishing: Publishing, spoken: Language) -> str:
    """With its day, so that one cancelled date does not look like the end of its series."""
    return f"{headline(shown, publishing)} – {spoken.day(shown.start.date())}"


def when(shown: Said, spoken: Language) -> str:
    """Tuesday, December 8, 2026, 7:00 – 9:00 PM, Chicago time."""
    day, span = shown.start.date(), spoken.span(shown.start, shown.end, shown.event.all_day)
    if spoken.short_day(day) not in span:
        span = spoken.day(day) if shown.event.all_day else f"{spoken.day(day)}, {span}"
    return spoken.capital(span if shown.event.all_day else f"{span}, {spoken.zone(shown.event.timezone)}")


def in_words(shown: Said, spoken: Language) -> str:
    """Why it is off or when it was meant to be, then the organizers' words, then how to take part."""
    facts = "\n".join(spoken.gettext(fact.text) % {"value": value} for fact, value in _facts(shown))
    parts = [*_news(shown, spoken), plain(shown.text), facts, _hosts_in_words(shown, spoken)]
    return "\n\n".join(part for part in parts if part)


def in_html(shown: Said, spoken: Language) -> Markup:
    """The same with the organizers' words as they marked them, and links that can be followed."""
    facts = [escape(spoken.gettext(one.text)) % {"value": _linked(value)} for one, value in _facts(shown)]
    after = [*facts, _hosts_in_words(shown, spoken)]
    return Markup("").join((in_paragraphs(_news(shown, spoken)), html(shown.text), in_paragraphs(after)))


def other_news(shown: Said, spoken: Language, most: int = 20) -> list[str]:
    """What is cancelled or moved on later dates of the series than the one that is shown."""
    if shown.event.is_called_off:
        return []
    found = (said(shown.told, one) for one in changed_dates(shown.told) if one is not shown.override)
    later = [one for one in found if one.start > shown.start and (one.moved or one.is_called_off)]
    return [" ".join((*_day_off(one, spoken), *_news(one, spoken))) for one in later[:most]]


def _day_off(shown: Said, spoken: Language) -> list[str]:
    day = spoken.day(shown.start.date())
    return [spoken.say(say("Cancelled: %(title)s", title=day))] if shown.is_called_off else []


def _news(shown: Said, spoken: Language) -> list[str]:
    reason = shown.reason if shown.is_called_off else ""
    return [spoken.say(sentence) for sentence in (reason, shown.moved) if sentence]


def _facts(shown: Said) -> list[tuple[Message, str]]:
    event = shown.event
    facts = [
        (say("Join online: %(value)s"), shown.online_url),
        (say("Register: %(value)s"), event.registration_url),
        (say("Cost: %(value)s"), event.cost),
        (say("Contact: %(value)s"), event.contact),
    ]
    return [(fact, value) for fact, value in facts if value]


def _hosts_in_words(shown: Said, spoken: Language) -> str:
    names = [host.name for host in shown.told.hosts]
    return spoken.say(say("Held by %(names)s", names=spoken.listed(names))) if len(names) > 1 else ""


_BEGINS, _LINE_ENDS, _ENDS = Markup("<p>"), Markup("<br>\n"), Markup("</p>\n")


def in_paragraphs(texts: Iterable[str]) -> Markup:
    """Sentences (escaped here, unless they are Markup) as HTML; their lines stay lines."""
    lines = (escape(text).replace("\n", _LINE_ENDS) for text in texts if text)
    return Markup("").join(_BEGINS + text + _ENDS for text in lines)


def _linked(value: str) -> Markup | str:
    is_address = value.startswith(("https://", "http://"))
    return Markup('<a href="{0}">{0}</a>').format(value) if is_address else value
