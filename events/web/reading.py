"""How what was typed was read, in a sentence, and the other readings as links that take them."""

from collections.abc import Mapping

from starlette.requests import Request

from ..errors import BranchlineError, Message, say
from ..places.naming import country_name
from ..places.readings import CODE_KINDS, Interpretation
from .environment import link
from .finding import Finding
from .forms import Form
from .rows import unit_of
from .state import language_of, state_of

LINK_DROPS = ("near", "country", "page")  # what a link to another reading says anew

KINDS: Mapping[str, Message] = {
    "postal_code": say("the postal code %(label)s"),
    "postal_area": say("the beginning of postal codes: %(label)s"),
    "place": say("the place %(label)s"),
    "region": say("the region %(label)s"),
    "country": say("the country %(label)s"),
    "branch": say("the name of a branch: %(label)s"),
    "plus_code": say("the Plus Code %(label)s"),
    "coordinates": say("a point on the map: %(label)s"),
}


def reading_sentence(request: Request, finding: Finding) -> Message | None:
    """What was understood, of which part, and how exactly."""
    place = finding.place
    if place is None:
        return None
    if place.kind == "branch":
        return say("We read “%(typed)s” as the name of a branch.", typed=finding.typed)
    values = {
        "typed": finding.typed,
        "what": Message(KINDS[place.kind].text, {"label": place.label}),
        "precision": language_of(request).distance(max(place.precision_km, 0.1), unit_of(request)),
    }
    if place.used:
        sentence = say("Of “%(typed)s” we used “%(used)s”: %(what)s, within about %(precision)s.")
        values["used"] = place.used
    elif place.mended:
        sentence = say("We do not know “%(typed)s”. We took it for %(what)s, within about %(precision)s.")
    else:
        sentence = say("We read “%(typed)s” as %(what)s, within about %(precision)s.")
    return Message(sentence.text, values)


def other_links(request: Request, form: Form, finding: Finding, path: str) -> list[dict[str, str]]:
    """`label` and `href` of the readings that were not taken; the filters are kept."""
    kept: dict[str, object] = {name: form.all(name) for name, _ in form.items() if name not in LINK_DROPS}
    links = []
    for place in finding.others:
        said: Message | str = place.label
        if finding.place and finding.place.kind != place.kind:  # Madrid the region, when the town was taken
            said = Message(KINDS[place.kind].text, {"label": place.label})
        href = link(language_of(request).code, path, {**kept, "near": _typed_for(request, form, place)})
        links.append(
            {"label": said if isinstance(said, str) else language_of(request).say(said), "href": href}
        )
    return links


def _typed_for(request: Request, form: Form, place: Interpretation) -> str:
    """What to type for this reading: the code with its country, its full name if that is read so, else its point."""
    spoken = language_of(request).code
    written = place.label
    if place.kind in CODE_KINDS and place.country:
        written = f"{form['near'].strip()}, {country_name(place.country, spoken)}"
    if _is_read_as(request, written, place) or place.point is None:
        return written
    return str(place.point)


def _is_read_as(request: Request, text: str, place: Interpretation) -> bool:
    try:
        first = state_of(request).gazetteer.interpretations(text, locale=language_of(request).code)[0]
    except BranchlineError:
        return False
    return (first.kind, first.point) == (place.kind, place.point)
