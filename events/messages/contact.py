"""Writing to a branch: the message and the mail that carries it are saved together, and its writer may get a copy.

Anybody can type anybody's address. So a copy goes out only once somebody has opened the link that was mailed there,
and that mail says nothing that was typed.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Literal

import sqlalchemy as sa
from pydantic import AfterValidator, Field, ValidationInfo
from sqlmodel import Session, col, select

from .. import signed
from ..branches.models import Branch, Status
from ..db import insert_into, table_of
from ..drafts import Draft, Email, Fault, LongText, ShortText
from ..errors import Gone, Message, Unreadable, say
from ..language import Language, closest
from ..letters import Letter, Link, Paragraph, Quote
from ..people.sign_in import normal_email
from . import outbox
from .models import ContactMessage, MutedSender
from .refusals import destination

About = Literal["question", "join", "start", "visit", "press"]

PRESETS: dict[str, Message] = {
    "question": say("A question"),
    "join": say("I would like to join"),
    "start": say("I would like to start a branch"),
    "visit": say("I would like to visit"),
    "press": say("Press enquiry"),
}
MOST_LINKS = 3
# How a link begins: with its scheme, with "www.", or as a bare domain that a path follows.
_LINK = re.compile(
    r"https?://(?:www\.)?|(?<![\w.@/=-])(?:www\.|[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}(?::\d+)?/)", re.IGNORECASE
)


def _deliverable(text: str) -> str:
    """With its domain as mail servers know it: what is accepted can be answered, and compared with others.

    Raises Fault.
    """
    try:
        domain = normal_email(text).rpartition("@")[2]
    except Unreadable as error:
        raise Fault(error.message) from error
    return f"{text.rpartition('@')[0]}@{domain}"


def _few_links(text: str, info: ValidationInfo) -> str:
    """Those of the subject, which comes before it, count as well. Raises Fault."""
    if len(_LINK.findall(f"{info.data.get('subject', '')}\n{text}")) > MOST_LINKS:
        raise Fault(say("There are too many links in it: at most %(most)d can be sent.", most=MOST_LINKS))
    return text


class ContactDraft(Draft):
    key: Annotated[str, Field(min_length=16, max_length=64, pattern=r"^[\w-]+$")]
    about: About = "question"
    name: Annotated[ShortText, Field(min_length=1, max_length=100)]
    email: Annotated[Email, Field(min_length=1), AfterValidator(_deliverable)]
    subject: Annotated[ShortText, Field(max_length=150)] = ""
    message: Annotated[LongText, Field(min_length=1, max_length=5000), AfterValidator(_few_links)]


def send(
    session: Session,
    branch: Branch,
    draft: ContactDraft,
    spoken: Language,
    organisation: str,
    now: datetime,
    *,
    language: str = "en",
    site: str = "",
) -> ContactMessage | None:
    """Puts the message and its mail in; None for a form that was sent before as it is. Gone where nobody could read it.

    `spoken` is what the branch reads, `language` that of the page; `site` as in `mail_on`. What a muted sender
    writes comes without a mail.
    """
    to = reached_at(session, branch)
    values = ContactMessage(
        branch_id=branch.id or 0,
        key=draft.key,
        about=draft.about,
        name=draft.name,
        email=draft.email,
        subject=draft.subject,
        message=draft.message,
        language=language,
        created_at=now,
        muted=is_muted(session, branch, draft.email),
    )
    message = _added(session, values)
    if message is not None and not message.muted:
        note = None if to == branch.email else _for_others(branch)
        mail_on(session, message, branch, to, spoken, organisation, now, note, site=site)
    return message


def _for_others(branch: Branch) -> Message:
    return say(
        "No mail reaches %(branch)s, so this comes to you. Please pass it on, or answer it yourself.",
        branch=branch.name,
    )


def reached_at(session: Session, branch: Branch) -> str:
    """The address to which its messages go. Raises Gone where nobody could read them."""
    if branch.status == Status.CLOSED:
        raise Gone(say("This branch has closed and takes no more messages."))
    to = destination(session, branch)
    if to is None:
        raise Gone(say("This branch has no address that we could write to yet."))
    return to


def who_else(session: Session, branch: Branch) -> Branch | None:
    """The nearest branch above it that takes messages: to be asked when the branch does not answer."""
    for one in above(session, branch):
        if one.status != Status.CLOSED and destination(session, one) is not None:
            return one
    return None


def above(session: Session, branch: Branch) -> Iterator[Branch]:
    """Up the tree."""
    seen = {branch.id}
    while branch.parent_id is not None and branch.parent_id not in seen:
        seen.add(branch.parent_id)
        branch = session.get_one(Branch, branch.parent_id)
        yield branch


def language_read_at(branch: Branch, locales: Iterable[str]) -> Language:
    return closest(branch.language_list[0] if branch.language_list else "en", locales)


def subject_of(message: ContactMessage, spoken: Language) -> str:
    return message.subject or spoken.say(PRESETS[message.about])


def is_muted(session: Session, branch: Branch, email: str) -> bool:
    return session.get(MutedSender, (branch.id, normal_email(email))) is not None


def mail_on(
    session: Session,
    message: ContactMessage,
    branch: Branch,
    to: str,
    spoken: Language,
    organisation: str,
    now: datetime,
    note: Message | None = None,
    *,
    site: str = "",
) -> None:
    """The mail that brings the message to an address; `note` says above it why it comes there.

    With the base URL of the site it says where organizers find the message.
    """
    wrote = say(
        "%(name)s wrote to %(branch)s through the site of %(organisation)s:",
        name=message.name,
        branch=written_to(session, message).name,
        organisation=organisation,
    )
    answer = say("To answer, reply to this e-mail: it goes to %(email)s.", email=message.email)
    letter: Letter = [
        *([Paragraph(spoken.say(note))] if note else []),
        Paragraph(spoken.say(wrote)),
        *_quoted(message, spoken),
        Paragraph(spoken.say(answer)),
        *([_link(message, spoken, site)] if site else []),
    ]
    outbox.put(
        session,
        now,
        recipient=to,
        subject=f"[{branch.name}] {subject_of(message, spoken)}",
        body=letter,
        reply_to=message.email,
        kind="contact",
        locale=spoken.code,
        message_ref=message.id,
    )


def _link(message: ContactMessage, spoken: Language, site: str) -> Link:
    prefix = "" if spoken.code == "en" else f"/{spoken.code}"
    label = say("Organizers can mark it as answered here, or pass it on")
    return Link(f"{site}{prefix}/organize/messages/{message.id}", spoken.say(label))


def _quoted(message: ContactMessage, spoken: Language) -> Letter:
    about = say("What it is about: %(about)s", about=PRESETS[message.about])
    return [Paragraph(spoken.say(about)), Quote(message.message)]


def _added(session: Session, message: ContactMessage) -> ContactMessage | None:
    """The row, unless its form was sent before as it is.

    Who goes back in the browser and writes something else sends the key of the same form: that is another message.
    """
    added = _inserted(session, message)
    if added is None:
        first = session.exec(select(ContactMessage).where(col(ContactMessage.key) == message.key)).first()
        if first is not None and _said(first) != _said(message):
            message.key = hashlib.sha256(f"{message.key} {_said(message)}".encode()).hexdigest()
            added = _inserted(session, message)
    return added


def _said(one: ContactMessage) -> str:
    return json.dumps([one.branch_id, one.about, one.name, one.email, one.subject, one.message])


def _inserted(session: Session, message: ContactMessage) -> ContactMessage | None:
    """None where its key is known: of two that come at the same time one is the first."""
    table = table_of(ContactMessage)
    values = message.model_dump(exclude={"id"})
    added = session.connection().execute(
        insert_into(session, table)
        .values(values)
        .on_conflict_do_nothing(index_elements=[table.c.key])
        .returning(table.c.id)
    )
    number = added.scalar()
    return session.get_one(ContactMessage, number) if number else None


# ---------------------------------------------------------------- a copy for whoever wrote it


def copy_token(message: ContactMessage, secret: str) -> str:
    """For an address under /contact-copies: it opens one message, as long as that is kept."""
    return signed.token(message.id, f"copy of message {message.id} {message.key}", secret)


def message_at(session: Session, token: str, secret: str) -> ContactMessage:
    """Raises Gone when it has been deleted, or never was."""
    number = signed.number_in(token)
    found = session.get(ContactMessage, number) if number else None
    if found is None or not signed.is_same(token, copy_token(found, secret)):
        raise Gone(
            say(
                "This message has been deleted, as all are after %(days)d days, or the link was cut short by the"
                " mail program.",
                days=outbox.KEEP_MESSAGES.days,
            )
        )
    return found


def written_to(session: Session, message: ContactMessage) -> Branch:
    """The branch it was written to: whoever wrote it may not know those that it was passed on to."""
    return session.get_one(Branch, message.forwarded_from_id or message.branch_id)


def send_copy(
    session: Session, message: ContactMessage, spoken: Language, organisation: str, now: datetime
) -> None:
    """Once: of two who press the button at the same moment one is the first."""
    table = table_of(ContactMessage)
    claim = sa.update(table).where(table.c.id == message.id, table.c.copied_at.is_(None))
    if session.connection().execute(claim.values(copied_at=now)).rowcount != 1:
        return
    session.refresh(message)
    branch = written_to(session, message)
    wrote = say(
        "On %(day)s you wrote to %(branch)s through the site of %(organisation)s:",
        day=message.created_at.date(),
        branch=branch.name,
        organisation=organisation,
    )
    subject = say("Subject: %(subject)s", subject=message.subject)
    no_reply = say(
        "If the branch answers, its answer comes to this address. A reply to this e-mail does not reach it."
    )
    outbox.put(
        session,
        now,
        recipient=normal_email(message.email),  # as the link was sent there
        subject=spoken.say(say("Your message to %(branch)s", branch=branch.name)),
        body=[
            Paragraph(spoken.say(wrote)),
            *([Paragraph(spoken.say(subject))] if message.subject else []),
            *_quoted(message, spoken),
            Paragraph(spoken.say(no_reply), small=True),
        ],
        kind="copy",
        locale=spoken.code,
        message_ref=message.id,
    )
