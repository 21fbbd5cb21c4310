"""A reading of what was typed, as programs are told it."""

from typing import TypedDict

from .readings import Interpretation, Kind


class PlaceRecord(TypedDict):
    """`/openapi.json` is made of it, too."""

    kind: Kind
    label: str
    country: str | None
    latitude: float | None
    longitude: float | None
    precision_km: float
    score: float


def record(place: Interpretation) -> PlaceRecord:
    """The one JSON form. Latitude and longitude are null for a code that is known and has no place."""
    return {
        "kind": place.kind,
        "label": place.label,
        "country": place.country,
        "latitude": place.point.latitude if place.point else None,
        "longitude": place.point.longitude if place.point else None,
        "precision_km": place.precision_km,
        "score": place.score,
    }
