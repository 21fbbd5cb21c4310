"""Dee takes the table of all branches, changes it, and brings it back."""

import re
from datetime import UTC, datetime

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from events.app import publishing_of
from events.branches.exchange import export_lines
from events.branches.models import Branch
from events.config import Settings
from events.db import Database
from events.desk.models import BranchSheet
from events.worker import Worker
from tests.conftest import Cast

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

TABLE = "/organize/branches.csv"
ROWS = "slug,name,phone,confidential\nalder,Alder Club,112,yes\nbirch,Club Abedul,,\n"


def brought(client: TestClient, body: str | bytes, key: str = "a key", name: str = "branches.csv") -> str:
    """Where its preview is."""
    answer = client.post(TABLE, data={"key": key}, files={"file": (name, body)})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<main")[2]).split())


def seal_of(page: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', page)
    assert found
    return found[1]


def phone(database: Database, slug: str = "alder") -> str:
    with database.reading() as session:
        return session.exec(select(Branch.phone).where(col(Branch.slug) == slug)).one()


def test_dee_takes_the_table_with_all_that_is_private_and_no_cache_keeps_it(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    answer = dee.get(TABLE)
    with database.reading() as session:
        assert answer.text == "".join(export_lines(session))
    assert "alder@example.org" in answer.text
    assert (answer.headers["cache-control"], answer.headers["content-type"]) == (
        "no-store",
        "text/csv; charset=utf-8",
    )
    assert 'filename="branches.csv"' in answer.headers["content-disposition"]


def test_what_the_table_would_change_is_seen_cell_by_cell_and_then_done(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    at = brought(dee, ROWS)
    page = dee.get(at)
    assert page.headers["cache-control"] == "no-store"
    shown = text_of(page.text)
    for words in (
        *("branches.csv", "1 branch changes", "0 branches are new", "1 branch stays as it is"),
        *(
            "Alder Club Row 2 Telephone (empty) › becomes 112",
            "Exact address only in person no › becomes yes",
        ),
    ):
        assert words in shown, words
    assert phone(database) == ""
    done = dee.post(f"{at}/application", data={"seen": seal_of(page.text)})
    assert (done.status_code, done.headers["location"]) == (303, "/organize/branches?done=table")
    assert "all of it" in dee.get(done.headers["location"]).text
    assert phone(database) == "112"
    again = dee.post(f"{at}/application", data={"seen": seal_of(page.text)})
    assert again.headers["location"] == "/organize/branches?done=table", "a form that is sent twice"
    assert "The table would change nothing." in dee.get(at).text
    assert "Changed by a table" in dee.get("/organize/branches/alder/history").text


def test_a_table_of_excel_keeps_zeros_pluses_and_minuses(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    table = "slug;name;postal_code;country;phone;latitude;longitude;description\r\n"
    table += "alder;Älder;01067;DE;+44 20 7946 0000;51.05;-87.6;'=1+1\r\n"
    at = brought(dee, table.encode("cp1252"))
    page = dee.get(at).text
    for words in ("it was read as Windows-1252", "01067", "+44 20 7946 0000", "-87.6", "=1+1", "Germany"):
        assert words in text_of(page), words
    dee.post(f"{at}/application", data={"seen": seal_of(page)})
    with database.reading() as session:
        alder = session.exec(select(Branch).where(col(Branch.slug) == "alder")).one()
    assert (alder.name, alder.postal_code, alder.phone) == ("Älder", "01067", "+44 20 7946 0000")
    assert (alder.longitude, alder.description) == (-87.6, "=1+1")


def test_rows_that_cannot_be_used_are_told_and_nothing_can_be_applied(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    at = brought(dee, "slug,name,latitude,longitude,FAX\nalder,New name,1,1,\nbirch,B,91,0,\n")
    page = dee.get(at).text
    for words in (
        "1 row cannot be used",
        "Row 3",
        "-90 to 90",
        "Columns that were ignored: FAX.",
        "nothing is done",
    ):
        assert words in text_of(page), words
    assert "Apply all of it" not in page
    refused = dee.post(f"{at}/application", data={"seen": "whatever"})
    assert refused.status_code == 409 and "Some rows cannot be used" in refused.text
    assert "New name" not in dee.get("/branches/alder").text


def test_what_is_no_more_as_it_was_seen_is_shown_again(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    at = brought(dee, ROWS)
    seen = seal_of(dee.get(at).text)
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).phone = "110"
    shown = dee.post(f"{at}/application", data={"seen": seen})
    assert shown.status_code == 409 and "Branches have changed since you looked at this" in shown.text
    assert "Telephone 110 › becomes 112" in text_of(shown.text)
    assert phone(database) == "110"
    dee.post(f"{at}/application", data={"seen": seal_of(shown.text)})
    assert phone(database) == "112"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"PK\x03\x04...", "This is a workbook, not a CSV file."),
        (b"", "The file is empty."),
        (b"\x00\x01\x02", "This is not a text file."),
        (b"title\nAlder\n", "The file has no column “name”."),
        (b"name\n" + b"x" * 2_100_000, "which has no limit"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_at_its_field(
    dee: TestClient, database: Database, cast: Cast, body: bytes, words: str
) -> None:
    answer = dee.post(TABLE, data={"key": "a key"}, files={"file": ("b.csv", body)})
    assert answer.status_code == 422
    assert 'href="#file"' in answer.text and words in text_of(answer.text)
    with database.reading() as session:
        assert session.exec(select(BranchSheet)).all() == []


def test_no_file_at_all_and_one_far_too_large(dee: TestClient, cast: Cast) -> None:
    assert "Choose the file of the table." in dee.post(TABLE, data={"key": "a key"}).text
    large = dee.post(TABLE, files={"file": ("b.csv", b"name\n" + b"x" * 2_600_000)})
    assert large.status_code == 413 and "2 MB" in large.text


def test_pages_of_a_large_table(dee: TestClient, cast: Cast) -> None:
    at = brought(dee, "name\n" + "".join(f"Branch {number}\n" for number in range(120)))
    assert "Branch 60" in dee.get(f"{at}?page=2").text and "Branch 60" not in dee.get(at).text
    assert dee.get(f"{at}?page=4").status_code == 404
    assert dee.get(f"{at}?page=x").status_code == 422


def test_a_table_is_forgotten_at_once_or_by_the_worker(
    dee: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    at = brought(dee, ROWS)
    assert dee.post(f"{at}/removal").headers["location"] == "/organize/branches?done=forgotten"
    assert dee.get(at).status_code == 404
    brought(dee, ROWS)
    with database.writing() as session:
        session.exec(select(BranchSheet)).one().created_at = datetime(2020, 1, 1, tzinfo=UTC)
    worker = Worker(settings, publishing_of(settings))
    worker.clean()
    worker.database.dispose()
    with database.reading() as session:
        assert session.exec(select(BranchSheet)).all() == []


def test_nobody_but_an_admin_has_tables(
    dee: TestClient, ana: TestClient, ben: TestClient, cast: Cast
) -> None:
    at = brought(dee, ROWS)
    for path in (TABLE, at):
        assert ana.get(path).status_code == 404
        assert ben.get(path).status_code == 303
    for path in (TABLE, f"{at}/application", f"{at}/removal"):
        assert ana.post(path, data={"seen": ""}).status_code == 404
    assert dee.get(at).status_code == 200
    assert dee.get("/organize/branches/sheets/unknown").status_code == 404
