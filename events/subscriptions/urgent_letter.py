"""A mail about dates of one event that have changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time

from ..calendars import content
from ..calendars.content import Told
from ..calendars.dates_changed import Difference, Known
from ..calendars.models import State
from ..errors import Message, say
from ..language import Language
from ..letters import Block, Item, Letter, Link, Paragraph
from .writing import Site, when

MOST_SHOWN = 5
LONGEST_TITLE = 60  # in a subject, so that what follows is seen

CANCELLED, POSTPONED = say("Cancelled"), say("Postponed")
MOVED, NEW_PLACE, CHANGED, BACK = say("Moved"), say("New place"), say("Changed"), say("On after all")


@dataclass(frozen=True, slots=True)
class News:
    """What some are to be told: at least one date, the soonest first. `following`: they follow the event."""

    told: Told
    differences: Sequence[Difference]
    following: bool

    def title(self, spoken: Language) -> str:
        """As it was known: that of a draft is nobody's business."""
        return self.title_of(self.differences[0].was, spoken)

    def title_of(self, date: Known, spoken: Language) -> str:
        """In the reader's language, while the event is called so."""
        event = self.told.event
        if self.is_announced and date.title == event.title:
            return content.title(event, None, spoken).text
        return date.title

    @property
    def is_announced(self) -> bool:
        return self.told.event.is_public and self.told.event.withdrawn_at is None

    @property
    def is_all_off(self) -> bool:
        """A whole series."""
        event = self.told.event
        return (event.is_series or len(self.differences) > 1) and (event.is_called_off or not event.is_public)

    def kind_of(self, one: Difference) -> Message:
        if one.now is None or one.now.cancelled:
            postponed = self.is_announced and self.told.event.state == State.POSTPONED
            return POSTPONED if postponed else CANCELLED
        if one.was.cancelled:
            return BACK
        if one.was.starts_at != one.now.starts_at:
            return MOVED
        return NEW_PLACE if one.was.end == one.now.end else CHANGED


def subject(news: News, spoken: Language) -> str:
    """Cancelled: Tool night, Tuesday, December 8, 2026."""
    first, kinds = news.differences[0], {news.kind_of(one).text for one in news.differences}
    number, kind = len(news.differences), news.kind_of(first)
    what: object = (first.now or first.was).start.date()
    if news.is_all_off:
        what = say("all dates")
    elif number > 1:
        what = spoken.ngettext("%(num)d date", "%(num)d dates", number) % {"num": number}
    elif kind is MOVED and first.now is not None:
        what = say("now %(when)s", when=what if news.told.event.all_day else first.now.start)
    mark, title = kind if len(kinds) == 1 else CHANGED, news.title(spoken)
    if len(title) > LONGEST_TITLE:
        title = f"{title[: LONGEST_TITLE - 1].rstrip()}…"
    return spoken.say(say("%(kind)s: %(title)s, %(what)s", kind=mark, title=title, what=what))


def letter(news: News, site: Site, spoken: Language, attached: bool) -> Letter:
    """All but its end, which differs from reader to reader."""
    return list(_blocks(news, site, spoken, attached))


def ending(news: News, way_out: Link, spoken: Language) -> Letter:
    why = _FOLLOWING if news.following else _SOON
    return [Paragraph(spoken.say(why), small=True), way_out]


_FOLLOWING = say("You get this because you follow this event.")
_SOON = say("You get this because you asked to be told at once of what changes within the next 48 hours.")


def _blocks(news: News, site: Site, spoken: Language, attached: bool) -> Iterator[Block]:
    branch = news.told.owner
    about = _ABOUT_FOLLOWED if news.following else _ABOUT_SOON
    yield Paragraph(spoken.say(Message(about.text, {"branch": branch.name})))
    if news.is_all_off:
        yield _all_off(news, site, spoken)
    else:
        yield from (_item(news, one, site, spoken) for one in news.differences[:MOST_SHOWN])
        if more := len(news.differences[MOST_SHOWN:]):
            text = spoken.ngettext("And %(num)d more date", "And %(num)d more dates", more)
            yield Link(_page(news, site, spoken), text % {"num": more})
    if attached:
        yield Paragraph(spoken.gettext("The attached file brings your calendar up to date."))


_ABOUT_FOLLOWED = say("%(branch)s has changed an event that you follow.")
_ABOUT_SOON = say("%(branch)s has changed something at short notice.")


def _page(news: News, site: Site, spoken: Language, one: Difference | None = None) -> str:
    """Of the event, or of one of its dates; that of its branch, when the event is not announced any more."""
    if not news.is_announced:
        return site.publishing.page_of_branch(news.told.owner, spoken)
    if one is None or one.said is None:
        return site.publishing.page_of(news.told.event, spoken)
    day = one.now.original_start.date() if one.now and one.said.event.is_series else None
    return site.publishing.page_of(one.said.event, spoken, day)


def _all_off(news: News, site: Site, spoken: Language) -> Item:
    """Nobody wants to read that of each date."""
    first = news.differences[0]
    since = say("From %(day)s on, none of its dates takes place.", day=first.was.start.date())
    return Item(
        title=news.title(spoken),
        url=_page(news, site, spoken),
        lines=[spoken.say(since), *_reason(news, first, spoken)],
        mark=spoken.say(news.kind_of(first)),
    )


def _item(news: News, one: Difference, site: Site, spoken: Language) -> Item:
    kind = news.kind_of(one)
    off = kind in (CANCELLED, POSTPONED)
    return Item(
        title=_title(news, one, spoken),
        url=_page(news, site, spoken, one),
        lines=[_when(news, one.was, spoken), *_reason(news, one, spoken)]
        if off
        else list(_now(news, one, spoken)),
        mark=spoken.say(kind),
    )


def _title(news: News, one: Difference, spoken: Language) -> str:
    """That of now: of a new series, where one has taken the date over."""
    if one.said is None:
        return news.title_of(one.was, spoken)
    return content.title(one.said.event, one.said.override, spoken).text


def _reason(news: News, one: Difference, spoken: Language) -> list[str]:
    """The organizers' words where there are any."""
    if one.said is not None:
        reason = one.said.reason
    elif not news.is_announced:
        reason = say("This event is no longer announced.")
    else:
        reason = content.reason_of(news.told.event, None) or say("It does not take place on this day.")
    return [spoken.say(reason)] if reason else []


def _now(news: News, one: Difference, spoken: Language) -> Iterator[str]:
    was, now = one.was, one.now or one.was
    if was.cancelled:
        yield spoken.gettext("It takes place after all.")
    whole_days = _is_whole_days(was) or _is_whole_days(now)
    if was.start.date() != now.start.date() or (was.start != now.start and not whole_days):
        yield spoken.say(content.moved(was.start, now.start, whole_days))
    yield _when(news, now, spoken)
    if now.place != was.place and was.place:
        place = say("Now at: %(place)s", place=now.place) if now.place else _NOWHERE
        yield spoken.say(place)
    elif now.place:
        yield now.place


_NOWHERE = say("It has no place to go to any more.")


def _when(news: News, date: Known, spoken: Language) -> str:
    return when(spoken, date.start, date.end, _is_whole_days(date), news.told.event.timezone)


def _is_whole_days(date: Known) -> bool:
    """What lasts all day is known by its midnights: whether it does may have changed since."""
    return date.start.time() == date.end.time() == time() and date.start < date.end
