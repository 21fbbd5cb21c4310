"""The links of a subscription: whoever has one may change or end it, without an account.

They stand in every mail, so they cannot be kept as hashes: each is made of the row's nonce and the secret key. A
subscription that has ended takes its links with it; the number alone, which may be given out again, opens nothing.
"""

import hashlib
import hmac
import re
import secrets

from sqlmodel import Session

from ..errors import Gone, say
from .models import Subscription

_TOKEN = re.compile(r"([1-9][0-9]{0,8})-([0-9a-f]{48})")  # a larger number PostgreSQL would not even look for
_MARK_DIGITS = 48  # 192 bits


def new_nonce() -> str:
    return secrets.token_urlsafe(18)


def token_of(subscription: Subscription, secret: str) -> str:
    """For an address under /subscriptions."""
    return f"{subscription.id}-{_mark(subscription, secret)}"


def subscription_at(session: Session, token: str, secret: str, *, hold: bool = False) -> Subscription:
    """Raises Gone when it has ended, or never was. `hold`: nobody else changes it before this transaction ends."""
    match = _TOKEN.fullmatch(token)
    found = session.get(Subscription, int(match[1]), with_for_update=hold or None) if match else None
    if match is None or found is None or not hmac.compare_digest(match[2], _mark(found, secret)):
        raise Gone(say("This subscription has ended, or the link was cut short by the mail program."))
    return found


def _mark(subscription: Subscription, secret: str) -> str:
    made_of = f"subscription {subscription.id} {subscription.nonce}".encode()
    mac = hmac.new(secret.encode(), made_of, hashlib.sha256).hexdigest()
    return mac[:_MARK_DIGITS]
