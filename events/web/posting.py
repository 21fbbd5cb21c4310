"""The event form: posting an event, and changing one as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..branches.models import Branch
from ..calendars import changes, derived, memory, sources, store
from ..calendars.consequences import Consequences
from ..calendars.content import Told
from ..calendars.drafts import EventDraft
from ..calendars.models import Event, State
from ..calendars.recurrence import DAYS
from ..desk import proposals
from ..errors import InvalidForm, Message, NotFound, say
from ..people import history, permissions
from ..people.models import Person
from . import changing, freshness, hosting, previewing, translating, venues
from .endpoints import now, person_of
from .event_form import Typing, draft_of, filled, language_in, repeat_choice, untouched
from .forms import EMPTY, NO_FAULTS, Form, form_key, query, sent_key
from .mine import event_to_change
from .previewing import Written
from .responses import see_other
from .state import language_of, state_of
from .templating import render
from .venues import Found
from .words import EDITED_WORDS, access_options, language_options, topic_options

MOST_TO_CHOOSE_FROM = 100


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the form is for: posting, changing an event, or what else leads here with an address of its own."""

    action: str
    heading: Message
    event: Event | None = None
    theirs: Form | None = None  # what somebody else has saved meanwhile
    consequences: Consequences | None = None  # what subscribers would see
    lede: str = ""
    links: Sequence[tuple[str, str, bool]] = ()  # what else may be changed: text, address, whether it is this
    below: str = ""  # a template that follows the form

    @property
    def is_new(self) -> bool:
        return self.event is None


NEW = Sheet("/organize/events/new", say("Post an event"))


def new_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    if form is EMPTY:
        form = Form([("branch", query(request)["branch"])])
    return form_page(request, session, NEW, form, faults)


def preview(request: Request, session: Session, form: Form) -> Response:
    """The dates, the page and the calendar's entry; nothing is saved."""
    return form_page(request, session, NEW, form, written=read(request, session, form))


def add(request: Request, session: Session, form: Form) -> Response:
    """Once, however often the form is sent."""
    written = read(request, session, form, state=None)
    person, moment = person_of(request), now()
    event, is_new = changes.post(
        session,
        written.draft,
        written.hosts,
        person,
        state_of(request).publishing,
        moment,
        key=sent_key(form),
    )
    if is_new and event.state == State.SUBMITTED:
        proposals.add(session, event, moment, person=person, language=language_of(request).code)
    return see_other(request, f"/organize/events/{event.id}", done=_saved(event, is_new))


# ---------------------------------------------------------------- changing


def event_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    event = event_to_change(request, session)
    form = form_of(session, event) if form is EMPTY else form
    return form_page(request, session, _sheet(event), form, faults)


def preview_change(request: Request, session: Session, form: Form) -> Response:
    """What subscribers will see of it, too. Nothing is saved."""
    event = event_to_change(request, session)
    state = State.DRAFT if event.state == State.DRAFT else None
    written = read(request, session, form, event, state)

    def made() -> Event:
        store.revise(session, event, written.draft, written.hosts, state_of(request).publishing, now())
        return event

    seen = changes.consequences_of(session, event, made, now())
    return form_page(request, session, _sheet(event, consequences=seen), form, written=written)


def change(request: Request, session: Session, form: Form) -> Response:
    event, person, moment = event_to_change(request, session), person_of(request), now()
    if form["revision"] != edition(session, event):
        return _conflict(request, session, event, form)
    was_submitted, told = event.state == State.SUBMITTED, derived.tell(session, event)
    written = read(request, session, form, event, None, told=told, shown=False)
    publishing = state_of(request).publishing
    with changes.recorded(session, event, "changed", person, moment, told=told) as recording:
        recording.after = store.revise(
            session, event, written.draft, written.hosts, publishing, moment, told=told
        )
    if was_submitted and event.state == State.PUBLISHED:
        proposals.settle(session, event, True, moment)
    elif event.state == State.SUBMITTED and not was_submitted:
        proposals.add(session, event, moment, person=person, language=language_of(request).code)
    return see_other(request, f"/organize/events/{event.id}", done=_saved(event))


def edition(session: Session, event: Event) -> str:
    """Another one as soon as anybody, or a followed calendar, has changed the event."""
    return f"{history.last_number(session, changes.subject(event))}.{event.revision}"


