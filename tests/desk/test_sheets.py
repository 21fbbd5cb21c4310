"""Tables of branches that come back: what they would change, applied as seen or not at all."""

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, col, select

from events.branches import exchange
from events.branches.exchange import export_lines, import_branches
from events.branches.models import Branch, FormerSlug, ServiceKey
from events.calendars.models import CalendarRevision
from events.db import Database
from events.desk import branch_changes, sheets
from events.desk.models import BranchSheet
from events.desk.sheets import PAGE, Preview
from events.errors import BranchlineError, Conflict, NotFound, TooLarge, Unreadable
from events.people import history
from events.people.history import Version
from events.people.models import Person
from events.places.lookup import Gazetteer
from tests.conftest import NOW, Cast

LATER = NOW + timedelta(hours=1)
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # what is no matter of SQL
EVERY_COLUMN = Path(__file__).parents[1].joinpath("branches/every_column.csv").read_bytes()
# What spreadsheets are known to spoil: leading zeros, numbers of telephones, dates, formulas, lines, quotation marks.
TRAPS = '''slug,name,address_1,postal_code,country,latitude,longitude,phone,description,opening_hours,external_id
dresden,Dresden,Straße 1,01067,DE,51.05,13.74,+49 351 1234567,"Zeile 1
Zeile ""2""; mit , und ;",Mo-Fr 10:00-18:00; Sa 10:00-14:00,007
boston,Boston,"1 ""Quoted"" St",02108,US,42.3588,-71.0578,+16175550100,=SUM(A1),"Tu[1] 19:00-21:00 ""meeting""",1E5
leeds,"-Leeds, Upper",+North,LS1 3AD,GB,53.8008,-1.5491,+44 113 496 0000,@home,Mar 10-12 10:00-12:00,2026-01-02
chicago,Chicago,2150 N Halsted,60614,US,41.92271234567,-87.6,(312) 555-0100,TRUE,24/7,0012
numeric,12345,12,00123,ES,0.0000001,-0.00001,600123456,3.10,,1.0
'''
Cells = dict[str, dict[str, tuple[str, str]]]


class Office:
    """Dee's, with a spreadsheet."""

    def __init__(self, database: Database, cast: Cast, nowhere: Gazetteer) -> None:
        self.database, self.dee, self.nowhere = database, cast.dee, nowhere

    def fill(self, *tables: str | bytes) -> None:
        for table in tables:
            raw = io.BytesIO(table.encode() if isinstance(table, str) else table)
            import_branches(self.database, raw, gazetteer=None, dry_run=False, now=NOW)

    def table(self) -> str:
        with self.database.reading() as session:
            return "".join(export_lines(session))

    def bring(self, body: str | bytes, key: str = "a key", now: datetime = NOW) -> BranchSheet:
        with self.database.writing() as session:
            raw = body.encode() if isinstance(body, str) else body
            return sheets.bring(session, self.dee, "branches.csv", raw, key, now)

    def preview(self, sheet: BranchSheet, page: int = 1) -> Preview:
        with self.database.reading() as session:
            return sheets.preview(session, sheet, self.nowhere, page, LATER)

    def changes(self, body: str | bytes) -> Cells:
        """By branch, and by column: what it is and what it would be."""
        found = self.preview(self.bring(body, key=str(hash(body))))
        assert [str(refusal.reason) for refusal in found.refusals] == []
        return {line.slug: {cell.column: (cell.old, cell.new) for cell in line.cells} for line in found.lines}

    def apply(self, sheet: BranchSheet, seen: str) -> None:
        with self.database.writing() as session:
            person = session.get_one(Person, self.dee.id)
            sheets.apply(session, sheet, seen, self.nowhere, person, LATER)

    def all(self) -> dict[str, Branch]:
        with self.database.reading() as session:
            return {branch.slug: branch for branch in session.exec(select(Branch))}


@pytest.fixture
def office(database: Database, cast: Cast, tmp_path: Path) -> Office:
    return Office(database, cast, Gazetteer(tmp_path / "none.db"))


Edit = Callable[[dict[str, dict[str, str]]], None]


def saved_by_libreoffice(table: str, edit: Edit) -> bytes:
    """As Calc writes it when it was opened as text: quotation marks only where they are needed, lines that end in
    \\n, whole numbers without a decimal point."""
    return _written(table, edit, ",", "\n").encode()


