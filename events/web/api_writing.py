"""The writing half of `/api/v1`: events as JSON, sent by a program that has a token.

What is sent becomes the same drafts as a form's and is written by the same functions: a token is another way in,
not another set of rights.
"""

import hashlib
import re
from collections.abc import Callable, Mapping

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..branches.models import Branch
from ..calendars import changes, content, derived, formats, store
from ..calendars.drafts import OverrideDraft
from ..calendars.models import Event, State
from ..desk import proposals
from ..errors import BranchlineError, Conflict, Gone, InvalidForm, Message, NotFound, say
from ..people import permissions
from ..people.models import Person
from . import api
from .api_drafts import date_draft, event_draft, hosts_of, original_start
from .changing import CancellationDraft, announced, bring_out, call_off, take_away
from .endpoints import JsonObject, now, person_of
from .forms import checked
from .mine import event_at
from .posting import edition
from .state import language_of, state_of

LONGEST_KEY = 200
_CHANGED_SINCE = say(
    "Somebody has changed this event since. Ask for it again, then send your change once more."
)


class PreconditionFailed(BranchlineError):
    status = 412


class PreconditionRequired(BranchlineError):
    status = 428


# ---------------------------------------------------------------- the whole event


def event(request: Request, session: Session) -> Response:
    """As everybody sees it; to those who may change it a draft, too, and which edition it is."""
    try:
        return _told(request, session, event_at(request, session))
    except NotFound:
        return api.event(request, session)


def add(request: Request, session: Session, body: JsonObject) -> Response:
    """Once for each key, however often it is sent."""
    person, moment = person_of(request), now()
    key = _key(request, body, person)
    hosts, faults = hosts_of(session, person, body.get("branches"), None)
    said = {name: value for name, value in body.items() if name not in ("branches", "key", "state")}
    usual = {"timezone": hosts[0].timezone, "language": (hosts[0].language_list or ["en"])[0]}
    state, wrong = _first_state(session, person, hosts[0], body.get("state", State.DRAFT))
    draft = event_draft(said, usual, {"state": state}, faults | wrong)
    event, is_new = changes.post(session, draft, hosts, person, state_of(request).publishing, moment, key=key)
    if not is_new:
        return _told(request, session, _still_there(session, person, event))
    if event.state == State.SUBMITTED:
        proposals.add(session, event, moment, person=person, language=language_of(request).code)
    response = _told(request, session, event, 201)
    response.headers["Location"] = api.address(request, f"/api/v1/events/{event.id}", {})
    return response


def _key(request: Request, body: JsonObject, person: Person) -> str:
    """Two people may think of the same key: it counts for one of them."""
    key = request.headers.get("idempotency-key", "").strip().strip('"') or body.get("key", "")
    if not isinstance(key, str) or len(key) > LONGEST_KEY:
        raise InvalidForm({"key": say("A key is text of at most %(most)d characters.", most=LONGEST_KEY)})
    return f"api {person.id} {hashlib.sha256(key.encode()).hexdigest()[:32]}" if key else ""


def _first_state(
    session: Session, person: Person, owner: Branch, wanted: object
) -> tuple[State, dict[str, Message]]:
    """Whether it is published at once, and what is wrong with the wish."""
    if wanted == State.PUBLISHED:
        waits = proposals.needs_approval(session, person, owner)
        return (State.SUBMITTED if waits else State.PUBLISHED), {}
    return State.DRAFT, {} if wanted == State.DRAFT else {"state": say("This is not one of the choices.")}


def _still_there(session: Session, person: Person, event: Event) -> Event:
    """What was posted with this key may have gone to another branch since, or be gone."""
    owner = session.get_one(Branch, event.branch_id)
    permissions.branch_of(session, person, owner.slug)
    if event.deleted_at is not None:
        raise Gone(say("This event has been removed."))
    return event


