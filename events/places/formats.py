"""A reading of what was typed, as programs are told it."""

from .readings import Interpretation


def record(place: Interpretation) -> dict[str, object]:
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
