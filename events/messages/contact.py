"""Writing to a branch: the message and the mail that carries it are saved together."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from ..branches.models import Branch
from ..db import table_of
from ..drafts import Draft, Email, LongText, ShortText
from ..errors import Gone, Message, say
from ..language import Language
from ..letters import Letter, Paragraph, Quote
from . import outbox
from .models import ContactMessage
from .refusals import destination

About = Literal["question", "join", "start", "visit", "press"]

PRESETS: dict[str, Message] = {
    "question": say("A question"),
    "join": say("I would like to join"),
    "start": say("I would like to start a branch"),
    "visit": say("I would like to visit"),
    "press": say("Press enquiry"),
}


class ContactDraft(Draft):
    key: Annotated[str, Field(min_length=16, max_length=64, pattern=r"^[\w-]+$")]
    about: About = "question"
    name: Annotated[ShortText, Field(min_length=1, max_length=100)]
    email: Annotated[Email, Field(min_length=1)]
    subject: Annotated[ShortText, Field(max_length=150)] = ""
    message: Annotated[LongText, Field(min_length=1, max_length=5000)]


def send(
    session: Session, branch: Branch, draft: ContactDraft, spoken: Language, organisation: str, now: datetime
) -> None:
    """Puts the message and its mail in; a form sent twice is one message. Gone where nobody could read it.

    `spoken` is what the branch reads.
    """
    to = destination(session, branch)
    if to is None:
        raise Gone(say("This branch has no address that we could write to yet."))
    values = ContactMessage(
        branch_id=branch.id or 0,
        key=draft.key,
        about=draft.about,
        name=draft.name,
        email=draft.email,
        subject=draft.subject or spoken.say(PRESETS[draft.about]),
        message=draft.message,
        created_at=now,
    )
    message = _added(session, values)
    if message is not None:
        mail_on(session, message, branch, to, spoken, organisation, now)


def mail_on(
    session: Session,
    message: ContactMessage,
    branch: Branch,
    to: str,
    spoken: Language,
    organisation: str,
    now: datetime,
    note: Message | None = None,
) -> None:
    """The mail that brings the message to an address; `note` says above it why it comes there."""
    wrote = say(
        "%(name)s wrote to %(branch)s through the site of %(organisation)s:",
        name=message.name,
        branch=branch.name,
        organisation=organisation,
    )
    answer = say("To answer, reply to this mail: it goes to %(email)s.", email=message.email)
    letter: Letter = [
        *([Paragraph(spoken.say(note))] if note else []),
        Paragraph(spoken.say(wrote)),
        Quote(message.message),
        Paragraph(spoken.say(answer)),
    ]
    outbox.put(
        session,
        now,
        recipient=to,
        subject=f"[{branch.name}] {message.subject}",
        body=letter,
        reply_to=message.email,
        kind="contact",
        locale=spoken.code,
        message_ref=message.id,
    )


def _added(session: Session, message: ContactMessage) -> ContactMessage | None:
    """The row, unless its form was sent before: of two that come at the same time one is the first."""
    table = table_of(ContactMessage)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = message.model_dump(exclude={"id"})
    added = session.connection().execute(
        insert(table)
        .values(values)
        .on_conflict_do_nothing(index_elements=[table.c.key])
        .returning(table.c.id)
    )
    number = added.scalar()
    return session.get_one(ContactMessage, number) if number else None
