"""What becomes of a mail once its delivery was tried: sent, put back, or refused for good.

A message to a branch that nobody took at one address goes on to the next one up the tree. Where there is none left
it stays in the inbox of the branch, and an admin sees the mail that failed.
"""

from datetime import datetime

from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..config import Settings
from ..errors import say
from ..mail import NotNow, Refused, Undeliverable
from . import contact, outbox, refusals
from .models import ContactMessage, OutgoingMail


def sent(session: Session, mail_id: int, now: datetime) -> None:
    mail = outbox.mark_sent(session, mail_id, now)
    if mail is not None:
        refusals.forget(session, mail.recipient)


def put_back(session: Session, mail_id: int, error: NotNow, settings: Settings, now: datetime) -> None:
    """Given up after two days, a message goes on; nothing is said against the address."""
    mail = outbox.put_back(session, mail_id, str(error), now)
    if mail is not None and mail.failed_at is not None:
        _pass_on(session, mail, settings, now)


def refused(session: Session, mail_id: int, error: Undeliverable, settings: Settings, now: datetime) -> None:
    """Marks the address, unless it is us who were refused: then an admin has something to mend, and can send it again.

    After a refusal of what a mail says the address still gets the next one. Otherwise a visitor could silence a
    branch by writing what its server takes for spam.
    """
    mail = outbox.mark_failed(session, mail_id, str(error), now)
    if mail is None or error.refused is Refused.OURS:
        return
    unknown = error.refused is Refused.ADDRESS
    if _is_message(mail) or (mail.unsubscribe_url and unknown):
        refusals.mark(session, mail.recipient, str(error), now, unknown=unknown)
    _pass_on(session, mail, settings, now)


def _is_message(mail: OutgoingMail) -> bool:
    return mail.kind == "contact" and mail.message_ref is not None


def _pass_on(session: Session, mail: OutgoingMail, settings: Settings, now: datetime) -> None:
    """Once: of a message that went on already, or that somebody has answered, nothing more is sent."""
    message = session.get(ContactMessage, mail.message_ref) if _is_message(mail) else None
    if message is None or message.is_answered:
        return
    mails = session.exec(
        select(OutgoingMail).where(
            col(OutgoingMail.message_ref) == message.id, col(OutgoingMail.kind) == "contact"
        )
    ).all()
    if any((other.id or 0) > (mail.id or 0) for other in mails):
        return
    branch = session.get_one(Branch, message.branch_id)
    to = refusals.destination(session, branch, besides={other.recipient.lower() for other in mails})
    if to is not None:
        note = say(
            "This could not be delivered to %(branch)s, so it comes to you. Please pass it on, or answer it yourself.",
            branch=branch.name,
        )
        spoken = contact.language_read_at(branch, settings.locales)
        contact.mail_on(
            session, message, branch, to, spoken, settings.name, now, note, site=settings.public_url
        )
