"""Who is at a branch: /organize/people, inviting, changing roles, removing."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..drafts import Draft, ShortText
from ..errors import InvalidForm, Message, NotFound, say
from ..people import joining, permissions, sign_in
from ..people.joining import Ids, Member
from ..people.models import OneTimeLink, Person, Purpose, Role
from . import links
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, number_at, page_number, query
from .joining import PEOPLE, ROLE_WORDS, RoleDraft, branch_choice, branch_in, noting, role_options
from .links import ACCOUNT, AFTER_SIGN_IN, LinkPage, Words
from .responses import page_link, see_other
from .state import language_of, state_of
from .templating import render

DAYS = OneTimeLink.INVITATION_LIFETIME.days
INVITE_FIELDS = ("email", "name", "role", "branch", "choice", "trusted")
_DONE = {
    "accepted": say("The request is accepted. The person hears of it by e-mail."),
    "refused": say("The request is declined. The person hears of it by e-mail."),
    "invited": say("The invitation is on its way. Its link works for 7 days."),
    "there": say("They were there already, and no e-mail was sent. Their role is what you chose now."),
    "changed": say("The role has been changed."),
    "removed": say("The person has been removed from the branch."),
    "no-admin": say("The person is no admin of the whole site any more."),
}


class InviteDraft(Draft):
    name: Annotated[ShortText, Field(max_length=100)] = ""
    role: Literal["organizer", "branch-admin", "admin"] = "organizer"
    trusted: Literal["yes", "no"] = "yes"


def people_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    person, asked = person_of(request), query(request)
    number = page_number(asked)
    found, pages = joining.members(session, person, number, asked["q"])
    waiting = joining.waiting(session, person)
    return render(
        request,
        "organize/people.html",
        form=form,
        faults=faults,
        waiting=waiting,
        more_waiting=joining.number_waiting(session, person) - len(waiting),
        groups=_by_branch(found),
        q=asked["q"],
        page=number,
        pages=pages,
        url_for_page=lambda page: page_link(request, asked, ["q"], page),
        admins=joining.admins(session) if person.is_admin else [],
        roles=role_options(request, all_of_them=person.is_admin),
        done=_DONE.get(asked["done"]),
        branches=branch_choice(session, form, _mine(person)),
    )


def _by_branch(found: Sequence[Member]) -> list[dict[str, object]]:
    groups = [list(members) for _, members in groupby(found, key=lambda member: member[2].id)]
    return [
        {
            "branch": members[0][2],
            "people": [
                {"person": person, "role": ROLE_WORDS[membership.role], "trusted": membership.trusted}
                for membership, person, _ in members
            ],
        }
        for members in groups
    ]


def _mine(person: Person) -> Ids:
    return permissions.branch_ids(person, Role.BRANCH_ADMIN)


# ---------------------------------------------------------------- inviting


def invite(request: Request, session: Session, form: Form) -> Response:
    person = person_of(request)
    faults: dict[str, Message] = {}
    email = noting(faults, lambda: links.email_in(form))
    draft = noting(faults, lambda: _invitation_in(form, person))
    everywhere = form["role"] == Role.ADMIN
    branch = None if everywhere else noting(faults, lambda: branch_in(session, form, _mine(person)))
    if draft is None or email is None or faults:
        raise InvalidForm({name: faults[name] for name in INVITE_FIELDS if name in faults})
    invited = sign_in.find(session, email)
    if invited is None:  # who is known has said themselves how to call them
        invited = sign_in.find_or_add(session, email, now(), language_of(request).code)
        invited.name = draft.name
    if not joining.invite(session, invited, branch, Role(draft.role), draft.trusted == "yes", now()):
        return _back(request, invited, "there")
    token = sign_in.make_link(
        session, invited, Purpose.INVITATION, now(), OneTimeLink.INVITATION_LIFETIME, AFTER_SIGN_IN
    )
    _mail_invitation(request, session, invited, branch, token)
    return see_other(request, PEOPLE, done="invited")


def _invitation_in(form: Form, person: Person) -> InviteDraft:
    draft = form.draft(InviteDraft)
    if Role(draft.role) is Role.ADMIN and not person.is_admin:
        raise InvalidForm({"role": say("Only admins of the whole site can invite another one.")})
    return draft


def _mail_invitation(
    request: Request, session: Session, invited: Person, branch: Branch | None, token: str
) -> None:
    inviter, name = person_of(request), state_of(request).settings.name
    what = (
        say("%(inviter)s invites you to organize events of %(branch)s at %(name)s.", branch=branch.name)
        if branch
        else say("%(inviter)s invites you to look after %(name)s as an admin of the whole site.")
    )
    body = say(
        "%(sentence)s\n\nOpen this link and press the button to begin:\n\n%(address)s\n\n"
        "It works once, within %(days)d days. Later you can get another one here, with this e-mail address:\n%(again)s",
        sentence=Message(what.text, {**what.values, "inviter": inviter.name or inviter.email, "name": name}),
        address=links.address_of(request, token),
        days=DAYS,
        again=links.whole_address(request, "/sign-in"),
    )
    subject = say("An invitation to %(name)s", name=name)
    links.mail(session, language_of(request), invited.email, subject, body)


def _invitation_words(request: Request, session: Session, one_time: OneTimeLink) -> Words:
    return Words(
        say("Welcome to %(name)s", name=state_of(request).settings.name),
        say("Sign in and begin"),
        say("You have been invited to organize here."),
    )


def _use_invitation(request: Request, session: Session, form: Form, one_time: OneTimeLink) -> Response:
    return links.signed_in(request, session, session.get_one(Person, one_time.person_id), AFTER_SIGN_IN)


INVITATION = LinkPage(_invitation_words, _use_invitation)


# ---------------------------------------------------------------- changing


def member_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    membership, member, branch = _member_at(request, session)
    if form is EMPTY:
        trusted = "yes" if membership.trusted else "no"
        form = Form([("role", membership.role), ("trusted", trusted)])
    return render(
        request,
        "organize/member.html",
        member=member,
        branch=branch,
        roles=role_options(request),
        form=form,
        faults=faults,
    )


def change(request: Request, session: Session, form: Form) -> Response:
    membership, member, _ = _member_at(request, session)
    draft = form.draft(RoleDraft)
    membership.role, membership.trusted = draft.role, draft.trusted == "yes"
    session.add(membership)
    return _back(request, member, "changed")


def remove(request: Request, session: Session, form: Form) -> Response:
    membership, member, _ = _member_at(request, session)
    session.delete(membership)
    return _back(request, member, "removed")


def end_administration(request: Request, session: Session, form: Form) -> Response:
    admin = session.get(Person, number_at(request))
    if admin is None or not admin.is_admin:
        raise NotFound
    joining.end_administration(session, admin)
    return _back(request, admin, "no-admin")


def _member_at(request: Request, session: Session) -> Member:
    return joining.member_at(session, person_of(request), number_at(request), request.path_params["slug"])


def _back(request: Request, changed: Person, done: str) -> Response:
    """Who has changed what they may do themselves may not find the list any more."""
    if changed.id == person_of(request).id:
        return see_other(request, ACCOUNT, done=done)
    return see_other(request, PEOPLE, done=done)
