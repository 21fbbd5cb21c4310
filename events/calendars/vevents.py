"""What an event says as VEVENTs: for calendars, for the feeds that it has left, and for exports."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ..errors import Message, say
from ..language import Language, closest
from .content import Publishing, Said, Told, changed_dates, headline, in_words, said
from .ics import Entry
from .models import Override


def entries(told: Told, publishing: Publishing, spoken: Language) -> list[Entry]:
    """The VEVENTs of an event as published: the master, then its overrides by original start."""
    left_out = [override for override in changed_dates(told) if override.left_out]
    changed = [override for override in changed_dates(told) if not override.left_out]
    master = _entry(said(told, spoken=spoken), publishing, spoken, left_out)
    dates = (said(told, override, spoken=spoken) for override in changed)
    return [master, *(_entry(date, publishing, spoken) for date in dates)]


def entries_without_cancelled(entries_: Sequence[Entry]) -> list[Entry]:
    """For those who do not want to see what is cancelled: such dates become exclusions, never live again."""
    master, *changed = entries_
    if master.status == "CANCELLED":
        return []
    off = tuple(
        entry.recurrence_id for entry in changed if entry.status == "CANCELLED" and entry.recurrence_id
    )
    kept = [entry for entry in changed if entry.status != "CANCELLED"]
    return [replace(master, exdates=(*master.exdates, *off)), *kept]


def entry_of_departure(told: Told, publishing: Publishing, spoken: Language, whereto: Message) -> Entry:
    """What the feeds that an event has left say of it: the whole is cancelled there, and where it is now."""
    shown = said(told, spoken=spoken)
    master = _entry(shown, publishing, spoken)
    own = closest(shown.title_language, publishing.locales)
    return replace(
        master,
        status="CANCELLED",
        summary=own.say(say("Moved: %(title)s", title=shown.title)),
        description="\n\n".join(part for part in (spoken.say(whereto), master.description) if part),
    )


def entries_for_export(told: Told, publishing: Publishing, spoken: Language) -> list[Entry]:
    """The organizers' own words alone, and what our `events import` needs to restore the event."""
    return [
        _as_entered(said(told, override), publishing, spoken) for override in (None, *changed_dates(told))
    ]


def _as_entered(shown: Said, publishing: Publishing, spoken: Language) -> Entry:
    event, told = shown.event, shown.told
    return replace(
        _entry(shown, publishing, spoken),
        summary=shown.title,
        description=shown.text,
        url=event.registration_url,
        branch_slugs=tuple(host.slug for host in told.hosts),
        access=tuple(word for word in event.access.split(",") if word),
        cost=event.cost,
        contact=event.contact,
        comment=spoken.say(shown.reason) if shown.is_called_off else "",
        image_url="",  # a picture does not come in with a calendar
        translations={} if shown.override else event.translations or {},
    )


def _entry(shown: Said, publishing: Publishing, spoken: Language, left_out: Sequence[Override] = ()) -> Entry:
    event, override = shown.event, shown.override
    skipped = [*map(datetime.fromisoformat, event.exdates), *(one.original_start for one in left_out)]
    modified_at = override.modified_at if override and override.modified_at else event.modified_at
    return Entry(
        uid=event.uid,
        sequence=max(override.revision, event.revision) if override else event.revision,
        created_at=override.created_at if override and override.created_at else event.created_at,
        modified_at=modified_at,
        recurrence_id=override.original_start if override else None,
        start=shown.start,
        end=shown.end,
        all_day=event.all_day,
        timezone=event.timezone,
        rrule="" if override else event.rrule,
        exdates=() if override else tuple(skipped),
        summary=headline(shown, publishing),
        description=in_words(shown, spoken),
        location=str(shown.place),
        latitude=shown.latitude,
        longitude=shown.longitude,
        url=publishing.page_of(event, spoken),
        categories=tuple(topic.name for topic in shown.told.topics),
        status="CANCELLED" if shown.is_called_off else "CONFIRMED",
        language=shown.title_language,
        text_language=shown.text_language,
        conference_url=shown.online_url,
        conference_label=spoken.gettext("Join online") if shown.online_url else "",
        related_to=event.related_uid,
        image_url=publishing.address_of(shown.told.picture),
    )
