"""A branch as the world may see it: JSON, GeoJSON, vCard, CSV.

No e-mail address leaves the service. Of a confidential branch neither street, postal code nor position is
told, nor a distance: three exact distances from chosen points would give the position away.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date
from types import MappingProxyType
from urllib.parse import urlsplit

from ..places.geo import Distance
from ..places.naming import country_name
from .columns import COLUMNS
from .models import Branch
from .sheet import written

PRIVATE = frozenset({"email"})
HIDDEN = frozenset({"address_1", "address_2", "postal_code", "latitude", "longitude", "geocode_accuracy"})
PUBLIC_COLUMNS = tuple(column for column in COLUMNS if column not in PRIVATE)
NO_SLUGS: Mapping[int, str] = MappingProxyType({})
LINE_OCTETS = 75
PROFILES: Mapping[str, str] = MappingProxyType(
    {
        "facebook.com": "facebook",
        "instagram.com": "instagram",
        "linkedin.com": "linkedin",
        "twitter.com": "twitter",
        "x.com": "twitter",
        "youtube.com": "youtube",
    }
)


# ---------------------------------------------------------------- JSON


def public(
    branch: Branch, *, url: str, distance: Distance | None = None, slugs: Mapping[int, str] | None = None
) -> dict[str, object]:
    """The one JSON form of a branch: contract names, and `page_url`, its page here (`url` is its own site).

    `distance_km` is told to 10 m below 10 km, else to 100 m. `slugs` gives parent's and successor's by id
    (`related_slugs`); without it both are left out.
    """
    hidden = PRIVATE | HIDDEN if branch.confidential else PRIVATE
    told = {column: value for column, value in _values(branch, slugs).items() if column not in hidden}
    if distance is not None and not branch.confidential:
        told["distance_km"] = round(distance.km, 2 if distance.km < 10 else 1)
    return told | {"page_url": url}


def _values(branch: Branch, slugs: Mapping[int, str] | None) -> dict[str, object]:
    special: dict[str, object] = {
        "links": branch.link_list,
        "languages": branch.language_list,
        "accessibility": branch.accessibility_list,
    }
    if slugs is not None:
        special["parent_slug"] = slugs.get(branch.parent_id or 0)
        special["successor_slug"] = slugs.get(branch.successor_id or 0)
    left_out = {"parent_slug", "successor_slug"} - special.keys()
    names = (column for column in COLUMNS if column not in left_out)
    return {name: special[name] if name in special else _plain(getattr(branch, name)) for name in names}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


# ---------------------------------------------------------------- CSV


def public_csv(branches: Iterable[Branch], slugs: Mapping[int, str] = NO_SLUGS) -> Iterator[str]:
    """Lines of CSV for everybody; `slugs` gives parents' and successors' by id (`related_slugs`)."""
    yield written(PUBLIC_COLUMNS)
    for branch in branches:
        cells = csv_cells(branch, slugs)
        hidden = HIDDEN if branch.confidential else ()
        yield written(None if column in hidden else cells[column] for column in PUBLIC_COLUMNS)


def csv_cells(branch: Branch, slugs: Mapping[int, str]) -> dict[str, str | float | None]:
    """Every column of a branch, private ones too, as the cells of a row."""
    cells: dict[str, str | float | None] = {}
    for column in COLUMNS:
        match column:
            case "parent_slug":
                cells[column] = slugs.get(branch.parent_id or 0)
            case "successor_slug":
                cells[column] = slugs.get(branch.successor_id or 0)
            case _:
                cells[column] = _cell(getattr(branch, column))
    return cells


def _cell(value: object) -> str | float | None:
    match value:
        case bool():
            return "true" if value else "false"
        case date():
            return value.isoformat()
        case float() | None:
            return value
    return str(value)


# ---------------------------------------------------------------- GeoJSON


def geojson(
    branches: Iterable[Branch], page_url: Callable[[Branch], str] | None = None, operator: str = ""
) -> dict[str, object]:
    """RFC 7946, with OpenStreetMap's tags as All the Places has them; no geometry without a position.

    `operator`: the organisation. A position that was guessed says so in `geocode_accuracy`, a column of ours.
    """
    features = [_feature(branch, page_url(branch) if page_url else "", operator) for branch in branches]
    return {"type": "FeatureCollection", "features": features}


def _feature(branch: Branch, page: str, operator: str) -> dict[str, object]:
    geometry = None
    if branch.shows_position and branch.point:
        place = [round(branch.point.longitude, 6), round(branch.point.latitude, 6)]
        geometry = {"type": "Point", "coordinates": place}
    tags = {
        "ref": branch.slug,
        "name": branch.name,
        "branch": branch.name,
        "operator": operator,
        "alt_name": branch.alternate_name,
        "addr:street_address": ", ".join(branch.street),
        "addr:city": branch.city,
        "addr:state": branch.state_province,
        "addr:postcode": "" if branch.confidential else branch.postal_code,
        "addr:country": branch.country,
        "phone": branch.phone,
        "website": branch.url or page,
        "opening_hours": branch.opening_hours,
        "start_date": _plain(branch.opened_on),
        "end_date": _plain(branch.end_date),
        "geocode_accuracy": branch.geocode_accuracy if geometry else "",
        **dict(_profiles(branch)),
    }
    told = {tag: value for tag, value in tags.items() if value}
    return {"type": "Feature", "id": branch.slug, "geometry": geometry, "properties": told}


def _profiles(branch: Branch) -> Iterator[tuple[str, str]]:
    """Links to sites that have a tag of their own, the first of each; the others have none."""
    for link in reversed(branch.link_list):
        host = (urlsplit(link).hostname or "").removeprefix("www.").removeprefix("m.")
        if host in PROFILES:
            yield f"contact:{PROFILES[host]}", link


# ---------------------------------------------------------------- vCard


def vcard(branch: Branch, page_url: str) -> bytes:
    """A card for an address book, in vCard 3.0 (RFC 2426), which all of them read; Outlook does not read 4.0.

    Our own lines rather than icalendar's: of a VCARD it knows ADR, N and ORG, takes GEO and URL for
    iCalendar's and leaves every other text unescaped.
    """
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        "PRODID:-//Branchline//EN",
        f"UID:{_uri(page_url)}",
        f"FN:{_text(branch.name)}",
        "N:;;;;",  # required, and empty: this is no person
        f"ORG:{_text(branch.name)}",
        "X-ABSHOWAS:COMPANY",  # Apple's address book would look for a person's name
        *_optional("NICKNAME", _text(branch.alternate_name)),
        *_address(branch),
        *_optional("TEL;TYPE=WORK,VOICE", _text(branch.phone)),
        f"URL:{_uri(branch.url or page_url)}",
        *_position(branch),
        *_optional("NOTE", _text(branch.description)),
        f"SOURCE:{_uri(page_url)}",
        f"REV:{branch.updated_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "END:VCARD",
    ]
    return "".join(map(_folded, lines)).encode()


def _optional(name: str, value: str) -> Iterator[str]:
    if value:
        yield f"{name}:{value}"


def _address(branch: Branch) -> Iterator[str]:
    """Post box and extended address stay empty (RFC 6350 6.3.1): address books drop what stands there."""
    parts = [
        "\n".join(branch.street),
        branch.city,
        branch.state_province,
        "" if branch.confidential else branch.postal_code,
        country_name(branch.country) if branch.country else "",
    ]
    if any(parts):
        yield "ADR;TYPE=WORK:;;" + ";".join(map(_text, parts))


def _position(branch: Branch) -> Iterator[str]:
    if branch.shows_position and branch.point:
        yield f"GEO:{branch.point.latitude:.6f};{branch.point.longitude:.6f}"


def _text(text: str) -> str:
    """RFC 2426 4: backslash, semicolon, comma and line break escaped; no other control character."""
    escaped = re.sub(r"([\\;,])", r"\\\1", text.replace("\r\n", "\n").replace("\r", "\n"))
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", "", escaped.replace("\n", "\\n"))


def _uri(text: str) -> str:
    return re.sub(r"[\x00-\x20\x7f-\x9f]", "", text)


def _folded(line: str) -> str:
    """At most 75 octets a line, never folded within a character nor between a backslash and its letter."""
    folded, size = [], 0
    for piece in re.findall(r"\\.|.", line):
        size += len(piece.encode())
        if size > LINE_OCTETS:
            folded.append("\r\n ")
            size = 1 + len(piece.encode())
        folded.append(piece)
    return "".join(folded) + "\r\n"
