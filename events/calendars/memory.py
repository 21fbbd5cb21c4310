"""What the calendar of origin said of an event, remembered field by field.

An update changes the fields that say here what they said there the last time. Whatever a person has changed here
since then stays. All pure: drafts in, drafts out.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ..branches.drafts import slug_for
from .drafts import EventDraft, OverrideDraft, VenueDraft
from .recurrence import counterpart, dates_among

Memory = dict[str, Any]  # as JSON keeps it: by group of fields that only make sense together

# What a person sees as one thing: when an event takes place is not taken half from here and half from there.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "title": ("title",),
    "description": ("description",),
    "language": ("language",),
    "when": ("start", "end", "all_day", "timezone", "rrule", "exdates"),
    "place": ("attendance", "venue", "online_url"),
    "registration_url": ("registration_url",),
    "contact": ("contact",),
    "cost": ("cost",),
    "topics": ("topics",),
    "access": ("access",),
    "state": ("state", "reason"),
    "translations": ("translations",),
}
# What a calendar says that has never said anything of it: most calendars cannot, and what is written here stays.
_UNSAID: Mapping[str, list[object]] = {"translations": [{}]}
DATES = "dates"  # the changed dates, each remembered by its original start


def remembered(draft: EventDraft) -> Memory:
    """What the draft says, in a form in which two that say the same are equal."""
    said = draft.model_dump(mode="json")
    said["venue"] = venue_line(draft.venue)
    said["topics"] = sorted(topic_slug(name) for name in draft.topics)
    said["access"] = sorted(draft.access)
    memory: Memory = {group: [said[name] for name in names] for group, names in GROUPS.items()}
    memory[DATES] = {
        change.original_start.isoformat(): change.model_dump(mode="json", exclude={"original_start"})
        for change in map(lambda change: _plain(draft, change), draft.overrides)
        if _differs(change)
    }
    return memory


def merged(local: EventDraft, upstream: Memory | None, new: EventDraft) -> EventDraft:
    """The event after an update: `new`, but for what was changed here since `upstream` was said.

    Raises ValidationError when the two cannot be had together.
    """
    ours, theirs = remembered(local), remembered(new)
    known = _UNSAID if upstream is None else GROUPS
    kept = [group for group in known if is_edited(ours, upstream or {}, group)]
    values = dict(new)
    for group in kept:
        values |= {name: getattr(local, name) for name in GROUPS[group]}
    values["overrides"] = ()
    draft = EventDraft.model_validate(values)
    before = ours[DATES] if upstream is None else upstream.get(DATES, {})
    edited_here = {at for at in {*ours[DATES], *before} if ours[DATES].get(at) != before.get(at)}
    dates = {at: change for at, change in theirs[DATES].items() if at not in edited_here}
    for at in sorted(edited_here & ours[DATES].keys()):
        original = datetime.fromisoformat(at)
        there = counterpart(draft.rule, draft.start, local.start, original)
        if there is not None:
            dates[there.isoformat()] = _carried(ours[DATES][at], there - original)
    return _with_dates(draft, dates)


def _carried(change: Mapping[str, Any], move: timedelta) -> Mapping[str, Any]:
    """The same change on the date that takes the place of its own: an end alone goes along."""
    if change["start"] is not None or change["end"] is None:
        return change
    return {**change, "end": (datetime.fromisoformat(change["end"]) + move).isoformat()}


def edited(local: EventDraft, upstream: Memory | None) -> list[str]:
    """The groups of fields that a person has changed here."""
    if upstream is None:
        return []
    ours = remembered(local)
    groups = [group for group in GROUPS if is_edited(ours, upstream, group)]
    return [*groups, DATES] if ours[DATES] != upstream.get(DATES, {}) else groups


def is_edited(ours: Memory, upstream: Memory, group: str) -> bool:
    """A group that is not remembered came with a later version: it counts as not edited, unless calendars that
    know nothing of it would empty it."""
    return bool(upstream.get(group, _UNSAID.get(group, ours[group])) != ours[group])


def topic_slug(name: str) -> str:
    """As in the address of the topic; what is written in other letters has a number of its own."""
    slug = slug_for(name)
    if slug == slug_for("") and name.casefold() != slug:
        return f"topic-{hashlib.sha256(name.casefold().encode()).hexdigest()[:10]}"
    return slug


def venue_line(venue: VenueDraft | None) -> list[object] | None:
    """Name, address as one line, and position."""
    if venue is None:
        return None
    return [venue.name, venue.address_line, venue.latitude, venue.longitude]


def _with_dates(draft: EventDraft, changes: Mapping[str, Mapping[str, object]]) -> EventDraft:
    """Changed dates that the series (no longer) has, or leaves out, are forgotten."""
    starts = {datetime.fromisoformat(at): change for at, change in changes.items()}
    known = dates_among(draft.rule, draft.start, starts) - set(draft.exdates) if draft.rule else frozenset()
    overrides = [{"original_start": at, **starts[at]} for at in sorted(known)]
    return EventDraft.model_validate({**dict(draft), "overrides": overrides})


def _plain(draft: EventDraft, change: OverrideDraft) -> OverrideDraft:
    """Without what only repeats the series."""
    start = change.start or change.original_start
    usual = {
        "start": change.start == change.original_start,
        "end": change.end == start + draft.duration,
        "title": change.title == draft.title,
        "description": change.description == draft.description,
    }
    return change.model_copy(update={name: None for name, same in usual.items() if same})


def _differs(change: OverrideDraft) -> bool:
    said = change.model_dump(exclude={"original_start", "cancelled", "reason"})
    return change.cancelled or any(value is not None for value in said.values())