def change(request: Request, session: Session, body: JsonObject) -> Response:
    """What is sent takes the place of what was; the rest stays."""
    event, said = _found(request, session, body, must_match=True)
    person, moment, told = person_of(request), now(), derived.tell(session, event)
    hosts, faults = told.hosts, dict[str, Message]()
    if "branches" in said:
        hosts, faults = hosts_of(session, person, said.pop("branches"), told)
        if hosts and event.is_public and proposals.needs_approval(session, person, hosts[0]):
            faults |= {
                "branches": say(
                    "What you post at %(name)s needs approval: post it there anew.", name=hosts[0].name
                )
            }
    stored = store.said_of(told)
    write: Callable[..., object] = store.replace_with
    if not said.keys() & {"exdates", "overrides"}:  # the series keeps those that it still has
        stored, write = stored | {"exdates": (), "overrides": ()}, store.revise
    draft = event_draft(said, stored, {}, faults)
    with changes.recorded(session, event, "changed", person, moment):
        write(session, event, draft, hosts, state_of(request).publishing, moment)
    return _told(request, session, event)


def remove(request: Request, session: Session, body: JsonObject) -> Response:
    event, said = _found(request, session, body)
    _nothing_else(said)
    take_away(request, session, event)
    return Response(status_code=204)


# ---------------------------------------------------------------- its state


def cancel(request: Request, session: Session, body: JsonObject) -> Response:
    event, said = _found(request, session, body)
    call_off(request, session, announced(event), checked(CancellationDraft, said))
    return _told(request, session, event)


def publish(request: Request, session: Session, body: JsonObject) -> Response:
    event, said = _found(request, session, body)
    _nothing_else(said)
    bring_out(request, session, event)
    return _told(request, session, event)


# ---------------------------------------------------------------- one date of a series


def change_date(request: Request, session: Session, body: JsonObject) -> Response:
    """What is sent differs on that date; the rest is as the series says."""
    event, said = _found(request, session, body)
    original = original_start(request.path_params["start"], event)
    return _with_date(request, session, event, date_draft(said, original, derived.tell(session, event)))


def restore_date(request: Request, session: Session, body: JsonObject) -> Response:
    event, said = _found(request, session, body)
    _nothing_else(said)
    original = original_start(request.path_params["start"], event)
    return _with_date(request, session, event, OverrideDraft(original_start=original))


def _with_date(request: Request, session: Session, event: Event, change: OverrideDraft) -> Response:
    person, moment, publishing = person_of(request), now(), state_of(request).publishing
    with changes.recorded(session, event, "date", person, moment):
        store.change_date(session, event, change, publishing, moment)
    shown = content.said_on(derived.tell(session, event), change.original_start)
    return _edition_of(session, event, formats.record(shown, publishing, language_of(request)))


# ---------------------------------------------------------------- what all have in common


def _found(
    request: Request, session: Session, body: JsonObject, *, must_match: bool = False
) -> tuple[Event, JsonObject]:
    """The event in the path, if it may be changed and is still the one that was seen; and what is said of it.

    Of two that change it at the same moment, the second waits here until the first is done.
    """
    event = event_at(request, session, removed=True)
    changes.hold(session, event)
    if event.deleted_at is not None:
        raise Gone(say("This event has been removed."))
    proposals.check_may_change(session, person_of(request), event)
    said = dict(body)
    seen, tags = said.pop("revision", None), request.headers.get("if-match")
    newest = edition(session, event)
    if tags is not None and not _matches(tags, newest):
        raise PreconditionFailed(_CHANGED_SINCE)
    if tags is None and seen is not None and seen != newest:
        raise Conflict(_CHANGED_SINCE)
    if tags is None and seen is None and must_match:
        raise PreconditionRequired(
            say(
                "Say which revision you change: its `revision`, or its ETag as If-Match. Nothing was changed."
            )
        )
    return event, said


def _matches(tags: str, newest: str) -> bool:
    """RFC 9110 13.1.1: `*`, or a list in which a weak tag never matches."""
    return tags.strip() == "*" or newest in re.findall(r'(?:^|,)\s*"([^"]*)"', tags)


def _nothing_else(said: JsonObject) -> None:
    if said:
        raise InvalidForm({name: say("There is no such field here.") for name in said})


def _told(request: Request, session: Session, event: Event, status: int = 200) -> Response:
    [record] = api.event_records(request, session, [derived.tell(session, event)])
    return _edition_of(session, event, record, status)


def _edition_of(session: Session, event: Event, record: Mapping[str, object], status: int = 200) -> Response:
    newest = edition(session, event)
    return JSONResponse({**record, "revision": newest}, status, headers={"ETag": f'"{newest}"'})