def saved_by_excel(table: str, edit: Edit) -> bytes:
    """As Excel writes it where the comma is decimal: semicolons, Windows-1252, \\r\\n."""
    return _written(table, edit, ";", "\r\n").encode("cp1252")


def _written(table: str, edit: Edit, delimiter: str, end: str) -> str:
    header, *rows = csv.reader(io.StringIO(table, newline=""))
    cells = {row[header.index("slug")]: dict(zip(header, row, strict=True)) for row in rows}
    edit(cells)
    for row in cells.values():
        row |= {column: row[column].removesuffix(".0") for column in ("latitude", "longitude")}
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(header)
    writer.writerows(row.values() for row in cells.values())
    return out.getvalue()


def three_cells(cells: dict[str, dict[str, str]]) -> None:
    cells["dresden"]["phone"] = "+49 351 7654321"
    cells["boston"]["postal_code"] = "02109"
    cells["leeds"]["opening_hours"] = "Sa 10:00-14:00"


THREE_CELLS = {
    "boston": {"postal_code": ("02108", "02109")},
    "dresden": {"phone": ("+49 351 1234567", "+49 351 7654321")},
    "leeds": {"opening_hours": ("Mar 10-12 10:00-12:00", "Sa 10:00-14:00")},
}


# ---------------------------------------------------------------- out and in again


@SQLITE
def test_a_table_that_comes_back_as_it_went_changes_nothing(office: Office) -> None:
    office.fill(EVERY_COLUMN, TRAPS)
    found = office.preview(office.bring(office.table()))
    assert (found.added, found.updated, found.unchanged, found.refused) == (0, 0, 11, 0)
    assert not found.can_be_applied and found.lines == []


@SQLITE
@pytest.mark.parametrize("saved", [saved_by_libreoffice, saved_by_excel])
def test_of_a_table_with_three_cells_changed_exactly_these_are_seen(
    office: Office, saved: Callable[[str, Edit], bytes]
) -> None:
    office.fill(EVERY_COLUMN, TRAPS)
    assert office.changes(saved(office.table(), three_cells)) == THREE_CELLS
    assert office.changes(saved(office.table(), lambda cells: None)) == {}


def test_what_was_seen_is_applied_and_leaves_a_version_of_each_branch(
    office: Office, database: Database
) -> None:
    office.fill(EVERY_COLUMN, TRAPS)
    with database.writing() as session:
        alder = session.exec(select(Branch).where(col(Branch.slug) == "alder")).first()
        assert alder is not None
        with branch_changes.recorded(session, alder, "changed", None, NOW):
            alder.phone = "112"
    sheet = office.bring(
        "slug,name,phone,service_area\nalder,Alder,113,codes: 606*\nroot,Root,,within: 5 mi\n"
    )
    office.apply(sheet, office.preview(sheet).seal)
    after = office.all()
    assert (after["alder"].name, after["alder"].phone, after["root"].updated_at) == ("Alder", "113", LATER)
    assert after["boston"].updated_at == NOW
    with database.reading() as session:
        assert session.get_one(CalendarRevision, 1).moved_at == LATER, "feeds follow"
        assert len(session.exec(select(ServiceKey)).all()) > 2
        made = {
            slug: history.versions(session, branch_changes.subject(after[slug])) for slug in ("alder", "root")
        }
    assert [(one.number, one.action, one.batch) for one in made["alder"]] == [
        (3, "table", sheet.id), (2, "changed", ""), (1, "found", ""),
    ]  # fmt: skip
    assert [one.action for one in made["root"]] == ["table", "found"]
    newest, found = made["root"]
    assert (newest.person_id, newest.made_at, found.person_id, found.made_at) == (
        office.dee.id,
        LATER,
        None,
        NOW,
    )
    assert (found.snapshot["service_area"], newest.snapshot["service_area"]) == ("", "within: 5 mi")
    with database.reading() as session:
        assert newest.snapshot == branch_changes.snapshot(session, after["root"]), (
            "the one form of all versions"
        )


