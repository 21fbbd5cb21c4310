"""News for organizers: what my branches have written, writing a notice, publishing it, its picture, removing it."""

from collections.abc import Mapping
from itertools import groupby

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..errors import Conflict, InvalidForm, Message, say
from ..news import notices, writing
from ..news.models import Notice
from ..news.notices import RETURNS_FOR, Stage, stage_of
from ..people import permissions
from . import news_form, pictures
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, page_number, query, sent_key
from .mine import may_publish, notice_at, notice_to_change
from .responses import page_link, see_other
from .state import language_of, state_of
from .templating import render

STAGES = {
    Stage.DRAFT: say("Drafts"),
    Stage.SHOWN: say("What people see now"),
    Stage.COMING: say("What is still to come"),
    Stage.OVER: say("What is over"),
}
# Who writes drafts and may not publish them could change one between a look at it and the button.
CHANGED_MEANWHILE = say("Somebody has changed this draft since you saw it. Please look at it once more.")
_DONE = {"removed": say("The news has been removed. For 30 days you can bring it back.")}
_PICTURE_DONE = {"saved": say("Saved."), "removed": say("The picture has been removed.")}


def overview(request: Request, session: Session) -> Response:
    """Of my branches, and for admins of the organisation: drafts first, and last what may be brought back."""
    form, person, moment = query(request), person_of(request), now()
    page, ids = page_number(form), permissions.branch_ids(person)
    found, more = notices.of_desk(session, ids, person.is_admin, moment, page)
    removed = notices.removed_lately(session, ids, person.is_admin, moment) if page == 1 else ()
    return render(
        request,
        "organize/news.html",
        groups=[
            (STAGES[stage], [_line(request, *row) for row in rows])
            for stage, rows in groupby(found, lambda row: stage_of(row[0], moment))
        ],
        removed=[_line(request, *row) for row in removed],
        previous=page_link(request, form, (), page - 1) if page > 1 else None,
        following=page_link(request, form, (), page + 1) if more else None,
        done=_DONE.get(form["done"]),
    )


def _line(request: Request, notice: Notice, branch_name: str | None) -> dict[str, object]:
    spoken, last = language_of(request), notice.shown_until
    first = spoken.short_day(notice.shown_from)
    since = spoken.say(say("From %(day)s", day=first))
    return {
        "id": notice.id,
        "title": notice.title,
        "language": notice.language,
        "days": f"{first} – {spoken.short_day(last)}" if last else since,
        "by": branch_name or state_of(request).settings.name,
        "is_top": notice.is_top,
        "until": spoken.day((notice.removed_at + RETURNS_FOR).date()) if notice.removed_at else "",
    }


# ---------------------------------------------------------------- writing


def new_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    if form is EMPTY:
        form = Form([("branch", query(request)["branch"])])
    return news_form.page(request, session, None, form, faults)


def add(request: Request, session: Session, form: Form) -> Response:
    """A draft, once, however often the form is sent: it is looked at before it is published."""
    written = news_form.read(request, session, form)
    notice, _ = writing.add(session, written, person_of(request), now(), sent_key(form))
    return see_other(request, f"/organize/news/{notice.id}", done="draft")


def notice_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    notice = notice_at(request, session)
    if "title" not in form:  # it was another of the page's buttons
        form = news_form.form_of(session, notice)
    return news_form.page(request, session, notice, form, faults)


def change(request: Request, session: Session, form: Form) -> Response:
    notice, moment = notice_to_change(request, session), now()
    if form["revision"] != str(notice.revision):
        return _conflict(request, session, notice, form)
    written = news_form.read(request, session, form, notice)
    with writing.recorded(session, notice, "changed", person_of(request), moment):
        writing.revise(session, notice, written, moment)
    done = "draft" if notice.is_draft else "saved"
    return see_other(request, f"/organize/news/{notice.id}", done=done)


def _conflict(request: Request, session: Session, notice: Notice, form: Form) -> Response:
    """Somebody saved after this page was opened: their text beside what was typed, and nothing is overwritten.

    The form now carries the newest revision, so that saving again is a decision.
    """
    typed = [item for item in form.items() if item[0] != "revision"]
    mine = Form([*typed, ("revision", str(notice.revision))])
    theirs = news_form.form_of(session, notice)
    response = news_form.page(request, session, notice, mine, theirs=theirs)
    response.status_code = 409
    return response


# ---------------------------------------------------------------- publishing and removing


def publish(request: Request, session: Session, form: Form) -> Response:
    notice, moment = notice_to_change(request, session), now()
    if not may_publish(request, session, notice):
        raise Conflict(say("It is a draft until somebody of your branch who is trusted publishes it."))
    if notice.is_draft and form["revision"] not in ("", str(notice.revision)):
        raise Conflict(CHANGED_MEANWHILE)
    with writing.recorded(session, notice, "published", person_of(request), moment):
        try:
            writing.publish(notice, moment)
        except Conflict as error:
            raise InvalidForm({"shown_until": error.message}) from error
    return see_other(request, f"/organize/news/{notice.id}", done="published")


def remove(request: Request, session: Session, form: Form) -> Response:
    notice, moment = notice_to_change(request, session, removed=True), now()
    with writing.recorded(session, notice, "removed", person_of(request), moment):
        writing.remove(notice, moment)
    return see_other(request, "/organize/news", done="removed")


def bring_back(request: Request, session: Session, form: Form) -> Response:
    notice, moment = notice_to_change(request, session, removed=True), now()
    with writing.recorded(session, notice, "returned", person_of(request), moment):
        writing.bring_back(notice, moment)
    return see_other(request, f"/organize/news/{notice.id}", done="returned")


# ---------------------------------------------------------------- its picture


def picture_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    notice = notice_at(request, session)
    address = f"/organize/news/{notice.id}"
    return pictures.page_of(request, session, notice, address, _PICTURE_DONE, form, faults)


def upload_picture(request: Request, session: Session, form: Form) -> Response:
    """Another picture, or other words for the one that is there."""
    notice, moment = notice_to_change(request, session), now()
    picture_id, alt = pictures.sent_with(session, form, notice, moment)
    with writing.recorded(session, notice, pictures.CHANGED, person_of(request), moment):
        writing.put_picture(notice, picture_id, alt)
    return see_other(request, f"/organize/news/{notice.id}/picture", done="saved")


def remove_picture(request: Request, session: Session, form: Form) -> Response:
    notice, moment = notice_to_change(request, session), now()
    with writing.recorded(session, notice, pictures.REMOVED, person_of(request), moment):
        writing.put_picture(notice, None, "")
    return see_other(request, f"/organize/news/{notice.id}/picture", done="removed")
