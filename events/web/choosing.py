"""Where and what somebody wants to hear of: read from a form, and said again in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlmodel import Session
from starlette.requests import Request

from ..branches import queries as branches
from ..branches.models import Branch
from ..branches.queries import Moved
from ..calendars import content, queries
from ..calendars.models import Event, Topic
from ..calendars.queries import Selection
from ..errors import BranchlineError, InvalidForm, Message, NotFound, Unreadable, say
from ..language import Language
from ..people import joining
from ..places.geo import Distance, Point
from ..places.readings import Interpretation, UnknownPlace
from ..subscriptions import choices
from ..subscriptions.choices import Choice
from ..subscriptions.models import Frequency
from .endpoints import now
from .finding import DEFAULT_WITHIN, Finding, find_place, read_within
from .forms import Form
from .joining import NO_BRANCH, TOO_MANY
from .rows import unit_of
from .state import language_of
from .words import topic_options

NO_TICK = ("", "no", "off", "false", "0")
SEVERAL = say("Several branches are called like that. Please tick yours above.")
NOT_A_CHOICE = say("This is not one of the choices.")
NOTHING_CHOSEN = say("You have chosen nothing yet: say how often, or tick what you want to get.")

FREQUENCIES: Mapping[str, Message] = {
    Frequency.DAILY: say("Every day"),
    Frequency.WEEKLY: say("Every week"),
    Frequency.MONTHLY: say("Every month"),
    Frequency.NEVER: say("Never: only what I tick below"),
}
FREQUENT: Mapping[str, Message] = {
    Frequency.DAILY: say("Every day an e-mail about what is new, changed or cancelled"),
    Frequency.WEEKLY: say("Every week an e-mail about what is new, changed or cancelled"),
    Frequency.MONTHLY: say("Every month an e-mail about what is new, changed or cancelled"),
}

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a form says of place, branches and topics. `problems`, by field: what could not be read or is unknown."""

    finding: Finding
    within: Distance | None
    branches: Sequence[Branch]
    topics: Sequence[Topic]
    offered: Sequence[Branch]  # that a name which was typed may mean
    problems: Mapping[str, BranchlineError]

    @property
    def place(self) -> Interpretation | None:
        return self.finding.place

    @property
    def faults(self) -> dict[str, Message]:
        return {name: problem.message for name, problem in self.problems.items()}

    @property
    def status(self) -> int:
        """Of a page that only shows it: what is unknown is answered kindly, what cannot be read is not."""
        return max((problem.status for problem in self.problems.values()), default=200)

    @property
    def selection(self) -> Selection:
        placed = self.place is not None and self.within is not None
        return Selection(
            near=self.place.point if self.place and placed else None,
            within=self.within if placed else None,
            branches=tuple(branch.slug for branch in self.branches),
            topics=tuple(topic.slug for topic in self.topics),
        )


class NoSuchBranch(BranchlineError):
    """A name that no branch has, or several: an answer like others."""

    status = 200


def read(request: Request, session: Session, form: Form) -> Chosen:
    """`near`, `country`, `within`, `branch`, `topic`, and `named`: a branch by its name, to be added."""
    problems: dict[str, BranchlineError] = {}
    finding = _noting(problems, "near", lambda: find_place(request, session, form)) or Finding(form["near"])
    if finding.problem is not None:
        problems["near"] = finding.problem
    elif finding.typed and finding.place is None and "near" not in problems:  # a branch that meets nowhere
        problems["near"] = UnknownPlace(finding.typed, "place")
    within = _noting(problems, "within", lambda: read_within(request, form, DEFAULT_WITHIN))
    chosen = _noting(problems, "branch", lambda: _branches(session, _listed(form, "branch"))) or []
    topics = _noting(problems, "topic", lambda: _topics(session, _listed(form, "topic"))) or []
    called = joining.called(session, form["named"]) if form["named"].strip() else ()
    if len(called) == 1:
        chosen = list({branch.id: branch for branch in (*chosen, called[0])}.values())
    elif form["named"].strip():
        sentence = SEVERAL if called else NO_BRANCH
        problems["named"] = NoSuchBranch(TOO_MANY if len(called) > joining.MOST_CHOICES else sentence)
    offered = called if 1 < len(called) <= joining.MOST_CHOICES else ()
    return Chosen(finding, within, chosen, topics, offered, problems)


def read_to_show(request: Request, session: Session, form: Form) -> Chosen:
    """As `read`, for a page that says above its form what it did not understand. An unknown slug raises NotFound."""
    chosen = read(request, session, form)
    for name in ("branch", "topic"):
        if name in chosen.problems:
            raise chosen.problems[name]
    return chosen


def choice_in(
    request: Request, form: Form, chosen: Chosen, kept: Choice | None = None, *, language: str = ""
) -> Choice:
    """The choice of a whole form. Raises InvalidForm. `kept`: what held before, to be changed.

    A place that stands there as it was kept is the same place: its name may be read differently today.
    """
    faults = chosen.faults
    frequency = form["frequency"].strip() or Frequency.WEEKLY
    if frequency not in FREQUENCIES:
        faults["frequency"] = NOT_A_CHOICE
    is_kept = kept is not None and kept.point is not None and form["near"].strip() == kept.place
    if is_kept:
        faults.pop("near", None)
    if faults:
        raise InvalidForm(faults)
    place, point = (kept.place, kept.point) if kept and is_kept else _shown_as(chosen.place)
    choice = Choice(
        place=place,
        point=point,
        within=chosen.within if point else None,
        language=language or language_of(request).code,
        branches=tuple(branch.id or 0 for branch in chosen.branches),
        topics=tuple(topic.id or 0 for topic in chosen.topics),
        events=kept.events if kept else (),
        frequency=Frequency(frequency),
        urgent=ticked(form, "urgent"),
        newsletter=ticked(form, "newsletter"),
        adds=ticked(form, "add"),
    )
    if choice.is_empty:
        raise InvalidForm({"frequency": NOTHING_CHOSEN})
    return choice