@SQLITE
def test_new_branches_come_with_those_above_them(office: Office, database: Database) -> None:
    sheet = office.bring("name,parent_slug,city\nLeaf,twig,Leeds\nTwig,alder,\n")
    found = office.preview(sheet)
    assert [(line.row, line.slug, line.is_new) for line in found.lines] == [
        (2, "leaf", True),
        (3, "twig", True),
    ]
    assert ("parent_slug", "", "twig") in {(cell.column, cell.old, cell.new) for cell in found.lines[0].cells}
    office.apply(sheet, found.seal)
    after = office.all()
    assert after["leaf"].parent_id == after["twig"].id and after["twig"].parent_id == after["alder"].id
    with database.reading() as session:
        [added] = history.versions(session, branch_changes.subject(after["leaf"]))
    assert (added.action, added.batch, added.snapshot["parent_slug"]) == ("added", sheet.id, "twig")


@SQLITE
def test_a_branch_above_and_an_address_that_change_are_seen_by_name(
    office: Office, database: Database
) -> None:
    office.fill("external_id,slug,name\nA,one,One\nB,two,Two\n")
    table = "external_id,slug,name,parent_slug,successor_slug\nA,first,One,,\nB,two,Two,first,alder\n"
    assert office.changes(table) == {
        "one": {"slug": ("one", "first")},
        "two": {"parent_slug": ("", "first"), "successor_slug": ("", "alder")},
    }
    sheet = office.bring(table)
    office.apply(sheet, office.preview(sheet).seal)
    with database.reading() as session:
        assert session.exec(select(FormerSlug.slug)).all() == ["one"]


def test_what_an_import_changed_in_between_is_nobodys_change(office: Office, database: Database) -> None:
    for phone in ("111", "333"):
        sheet = office.bring(f"slug,name,phone\nalder,Alder Club,{phone}\n", key=phone)
        office.apply(sheet, office.preview(sheet).seal)
        office.fill("slug,name,city\nalder,Alder Club,Evanston\n")
    alder = office.all()["alder"]
    with database.writing() as session:
        here = session.get_one(Branch, alder.id)
        with branch_changes.recorded(session, here, "changed", None, LATER):
            here.phone = "444"
    with database.reading() as session:
        made = [*reversed(history.versions(session, branch_changes.subject(alder)))]
    assert [(one.action, one.snapshot["phone"], one.snapshot["city"]) for one in made] == [
        ("found", "", "Chicago"),
        ("table", "111", "Chicago"),
        ("found", "111", "Evanston"),
        ("table", "333", "Evanston"),
        ("changed", "444", "Evanston"),
    ]


# ---------------------------------------------------------------- all or nothing


def test_rows_that_cannot_be_used_keep_the_whole_table_out(office: Office, database: Database) -> None:
    before = office.table()
    sheet = office.bring("slug,name,latitude,longitude\nalder,New name,1,1\nbirch,,,\ncedar,Cedar,91,0\n")
    found = office.preview(sheet)
    assert (found.updated, found.refused, found.can_be_applied) == (1, 2, False)
    assert [refusal.row for refusal in found.refusals] == [3, 4]
    assert "-90 to 90" in str(found.refusals[1].reason)
    with pytest.raises(Conflict, match="Some rows cannot be used"):
        office.apply(sheet, found.seal)
    assert office.table() == before
    with database.reading() as session:
        assert session.exec(select(Version)).all() == []


@SQLITE
def test_what_would_not_be_as_it_was_seen_is_not_done(office: Office, database: Database) -> None:
    sheet = office.bring("slug,name,phone\nalder,Alder Club,112\n")
    seen = office.preview(sheet).seal
    with database.writing() as session:
        alder = session.exec(select(Branch).where(col(Branch.slug) == "alder")).one()
        alder.phone = "110"
    with pytest.raises(Conflict, match="changed since you looked"):
        office.apply(sheet, seen)
    assert office.all()["alder"].phone == "110"
    now_seen = office.preview(sheet).seal
    assert now_seen != seen
    office.apply(sheet, now_seen)
    assert office.all()["alder"].phone == "112"


def test_a_table_that_is_applied_twice_is_applied_once(office: Office, database: Database) -> None:
    sheet = office.bring("slug,name,phone\nalder,Alder Club,112\noak,Oak,\n")
    seen = office.preview(sheet).seal
    for _ in range(2):
        office.apply(sheet, seen)
    assert len(office.all()) == 3
    with database.reading() as session:
        assert len(session.exec(select(Version)).all()) == 3


