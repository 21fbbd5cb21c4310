"""What an event said before: who changed what and when, how it differs from what it says now, and having it back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import changes, consequences, content, derived
from ..calendars.changes import ACTIONS, BY_NOBODY, Snapshot
from ..calendars.memory import GROUPS
from ..calendars.models import PUBLIC, Event
from ..calendars.recurrence import parse_rule
from ..calendars.timezones import to_wall
from ..calendars.wording import Translations
from ..desk import proposals
from ..errors import Conflict, Message, say
from ..language import Language
from ..people import history, permissions
from ..people.history import Version
from .endpoints import now, person_of
from .forms import Form, number_at
from .mine import event_at, event_to_change
from .responses import see_other
from .state import language_of, state_of
from .templating import render
from .words import EDITED_WORDS, access_in_words, language_name, rule_in_words

STATES = {
    "draft": say("Draft"),
    "submitted": say("Waits for approval"),
    "published": say("Published"),
    "cancelled": say("Cancelled"),
    "postponed": say("Postponed"),
}
ATTENDANCES = {"in-person": say("In person"), "online": say("Online"), "hybrid": say("In person and online")}
_HERE = {"hosts": say("branches"), "picture": say("picture"), "removed": say("whether it is there at all")}


def history_page(request: Request, session: Session) -> Response:
    event = event_at(request, session)
    found = history.versions(session, changes.subject(event))
    names = history.names(session, found)
    owner = session.get_one(Branch, event.branch_id)
    current = changes.snapshot(session, event)
    before = [version.snapshot for version in found[1:]]
    lines = [
        {
            **_line(language_of(request), version, owner, names),
            "what": _what(language_of(request), before[place] if place < len(before) else None, version),
            "is_now": place == 0 and version.snapshot == current,
        }
        for place, version in enumerate(found)
    ]
    address = f"/organize/events/{event.id}"
    return render(request, "organize/history.html", address=address, title=event.title, lines=lines)


def version_page(request: Request, session: Session) -> Response:
    """An earlier version beside what is now, and what subscribers would see if it was restored."""
    event, version = _version_at(request, session)
    spoken, owner = language_of(request), session.get_one(Branch, event.branch_id)
    why_not = _obstacle(request, session, event, version)
    now_ = changes.snapshot(session, event)
    seen = None
    if why_not is None:
        before = derived.tell(session, event)
        seen = consequences.differences(before, changes.told_in(session, event, version, now()), now())
    hosts = changes.host_names(session, [version.snapshot, now_])
    return render(
        request,
        "organize/version.html",
        event=event,
        line=_line(spoken, version, owner, history.names(session, [version])),
        differences=list(differences(spoken, version.snapshot, now_, hosts)),
        why_not=why_not,
        twice=changes.successors(session, event) if _ends_elsewhere(version.snapshot, now_) else (),
        consequences=seen,
    )


def restore(request: Request, session: Session, form: Form) -> Response:
    """A change like any other: what was there until now is a version, too."""
    event_to_change(request, session)
    event, version = _version_at(request, session)
    if (why_not := _obstacle(request, session, event, version)) is not None:
        raise Conflict(say("This version cannot be restored. %(why)s", why=why_not))
    with changes.recorded(session, event, "restored", person_of(request), now()):
        changes.restore(session, event, version, state_of(request).publishing, now())
    proposals.reopen(session, event, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def removed_page(request: Request, session: Session) -> Response:
    """What was removed lately, and may be brought back."""
    spoken = language_of(request)
    found = changes.removed_lately(session, permissions.branch_ids(person_of(request)), now())
    lines = [
        {
            "id": event.id,
            "title": event.title,
            "when": ", ".join(
                (spoken.day(event.start.date()), spoken.span(event.start, event.end, event.all_day))
            ),
            "until": spoken.day((event.deleted_at + changes.RETURNS_FOR).date()) if event.deleted_at else "",
        }
        for event in found
    ]
    return render(request, "organize/removed.html", events=lines)


# ---------------------------------------------------------------- one version


def _version_at(request: Request, session: Session) -> tuple[Event, Version]:
    event = event_at(request, session)
    return event, history.version(session, changes.subject(event), number_at(request, "number"))


def _obstacle(request: Request, session: Session, event: Event, version: Version) -> Message | None:
    """Why this person cannot restore this version: it would do what they may not do by the event's form either."""
    if (why_not := changes.obstacle(session, event, version)) is not None:
        return why_not
    person, then = person_of(request), version.snapshot
    owner = session.get(Branch, then["hosts"][0])
    if owner is None or not permissions.may_act_for(session, person, owner):
        return say("You are no organizer of the branch that held it then.")
    if (
        (event.is_public and owner.id == event.branch_id)
        or then["event"]["state"] not in PUBLIC
        or permissions.is_trusted(session, person, owner)
    ):
        return None
    return say("It was published then, and what you publish needs approval first.")


