"""Tokens of links that are mailed more than once, so that they cannot be kept as hashes: a row's number and a mark.

The mark is made of something random in the row, and of the secret key. The number alone opens nothing.
"""

import hashlib
import hmac
import re

_TOKEN = re.compile(r"([1-9][0-9]{0,8})-([0-9a-f]{48})")  # a larger number PostgreSQL would not even look for
_MARK_DIGITS = 48  # 192 bits


def token(number: int | None, made_of: str, secret: str) -> str:
    """`made_of` names what the link opens, and holds what is random in its row."""
    mark = hmac.new(secret.encode(), made_of.encode(), hashlib.sha256).hexdigest()[:_MARK_DIGITS]
    return f"{number}-{mark}"


def number_in(text: str) -> int | None:
    """Of which row it may be the token; None for what is none."""
    match = _TOKEN.fullmatch(text)
    return int(match[1]) if match else None


def is_same(text: str, expected: str) -> bool:
    """Takes as long whatever differs. For a text that has a `number_in` it."""
    return hmac.compare_digest(text, expected)
