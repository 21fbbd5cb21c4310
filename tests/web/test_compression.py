"""Pages and style sheets travel packed to those who can unpack them; nobody's secrets do."""

import gzip

import pytest
from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

PACKED = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


@pytest.mark.parametrize("path", ["/", "/es/events", "/nothing-here"])
def test_a_page_is_packed_for_who_can_unpack_it(ben: TestClient, path: str) -> None:
    packed, plain = ben.get(path, headers=PACKED), ben.get(path, headers=PLAIN)
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert packed.text == plain.text
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding, Cookie"
    assert int(packed.headers["content-length"]) < len(plain.content) / 2


def test_style_sheets_and_scripts_are_packed_once(ben: TestClient) -> None:
    page = ben.get("/").text
    for marker, most in (('rel="stylesheet" href="', 9000), ('type="module" src="', 2000)):
        address = page.partition(marker)[2].partition('"')[0]
        packed = ben.get(address, headers=PACKED)
        assert packed.headers["content-encoding"] == "gzip" and int(packed.headers["content-length"]) < most
        assert packed.content == ben.get(address, headers=PLAIN).content
    assert len(gzip.compress(page.encode())) < 9000


def test_what_belongs_to_one_reader_is_not_packed(ana: TestClient, ben: TestClient) -> None:
    """Packed with what an attacker chose, the length of a page would tell what stands in it."""
    assert "content-encoding" not in ana.get("/organize", headers=PACKED).headers
    assert "content-encoding" not in ben.get("/sign-in/some-token", headers=PACKED).headers
