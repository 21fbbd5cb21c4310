"""The links of a subscription: whoever has one may change or end it, without an account.

They stand in every mail, so they cannot be kept as hashes: each is made of the row's nonce and the secret key. A
subscription that has ended takes its links with it; the number alone, which may be given out again, opens nothing.
"""

import secrets

from sqlmodel import Session

from .. import signed
from ..errors import Gone, say
from .models import Subscription


def new_nonce() -> str:
    return secrets.token_urlsafe(18)


def token_of(subscription: Subscription, secret: str) -> str:
    """For an address under /subscriptions."""
    return signed.token(subscription.id, f"subscription {subscription.id} {subscription.nonce}", secret)


def subscription_at(session: Session, token: str, secret: str, *, hold: bool = False) -> Subscription:
    """Raises Gone when it has ended, or never was. `hold`: nobody else changes it before this transaction ends."""
    number = signed.number_in(token)
    found = session.get(Subscription, number, with_for_update=hold or None) if number else None
    if found is None or not signed.is_same(token, token_of(found, secret)):
        raise Gone(say("This subscription has ended, or the link was cut short by the mail program."))
    return found
