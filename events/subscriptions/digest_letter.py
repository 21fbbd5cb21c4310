"""The digest as its reader sees it: what is new, what has changed, what is off, and news."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from ..branches.models import Branch
from ..calendars.models import State, Topic
from ..calendars.queries import Listed
from ..errors import Message, say
from ..language import Language
from ..letters import Block, Heading, Item, Letter, Link, Paragraph
from ..news.models import Notice
from ..news.notices import excerpt
from ..places.geo import Unit, geodesic
from .choices import Choice
from .models import Frequency, Subscription
from .writing import Site, facts, way_out

MOST_NAMES = 3  # of branches, in one line


@dataclass(frozen=True, slots=True)
class Gone:
    """An event that is not announced any more, as it was; `day`: of a single one. `titles`: by language of the site."""

    titles: Mapping[str, str]
    day: date | None
    branch: Branch

    def title_in(self, code: str) -> str:
        """What was off before the site spoke that language, is told in another."""
        return self.titles.get(code) or next(iter(self.titles.values()))


@dataclass(frozen=True, slots=True)
class Section:
    """The dates that are shown, and how many there are."""

    dates: Sequence[Listed] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """`first`: its reader was told nothing before, so that all there is is told. `branches`: those that were chosen.

    `holders`: the branches of notices, by number.
    """

    subscription: Subscription
    choice: Choice
    branches: Sequence[Branch]
    topics: Sequence[Topic]
    first: bool
    new: Section = Section()
    changed: Section = Section()
    off: Section = Section()
    gone: Sequence[Gone] = ()
    notices: Sequence[Notice] = ()
    holders: Mapping[int, Branch] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.new.total or self.changed.total or self.off.total or self.gone or self.notices)


def letter(digest: Digest, site: Site, spoken: Language) -> tuple[str, Letter]:
    """Subject and text."""
    page = _Page(digest, site, spoken)
    return page.subject(), page.blocks()


_HOW_OFTEN = {
    Frequency.DAILY: say("every day"),
    Frequency.WEEKLY: say("every Monday"),
    Frequency.MONTHLY: say("on the first day of each month"),
}


@dataclass(frozen=True, slots=True)
class _Page:
    digest: Digest
    site: Site
    spoken: Language

    @property
    def unit(self) -> Unit:
        return self.site.unit_of(self.spoken)

    # ------------------------------------------------------------ what it is

    def subject(self) -> str:
        """Near Chicago: 3 new events and 1 cancelled. On a telephone that is all there is room for."""
        what = self.spoken.listed(text % {"num": number} for number, text in self._counts() if number)
        return self.spoken.say(say("%(where)s: %(what)s", where=self._where(), what=what))

    def _counts(self) -> list[tuple[int, str]]:
        digest, spoken = self.digest, self.spoken
        new, changed, news = digest.new.total, digest.changed.total, len(digest.notices)
        postponed = sum(one.state == State.POSTPONED for one in digest.off.dates)
        cancelled = digest.off.total - postponed + len(digest.gone)
        of_all = spoken.ngettext("%(num)d event", "%(num)d events", new)
        of_new = spoken.ngettext("%(num)d new event", "%(num)d new events", new)
        return [
            (new, of_all if digest.first else of_new),
            (changed, spoken.ngettext("%(num)d changed", "%(num)d changed", changed)),
            (cancelled, spoken.ngettext("%(num)d cancelled", "%(num)d cancelled", cancelled)),
            (postponed, spoken.ngettext("%(num)d postponed", "%(num)d postponed", postponed)),
            (news, spoken.ngettext("%(num)d piece of news", "%(num)d pieces of news", news)),
        ]

    def _where(self) -> Message | str:
        choice, branches = self.digest.choice, self.digest.branches
        if choice.point is not None:
            town, _, _ = choice.place.partition(",")
            return say("Near %(place)s", place=town or choice.point)
        if len(branches) == 1:
            return branches[0].name
        return say("Your branches") if branches else self.site.publishing.organisation

    def _what(self) -> Message:
        choice, first = self.digest.choice, self.digest.first
        if choice.point is not None and choice.within is not None:
            text = _NEAR if first else _NEWS_NEAR
            around = self.spoken.distance(choice.within.km, self.unit)
            return Message(text.text, {"place": choice.place or choice.point, "distance": around})
        names = [branch.name for branch in self.digest.branches] or [self.site.publishing.organisation]
        if len(names) > MOST_NAMES:
            return _OF_BRANCHES if first else _NEWS_OF_BRANCHES
        return Message((_OF if first else _NEWS_OF).text, {"names": self.spoken.listed(names)})

    # ------------------------------------------------------------ all of it

    def blocks(self) -> Letter:
        digest, spoken = self.digest, self.spoken
        about = [spoken.say(self._what())]
        if digest.topics:
            names = spoken.listed([topic.name for topic in digest.topics], "or")
            about.append(spoken.say(say("Only about: %(topics)s", topics=names)))
        off = [*map(self._item, digest.off.dates), *map(self._gone, digest.gone)]
        return [
            Paragraph("\n".join(about)),
            *self._part(
                say("Coming up") if digest.first else say("New events"), digest.new, self._items(digest.new)
            ),
            *self._part(say("Changed events"), digest.changed, self._items(digest.changed)),
            *self._part(say("Cancelled or postponed"), digest.off, off),
            *self._news(),
            Link(self._all_events(), spoken.gettext("All events")),
            *self._ending(),
        ]

    def _part(self, heading: Message, section: Section, items: Sequence[Item]) -> list[Block]:
        if not items:
            return []
        blocks: list[Block] = [Heading(self.spoken.say(heading)), *items]
        if more := section.total - len(section.dates):
            text = self.spoken.ngettext("And %(num)d more event", "And %(num)d more events", more)
            blocks.append(Link(self._all_events(), text % {"num": more}))
        return blocks

    def _news(self) -> list[Block]:
        if not self.digest.notices:
            return []
        everything = Link(self.site.address("/news", self.spoken), self.spoken.gettext("All news"))
        return [Heading(self.spoken.gettext("News")), *map(self._notice, self.digest.notices), everything]

    def _items(self, section: Section) -> list[Item]:
        return list(map(self._item, section.dates))

    def _item(self, listed: Listed) -> Item:
        spoken = self.spoken
        day = ("date", listed.original_start.date() if listed.rrule else None)
        file = self.site.address(f"/events/{listed.event_id}.ics", spoken)
        mark = _POSTPONED if listed.state == State.POSTPONED else _CANCELLED
        first, *others = facts(listed, spoken.code, self.digest.subscription.timezone)
        return Item(
            title=listed.titled(spoken.code).text,
            url=self.site.address(f"/events/{listed.event_id}", spoken, day),
            lines=[first, *self._place(listed), *others],
            mark=spoken.say(mark) if listed.cancelled else "",
            links=() if listed.cancelled else [Link(file, spoken.gettext("Calendar file"))],
        )

    def _place(self, listed: Listed) -> list[str]:
        """Who holds it, where, and how far that is from the reader's place."""
        away, here = "", self.digest.choice.point
        if here and listed.point and listed.place_line:
            away = self.spoken.distance(geodesic(here, listed.point).km, self.unit)
        place = listed.place_line or self.spoken.gettext("Online")
        return [" · ".join(part for part in (listed.branch_name, place, away) if part)]

    def _gone(self, gone: Gone) -> Item:
        """Its own page is gone as well: that of its branch says what there is instead."""
        day = [self.spoken.day(gone.day)] if gone.day else []
        return Item(
            title=gone.title_in(self.spoken.code),
            url=self.site.publishing.page_of_branch(gone.branch, self.spoken),
            lines=[*day, gone.branch.name, self.spoken.gettext("This event is no longer announced.")],
            mark=self.spoken.say(_CANCELLED),
        )

    def _notice(self, notice: Notice) -> Item:
        holder = self.digest.holders.get(notice.branch_id or 0)
        lines = [holder.name if holder else "", excerpt(notice.text)]
        return Item(
            title=notice.title,
            url=self.site.address(f"/news/{notice.slug}", self.spoken),
            lines=[line for line in lines if line],
        )

    def _all_events(self) -> str:
        """The list on the site; it knows no "near the place or of the branch", so the place wins."""
        choice, topics = self.digest.choice, [("topic", topic.slug) for topic in self.digest.topics]
        if choice.point is not None and choice.within is not None:
            near = ("near", choice.point), ("within", choice.within.written(self.unit))
            return self.site.address("/events", self.spoken, *near, *topics)
        branches = [("branch", branch.slug) for branch in self.digest.branches]
        return self.site.address("/events", self.spoken, *branches, *topics)

    def _ending(self) -> list[Block]:
        subscription, spoken = self.digest.subscription, self.spoken
        often = _HOW_OFTEN.get(Frequency(subscription.frequency), say("every day"))
        why = say(
            "You get this %(often)s, when there is something to tell, because you asked for it at %(name)s.",
            often=often,
            name=self.site.publishing.organisation,
        )
        address = self.site.address_of_choice(subscription, spoken)
        return [Paragraph(spoken.say(why), small=True), way_out(address, spoken)]


_CANCELLED, _POSTPONED = say("Cancelled"), say("Postponed")
_NEAR = say("Events near %(place)s (%(distance)s)")
_NEWS_NEAR = say("New and changed near %(place)s (%(distance)s)")
_OF = say("Events of %(names)s")
_NEWS_OF = say("New and changed: %(names)s")
_OF_BRANCHES = say("Events of the branches that you chose")
_NEWS_OF_BRANCHES = say("New and changed at the branches that you chose")
