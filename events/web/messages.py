"""The contact form of a branch. The visitor never sees the branch's mail address."""

from collections.abc import Mapping

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries
from ..branches.models import Branch
from ..branches.queries import Moved
from ..errors import Message, say
from ..language import closest
from ..messages import contact, outbox
from ..messages.contact import PRESETS, ContactDraft
from ..messages.models import ContactMessage
from ..people.sign_in import normal_email
from . import links
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
    contact.reached_at(session, branch)  # or nobody should begin to type
    asked = query(request)["about"]
    about = form["about"] or (asked if asked in PRESETS else "question")
    return render(
        request,
        "messages/contact.html",
        branch=branch,
        form=form,
        faults=faults,
        about=about,
        about_options=[(word, language_of(request).say(sentence)) for word, sentence in PRESETS.items()],
        key=form_key(form),
    )


def send(request: Request, session: Session, form: Form) -> Response:
    branch = queries.here(session, request.path_params["slug"])
    contact.reached_at(session, branch)
    draft, wants_copy = form.draft(ContactDraft), form["copy"] == "yes"
    if not form[HONEYPOT]:
        message = _sent(request, session, branch, draft)
        if message is not None and wants_copy:
            _mail_copy_link(request, session, message, branch)
    return see_other(request, f"/branches/{branch.slug}/contact/thanks", copy="yes" if wants_copy else None)


def _sent(request: Request, session: Session, branch: Branch, draft: ContactDraft) -> ContactMessage | None:
    settings = state_of(request).settings
    spoken = contact.language_read_at(branch, settings.locales)
    return contact.send(
        session,
        branch,
        draft,
        spoken,
        settings.name,
        now(),
        language=language_of(request).code,
        site=settings.public_url,
    )


def thanks(request: Request, session: Session) -> Response:
    branch = queries.here(session, request.path_params["slug"])
    return render(
        request,
        "messages/thanks.html",
        branch=branch,
        above=contact.who_else(session, branch),
        with_copy=query(request)["copy"] == "yes",
    )


# ---------------------------------------------------------------- a copy for whoever wrote it


def _mail_copy_link(request: Request, session: Session, message: ContactMessage, branch: Branch) -> None:
    """Also to a muted sender: who gets no link would know."""
    settings = state_of(request).settings
    token = contact.copy_token(message, settings.secret_key)
    body = say(
        "Somebody wrote to %(branch)s through %(name)s with this address, and wants a copy of it. If it was you, open"
        " this link and press the button:\n\n%(address)s\n\n"
        "It works for %(days)d days. If it was not you, do nothing.",
        branch=branch.name,
        name=settings.name,
        address=links.whole_address(request, f"/contact-copies/{token}"),
        days=outbox.KEEP_MESSAGES.days,
    )
    subject = say("A copy of your message to %(branch)s", branch=branch.name)
    links.mail_unproved(request, session, normal_email(message.email), subject, body)


def copy_page(request: Request, session: Session) -> Response:
    """Programs open links in mails: only its button sends the copy."""
    message = _message_at(request, session)
    return render(
        request,
        "messages/copy.html",
        branch=contact.written_to(session, message),
        token=request.path_params["token"],
        is_sent=message.copied_at is not None,
        deleted_on=(message.created_at + outbox.KEEP_MESSAGES).date(),
    )


def send_copy(request: Request, session: Session, form: Form) -> Response:
    message, settings = _message_at(request, session), state_of(request).settings
    spoken = closest(message.language, settings.locales)
    contact.send_copy(session, message, spoken, settings.name, now())
    return see_other(request, f"/contact-copies/{request.path_params['token']}")


def _message_at(request: Request, session: Session) -> ContactMessage:
    secret = state_of(request).settings.secret_key
    return contact.message_at(session, request.path_params["token"], secret)