def _conflict(request: Request, session: Session, event: Event, form: Form) -> Response:
    """Somebody saved after this page was opened: their text beside what was typed, and nothing is overwritten.

    The form now carries the newest edition, so that saving again is a decision.
    """
    typed = [item for item in form.items() if item[0] != "revision"]
    mine = Form([*typed, ("revision", edition(session, event))])
    response = form_page(request, session, _sheet(event, theirs=form_of(session, event)), mine)
    response.status_code = 409
    return response


def _sheet(event: Event, theirs: Form | None = None, consequences: Consequences | None = None) -> Sheet:
    below = "organize/_changing.html"
    return Sheet(
        f"/organize/events/{event.id}", say("Change an event"), event, theirs, consequences, below=below
    )


# ---------------------------------------------------------------- reading the form


def read(
    request: Request,
    session: Session,
    form: Form,
    event: Event | None = None,
    state: str | None = State.DRAFT,
    *,
    was: Form | None = None,
    stored: EventDraft | None = None,
    told: Told | None = None,
    shown: bool = True,
) -> Written:
    """What the form says; everything that is wrong with it at once. Raises InvalidForm.

    `state` None: as whoever sends the form wants and may. `was`: how the form was filled in, and `stored`: from
    what, where that is not the event as a whole; `told`: what that says, where it is known.
    Not `shown`: nobody looks at a map of it, so a place that nobody has touched is not looked up.
    """
    faults: dict[str, Message] = {}
    try:
        owner = owner_of(request, session, form)
    except InvalidForm as error:  # what else is wrong is said with it
        faults |= error.faults
        [owner] = permissions.branches(session, person_of(request), 1)
    if event is not None:
        told = told or derived.tell(session, event)
        was, stored = was or _as_filled(told), stored or _draft_of(told)
    form = venues.completed(form, venues.known(request, session))
    kept = untouched(form, stored, was) if stored and was else {}
    place, hosts = Found(), [owner]
    try:
        if shown or "venue" not in kept or not form["timezone"].strip():
            place = venues.found(request, session, form, owner, was or EMPTY)
    except InvalidForm as error:
        faults |= error.faults
    try:
        hosts = hosting.hosts_of(session, form, owner, told, language_of(request))
    except InvalidForm as error:
        faults |= error.faults
    try:
        state = state or _wanted(request, session, form, event, owner)
    except InvalidForm as error:
        faults = error.faults | faults
    tags = state_of(request).settings.locales
    try:
        translating.check_not_own(form, tags, language_in(form, owner))
    except InvalidForm as error:
        faults |= error.faults
    known = {
        "state": state or State.DRAFT,
        "reason": event.cancelled_reason if event else "",
        "translations": translating.typed(form, tags, stored),
    }
    typing = Typing(language_of(request), now().date())
    try:
        draft = draft_of(form, owner, known, kept, at=place.point, typing=typing)
    except InvalidForm as error:
        raise InvalidForm(error.faults | faults) from error
    if faults:
        raise InvalidForm(faults)
    return Written(draft, hosts, place)


def owner_of(request: Request, session: Session, form: Form) -> Branch:
    """By the address of its page, as a choice sends it; by its name, where there are too many to choose from."""
    person = person_of(request)
    try:
        return permissions.branch_of(session, person, form["branch"].strip())
    except NotFound:
        if not form["branch"].strip():
            raise InvalidForm({"branch": say("Please choose a branch.")}) from None
        if branches.at_slugs(session, [form["branch"].strip()]):  # somebody else's
            raise
        mine = permissions.branch_ids(person)
        return hosting.named(session, form["branch"], language_of(request), "branch", mine)


def _wanted(request: Request, session: Session, form: Form, event: Event | None, owner: Branch) -> str:
    """The state that the event will be in: what people without approval of their own publish has to wait for it."""
    trusted = permissions.is_trusted(session, person_of(request), owner)
    if event is not None and event.state not in (State.DRAFT, State.SUBMITTED):
        if not trusted:  # it would be published at that branch without anybody's approval
            message = say("What you post at %(name)s needs approval: post it there anew.", name=owner.name)
            raise InvalidForm({"branch": message})
        return event.state
    if form["keep"] == "draft":
        return State.SUBMITTED if event is not None and event.state == State.SUBMITTED else State.DRAFT
    return State.PUBLISHED if trusted else State.SUBMITTED


