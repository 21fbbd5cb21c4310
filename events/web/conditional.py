"""Conditional requests (RFC 9110 13): has the client the newest already?"""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime


def fresh_answer(headers: Mapping[str, str], etag: str, modified_at: datetime) -> bool:
    """If-None-Match wins over If-Modified-Since; it may be a list, `*`, or hold weak tags."""
    if (tags := headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or etag in re.findall(r'"[^"]*"', tags)
    if (since := headers.get("if-modified-since")) is not None:
        try:
            return modified_at.replace(microsecond=0) <= parsedate_to_datetime(since)
        except (
            ValueError,
            TypeError,
        ):  # not a date: the header is ignored (13.1.3); TypeError: a date without zone
            return False
    return False
