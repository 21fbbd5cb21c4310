"""The contact form of a branch. The visitor never sees the branch's mail address."""

from collections.abc import Mapping

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries
from ..branches.models import Branch, Status
from ..branches.queries import Moved
from ..errors import Gone, Message, say
from ..language import closest
from ..messages import contact
from ..messages.contact import PRESETS, ContactDraft
from .endpoints import now
from .forms import EMPTY, HONEYPOT, NO_FAULTS, Form, form_key, query
from .responses import moved, see_other
from .state import language_of, state_of
from .templating import render


def form_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    branch = queries.by_slug(session, request.path_params["slug"])
    if isinstance(branch, Moved):
        return moved(request, f"/branches/{branch.slug}/contact")
    asked = query(request)["about"]
    about = form["about"] or (asked if asked in PRESETS else "question")
    return render(
        request,
        "messages/contact.html",
        branch=_open(branch),
        form=form,
        faults=faults,
        about=about,
        about_options=[(word, language_of(request).say(sentence)) for word, sentence in PRESETS.items()],
        key=form_key(form),
    )


def send(request: Request, session: Session, form: Form) -> Response:
    branch = _open(queries.here(session, request.path_params["slug"]))
    draft = form.draft(ContactDraft)
    state = state_of(request)
    if not form[HONEYPOT]:
        written_for = closest(
            branch.language_list[0] if branch.language_list else "en", state.settings.locales
        )
        contact.send(session, branch, draft, written_for, state.settings.name, now())
    return see_other(request, f"/branches/{branch.slug}/contact/thanks")


def thanks(request: Request, session: Session) -> Response:
    branch = queries.here(session, request.path_params["slug"])
    return render(request, "messages/thanks.html", branch=branch)


def _open(branch: Branch) -> Branch:
    if branch.status == Status.CLOSED:
        raise Gone(say("This branch has closed and takes no more messages."))
    return branch