def _ends_elsewhere(then: Snapshot, now_: Snapshot) -> bool:
    return bool(then["event"]["rrule"] != now_["event"]["rrule"])


def _line(spoken: Language, version: Version, owner: Branch, names: Mapping[int, str]) -> dict[str, object]:
    at = to_wall(version.made_at, owner.timezone)
    who = names.get(version.person_id or 0) or spoken.say(say("somebody who has left"))
    return {
        "number": version.number,
        "action": spoken.say(ACTIONS.get(version.action, ACTIONS["changed"])),
        "who": "" if version.action in BY_NOBODY else who,
        "when": f"{spoken.short_day(at.date())}, {spoken.time(at.time())}",
    }


def _what(spoken: Language, before: Snapshot | None, version: Version) -> str:
    """Which parts of the event this version changed."""
    if before is None:
        return ""
    then, after = before["event"], version.snapshot["event"]
    found = [
        EDITED_WORDS[group]
        for group, names in GROUPS.items()
        if any(then.get(name) != after.get(name) for name in names)
    ]
    found += [EDITED_WORDS["dates"]] if then["overrides"] != after["overrides"] else []
    found += [word for part, word in _HERE.items() if before.get(part) != version.snapshot.get(part)]
    return spoken.listed(map(spoken.say, found)) if found else ""


# ---------------------------------------------------------------- two versions, side by side


@dataclass(frozen=True, slots=True)
class Difference:
    """A part of an event that says something else, in lines; none: it says nothing there."""

    label: Message
    then: Sequence[str]
    now: Sequence[str]


def differences(
    spoken: Language, then: Snapshot, now_: Snapshot, hosts: Mapping[int, str]
) -> Iterator[Difference]:
    """Only what differs, in words; of single dates those that differ."""
    old, new = (_in_words(spoken, snapshot, hosts) for snapshot in (then, now_))
    for label, was in old.items():
        if was != new[label]:
            yield Difference(_LABELS[label], was, new[label])
    dates, dates_now = (_dates_in_words(spoken, snapshot["event"]) for snapshot in (then, now_))
    if dates != dates_now:
        yield Difference(
            _LABELS["dates"],
            [line for line in dates if line not in dates_now],
            [line for line in dates_now if line not in dates],
        )


_LABELS = {
    "title": say("Title"),
    "description": say("Description"),
    "when": say("When?"),
    "repeats": say("How often?"),
    "attendance": say("How do people take part?"),
    "place": say("Place"),
    "online_url": say("Link to join online"),
    "registration_url": say("Link to register"),
    "contact": say("Contact"),
    "cost": say("Cost"),
    "topics": say("Topics"),
    "access": say("Access"),
    "language": say("Language of the event"),
    "translations": say("In other languages"),
    "hosts": say("Held by"),
    "state": say("Is it on?"),
    "picture": say("Picture"),
    "dates": say("Single dates"),
}