def _draft_of(told: Told) -> EventDraft | None:
    try:
        return store.draft_of(told)
    except ValidationError:  # what is stored cannot be kept as it is any more
        return None


def form_of(session: Session, event: Event) -> Form:
    """The form as it would have been filled in."""
    return _as_filled(derived.tell(session, event)).with_items([("revision", edition(session, event))])


def _as_filled(told: Told) -> Form:
    return filled(told.event, told.owner).with_items(
        [
            ("branch", told.owner.slug),
            *(("topics", topic.name) for topic in told.topics),
            *(("hosts", host.slug) for host in told.hosts[1:]),
        ]
    )


# ---------------------------------------------------------------- the page


def form_page(
    request: Request,
    session: Session,
    sheet: Sheet,
    form: Form,
    faults: Mapping[str, Message] = NO_FAULTS,
    *,
    written: Written | None = None,
) -> Response:
    """The form, filled in; with `written`, and how it will look."""
    spoken, person = language_of(request), person_of(request)
    mine = permissions.branches(session, person, MOST_TO_CHOOSE_FROM + 1)
    owner = _chosen(session, person, form, mine)
    event = sheet.event
    translations = translating.sheets(request, form, language_in(form, owner), faults)
    topics, others_in_use = topic_options(request, session, more=TYPE_ANY_OTHER)
    names = dict.fromkeys([*(name for _, name in topics), *form.all("topics")])
    return render(
        request,
        "organize/event.html",
        sheet=sheet,
        form=form,
        faults=faults,
        key=form_key(form),
        event=event,
        branch=owner.slug,
        trusted=permissions.is_trusted(session, person, owner),
        branch_options=[(one.slug, one.name) for one in mine] if len(mine) <= MOST_TO_CHOOSE_FROM else [],
        clock=spoken.zone(owner.timezone) if len({one.timezone for one in mine}) == 1 else "",
        host_options=[(one.slug, one.name) for one in hosting.ticked(session, form)],
        venue_names=[venue.name for venue in venues.known(request, session)],
        preview=previewing.preview(request, written) if written else None,
        theirs=sheet.theirs,
        repeats=repeat_choice(form),
        topic_options=[(name, name) for name in names],
        topic_hint=others_in_use,
        chosen_topics=form.all("topics"),
        access_options=access_options(spoken),
        language_options=language_options(spoken, [form["language"], *state_of(request).settings.locales]),
        translations=translations,
        translation_labels=translating.labels(translations),
        gaps=translating.gaps(request, event, owner, now()) if event else [],
        weekdays=[(code, spoken.weekday(number)) for number, code in enumerate(DAYS)],
        dates=changing.changeable(request, session, event) if event else [],
        origin=_origin(request, session, event) if event else None,
        freshness=freshness.of(request, session, event) if event else None,
        done=_DONE.get(query(request)["done"]),
    )


def _chosen(session: Session, person: Person, form: Form, mine: Sequence[Branch]) -> Branch:
    if chosen := next((one for one in mine if one.slug == form["branch"]), None):
        return chosen
    try:
        return permissions.branch_of(session, person, form["branch"])
    except NotFound:
        if mine:
            return mine[0]
        raise


TYPE_ANY_OTHER = say("These are the topics most used. Type any other below.")
_DONE = {
    "confirmed": say("Thank you. Its page says that it still takes place."),
    "saved": say("Saved. Calendars that follow it show the change when they next look."),
    "published": say("Saved. It is published, and calendars show it when they next look."),
    "draft": say("Kept as a draft: only you and your fellow organizers see it."),
    "submitted": say("Saved. It waits for the approval of another organizer, who is told by e-mail."),
}


def _saved(event: Event, is_new: bool = False) -> str:
    """What the page says then."""
    return event.state if is_new or event.state in (State.DRAFT, State.SUBMITTED) else "saved"


def _origin(request: Request, session: Session, event: Event) -> dict[str, object] | None:
    """The followed calendar that keeps the event in step, and what was edited here and stays."""
    source = sources.followed_by(session, event)
    if source is None:
        return None
    spoken = language_of(request)
    draft = _draft_of(derived.tell(session, event))
    groups = memory.edited(draft, event.upstream) if draft else []
    names = [spoken.say(EDITED_WORDS[group]) for group in groups]
    return {"id": source.id, "name": source.name, "edited": spoken.listed(names) if names else ""}
