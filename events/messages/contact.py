"""Writing to a branch: the message and the mail that carries it are saved together."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from ..branches import queries as branches
from ..branches.models import Branch
from ..db import table_of
from ..drafts import Draft, Email, LongText, ShortText
from ..errors import Message, say
from ..language import Language
from .models import ContactMessage
from .outbox import put

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
    """Puts the message and its mail in; a form sent twice is one message. Gone without an address."""
    recipient = branches.contact_address(session, branch)
    subject = draft.subject or spoken.say(PRESETS[draft.about])
    message = ContactMessage(
        branch_id=branch.id or 0,
        key=draft.key,
        about=draft.about,
        name=draft.name,
        email=draft.email,
        subject=subject,
        message=draft.message,
        created_at=now,
    )
    if not _is_first(session, message):
        return
    body = say(
        "%(name)s wrote to %(branch)s through the site of %(organisation)s:\n\n%(message)s\n\n"
        "To answer, reply to this mail: it goes to %(email)s.",
        name=draft.name,
        branch=branch.name,
        organisation=organisation,
        message=draft.message,
        email=draft.email,
    )
    put(
        session,
        now,
        recipient=recipient,
        subject=f"[{branch.name}] {subject}",
        body=spoken.say(body),
        reply_to=draft.email,
    )


def _is_first(session: Session, message: ContactMessage) -> bool:
    """Adds the message unless its form was sent before; of two that come at the same time one is the first."""
    table = table_of(ContactMessage)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = message.model_dump(exclude={"id"})
    added = session.connection().execute(
        insert(table)
        .values(values)
        .on_conflict_do_nothing(index_elements=[table.c.key])
        .returning(table.c.id)
    )
    return added.first() is not None
