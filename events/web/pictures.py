"""Pictures of events and news: sending one, saying in words what it shows, taking it away; and showing it to all."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars import pictures
from ..calendars.models import Event, Picture, PictureState
from ..drafts import Draft, ShortText
from ..errors import InvalidForm, Message, TooLarge, Unreadable, say
from ..later import loaded_later
from ..news.models import Notice
from ..pictures import ACCEPTED, MEDIA_TYPE, check, small_width
from ..sandbox import unpacked
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, form_key, query
from .mine import event_to_change
from .responses import see_other
from .state import state_of
from .templating import render

if TYPE_CHECKING:
    from ..calendars import changes
else:
    changes = loaded_later("events.calendars.changes")

RELOAD_S = 2  # a page that waits for the worker asks again
AGE_S = 31_536_000  # a picture never changes: another one has another address

NAME_LENGTH = 22  # characters of six bits
CHANGED, REMOVED = "picture", "picture-removed"  # how versions call it
_DONE = {
    "saved": say("Saved. Calendars that follow it show the change when they next look."),
    "removed": say("The picture has been removed."),
}


@dataclass(frozen=True, slots=True)
class PictureRow:
    """What a template needs to show a picture that is ready."""

    href: str
    small_href: str
    width: int
    height: int
    small_width: int


def shown(picture: Picture | None) -> PictureRow | None:
    if picture is None:
        return None
    name = f"/pictures/{picture.id}"
    return PictureRow(
        f"{name}.jpg", f"{name}-small.jpg", picture.width, picture.height, small_width(picture.width)
    )


class PictureDraft(Draft):
    alt: Annotated[ShortText, Field(min_length=1)]


class PictureTooLarge(InvalidForm):
    """The form again, with the status that says what is wrong."""

    status = 413


def page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    event = event_to_change(request, session)
    return page_of(request, session, event, f"/organize/events/{event.id}", _DONE, form, faults)


def page_of(
    request: Request,
    session: Session,
    owner: Event | Notice,
    address: str,
    done: Mapping[str, Message],
    form: Form,
    faults: Mapping[str, Message],
) -> Response:
    """The picture of what is edited at `address`; `done` has what is said after it was saved or removed."""
    picture = pictures.one(session, owner.picture_id)
    return render(
        request,
        "organize/picture.html",
        owner=owner,
        address=address,
        picture=shown(picture) if picture and picture.state == PictureState.READY else None,
        waiting=picture is not None and picture.state == PictureState.NEW,
        refusal=unpacked(picture.fault) if picture and picture.fault else None,
        form=form if form is not EMPTY else Form([("alt", owner.picture_alt)]),
        key=form_key(form),
        faults=faults,
        accept=ACCEPTED,
        reload_s=RELOAD_S,
        done=done.get(query(request)["done"]),
    )


def upload(request: Request, session: Session, form: Form) -> Response:
    """Another picture, or other words for the one that is there."""
    event = event_to_change(request, session)
    picture_id, alt = sent_with(session, form, event, now())
    with changes.recorded(session, event, CHANGED, person_of(request), now()):
        pictures.put_on(session, event, picture_id, alt, state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}/picture", done="saved")


def remove(request: Request, session: Session, form: Form) -> Response:
    event = event_to_change(request, session)
    with changes.recorded(session, event, REMOVED, person_of(request), now()):
        pictures.put_on(session, event, None, "", state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}/picture", done="removed")


def sent_with(
    session: Session, form: Form, owner: Event | Notice, moment: datetime
) -> tuple[str | None, str]:
    """The picture that it is to have, which is kept if it is another one, and what that shows. Raises InvalidForm."""
    sent, alt = _checked(form, pictures.one(session, owner.picture_id))
    if not sent:
        return owner.picture_id, alt
    picture_id = _name(form, sent)
    pictures.add(session, owner.branch_id, picture_id, sent, moment)
    return picture_id, alt


def _checked(form: Form, before: Picture | None) -> tuple[bytes, str]:
    """What was sent, nothing for new words alone, and the words. Raises InvalidForm."""
    sent, alt = form.files.get("file", b""), ""
    faults: dict[str, Message] = {}
    kind = InvalidForm
    try:
        if sent:
            check(sent)
        elif before is None or before.state == PictureState.REFUSED:
            faults["file"] = say("Choose a picture.")
    except (Unreadable, TooLarge) as error:
        faults["file"] = error.message
        kind = PictureTooLarge if isinstance(error, TooLarge) else InvalidForm
    try:
        alt = form.draft(PictureDraft).alt
    except InvalidForm as error:
        faults |= error.faults
    if faults:
        raise kind(faults)
    return sent, alt


def _name(form: Form, sent: bytes) -> str:
    """As random as the form's key: the same form twice is the same picture, and another file is another one."""
    mixed = hashlib.sha256(form_key(form).encode() + b"\0" + sent).digest()
    return base64.urlsafe_b64encode(mixed)[:NAME_LENGTH].decode()


# ---------------------------------------------------------------- for everybody


def large(request: Request, session: Session) -> Response:
    return _picture(request, session, small=False)


def small(request: Request, session: Session) -> Response:
    return _picture(request, session, small=True)


def _picture(request: Request, session: Session, *, small: bool) -> Response:
    """To whoever has the address, which cannot be guessed."""
    found = pictures.data(session, request.path_params["id"], small=small)
    headers = {"Cache-Control": f"public, max-age={AGE_S}, immutable"}
    return Response(found, media_type=MEDIA_TYPE, headers=headers)