def ticked(form: Form, name: str) -> bool:
    return form[name].strip().lower() not in NO_TICK


def _shown_as(place: Interpretation | None) -> tuple[str, Point | None]:
    """A point that was typed is called what is kept of it: no more exactly than the grid."""
    if place is None or place.point is None:
        return "", None
    point = place.point.snapped()
    return (str(point) if place.kind in ("coordinates", "plus_code") else place.label), point


def _noting(problems: dict[str, BranchlineError], name: str, read_it: Callable[[], Value]) -> Value | None:
    """So that all that is wrong is said at once; nothing where something was."""
    try:
        return read_it()
    except (Unreadable, NotFound) as error:
        problems[name] = error
        return None


def _listed(form: Form, name: str) -> list[str]:
    return list(dict.fromkeys(text.strip() for text in form.all(name) if text.strip()))[: choices.MOST]


def _branches(session: Session, slugs: Sequence[str]) -> list[Branch]:
    """At their present or a former address. Raises NotFound."""
    found = {branch.slug: branch for branch in branches.at_slugs(session, slugs)}
    return [found.get(slug) or _branch(session, slug) for slug in slugs]


def _branch(session: Session, slug: str) -> Branch:
    try:
        found = branches.by_slug(session, slug)
        return branches.here(session, found.slug) if isinstance(found, Moved) else found
    except NotFound as error:
        raise NotFound(say("There is no branch called “%(slug)s”.", slug=slug[:80])) from error


def _topics(session: Session, slugs: Sequence[str]) -> list[Topic]:
    return [queries.topic_at(session, slug) for slug in slugs]


# ---------------------------------------------------------------- what a form offers


def offers(
    request: Request,
    session: Session,
    checked: Sequence[Branch],
    others: Sequence[Branch] = (),
    topics: Sequence[Topic] = (),
) -> dict[str, object]:
    """For templates/subscriptions/_choice.html: topics most used and these, branches that are checked and others."""
    of_topics, others_in_use = topic_options(request, session, [topic.slug for topic in topics])
    shown = {branch.slug: _with_town(branch) for branch in (*checked, *others)}
    return {
        "topic_options": of_topics,
        "topic_hint": others_in_use,
        "branch_options": list(shown.items()),
        "branches_checked": [branch.slug for branch in checked],
        "frequency_options": [(word, language_of(request).say(said)) for word, said in FREQUENCIES.items()],
        "unit": unit_of(request),
    }


def _with_town(branch: Branch) -> str:
    return ", ".join(part for part in (branch.name, branch.city_line) if part)


# ---------------------------------------------------------------- in words


@dataclass(frozen=True, slots=True)
class InWords:
    """What one gets, line by line; of which events, as pairs of term and value; and what is followed."""

    gets: Sequence[str]
    about: Sequence[tuple[str, str]]
    followed: Sequence[str]
    nothing_near: bool


def in_words(request: Request, session: Session, choice: Choice) -> InWords:
    spoken = language_of(request)
    gets = [spoken.say(FREQUENT[choice.frequency])] if choice.frequency in FREQUENT else []
    if choice.urgent:
        gets.append(
            spoken.say(
                say("At once, an e-mail when something within the next two days changes or is cancelled")
            )
        )
    if choice.newsletter:
        gets.append(spoken.say(say("The newsletter")))
    return InWords(
        gets,
        _about(request, session, choice),
        [spoken.say(title_of(event, spoken)) for event in choices.events_of(session, choice)],
        choice.wants_events and _nothing_near(session, choice),
    )


def title_of(event: Event, spoken: Language) -> Message:
    """What was withdrawn is nobody's business any more."""
    if event.is_public:
        return Message("%(title)s", {"title": content.title(event, None, spoken).text})
    return say("An event that is not there any more")


def _about(request: Request, session: Session, choice: Choice) -> list[tuple[str, str]]:
    """Newsletters have no topic, and those of branches come to who is near them or has chosen them."""
    spoken, lines = language_of(request), []
    if choice.point is not None:
        distance = spoken.distance(choice.within.km if choice.within else 0.0, unit_of(request))
        near = say("Near %(place)s, within %(distance)s", place=choice.place, distance=distance)
        lines.append((spoken.gettext("Where"), spoken.say(near)))
    elif choice.wants_events and choice.is_everywhere:
        lines.append((spoken.gettext("Where"), spoken.gettext("Everywhere")))
    if choice.branches:
        names = spoken.listed(branch.name for branch in choices.branches_of(session, choice))
        lines.append(
            (spoken.gettext("Also events of") if choice.point else spoken.gettext("Branches"), names)
        )
    if choice.wants_events:
        names = spoken.listed(topic.name for topic in choices.topics_of(session, choice))
        lines.append((spoken.gettext("Topics"), names or spoken.gettext("All topics")))
    return lines


def _nothing_near(session: Session, choice: Choice) -> bool:
    """Neither a branch nor an event, so that nothing may come for long."""
    if choice.point is None or choice.branches:
        return False
    around = Selection(near=choice.point, within=choice.within)
    if queries.upcoming(session, around, now(), size=1)[0]:
        return False
    return not branches.nearest_to(session, choice.point, limit=1, farthest=choice.within)
