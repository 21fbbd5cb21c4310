"""What became of a suggestion, or of a post that needed approval: one mail to whoever wants to know.

Nobody has proved the address of a suggestion: by it a stranger could write to anybody, in our name.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session

from ..branches.models import Branch
from ..calendars.content import Publishing
from ..calendars.models import Event
from ..db import table_of
from ..errors import Message, say
from ..language import closest
from ..messages import outbox
from ..people.models import Person
from .models import Proposal

LONGEST_TITLE = 80
_ADDRESS = re.compile(r"//|@|[^\s.]\.[^\W\d_]{2}")


def answer(session: Session, proposal: Proposal, event: Event, publishing: Publishing, now: datetime) -> None:
    """To be called when it is decided. Once: afterwards it has no language to answer in, and no visitor's address."""
    author = session.get(Person, proposal.person_id) if proposal.person_id else None
    recipient = author.email if author else proposal.email
    spoken = closest(author.language if author else proposal.language, publishing.locales)
    if not _is_first(session, proposal) or not recipient:
        return
    branch = session.get_one(Branch, event.branch_id)
    outbox.put(
        session,
        now,
        recipient=recipient,
        subject=spoken.say(
            say("Your event: %(title)s", title=event.title)
            if author
            else say("Your suggestion to %(branch)s", branch=branch.name)
        ),
        body="\n\n".join(
            map(spoken.say, _sentences(proposal, event, branch, publishing.page_of(event, spoken)))
        ),
        kind="answer",
        locale=spoken.code,
    )


def _is_first(session: Session, proposal: Proposal) -> bool:
    """Of two workers that would answer at the same moment, one."""
    table = table_of(Proposal)
    claim = (
        sa.update(table)
        .where(table.c.event_id == proposal.event_id, table.c.language != "")
        .values(language="", email="")
    )
    session.flush()
    first = session.connection().execute(claim).rowcount == 1
    session.refresh(proposal)
    return first


def _sentences(proposal: Proposal, event: Event, branch: Branch, page: str) -> Iterator[Message]:
    yield _beginning(proposal, event, branch)
    if proposal.accepted:
        yield say("It is published now:\n%(address)s", address=page)
    elif proposal.person_id and event.deleted_at is None:
        yield say(
            "It was not published. It is a draft of yours again: you can change it, and send it once more."
        )
    else:
        yield say("It was not taken up, and is not published.")
    if proposal.answer:
        yield say("The organizers say:\n\n%(answer)s", answer=proposal.answer)


def _beginning(proposal: Proposal, event: Event, branch: Branch) -> Message:
    """What a visitor called the event is said where an organizer stands by it, or has written an answer."""
    if proposal.person_id:
        return say(
            "You posted “%(title)s” for %(branch)s, and it waited for approval.",
            title=event.title,
            branch=branch.name,
        )
    if proposal.accepted or proposal.answer:
        return say(
            "Thank you for suggesting “%(title)s” to %(branch)s.",
            title=defused(event.title),
            branch=branch.name,
        )
    return say("Thank you for your suggestion to %(branch)s.", branch=branch.name)


def defused(title: str) -> str:
    """A short line in which no mail program finds a link: words like addresses are left out."""
    words = " ".join("…" if _ADDRESS.search(_as_read(word)) else word for word in title.split())
    return words if len(words) <= LONGEST_TITLE else words[: LONGEST_TITLE - 1] + "…"


def _as_read(word: str) -> str:
    """Look-alikes of dots, slashes and letters as what they pass for, and nothing unseen between them."""
    plain = unicodedata.normalize("NFKC", word)
    return "".join(char for char in plain if unicodedata.category(char) != "Cf")
