"""What can be done to an event besides editing it: cancelling, taking back, removing, changing one date."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import content, derived, horizon, queries, store
from ..calendars.drafts import OverrideDraft
from ..calendars.models import Event, Override
from ..calendars.recurrence import starts
from ..drafts import Draft, ShortText
from ..errors import Message, NotFound, say
from .endpoints import now
from .event_form import draft_of
from .forms import EMPTY, NO_FAULTS, Form, checked, known_day
from .mine import event_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render

CHANGEABLE_DATES = 12
KEEP_TEXT = "%Y-%m-%dT%H:%M"


class CancellationDraft(Draft):
    reason: Annotated[ShortText, Field(min_length=1)]


def cancellation_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    event = event_at(request, session)
    return render(request, "organize/cancellation.html", event=event, form=form, faults=faults)


def cancel(request: Request, session: Session, form: Form) -> Response:
    event = event_at(request, session)
    event.cancel(form.draft(CancellationDraft).reason, now())
    derived.save(session, event, state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def publish(request: Request, session: Session, form: Form) -> Response:
    """Publishes a draft, and takes a cancellation back."""
    event = event_at(request, session)
    event.publish()
    derived.save(session, event, state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def remove(request: Request, session: Session, form: Form) -> Response:
    event = event_at(request, session)
    event.delete(now())
    derived.save(session, event, state_of(request).publishing, now())
    return see_other(request, "/organize", done="removed")


# ---------------------------------------------------------------- one date of a series


def date_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    event = event_at(request, session)
    original = _original(request, event)
    override = _override_of(session, event, original)
    start, end = _times(event, original, override)
    if form is EMPTY:
        form = Form(
            [
                ("start_date", start.date().isoformat()),
                ("start_time", f"{start:%H:%M}"),
                ("end_time", f"{end:%H:%M}"),
                ("title", content.title(event, override)),
                ("venue_name", (override and override.venue_name) or ""),
                ("venue_address", (override and override.venue_address) or ""),
                ("cancelled", "yes" if override and override.cancelled else ""),
                ("reason", override.reason if override else ""),
            ]
        )
    spoken = language_of(request)
    return render(
        request,
        "organize/date.html",
        event=event,
        key=original.strftime(KEEP_TEXT),
        original_text=f"{spoken.day(original.date())}"
        + ("" if event.all_day else f", {spoken.time(original.time())}"),
        form=form,
        faults=faults,
    )


def change_date(request: Request, session: Session, form: Form) -> Response:
    event = event_at(request, session)
    original = _original(request, event)
    store.change_date(session, event, _date_draft(form, event, original), state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def _date_draft(form: Form, event: Event, original: datetime) -> OverrideDraft:
    if form["cancelled"] == "yes":
        return checked(
            OverrideDraft, {"original_start": original, "cancelled": True, "reason": form["reason"].strip()}
        )
    start, end = _typed_times(form, event)
    title, name, address = (form[field].strip() for field in ("title", "venue_name", "venue_address"))
    values = {
        "original_start": original,
        "start": start,
        "end": end,
        "title": title if title and title != event.title else None,
        "venue_name": name or None,
        "venue_address": address or None,
    }
    return checked(OverrideDraft, values)


def _typed_times(form: Form, event: Event) -> tuple[datetime, datetime]:
    """The new day and hours; an end before the start is after midnight."""
    values = [
        ("title", event.title),
        ("start_date", form["start_date"]),
        ("start_time", form["start_time"]),
        ("end_time", form["end_time"]),
        ("all_day", "yes" if event.all_day else ""),
        ("timezone", event.timezone),
    ]
    owner = Branch(slug="", name="", timezone=event.timezone, updated_at=event.created_at)
    draft = draft_of(Form(values), owner)
    if event.all_day:
        return draft.start, draft.start + event.duration
    return draft.start, draft.end


def _times(event: Event, original: datetime, override: Override | None) -> tuple[datetime, datetime]:
    return content.times(event, override) if override else (original, original + event.duration)


def _original(request: Request, event: Event) -> datetime:
    text: str = request.path_params["start"]
    try:
        known_day(text[:10])
        return datetime.strptime(text, KEEP_TEXT)
    except ValueError as error:
        raise NotFound(say("This series has no date at that time.")) from error


def _override_of(session: Session, event: Event, original: datetime) -> Override | None:
    found = queries.overrides_of(session, event.id or 0)
    return next((override for override in found if override.original_start == original), None)


def changeable(request: Request, session: Session, event: Event) -> list[dict[str, object]]:
    """The next dates of a series, each with the page that changes it."""
    rule = horizon.rule_of(event)
    if rule is None:
        return []
    spoken = language_of(request)
    overrides = {
        override.original_start: override for override in queries.overrides_of(session, event.id or 0)
    }
    skipped = [datetime.fromisoformat(text) for text in event.exdates]
    since = now().replace(tzinfo=None) - timedelta(days=1)
    lines = []
    for original in starts(rule, event.start, skipped, since, None, CHANGEABLE_DATES):
        override = overrides.get(original)
        start, end = _times(event, original, override)
        lines.append(
            {
                "key": original.strftime(KEEP_TEXT),
                "text": f"{spoken.day(start.date())}, {spoken.span(start, end, event.all_day)}",
                "cancelled": bool(override and override.cancelled),
                "changed": bool(override and not override.cancelled),
            }
        )
    return lines
