"""One date of a series, and "this and following": each with a look at what subscribers will see before it is saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import changes, dates, derived, store
from ..calendars.consequences import Consequences
from ..calendars.drafts import EventDraft, OverrideDraft
from ..calendars.models import Event
from ..drafts import Draft, ShortText
from ..errors import Conflict, Message, NotFound, say
from ..language import Language, closest
from . import posting
from .changing import KEEP_TEXT
from .endpoints import now, person_of
from .environment import link
from .event_form import Typing, draft_of, filled
from .forms import EMPTY, NO_FAULTS, Form, checked, known_day
from .mine import event_at, event_to_change
from .previewing import Written
from .responses import see_other
from .state import language_of, state_of
from .templating import render


@dataclass(frozen=True, slots=True)
class OneDate:
    """A date of a series, by the start that it was to have at first."""

    event: Event
    original_start: datetime

    @property
    def address(self) -> str:
        return f"/organize/events/{self.event.id}/dates/{self.original_start.strftime(KEEP_TEXT)}"

    def in_words(self, spoken: Language) -> str:
        day = spoken.day(self.original_start.date())
        return day if self.event.all_day else f"{day}, {spoken.time(self.original_start.time())}"


_NO_SUCH_DATE = say("This series has no date at that time.")


def date_at(request: Request, session: Session) -> OneDate:
    """The date in the path, of an event of those who ask. Raises NotFound."""
    event, original_start = event_to_change(request, session), _start_at(request)
    if not dates.is_date(event, original_start):
        raise NotFound(_NO_SUCH_DATE)
    return OneDate(event, original_start)


def _start_at(request: Request) -> datetime:
    text = str(request.path_params["start"])
    try:
        known_day(text[:10])
        return datetime.strptime(text, KEEP_TEXT)
    except ValueError as error:
        raise NotFound(_NO_SUCH_DATE) from error


class CancelledDraft(Draft):
    kind: Literal["cancelled", "postponed"] = "cancelled"
    reason: Annotated[ShortText, Field(min_length=1)]


def date_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    date = date_at(request, session)
    return _page(request, session, date, _filled(request, session, date) if form is EMPTY else form, faults)


def preview(request: Request, session: Session, form: Form) -> Response:
    """What subscribers will see; nothing is saved."""
    date = date_at(request, session)
    draft = _draft(request, session, form, date)

    def changed() -> Event:
        store.change_date(session, date.event, draft, state_of(request).publishing, now())
        return date.event

    seen = changes.consequences_of(session, date.event, changed, now())
    return _page(request, session, date, form, consequences=seen)


def change(request: Request, session: Session, form: Form) -> Response:
    date = date_at(request, session)
    edition = posting.edition(session, date.event)
    if form.get("revision", edition) != edition:
        return _conflict(request, session, date, form)
    draft = _draft(request, session, form, date)
    with changes.recorded(session, date.event, "date", person_of(request), now()):
        store.change_date(session, date.event, draft, state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{date.event.id}", done="saved")


def resume(request: Request, session: Session, form: Form) -> Response:
    """It takes place after all."""
    date = date_at(request, session)
    with changes.recorded(session, date.event, "date", person_of(request), now()):
        dates.resume_date(session, date.event, date.original_start, state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{date.event.id}", done="saved")


def _conflict(request: Request, session: Session, date: OneDate, form: Form) -> Response:
    """Somebody saved after this page was opened: nothing is overwritten, and the form carries the newest edition."""
    theirs = _filled(request, session, date)
    response = _page(request, session, date, _with_edition(form, theirs["revision"]), theirs=theirs)
    response.status_code = 409
    return response


def _with_edition(form: Form, edition: str) -> Form:
    return Form([*(item for item in form.items() if item[0] != "revision"), ("revision", edition)])


def _page(
    request: Request,
    session: Session,
    date: OneDate,
    form: Form,
    faults: Mapping[str, Message] = NO_FAULTS,
    *,
    theirs: Form | None = None,
    consequences: Consequences | None = None,
) -> Response:
    return render(
        request,
        "organize/date.html",
        event=date.event,
        address=date.address,
        links=_links(request, date, date.address),
        original_text=date.in_words(language_of(request)),
        is_cancelled=dates.date_of(session, date.event, date.original_start).cancelled,
        form=form,
        faults=faults,
        theirs=theirs,
        consequences=consequences,
    )


def _links(request: Request, date: OneDate, current: str) -> list[tuple[str, str, bool]]:
    """How much of the series may be changed; what nobody follows yet needs no second series."""
    spoken = language_of(request)
    scopes = [(say("This date"), date.address)]
    scopes += [(say("This and following"), f"{date.address}/following")] if date.event.is_public else []
    scopes += [(say("All dates"), f"/organize/events/{date.event.id}")]
    return [(spoken.say(name), link(spoken.code, path, {}), path == current) for name, path in scopes]


# ---------------------------------------------------------------- the form of one date


def _filled(request: Request, session: Session, date: OneDate) -> Form:
    event, change = date.event, dates.date_of(session, date.event, date.original_start)
    start = change.start or date.original_start
    end = change.end or start + event.duration
    last = end - timedelta(days=1) if event.all_day else end
    kind, reason = dates.kind_and_reason(change, _spoken_there(request, event))
    return Form(
        [
            ("start_date", start.date().isoformat()),
            ("start_time", f"{start:%H:%M}"),
            ("end_date", last.date().isoformat() if end - start > timedelta(days=1) else ""),
            ("end_time", f"{end:%H:%M}"),
            ("title", event.title if change.title is None else change.title),
            ("description", change.description or ""),
            ("venue_name", change.venue_name or ""),
            ("venue_address", change.venue_address or ""),
            ("cancelled", "yes" if change.cancelled else ""),
            ("kind", kind),
            ("reason", reason),
            ("revision", posting.edition(session, event)),
        ]
    )


def _draft(request: Request, session: Session, form: Form, date: OneDate) -> OverrideDraft:
    """What the form says of the date. Raises InvalidForm."""
    event = date.event
    if form["cancelled"] == "yes":
        off = form.draft(CancelledDraft)
        reason = dates.reason_of(off.kind, off.reason, _spoken_there(request, event))
        change = dates.date_of(session, event, date.original_start)
        return checked(OverrideDraft, {**dict(change), "cancelled": True, "reason": reason})
    start, end = _typed_times(request, form, event)
    title, text, name, address = (
        form[field].strip() for field in ("title", "description", "venue_name", "venue_address")
    )
    values = {
        "original_start": date.original_start,
        "start": start,
        "end": end,
        "title": title if title and title != event.title else None,
        "description": text or None,
        "venue_name": name or None,
        "venue_address": address or None,
    }
    return checked(OverrideDraft, values)


def _typed_times(request: Request, form: Form, event: Event) -> tuple[datetime, datetime]:
    """The new day and hours; without a last day, an end before the start is after midnight."""
    values = [(name, form[name]) for name in ("start_date", "start_time", "end_date", "end_time")]
    values += [("title", event.title), ("all_day", "yes" if event.all_day else "")]
    values += [("timezone", event.timezone)]
    owner = Branch(slug="", name="", timezone=event.timezone, updated_at=event.created_at)
    draft = draft_of(Form(values), owner, typing=Typing(language_of(request), now().date()))
    return draft.start, draft.end


def _spoken_there(request: Request, event: Event) -> Language:
    """What organizers say in an event is in its language, and so is what we say for them."""
    return closest(event.language, state_of(request).publishing.locales)


# ---------------------------------------------------------------- this date and all that follow


def following_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    date = _splittable(request, session)
    form = _form_of(session, date, _followers(session, date)) if form is EMPTY else form
    return posting.form_page(request, session, _sheet(request, date), form, faults)


def preview_following(request: Request, session: Session, form: Form) -> Response:
    """Nothing is saved."""
    date = _splittable(request, session)
    written = _read(request, session, form, date)
    seen = changes.consequences_of(
        session, date.event, lambda: _split(request, session, date, written), now(), date.original_start
    )
    return posting.form_page(request, session, _sheet(request, date, seen), form, written=written)


def change_following(request: Request, session: Session, form: Form) -> Response:
    """The series ends before the date, and one of its own begins; its page is shown."""
    key = f"following {event_at(request, session).id} {_start_at(request)} {form['revision']}"
    if (made := changes.posted_with(session, key)) is not None:  # sent twice
        return see_other(request, f"/organize/events/{made.id}", done="saved")
    date, person = _splittable(request, session), person_of(request)
    if form["revision"] != posting.edition(session, date.event):
        return _conflict_of_following(request, session, date, form)
    written = _read(request, session, form, date)
    with changes.recorded(session, date.event, "following", person, now()):
        later = _split(request, session, date, written)
    if later is not date.event:
        later.form_key = key
        changes.inherit(session, later, date.event, state_of(request).publishing, now())
        changes.added(session, later, person, now(), "continued")
    return see_other(request, f"/organize/events/{later.id}", done="saved")


def end(request: Request, session: Session, form: Form) -> Response:
    """None of the following dates takes place."""
    date, reason = date_at(request, session), form.draft(EndDraft).reason
    with changes.recorded(session, date.event, "ended", person_of(request), now()):
        dates.end_before(
            session, date.event, date.original_start, reason, state_of(request).publishing, now()
        )
    return see_other(request, f"/organize/events/{date.event.id}", done="saved")


class EndDraft(Draft):
    reason: ShortText = ""


def _splittable(request: Request, session: Session) -> OneDate:
    date = date_at(request, session)
    if not date.event.is_public:
        raise Conflict(say("This series is not published yet: change one of its dates, or all of them."))
    return date


def _followers(session: Session, date: OneDate) -> EventDraft:
    return dates.following(session, date.event, date.original_start)


def _form_of(session: Session, date: OneDate, draft: EventDraft) -> Form:
    """The event form as it would have been filled in for the following dates alone."""
    told = derived.tell(session, date.event)
    as_row = store.sketch(draft, told.hosts, now()).event
    return filled(as_row, told.owner).with_items(
        [
            ("branch", told.owner.slug),
            *(("topics", topic.name) for topic in told.topics),
            *(("hosts", host.slug) for host in told.hosts[1:]),
            ("revision", posting.edition(session, date.event)),
        ]
    )


def _read(request: Request, session: Session, form: Form, date: OneDate) -> Written:
    stored = _followers(session, date)
    was = _form_of(session, date, stored)
    return posting.read(request, session, form, date.event, date.event.state, was=was, stored=stored)


def _split(request: Request, session: Session, date: OneDate, written: Written) -> Event:
    draft = dates.carried(written.draft, _followers(session, date))
    publishing = state_of(request).publishing
    return store.change_following(
        session, date.event, date.original_start, draft, written.hosts, publishing, now()
    )


def _sheet(
    request: Request, date: OneDate, consequences: Consequences | None = None, theirs: Form | None = None
) -> posting.Sheet:
    action = f"{date.address}/following"
    return posting.Sheet(
        action,
        say("This date and all that follow"),
        date.event,
        theirs,
        consequences,
        lede=date.in_words(language_of(request)),
        links=_links(request, date, action),
        below="organize/following.html",
    )


def _conflict_of_following(request: Request, session: Session, date: OneDate, form: Form) -> Response:
    theirs = _form_of(session, date, _followers(session, date))
    mine = _with_edition(form, theirs["revision"])
    response = posting.form_page(request, session, _sheet(request, date, theirs=theirs), mine)
    response.status_code = 409
    return response