def test_somebody_who_takes_an_address_in_between_costs_nobody_anything(
    office: Office, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the directory and writing: as another process would on PostgreSQL."""
    sheet = office.bring("name\nOak\n")
    seen = office.preview(sheet).seal
    read = exchange._directory

    def disturbed(session: Session) -> object:
        found = read(session)
        session.add(Branch(slug="oak", name="Somebody else's", updated_at=NOW))
        session.flush()
        return found

    monkeypatch.setattr(exchange, "_directory", disturbed)
    with pytest.raises(Conflict, match="so nothing was done"):
        office.apply(sheet, seen)
    assert "oak" not in office.all()


# ---------------------------------------------------------------- pages, files


@SQLITE
def test_a_large_table_is_shown_page_by_page(office: Office) -> None:
    bad = [0, 7, 59]
    rows = "".join(f"b{n},{'' if n in bad else f'Branch {n}'}\n" for n in range(PAGE + 20))
    sheet = office.bring(f"slug,name\n{rows}")
    first, second = (office.preview(sheet, page) for page in (1, 2))
    assert (first.pages, first.added, first.refused) == (2, PAGE + 17, 3)
    assert ([one.row for one in first.refusals], len(first.lines)) == ([2, 9, 61], PAGE - 3)
    assert ([one.row for one in second.refusals], len(second.lines)) == ([], 20)
    assert [line.row for line in (*first.lines, *second.lines)] == [
        n + 2 for n in range(PAGE + 20) if n not in bad
    ]
    assert first.seal == second.seal
    with pytest.raises(NotFound):
        office.preview(sheet, 3)


@SQLITE
def test_ignored_columns_and_what_else_is_to_know_are_told(office: Office) -> None:
    found = office.preview(office.bring("name,FAX,city\nPeña,1,Málaga\n".encode("cp1252")))
    assert [str(note) for note in found.notes][:2] == [
        "The file is not UTF-8; it was read as Windows-1252.",
        "Columns that were ignored: FAX.",
    ]


@SQLITE
def test_a_table_that_asks_for_too_many_places_says_what_would_help(
    office: Office, small_gazetteer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.nowhere = Gazetteer(small_gazetteer)
    table = "name,postal_code,country\nA,60614,US\nB,60614,US\nC,SW1A 1AA,GB\n"
    assert office.preview(office.bring(table)).added == 3
    monkeypatch.setattr(sheets, "MOST_LOOKUPS", 1)
    with pytest.raises(TooLarge, match="More than 1 rows have no coordinates"):
        office.preview(office.bring(table))


@SQLITE
def test_a_file_that_cannot_be_used_is_not_kept(office: Office, database: Database) -> None:
    unreadable: dict[bytes, tuple[type[BranchlineError], str]] = {
        b"PK\x03\x04...": (Unreadable, "workbook"),
        b"": (Unreadable, "empty"),
        b"name\nAl\x00der\n": (Unreadable, "not a text file"),
        b"title,city\nAlder,Chicago\n": (Unreadable, "no column “name”"),
        b"name\n" + b"x" * 2_000_000: (TooLarge, "branches import"),
        b"name\n" + b"A\n" * 20_001: (TooLarge, "20000 rows at most"),
    }
    for body, (error, words) in unreadable.items():
        with pytest.raises(error, match=words):
            office.bring(body)
    with database.reading() as session:
        assert session.exec(select(BranchSheet)).all() == []


@SQLITE
def test_a_table_is_its_bringers_for_a_week_and_brought_once(
    office: Office, database: Database, cast: Cast
) -> None:
    sheet = office.bring("name\nA\n")
    assert office.bring("name\nA\n").id == sheet.id
    office.bring("name\nA\n", key="another", now=NOW + timedelta(days=3))
    with database.writing() as session:
        assert sheets.sheet_of(session, cast.dee, sheet.id).body == b"name\nA\n"
        with pytest.raises(NotFound):
            sheets.sheet_of(session, cast.ana, sheet.id)
        sheets.forget_past(session, NOW + timedelta(days=7, seconds=1))
    with database.reading() as session:
        [left] = session.exec(select(BranchSheet)).all()
        assert left.id != sheet.id
