"""Conditional requests (RFC 9110 13): has the client the newest already?"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache


def fresh_answer(headers: Mapping[str, str], etags: Collection[str], modified_at: datetime | None) -> bool:
    """If-None-Match wins over If-Modified-Since; it may be a list, `*`, or hold weak tags.

    `etags`: of all forms of the newest answer.
    """
    if (tags := headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or not set(re.findall(r'"[^"]*"', tags)).isdisjoint(etags)
    if modified_at is not None and (since := headers.get("if-modified-since")) is not None:
        try:
            return modified_at.replace(microsecond=0) <= parsedate_to_datetime(since)
        except (
            ValueError,
            TypeError,
        ):  # not a date: the header is ignored (13.1.3); TypeError: a date without zone
            return False
    return False


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    return takes_gzip(headers.get("accept-encoding", ""))


@lru_cache(maxsize=256)
def takes_gzip(asked: str) -> bool:
    """RFC 9110 12.5.3: said by name and not refused with a weight of 0. What is not said, is not assumed."""
    match = re.search(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?(?=,|$)", asked.lower())
    return match is not None and (match[1] is None or any(digit not in "0." for digit in match[1]))