def _in_words(spoken: Language, snapshot: Snapshot, hosts: Mapping[int, str]) -> dict[str, list[str]]:
    said: Mapping[str, Any] = snapshot["event"]
    start, end = (datetime.fromisoformat(said[name]) for name in ("start", "end"))
    rule = parse_rule(said["rrule"], start, said["timezone"], said["all_day"]) if said["rrule"] else None
    when = [spoken.capital(spoken.day(start.date())), spoken.span(start, end, said["all_day"])]
    when += [] if said["all_day"] else [spoken.zone(said["timezone"])]
    picture, shows = snapshot["picture"]
    attendance, state = ATTENDANCES[said["attendance"]], STATES[said["state"]]
    lines = {
        "title": said["title"],
        "description": said["description"],
        "when": ", ".join(when),
        "repeats": rule_in_words(spoken, rule) if rule else "",
        "attendance": spoken.say(attendance),
        "place": _place(said),
        **{name: said[name] for name in ("online_url", "registration_url", "contact", "cost")},
        "topics": ", ".join(said["topics"]),
        "access": access_in_words(spoken, said["access"]) if said["access"] else "",
        "language": language_name(spoken, said["language"]),
        "translations": _in_languages(spoken, said.get("translations", {})),
        "hosts": "\n".join(hosts.get(number, "?") for number in snapshot["hosts"]),
        "state": "\n".join((spoken.say(state), said["reason"])),
        "picture": shows or (spoken.say(say("One without a description")) if picture else ""),
    }
    return {name: [line for line in text.split("\n") if line.strip()] for name, text in lines.items()}


def _in_languages(spoken: Language, translations: Translations) -> str:
    return "\n".join(
        f"{spoken.capital(language_name(spoken, tag))}: {text}"
        for tag, said in translations.items()
        for text in said.values()
    )


def _place(said: Mapping[str, Any]) -> str:
    venue = said["venue"] or {}
    names = ("name", "address_1", "address_2", "city", "state_province", "postal_code")
    lines = [venue.get(name) or "" for name in names]
    at = f"{venue['latitude']}, {venue['longitude']}" if venue.get("latitude") is not None else ""
    return "\n".join((*lines, at))


def _dates_in_words(spoken: Language, said: Mapping[str, Any]) -> list[str]:
    """A line for each date that is left out, off, or not as the series says."""
    all_day: bool = said["all_day"]
    left_out = [(datetime.fromisoformat(at), [say("is left out")]) for at in said["exdates"]]
    changed = [
        (datetime.fromisoformat(one["original_start"]), list(_of_date(one, all_day)))
        for one in said["overrides"]
    ]
    lines = []
    for original, news in sorted(left_out + changed, key=lambda pair: pair[0]):
        hour = "" if all_day else f", {spoken.time(original.time())}"
        lines.append(
            f"{spoken.capital(spoken.day(original.date()))}{hour}: {' · '.join(map(spoken.say, news))}"
        )
    return lines


def _of_date(one: Mapping[str, Any], all_day: bool) -> Iterator[Message]:
    original = datetime.fromisoformat(one["original_start"])
    start, end = (datetime.fromisoformat(one[name]) if one[name] else None for name in ("start", "end"))
    if one["cancelled"]:
        yield say("Cancelled: %(title)s", title=one["reason"]) if one["reason"] else STATES["cancelled"]
    if start is not None:
        yield content.moved(original, start, all_day)
    if end is not None:
        last: object = (end - timedelta(days=1)).date() if all_day else end
        yield say("Until %(end)s", end=last)
    for name in ("title", "venue_name", "venue_address", "description"):
        if one[name] is not None:
            yield Message(_LABELS_OF_DATES[name].text, {"value": one[name]})


_LABELS_OF_DATES = {
    "title": say("Title: %(value)s"),
    "venue_name": say("Place: %(value)s"),
    "venue_address": say("Address: %(value)s"),
    "description": say("Description: %(value)s"),
}
