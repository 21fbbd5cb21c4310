"""CSV in and out: what a file may look like, what becomes of its rows, and that nothing changes on the way."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from events.branches.columns import COLUMNS
from events.branches.comparing import RowChange, differences
from events.branches.drafts import BranchDraft
from events.branches.exchange import (
    CHUNK,
    ImportReport,
    export_lines,
    free_slug,
    import_branches,
    import_within,
    related_slugs,
)
from events.branches.models import Branch, FormerSlug
from events.branches.sheet import decimal, defused, plain
from events.db import Database
from events.errors import Conflict, Unreadable
from events.places.lookup import Gazetteer

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def imported(
    database: Database,
    text: str | bytes,
    *,
    mapping: Mapping[str, str] | None = None,
    country: str = "",
    gazetteer: Gazetteer | None = None,
    dry_run: bool = False,
    now: datetime = NOW,
) -> ImportReport:
    file = io.BytesIO(text.encode() if isinstance(text, str) else text)
    return import_branches(
        database, file, mapping=mapping or {}, country=country, gazetteer=gazetteer, dry_run=dry_run, now=now
    )


def counts(report: ImportReport) -> tuple[int, int, int]:
    return report.added, report.updated, report.unchanged


def refusals(report: ImportReport) -> dict[int, str]:
    return {refusal.row: str(refusal.reason) for refusal in report.refusals}


def notes(report: ImportReport) -> str:
    return "\n".join(map(str, report.notes))


def exported(database: Database) -> str:
    with database.reading() as session:
        return "".join(export_lines(session))


def branches(session: Session) -> dict[str, Branch]:
    return {branch.slug: branch for branch in session.exec(select(Branch))}


def slugs(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(branches(session))


def one(database: Database, slug: str) -> Branch:
    with database.reading() as session:
        branch = session.exec(select(Branch).where(col(Branch.slug) == slug)).one()
        session.expunge(branch)
        return branch


# ---------------------------------------------------------------- in


def test_a_file_adds_branches(database: Database) -> None:
    report = imported(
        database,
        "external_id,name,city,state_province,postal_code,country,latitude,longitude,phone\n"
        "A1,Alder Club,Chicago,IL,60614,US,41.9227,-87.6533,312 555 0100\n"
        "B1,Club Abedul,Madrid,,28004,ES,40.4203,-3.7058,\n",
    )
    assert counts(report) == (2, 0, 0)
    assert (report.refusals, report.notes) == ([], [])
    alder = one(database, "alder-club")
    assert (alder.external_id, alder.city, alder.status) == ("A1", "Chicago", "active")
    assert (alder.timezone, alder.geocode_accuracy) == ("America/Chicago", "exact")
    assert alder.search_key == "alder club"
    assert alder.x is not None
    assert alder.updated_at == NOW
    assert one(database, "club-abedul").timezone == "Europe/Madrid"


def test_the_same_file_again_changes_nothing(database: Database) -> None:
    text = "external_id,name,latitude,longitude\nA1,Alder,41.9,-87.6\nB1,Birch,40.4,-3.7\n"
    imported(database, text)
    assert counts(imported(database, text, now=LATER)) == (0, 0, 2)
    assert one(database, "alder").updated_at == NOW


def test_only_the_columns_that_are_there_are_updated(database: Database) -> None:
    imported(database, "external_id,name,phone,description,city\nA1,Alder,312 555 0100,Tools,Chicago\n")
    report = imported(database, "external_id,name,phone,city\nA1,Alder,,Evanston\n", now=LATER)
    assert counts(report) == (0, 1, 0)
    alder = one(database, "alder")
    assert (alder.phone, alder.city, alder.description) == ("", "Evanston", "Tools")
    assert alder.updated_at == LATER


def test_without_an_external_id_the_slug_tells_the_branch(database: Database) -> None:
    imported(database, "slug,name\nalder,Alder\n")
    assert counts(imported(database, "slug,name,external_id\nalder,Alder Club,A1\n")) == (0, 1, 0)
    assert one(database, "alder").external_id == "A1"


def test_without_either_a_namesake_in_the_same_town_is_the_same_branch(database: Database) -> None:
    text = "name,city,postal_code\nAlder,Chicago,60614\nAlder,Chicago,60614\nAlder,Evanston,60201\n"
    assert counts(imported(database, text)) == (3, 0, 0)
    assert counts(imported(database, text)) == (0, 0, 3)
    assert counts(imported(database, text + "Alder,Chicago,60615\n")) == (1, 0, 3)


def test_a_dry_run_tells_the_same_and_writes_nothing(database: Database) -> None:
    imported(database, "slug,name\nalder,Alder\nbirch,Birch\n")
    before = exported(database)
    text = "slug,name,parent_slug\nalder,Alder Club,\nbirch,Birch,\ncedar,Cedar,alder\ndate,Date,nowhere\n"
    dry = imported(database, text, dry_run=True, now=LATER)
    assert exported(database) == before
    wet = imported(database, text, now=LATER)
    assert counts(dry) == counts(wet) == (1, 1, 1)
    assert refusals(dry) == refusals(wet)


def test_progress_is_told_in_rows(database: Database) -> None:
    rows = CHUNK * 2 + 1
    text = "name\n" + "".join(f"Branch {number}\n" for number in range(rows))
    done: list[int] = []
    import_branches(
        database, io.BytesIO(text.encode()), gazetteer=None, dry_run=False, now=NOW, progress=done.append
    )
    assert done == [CHUNK, CHUNK, 1]
    assert len(slugs(database)) == rows


def test_who_is_disturbed_is_told_so_and_goes_on_where_it_ended(database: Database) -> None:
    text = ("name,external_id\n" + "".join(f"Branch {n},{n}\n" for n in range(CHUNK + 1))).encode()

    def disturb(_done: int) -> None:
        if f"branch-{CHUNK}" not in slugs(database):
            with database.writing() as session:
                session.add(Branch(slug=f"branch-{CHUNK}", name="Somebody else's", updated_at=NOW))

    with pytest.raises(Conflict, match="Run the import again"):
        import_branches(database, io.BytesIO(text), gazetteer=None, dry_run=False, now=NOW, progress=disturb)
    assert len(slugs(database)) == CHUNK + 1
    assert counts(imported(database, text)) == (1, 0, CHUNK)
    assert f"branch-{CHUNK}-2" in slugs(database)


def test_columns_go_by_other_names_and_two_may_be_joined(database: Database) -> None:
    report = imported(
        database,
        "LIB,SEQ,LIBNAME,FAX\nAK1,002,Alder,none\nAK1,,Birch,none\n",
        mapping={"name": "LIBNAME", "external_id": "LIB+SEQ"},
    )
    assert "Columns that were ignored: FAX." in notes(report).splitlines()
    assert one(database, "alder").external_id == "AK1-002"
    assert one(database, "birch").external_id == "AK1"


def test_a_column_with_a_plus_in_its_name_is_taken_whole(database: Database) -> None:
    imported(database, "a,b,a+b\nx,y,Alder\n", mapping={"name": "a+b"})
    assert slugs(database) == ["alder"]


# ---------------------------------------------------------------- files that cannot be read


@pytest.mark.parametrize(
    ("text", "mapping", "words"),
    [
        ("title,city\nAlder,Chicago\n", {}, ["no column “name”", "title, city"]),
        ("title,city\nAlder,Chicago\n", {"name": "NAME"}, ["no column “NAME”", "title, city"]),
        ("name,a\nAlder,1\n", {"external_id": "a+b"}, ["no column “b”", "name, a"]),
        ("name,a\nAlder,1\n", {"fax": "a"}, ["“fax”", "external_id, slug"]),
        ("name,name\nAlder,Birch\n", {}, ["“name” more than once"]),
        ("name,latitude\nAlder,41\n", {}, ["“latitude” and “longitude”"]),
        ("", {}, ["empty"]),
        (b"PK\x03\x04...", {}, ["workbook"]),
        (b"name\nAl\x00der\n", {}, ["not a text file"]),
        (b"name\nAlder \x81\x8d\n", {}, ["neither UTF-8"]),
        (b"\xff\xfen\x00a\x00m\x00e", {}, ["neither UTF-8"]),
        (b"\xef\xbb\xbfname\nS\xe3o\n", {}, ["neither UTF-8"]),
        ('"name\nAlder\n', {}, ["quotation marks"]),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(
    database: Database, text: str | bytes, mapping: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(Unreadable) as caught:
        imported(database, text, mapping=mapping)
    assert all(word in str(caught.value) for word in words)
    assert slugs(database) == []


def test_a_country_that_does_not_exist_is_refused_for_the_whole_file(database: Database) -> None:
    with pytest.raises(Unreadable, match="country code"):
        imported(database, "name\nAlder\n", country="XX")


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_encodings_are_found_out_and_told(database: Database, encoding: str, note: str) -> None:
    report = imported(database, "name,city\nPeña – “Años”,Málaga\n".encode(encoding))
    branch = one(database, "pena-anos")
    assert (branch.name, branch.city) == ("Peña – “Años”", "Málaga")
    told = [line for line in notes(report).splitlines() if "UTF-8" in line]
    assert told == ([f"The file is not UTF-8; it was read as {note}."] if note else [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_found_out(database: Database, delimiter: str, end: str) -> None:
    rows = [["name", "city", "phone"], ["Alder", '"Chicago, IL; US"', "312\u202f555"]]
    imported(database, "".join(delimiter.join(row) + end for row in rows))
    assert one(database, "alder").city == "Chicago, IL; US"


# ---------------------------------------------------------------- rows that are refused


def test_a_refused_row_costs_only_itself(database: Database) -> None:
    report = imported(
        database,
        "name,latitude,longitude,opened_on,country\n"
        "Alder,41.9,-87.6,,US\n"
        "Null Island,0,0,,\n"
        "Too Far North,91,0,,\n"
        "Not a Number,NaN,1,,\n"
        "Half,51,,,\n"
        '"Two\nlines",51.48,0,,GB\n'
        "\n"
        ",1,1,,\n"
        "Month 13,,,2026-13-01,\n"
        "Two Faults,91,1,then,\n"
        "Too,1,1,,US,many\n"
        "Birch,40.4,-3.7,,ES\n",
    )
    assert counts(report) == (3, 0, 0)
    told = refusals(report)
    assert list(told) == [3, 4, 5, 6, 9, 10, 11, 12]
    assert told[3].startswith("latitude: 0,0 is a point in the sea")
    assert "-90 to 90" in told[4]
    assert "decimal degrees" in told[5]
    assert told[6].startswith("longitude: Latitude and longitude come together")
    assert told[9] == "name: Please fill this in."
    assert told[10].startswith("opened_on:")
    assert "latitude:" in told[11]
    assert "opened_on:" in told[11]
    assert "6 cells" in told[12]
    assert one(database, "two-lines").longitude == 0.0


def test_an_unmatched_quotation_mark_costs_its_row_and_says_which_lines(database: Database) -> None:
    report = imported(database, 'name,city\nAlder,"Chi"cago\nBirch,Madrid\nCedar,"Leeds\nDate,Palma\n')
    assert slugs(database) == ["birch"]
    assert refusals(report) == {
        2: "The quotation marks in line 2 of the file do not match.",
        4: "The quotation marks do not match: lines 4 to 5 of the file were read as one row.",
    }


def test_a_row_without_its_last_cells_has_them_empty(database: Database) -> None:
    imported(database, "name,city,phone\nAlder,Chicago,312 555 0100\n")
    assert counts(imported(database, "name,city,phone\nAlder,Chicago\n")) == (0, 1, 0)
    assert one(database, "alder").phone == ""


def test_an_explicit_slug_or_id_may_stand_in_one_row_only(database: Database) -> None:
    report = imported(
        database,
        "external_id,slug,name\nA1,alder,Alder\nA2,alder,Another\nA1,other,Third\n,birch,Birch\n",
    )
    assert slugs(database) == ["alder", "birch"]
    assert refusals(report) == {
        3: "Row 2 has the same slug, “alder”.",
        4: "Row 2 has the same external_id, “A1”.",
    }


def test_a_slug_that_another_branch_has_is_refused(database: Database) -> None:
    imported(database, "external_id,slug,name\nA1,alder,Alder\nB1,birch,Birch\n")
    report = imported(database, "external_id,slug,name\nC1,alder,Cedar\nB1,alder,Birch\n")
    assert "belongs to another branch, “Alder” (external_id A1)" in refusals(report)[2]
    assert 3 in refusals(report)
    assert slugs(database) == ["alder", "birch"]


def test_two_rows_about_one_branch_are_not_both_taken(database: Database) -> None:
    imported(database, "external_id,slug,name\nA1,alder,Alder\n")
    report = imported(database, "external_id,slug,name\nA1,,Alder One\n,alder,Alder Two\n")
    assert refusals(report) == {3: "Row 2 is about the same branch, “alder”."}
    assert one(database, "alder").name == "Alder One"


def test_a_generated_slug_that_collides_gets_the_town_and_then_a_number(database: Database) -> None:
    report = imported(
        database,
        "external_id,name,city,slug\n1,Central,Leeds,\n2,Central,York,\n3,Central,York,\n4,Central,,\n"
        "5,Other,,central\n6,Near,Bath,\n",
    )
    assert report.refusals == []
    assert slugs(database) == [
        "central", "central-2", "central-leeds", "central-york", "central-york-2", "near-bath",
    ]  # fmt: skip
    assert one(database, "central").name == "Other"


def test_a_long_generated_slug_keeps_its_number(database: Database) -> None:
    name = "word " * 30
    imported(database, f"external_id,name,city\n1,{name},\n2,{name},\n3,{name},{'Long ' * 20}\n")
    assert len(slugs(database)) == 3
    assert all(len(slug) <= 80 for slug in slugs(database))


# ---------------------------------------------------------------- in one transaction, told cell by cell

TOLD = "slug,name,phone,parent_slug\nalder,Alder,112,\nbirch,Birch Club,,alder\ncedar,Cedar,,birch\n"


def within(session: Session, text: str, told: list[RowChange], dry_run: bool) -> ImportReport:
    file = io.BytesIO(text.encode())
    return import_within(session, file, gazetteer=None, dry_run=dry_run, now=LATER, told=told.append)


def test_an_import_in_one_transaction_is_all_of_it_or_nothing(database: Database) -> None:
    imported(database, "slug,name\nalder,Alder\nbirch,Birch\n")
    before, told = exported(database), list[RowChange]()
    with pytest.raises(Conflict), database.writing() as session:
        report = within(session, TOLD, told, dry_run=False)
        assert counts(report) == (1, 2, 0)
        raise Conflict(report.notes[0])
    assert exported(database) == before
    with database.writing() as session:
        within(session, TOLD, told, dry_run=False)
    assert family(database) == {"alder": (None, None), "birch": ("alder", None), "cedar": ("birch", None)}


def test_an_import_tells_each_cell_that_it_changes_and_a_dry_run_the_same(database: Database) -> None:
    imported(database, "slug,name\nalder,Alder\nbirch,Birch\ndate,Date\n")
    dry, wet = list[RowChange](), list[RowChange]()
    with database.reading() as session:
        within(session, f"{TOLD}date,Date,,\n", dry, dry_run=True)
        assert branches(session)["birch"].name == "Birch", "the session goes on with what is there"
    with database.writing() as session:
        within(session, f"{TOLD}date,Date,,\n", wet, dry_run=False)
    seen = [
        {
            (one.row, one.is_new, cell.column, cell.old, cell.new)
            for one in told
            for cell in one.cells
            if cell.column in ("name", "phone", "parent_slug")
        }
        for told in (dry, wet)
    ]
    assert seen[0] == seen[1] == {
        (2, False, "phone", "", "112"),
        (3, False, "name", "Birch", "Birch Club"),
        (3, False, "parent_slug", "", "alder"),
        (4, True, "name", "", "Cedar"),
        (4, True, "parent_slug", "", "birch"),
    }  # fmt: skip
    assert [one.since for one in dry[:2]] == [NOW, NOW]


def test_cells_are_compared_as_text_and_none_is_an_empty_one() -> None:
    assert differences({"latitude": None, "name": "A"}, {"latitude": 0.0, "name": "A", "phone": ""}) != []
    assert differences({"latitude": 1e-7, "phone": None}, {"latitude": 0.0000001, "phone": ""}) == []


def test_a_new_branch_gets_an_address_of_its_own_whatever_others_are_called(database: Database) -> None:
    imported(
        database, "external_id,slug,name,city\nnew,central,Central,Leeds\n,central-leeds,Central,Leeds\n"
    )
    with database.reading() as session:
        assert free_slug(session, BranchDraft(name="Central", city="Leeds")) == "central-leeds-2"
        assert free_slug(session, BranchDraft(name="Central", city="York")) == "central-york"
        assert free_slug(session, BranchDraft(name="Near", external_id="new")) == "near-2", (
            "an address of our own"
        )


# ---------------------------------------------------------------- slugs that change, parents, successors


def test_a_slug_that_changed_keeps_answering(database: Database) -> None:
    imported(database, "external_id,slug,name\nA1,alder,Alder\n")
    imported(database, "external_id,slug,name\nA1,alder-club,Alder\n")
    assert slugs(database) == ["alder-club"]
    assert former(database) == {"alder"}
    report = imported(database, "external_id,slug,name\nB1,alder,Birch\n")
    assert refusals(report) == {2: "The slug “alder” still leads to “Alder”, which had it before."}
    imported(database, "external_id,slug,name\nA1,alder,Alder\n")
    assert (slugs(database), former(database)) == (["alder"], {"alder-club"})


def former(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.exec(select(FormerSlug.slug)))


def family(database: Database) -> dict[str, tuple[str | None, str | None]]:
    """Parent and successor of each branch."""
    with database.reading() as session:
        found = branches(session)
        names = related_slugs(session, found.values())
        return {
            slug: (names.get(branch.parent_id or 0), names.get(branch.successor_id or 0))
            for slug, branch in found.items()
        }


def test_parents_and_successors_may_come_in_any_order(database: Database) -> None:
    imported(database, "slug,name\nroot,Root\n")
    report = imported(
        database,
        "slug,name,parent_slug,successor_slug\nleaf,Leaf,twig,\ntwig,Twig,branch,\nbranch,Branch,root,twig\n",
    )
    assert report.refusals == []
    assert family(database) == {
        "root": (None, None),
        "branch": ("root", "twig"),
        "twig": ("branch", None),
        "leaf": ("twig", None),
    }


def test_a_parent_moves_only_when_its_column_says_so(database: Database) -> None:
    imported(database, "slug,name,parent_slug\nroot,Root,\nleaf,Leaf,root\n")
    assert counts(imported(database, "slug,name\nleaf,Leaf\n", now=LATER)) == (0, 0, 1)
    assert family(database)["leaf"] == ("root", None)
    assert counts(imported(database, "slug,name,parent_slug\nleaf,Leaf,\n", now=LATER)) == (0, 1, 0)
    assert family(database)["leaf"] == (None, None)
    assert one(database, "leaf").updated_at == LATER


def test_an_unknown_parent_refuses_the_row_and_those_below_it(database: Database) -> None:
    report = imported(database, "slug,name,parent_slug\nleaf,Leaf,twig\ntwig,Twig,nowhere\nalder,Alder,\n")
    assert slugs(database) == ["alder"]
    assert refusals(report) == {
        2: "parent_slug: there is no branch “twig”.",
        3: "parent_slug: there is no branch “nowhere”.",
    }


def test_parents_and_successors_in_a_circle_are_refused(database: Database) -> None:
    report = imported(
        database,
        "slug,name,parent_slug,successor_slug\na,A,b,\nb,B,c,\nc,C,a,\nd,D,,e\ne,E,,d\nf,F,,\n",
    )
    assert slugs(database) == ["f"]
    assert refusals(report)[2] == "Its parents run in a circle: a – b – c – a."
    assert refusals(report)[5] == "Its successors run in a circle: d – e – d."
    assert set(refusals(report)) == {2, 3, 4, 5, 6}


def test_a_tree_may_be_turned_around_in_one_file(database: Database) -> None:
    imported(database, "slug,name,parent_slug\nold,Old,\nyoung,Young,old\n")
    report = imported(database, "slug,name,parent_slug\nold,Old,young\nyoung,Young,\n")
    assert report.refusals == []
    assert family(database) == {"old": ("young", None), "young": (None, None)}
    report = imported(database, "slug,name,parent_slug\nyoung,Young,old\n")
    assert refusals(report) == {2: "Its parents run in a circle: young – old – young."}


def test_a_parent_is_found_by_the_slug_it_had(database: Database) -> None:
    imported(database, "external_id,slug,name\nR,root,Root\n")
    imported(database, "external_id,slug,name,parent_slug\nR,new-root,Root,\nL,leaf,Leaf,root\n")
    assert family(database)["leaf"] == ("new-root", None)


# ---------------------------------------------------------------- codes, places, zones


def test_zips_that_lost_their_zeros_get_them_back(database: Database) -> None:
    text = (
        "external_id,name,postal_code,country\n1,Alder,1101,US\n2,Birch,501,\n3,Cedar,1101-1234,US\n"
        "4,Date,1101,NL\n5,Elm,795,PR\n6,Fir,60614,US\n"
    )
    report = imported(database, text, country="US")
    assert notes(report).startswith("4 US postal codes had lost their leading zeros")
    with database.reading() as session:
        codes = {branch.slug: branch.postal_code for branch in branches(session).values()}
    assert codes == {
        "alder": "01101", "birch": "00501", "cedar": "01101-1234", "date": "1101", "elm": "00795", "fir": "60614",
    }  # fmt: skip
    assert one(database, "birch").country == "US"
    assert counts(imported(database, text, country="US")) == (0, 0, 6)


def test_missing_coordinates_come_from_the_postal_code_else_from_the_town(
    database: Database, gazetteer: Gazetteer
) -> None:
    report = imported(
        database,
        "name,city,state_province,postal_code,country,location_type,latitude,longitude\n"
        "Alder,Chicago,IL,60614,US,,,\n"
        "Birch,Madrid,,99999,ES,postal,,\n"
        "Cedar,Springfield,MA,,US,,,\n"
        "Date,Springfield,TX,,US,,,\n"
        "Elm,Chicago,IL,60614,US,virtual,,\n"
        "Fir,Chicago,,,,,,\n"
        "Gum,Chicago,IL,60614,US,,41.9,-87.6\n",
        gazetteer=gazetteer,
    )
    places = {slug: one(database, slug) for slug in slugs(database)}
    found = {slug: (place.latitude, place.geocode_accuracy, place.timezone) for slug, place in places.items()}
    assert found == {
        "alder": (41.9227, "postal_code", "America/Chicago"),
        "birch": (40.4165, "place", "Europe/Madrid"),
        "cedar": (42.10148, "place", "America/New_York"),
        "date": (None, "", "UTC"),
        "elm": (None, "", "UTC"),
        "fir": (None, "", "UTC"),
        "gum": (41.9, "exact", "America/Chicago"),
    }
    assert notes(report).splitlines() == [
        "1 branches were placed by their postal code.",
        "2 branches were placed by their town.",
        "2 branches have no position, so no search near a place finds them.",
        "3 branches have no known time zone; UTC was taken.",
    ]


def test_a_guessed_position_follows_the_address_and_an_exact_one_does_not(
    database: Database, gazetteer: Gazetteer
) -> None:
    imported(
        database,
        "slug,name,city,state_province,country,latitude,longitude\n"
        "alder,Alder,Chicago,IL,US,,\nbirch,Birch,Chicago,IL,US,41.9,-87.6\n",
        gazetteer=gazetteer,
    )
    text = "slug,name,city,state_province\nalder,Alder,Springfield,MA\nbirch,Birch,Springfield,MA\n"
    assert counts(imported(database, text, gazetteer=gazetteer)) == (0, 2, 0)
    assert (one(database, "alder").latitude, one(database, "birch").latitude) == (42.10148, 41.9)
    assert one(database, "birch").geocode_accuracy == "exact"


def test_without_a_gazetteer_a_country_with_one_zone_tells_the_zone(database: Database) -> None:
    imported(database, "name,country\nAlder,GB\nBirch,US\n")
    assert one(database, "alder").timezone == "Europe/London"
    assert one(database, "birch").timezone == "UTC"


def test_a_pier_off_the_coast_keeps_the_time_of_the_coast(database: Database) -> None:
    imported(database, "name,latitude,longitude\nPier,32.82,-117.35\nShip,30,-40\n")
    assert one(database, "pier").timezone == "America/Los_Angeles"
    assert one(database, "ship").timezone == "Etc/GMT+3"


def test_what_offices_write_into_phone_and_mail_columns_is_put_right(database: Database) -> None:
    report = imported(
        database,
        "name,phone,email\nAlder,-4,mailto:alder@example.org\nBirch,112,Birch Office <birch@example.org>\n",
    )
    assert "1 telephone numbers had fewer than three digits and were left out." in notes(report)
    assert (one(database, "alder").phone, one(database, "alder").email) == ("", "alder@example.org")
    assert (one(database, "birch").phone, one(database, "birch").email) == ("112", "birch@example.org")


# ---------------------------------------------------------------- out, and in again


EVERY_COLUMN = Path(__file__).with_name("every_column.csv").read_bytes()


def test_exporting_importing_and_exporting_again_gives_the_same_bytes(
    engines_pair: tuple[Database, Database],
) -> None:
    here, there = engines_pair
    report = imported(here, EVERY_COLUMN)
    assert (counts(report), report.refusals) == ((5, 0, 0), [])
    first = exported(here)
    assert counts(imported(here, first, now=LATER)) == (0, 0, 5)
    assert exported(here) == first
    assert counts(imported(there, first)) == (5, 0, 0)
    assert exported(there) == first


def test_an_export_quotes_text_defuses_formulas_and_leaves_numbers_alone(database: Database) -> None:
    imported(database, EVERY_COLUMN)
    text = exported(database)
    head = text.split("\r\n")[0]
    assert head == ",".join(f'"{column}"' for column in COLUMNS)
    for cells in (
        r'''"Álder ""Club""","'=SUM(A1)","First line''',
        r""""'-1 Floor","Chicago","'@Lakeside","IL","01101","US",41.9227,-87.6533,"exact",""",
        r""""+1 312 555 0100","alder@example.org",""",
        r""""'+north, -south",""",
        r""""'=already","''=twice",""",
        r""",51.4779,0.0,"postal_code","Europe/London","-87.6",""",
        r""""+44 20 7946 0000",""",
        r""",0.0000001,-0.00001,""",
    ):
        assert cells in text


