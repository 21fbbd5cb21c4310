"""A place directory of a few dozen places and codes, from archives like those of the real build."""

import bz2
import gzip
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from events.places import gazetteer
from events.places.packages import CITIES, COUNTRIES, POSTAL, STATES, ZIPS

BUILT_AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
POPULATIONS = {"US": 327_000_000, "DE": 83_000_000, "FR": 67_000_000, "GB": 66_000_000, "CA": 37_000_000}
POPULATIONS |= {"ES": 47_000_000, "IT": 60_000_000, "MX": 126_000_000, "PL": 38_000_000, "PR": 3_200_000}
US_STATES = {"AK": "Alaska", "DC": "District of Columbia", "IL": "Illinois", "IA": "Iowa", "ME": "Maine"}
US_STATES |= {"MO": "Missouri", "NY": "New York", "OH": "Ohio", "OR": "Oregon", "WI": "Wisconsin"}
# name, country, region, latitude, longitude, people, zone, other names
PLACES: list[tuple[str, str, str, float, float, int, str, list[str]]] = [
    ("Chicago", "US", "IL", 41.85003, -87.65005, 2_720_546, "America/Chicago", ["Windy City"]),
    ("Springfield", "US", "IL", 39.80172, -89.64371, 116_565, "America/Chicago", []),
    ("Springfield", "US", "MO", 37.21533, -93.29824, 166_810, "America/Chicago", []),
    ("Springfield", "US", "OR", 44.04624, -123.02203, 60_870, "America/Los_Angeles", []),
    ("Portland", "US", "OR", 45.52345, -122.67621, 632_309, "America/Los_Angeles", []),
    ("Portland", "US", "ME", 43.65737, -70.2589, 66_881, "America/New_York", []),
    ("Fairbanks", "US", "AK", 64.83778, -147.71639, 32_325, "America/Anchorage", []),
    ("Washington", "US", "DC", 38.89511, -77.03637, 689_545, "America/New_York", []),
    ("New York City", "US", "NY", 40.71427, -74.00597, 8_804_190, "America/New_York", ["New York"]),
    ("Waupun", "US", "WI", 43.63332, -88.72955, 11_344, "America/Chicago", ["Madrid"]),
    ("Madrid", "US", "IA", 41.87665, -93.82328, 2_543, "America/Chicago", []),
    ("London", "US", "OH", 39.88645, -83.44825, 10_060, "America/New_York", []),
    ("San Juan", "PR", "127", 18.46633, -66.10572, 418_140, "America/Puerto_Rico", []),
    ("Madrid", "ES", "29", 40.4165, -3.70256, 3_255_944, "Europe/Madrid", ["Мадрид"]),
    ("Berlin", "DE", "16", 52.52437, 13.41053, 3_426_354, "Europe/Berlin", []),
    ("Frankfurt am Main", "DE", "05", 50.11552, 8.68417, 650_000, "Europe/Berlin", ["Frankfurt"]),
    ("Köln", "DE", "07", 50.93333, 6.95, 963_395, "Europe/Berlin", ["Cologne", "Colonia"]),
    ("London", "GB", "ENG", 51.50853, -0.12574, 8_961_989, "Europe/London", ["Londres"]),
    ("City of London", "GB", "ENG", 51.51279, -0.09184, 8_600, "Europe/London", ["London"]),
    ("Paris", "FR", "11", 48.85341, 2.3488, 2_138_551, "Europe/Paris", []),
    ("Ottawa", "CA", "08", 45.41117, -75.69812, 812_129, "America/Toronto", []),
    ("Ciudad de México", "MX", "09", 19.42847, -99.12766, 12_294_193, "America/Mexico_City", ["Mexico City"]),
]
# country, code, town, region, latitude, longitude
CODES: list[tuple[str, str, str, str, float, float]] = [
    ("US", "60614", "Chicago", "Illinois", 41.9229, -87.6483),
    ("US", "62701", "Springfield", "Illinois", 39.8, -89.6495),
    ("US", "65801", "Springfield", "Missouri", 37.2581, -93.3437),
    ("US", "97201", "Portland", "Oregon", 45.4988, -122.6901),
    ("US", "04101", "Portland", "Maine", 43.6606, -70.2589),
    ("US", "99701", "Fairbanks", "Alaska", 64.8378, -147.7164),
    ("US", "10115", "New York", "New York", 40.8111, -73.9642),
    ("US", "75001", "Addison", "Texas", 32.96, -96.8385),
    ("PR", "00901", "San Juan", "", 18.4663, -66.1057),
    ("AS", "96799", "Pago Pago", "", -14.2781, -170.7025),
    ("DE", "60614", "Frankfurt am Main", "Hessen", 50.1013, 8.6404),
    ("DE", "10115", "Berlin", "Land Berlin", 52.5323, 13.3846),
    ("PL", "60-614", "Poznań", "Greater Poland", 52.423, 16.9079),
    ("FR", "75001", "Paris 01", "Île-de-France", 48.8592, 2.3417),
    ("ES", "28004", "Madrid", "Madrid", 40.4241, -3.7007),
    ("ES", "28013", "Madrid", "Madrid", 40.4187, -3.7076),
    ("IT", "28013", "Gattico", "Piemonte", 45.7001, 8.5246),
    ("GB", "E1", "Whitechapel", "England", 51.513, -0.0618),
    ("GB", "SW1A", "Westminster", "England", 51.5018, -0.1328),
    ("CA", "K1A", "Ottawa", "Ontario", 45.4207, -75.7023),
]
# code, kind, town, state, latitude, longitude
ZIP_CODES = [
    ("60614", "STANDARD", "Chicago", "IL", "41.9229", "-87.6483"),
    ("60690", "PO BOX", "Chicago", "IL", "41.8781", "-87.6298"),
    ("09001", "MILITARY", "Apo", "AE", "0.0", "0.0"),
]


