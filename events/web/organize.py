"""The organizer's desk: posting, changing and cancelling the events of one's branches."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, ValidationError
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import content, derived, horizon, memory, queries, sources, store
from ..calendars.drafts import EventDraft, OverrideDraft
from ..calendars.models import PUBLIC, Event, Override, State
from ..calendars.recurrence import DAYS, next_dates, parse_rule, starts
from ..drafts import Draft, ShortText
from ..errors import Message, NotFound, say
from ..people import permissions
from .endpoints import now, person_of
from .event_form import draft_of, filled, repeat_choice, untouched
from .forms import EMPTY, NO_FAULTS, Form, checked, known_day, query
from .mine import event_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render
from .words import EDITED_WORDS, access_options, language_options, rule_in_words

DATES_SHOWN = 5
CHANGEABLE_DATES = 12
KEEP_TEXT = "%Y-%m-%dT%H:%M"


def desk(request: Request, session: Session) -> Response:
    person = person_of(request)
    mine = permissions.branch_ids(person)
    spoken = language_of(request)

    def shown(*states: State) -> list[dict[str, object]]:
        return [_line(request, event) for event in queries.of_branches(session, mine, states)]

    return render(
        request,
        "organize/desk.html",
        branches=permissions.branches(session, person),
        drafts=shown(State.DRAFT, State.SUBMITTED),
        published=shown(*PUBLIC),
        done=_DONE.get(query(request)["done"]),
        spoken=spoken.code,
    )


_DONE = {"removed": say("The event has been removed. Calendars that follow it show it as cancelled.")}


def _line(request: Request, event: Event) -> dict[str, object]:
    spoken = language_of(request)
    rule = horizon.rule_of(event)
    return {
        "id": event.id,
        "title": event.title,
        "state": event.state,
        "when": ", ".join(
            (spoken.short_day(event.start.date()), spoken.span(event.start, event.end, event.all_day))
        ),
        "repeats": rule_in_words(spoken, rule) if rule else "",
    }


# ---------------------------------------------------------------- posting


def new_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    mine = permissions.branches(session, person_of(request))
    if not mine:
        raise NotFound(say("You are not an organizer of any branch yet."))
    slug = form["branch"] or query(request)["branch"]
    owner = next((branch for branch in mine if branch.slug == slug), mine[0])
    if form is EMPTY:
        form = Form([("branch", owner.slug), ("language", (owner.language_list or ["en"])[0])])
    return _form_page(request, session, form, faults, None, None)


def preview(request: Request, session: Session, form: Form) -> Response:
    """The rule in words and the next five dates; nothing is saved."""
    owner = _owner(request, session, form)
    return _form_page(request, session, form, NO_FAULTS, None, draft_of(form, owner))


def add(request: Request, session: Session, form: Form) -> Response:
    owner = _owner(request, session, form)
    draft = draft_of(form, owner, {"state": _state(form)})
    event = store.add(session, draft, [owner], state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def _owner(request: Request, session: Session, form: Form) -> Branch:
    return permissions.branch_of(session, person_of(request), form["branch"])


def _state(form: Form) -> str:
    return State.DRAFT if form["keep"] == "draft" else State.PUBLISHED


def _form_page(
    request: Request,
    session: Session,
    form: Form,
    faults: Mapping[str, Message],
    event: Event | None,
    draft: EventDraft | None,
    theirs: Form | None = None,
) -> Response:
    spoken = language_of(request)
    return render(
        request,
        "organize/event.html",
        form=form,
        faults=faults,
        event=event,
        branch_options=[(b.slug, b.name) for b in permissions.branches(session, person_of(request))],
        preview=_preview(request, draft) if draft else None,
        theirs=theirs,
        repeats=repeat_choice(form),
        topic_options=[(topic.name, topic.name) for topic in queries.topics_in_use(session)],
        chosen_topics=form.all("topics"),
        access_options=access_options(spoken),
        language_options=language_options(spoken, [form["language"], *state_of(request).settings.locales]),
        weekdays=[(code, spoken.weekday(number)) for number, code in enumerate(DAYS)],
        dates=_changeable(request, session, event) if event else [],
        origin=_origin(request, session, event) if event else None,
        saved=query(request)["done"] == "saved",
    )


def _preview(request: Request, draft: EventDraft) -> dict[str, object]:
    spoken = language_of(request)
    rule = parse_rule(draft.rrule, draft.start, draft.timezone, draft.all_day) if draft.rrule else None
    dates = next_dates(rule, draft.start, draft.exdates, draft.start, DATES_SHOWN)
    length = draft.end - draft.start
    return {
        "rule": rule_in_words(spoken, rule) if rule else "",
        "zone": "" if draft.all_day else spoken.zone(draft.timezone),
        "dates": [
            f"{spoken.day(start.date())}, {spoken.span(start, start + length, draft.all_day)}"
            for start in dates
        ],
    }


def _origin(request: Request, session: Session, event: Event) -> dict[str, object] | None:
    """The followed calendar that keeps the event in step, and what was edited here and stays."""
    source = sources.followed_by(session, event)
    if source is None:
        return None
    spoken = language_of(request)
    try:
        groups = memory.edited(store.draft_of(derived.tell(session, event)), event.upstream)
    except (
        ValidationError
    ):  # its dates have come into a clock change since, or the like: its form will say so
        groups = []
    names = [spoken.say(EDITED_WORDS[group]) for group in groups]
    return {"id": source.id, "name": source.name, "edited": spoken.listed(names) if names else ""}


# ---------------------------------------------------------------- changing


def event_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    event = event_at(request, session)
    if form is EMPTY:
        form = _filled(session, event)
    return _form_page(request, session, form, faults, event, None)


def preview_change(request: Request, session: Session, form: Form) -> Response:
    event = event_at(request, session)
    draft = draft_of(form, _owner(request, session, form), stored=_stored(session, event, form))
    return _form_page(request, session, form, NO_FAULTS, event, draft)


def change(request: Request, session: Session, form: Form) -> Response:
    event = event_at(request, session)
    owner = _owner(request, session, form)
    if form["revision"] != str(event.revision):
        return _conflict(request, session, event, form)
    kept = {"state": event.state, "reason": event.cancelled_reason}
    if event.state == State.DRAFT:
        kept["state"] = _state(form)
    hosts = [owner, *(host for host in derived.tell(session, event).hosts[1:] if host.id != owner.id)]
    draft = draft_of(form, owner, kept, _stored(session, event, form))
    store.revise(session, event, draft, hosts, state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def _stored(session: Session, event: Event, form: Form) -> dict[str, object]:
    try:
        return untouched(form, store.draft_of(derived.tell(session, event)), event)
    except ValidationError:  # what is stored cannot be kept as it is any more
        return {}


def _conflict(request: Request, session: Session, event: Event, form: Form) -> Response:
    """Somebody saved after this page was opened: their text beside what was typed, and nothing is overwritten.

    The form now carries the newest revision, so that saving again is a decision.
    """
    theirs = _filled(session, event)
    mine = Form(
        [*(item for item in form.items() if item[0] != "revision"), ("revision", str(event.revision))]
    )
    response = _form_page(request, session, mine, NO_FAULTS, event, None, theirs=theirs)
    response.status_code = 409
    return response


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


def _changeable(request: Request, session: Session, event: Event) -> list[dict[str, object]]:
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


def _filled(session: Session, event: Event) -> Form:
    form = filled(event)
    told = derived.tell(session, event)
    return form.with_items([("branch", told.owner.slug), *(("topics", topic.name) for topic in told.topics)])