def test_the_quote_that_defuses_a_formula_is_taken_away_by_import(database: Database) -> None:
    imported(database, "name,alternate_name\nAlder,'=1+1\nBirch,'tis\n")
    assert one(database, "alder").alternate_name == "=1+1"
    assert one(database, "birch").alternate_name == "'tis"


@given(st.text(alphabet="'=+-@\t\r\n 01(x.é＝", max_size=8))
def test_defusing_is_undone_exactly(text: str) -> None:
    cell = defused(text)
    assert plain(cell) == text
    assert cell == text or cell == f"'{text}"


@pytest.mark.parametrize("text", ["=1", "+A1", "-A1", "@x", "\tx", "\r=x", "-1+1", "+1+cmd|'/c'!A1", "＝1"])
def test_what_could_be_a_formula_is_defused(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["-87.6", "+44 20 7946 0000", "+1 (312) 555-0100 ext. 12", "Alder", "a=b", ""]
)
def test_numbers_telephone_numbers_and_other_texts_are_left_alone(text: str) -> None:
    assert defused(text) == text


@given(st.floats(min_value=-180, max_value=180))
def test_numbers_are_written_without_an_exponent_and_read_back_the_same(number: float) -> None:
    assert "e" not in decimal(number)
    assert float(decimal(number)) == number


def test_an_export_is_in_the_order_of_slugs_whatever_the_database(database: Database) -> None:
    imported(database, "slug,name\nb-a,1\nba,2\nb,3\na,4\nb0,5\n")
    rows = exported(database).split("\r\n")[1:-1]
    assert [row.split(",")[1] for row in rows] == ['"a"', '"b"', '"b-a"', '"b0"', '"ba"']