def archives(folder: Path) -> list[Path]:
    """The files that `places build` would bring, small."""
    members = {
        CITIES: json.dumps({str(number): _city(number, *row) for number, row in enumerate(PLACES, 1)}),
        STATES: json.dumps({code: {"code": code, "name": name} for code, name in US_STATES.items()}),
        COUNTRIES: json.dumps({code: {"population": people} for code, people in POPULATIONS.items()}),
    }
    places, codes, zips = (folder / f"{name}.whl" for name in ("places", "codes", "zips"))
    with zipfile.ZipFile(places, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    with zipfile.ZipFile(codes, "w") as archive:
        lines = "".join(json.dumps(_code(*row)) + "\n" for row in CODES)
        archive.writestr(POSTAL, gzip.compress(lines.encode()))
    with zipfile.ZipFile(zips, "w") as archive:
        archive.writestr(ZIPS, bz2.compress(json.dumps([_zip(*row) for row in ZIP_CODES]).encode()))
    return [places, codes, zips]


def build_small(folder: Path) -> Path:
    """The path of the directory, built in `folder` in a moment and without a network."""
    target = folder / "places.db"
    gazetteer.build_from(archives(folder), target, BUILT_AT)
    return target


def _city(
    number: int,
    name: str,
    country: str,
    region: str,
    latitude: float,
    longitude: float,
    people: int,
    zone: str,
    others: list[str],
) -> dict[str, object]:
    return {
        "geonameid": number,
        "name": name,
        "countrycode": country,
        "admin1code": region,
        "latitude": latitude,
        "longitude": longitude,
        "population": people,
        "timezone": zone,
        "alternatenames": others,
    }


def _code(
    country: str, code: str, town: str, region: str, latitude: float, longitude: float
) -> dict[str, object]:
    return {
        "country_code": country,
        "postal_code": code,
        "city": town,
        "state": region,
        "latitude": latitude,
        "longitude": longitude,
        "accuracy": 4,
    }


def _zip(code: str, kind: str, town: str, state: str, latitude: str, longitude: str) -> dict[str, str]:
    return {
        "zip_code": code,
        "zip_code_type": kind,
        "city": town,
        "state": state,
        "lat": latitude,
        "long": longitude,
    }
