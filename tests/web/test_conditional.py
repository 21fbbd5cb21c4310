"""Has the client the newest already, and what can it unpack? All pure (RFC 9110 12.5.3 and 13)."""

from datetime import UTC, datetime

import pytest

from events.web.conditional import accepts_gzip, fresh_answer

TAGS = ('"one"', '"one-gzip"')
AT = datetime(2026, 11, 23, 12, 0, 7, 999, tzinfo=UTC)
BEFORE, SAME, AFTER = (f"Mon, 23 Nov 2026 12:00:{second} GMT" for second in ("06", "07", "08"))


@pytest.mark.parametrize(
    ("headers", "fresh"),
    [
        ({}, False),
        ({"if-none-match": '"one"'}, True),
        ({"if-none-match": '"one-gzip"'}, True),
        ({"if-none-match": 'W/"one"'}, True),
        ({"if-none-match": '"x", W/"y" , "one"'}, True),
        ({"if-none-match": '"a,b","one"'}, True),
        ({"if-none-match": " * "}, True),
        ({"if-none-match": '"*"'}, False),
        ({"if-none-match": '"on"'}, False),
        ({"if-none-match": "one"}, False),
        ({"if-none-match": ""}, False),
        ({"if-none-match": '"x"', "if-modified-since": SAME}, False),
        ({"if-none-match": '"one"', "if-modified-since": BEFORE}, True),
        ({"if-modified-since": BEFORE}, False),
        ({"if-modified-since": SAME}, True),
        ({"if-modified-since": AFTER}, True),
        ({"if-modified-since": "Mon, 23 Nov 2026 12:00:08"}, False),
        ({"if-modified-since": "Mon, 23 Nov 2026 12:00:08 -0000"}, False),
        ({"if-modified-since": "yesterday"}, False),
        ({"if-modified-since": "Mon, 99 Nov 2026 12:00:08 GMT"}, False),
        ({"if-modified-since": ""}, False),
    ],
)
def test_whether_a_client_has_the_newest(headers: dict[str, str], fresh: bool) -> None:
    assert fresh_answer(headers, TAGS, AT) == fresh


@pytest.mark.parametrize(
    ("asked", "zipped"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, gzip;q=0.8", True),
        ("gzip ; q = 1.000, br", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("gzip; q=0.000, br", False),
        ("deflate", False),
        ("identity", False),
        ("gzipped, notgzip", False),
        ("*", False),  # what is not said, is not assumed
        ("", False),
    ],
)
def test_only_who_asks_for_gzip_gets_it(asked: str, zipped: bool) -> None:
    assert accepts_gzip({"accept-encoding": asked}) == zipped


def test_who_says_nothing_gets_the_plain_form() -> None:
    assert not accepts_gzip({})
