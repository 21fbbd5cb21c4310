"""The form of a branch: fields as people think of them to a draft and back, and columns in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sqlmodel import Session

from ..branches.drafts import RESERVED_SLUGS, BranchDraft, country_codes, slug_for
from ..branches.hours import unreadable
from ..branches.locating import UNKNOWN_ZONE, zone_at
from ..branches.models import GUESSED, Accuracy, Branch, LocationType, Status
from ..desk import branch_changes
from ..errors import BranchlineError, InvalidForm, Message, say
from ..language import SOURCE, Language, language
from ..places.geo import Point
from ..places.lookup import Gazetteer
from ..places.naming import fold
from .forms import Form, checked
from .hosting import named
from .words import branch_access_options

COLUMN_WORDS: Mapping[str, Message] = {
    "external_id": say("Reference in your own records"),
    "slug": say("Address of its page"),
    "parent_slug": say("Part of"),
    "name": say("Name"),
    "alternate_name": say("Another name"),
    "description": say("Description"),
    "location_type": say("Kind of place"),
    "address_1": say("Street and number"),
    "address_2": say("Second line of the address"),
    "city": say("Town"),
    "region": say("District or county"),
    "state_province": say("State or province"),
    "postal_code": say("Postal code"),
    "country": say("Country"),
    "latitude": say("Latitude"),
    "longitude": say("Longitude"),
    "geocode_accuracy": say("How its position is known"),
    "timezone": say("Time zone"),
    "phone": say("Telephone"),
    "email": say("E-mail address"),
    "url": say("Website"),
    "links": say("Other links"),
    "languages": say("Languages"),
    "accessibility": say("Access"),
    "opening_hours": say("Opening hours"),
    "service_area": say("Area it serves"),
    "status": say("Status"),
    "opened_on": say("Opened on"),
    "end_date": say("Closed on"),
    "successor_slug": say("Its place is taken by"),
    "confidential": say("Exact address only in person"),
    "verified_at": say("Confirmed by the branch"),
}
FIELD_WORDS: Mapping[str, Message] = {
    **COLUMN_WORDS,
    "position": say("Position"),
    "parent": COLUMN_WORDS["parent_slug"],
    "accessibility_other": say("Other things to know about access"),
}
PLACES: Mapping[str, Message] = {
    LocationType.PHYSICAL: say("People can come there"),
    LocationType.POSTAL: say("Only letters get there"),
    LocationType.VIRTUAL: say("It has no place and meets online"),
}
STATUSES: Mapping[str, Message] = {
    Status.ACTIVE: say("Active"),
    Status.FORMING: say("Being set up"),
    Status.INACTIVE: say("Not active at the moment"),
    Status.CLOSED: say("Closed"),
}
ACCURACIES: Mapping[str, Message] = {
    Accuracy.EXACT: say("exactly"),
    Accuracy.POSTAL_CODE: say("by its postal code"),
    Accuracy.PLACE: say("by its town"),
}
# In the order of the page. What the form does not have stays as it is.
PLAIN_FIELDS = (
    *("name", "alternate_name", "description", "location_type", "address_1", "address_2", "city", "region"),
    *("state_province", "postal_code", "country", "timezone", "phone", "url", "links", "opening_hours"),
    *("service_area", "status", "opened_on", "email"),
)
FIELDS = (*PLAIN_FIELDS, "slug", "position", "languages", "accessibility_other", "parent", "external_id")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a form is read: the branch that it is about (None: a new one), and for whom."""

    session: Session
    spoken: Language
    gazetteer: Gazetteer
    branch: Branch | None
    by_admin: bool


# ---------------------------------------------------------------- from the form


def draft_of(desk: Desk, form: Form) -> tuple[BranchDraft, Branch | None]:
    """What was typed, and the branch that it is to be part of. Raises InvalidForm with faults at the form's fields.

    What was not touched is not given: the form says less than what is stored (a position of many digits).
    """
    was = filled(desk, desk.branch) if desk.branch else Form()
    faults: dict[str, Message] = {}
    values: dict[str, object] = {name: form[name] for name in PLAIN_FIELDS if name in form}
    values |= _listed_values(desk, form) | {"confidential": form["confidential"] == "yes"}
    values |= _slug_value(desk, form, faults) | _position_values(desk, form, was, faults)
    parent = _parent(desk, form, was, faults)
    if desk.by_admin and "parent" in form and form["parent"].strip() != was["parent"]:
        values["parent_slug"] = parent.slug if parent else ""
    if desk.by_admin and "external_id" in form:
        values["external_id"] = form["external_id"]
        if branch_changes.other_with(desk.session, form["external_id"].strip(), desk.branch) is not None:
            faults["external_id"] = say("Another branch has this reference.")
    _check_status(desk, values, faults)
    _check_hours(form, was, faults)
    try:
        draft = checked(BranchDraft, values)
    except InvalidForm as error:
        raise InvalidForm(_in_order({**error.faults, **faults})) from error
    if faults:
        raise InvalidForm(_in_order(faults))
    return draft, parent


def _in_order(faults: Mapping[str, Message]) -> dict[str, Message]:
    places = {name: number for number, name in enumerate(FIELDS)}
    return dict(sorted(faults.items(), key=lambda item: places.get(item[0], len(places))))


def _listed_values(desk: Desk, form: Form) -> dict[str, object]:
    found: dict[str, object] = {}
    if "languages" in form:
        known = _codes_of_languages(desk.spoken.code)
        words = form["languages"].replace(";", ",").replace("\n", ",").split(",")
        found["languages"] = ",".join(known.get(fold(word), word.strip()) for word in words)
    if "accessibility_other" in form:
        found["accessibility"] = ",".join([*form.all("accessibility"), form["accessibility_other"]])
    return found


@cache
def _codes_of_languages(code: str) -> Mapping[str, str]:
    """By their folded names, in English and in the language of the page."""
    return {
        fold(str(name)): tag
        for locale in (language(SOURCE).locale, language(code).locale)
        for tag, name in locale.languages.items()
        if len(tag) in (2, 3)
    }


def _slug_value(desk: Desk, form: Form, faults: dict[str, Message]) -> dict[str, object]:
    """Nothing typed: a branch keeps its address, and a new one gets one made from its name."""
    typed = form["slug"].strip().strip("/").rpartition("/")[2].casefold()
    if not typed or (desk.branch and typed == desk.branch.slug):
        return {}
    if typed in RESERVED_SLUGS:
        faults["slug"] = say("The service itself needs the address /branches/%(slug)s.", slug=typed)
    elif slug_for(typed) != typed:
        faults["slug"] = say(
            "An address has at most 80 small letters, digits and hyphens, such as %(example)s.",
            example=slug_for(typed),
        )
    elif (owner := branch_changes.other_at(desk.session, typed, desk.branch)) is not None:
        faults["slug"] = say(
            "The address /branches/%(slug)s leads to “%(name)s”.", slug=typed, name=owner.name
        )
    return {} if "slug" in faults else {"slug": typed}


def _position_values(desk: Desk, form: Form, was: Form, faults: dict[str, Message]) -> dict[str, object]:
    """Coordinates or a plus code. Nothing typed: it is found from the address."""
    typed = form["position"].strip()
    if "position" not in form or typed == was["position"]:
        return {}
    point = None
    if typed:
        try:
            point = _point(desk, typed, form["country"].strip())
        except BranchlineError as error:
            faults["position"] = error.message
    values = (point.latitude, point.longitude) if point else (None, None)
    return dict(zip(("latitude", "longitude"), values, strict=True))


def _point(desk: Desk, typed: str, country: str) -> Point:
    """Raises Unreadable, InvalidCoordinates and UnknownPlace."""
    preferred = [country] if country in country_codes() else []
    found = desk.gazetteer.interpretations(typed, prefer=preferred, locale=desk.spoken.code)[0]
    if found.kind not in ("coordinates", "plus_code") or found.point is None:
        raise BranchlineError(
            say(
                "“%(typed)s” is neither coordinates, such as 41.92, -87.64, nor a Plus Code.",
                typed=typed[:80],
            )
        )
    return found.point


def _parent(desk: Desk, form: Form, was: Form, faults: dict[str, Message]) -> Branch | None:
    typed, branch = form["parent"].strip(), desk.branch
    if "parent" not in form or typed == was["parent"]:
        return desk.session.get(Branch, branch.parent_id) if branch and branch.parent_id else None
    if not typed:
        return None
    try:
        parent = named(desk.session, typed, desk.spoken, "parent")
    except InvalidForm as error:
        faults.update(error.faults)
        return None
    if branch and branch_changes.is_below(desk.session, parent, branch):
        faults["parent"] = say("A branch cannot be part of itself, nor of one that is part of it.")
    return parent


def _check_status(desk: Desk, values: dict[str, object], faults: dict[str, Message]) -> None:
    """A closed branch has no status to choose, and no form closes one in passing."""
    if desk.branch and desk.branch.status == Status.CLOSED:
        values.pop("status", None)
    elif values.get("status") == Status.CLOSED:
        faults["status"] = say(
            "To close a branch, take “Close it” on its page: there you decide what becomes of its events."
        )


def _check_hours(form: Form, was: Form, faults: dict[str, Message]) -> None:
    """What an import brought may stay, even if it is not understood."""
    typed = form["opening_hours"].strip()
    if typed and typed != was["opening_hours"] and (fault := unreadable(typed)):
        faults["opening_hours"] = fault


# ---------------------------------------------------------------- to the form


def filled(desk: Desk, branch: Branch) -> Form:
    """The form as it would have been filled in for this branch."""
    spoken = desk.spoken
    known = [word for word, _ in branch_access_options(spoken)]
    parent = desk.session.get(Branch, branch.parent_id) if branch.parent_id else None
    proposed = zone_at(branch.point) if branch.point else UNKNOWN_ZONE
    special = {
        "timezone": "" if branch.timezone == proposed else branch.timezone,
        "links": "\n".join(branch.link_list),
        "opened_on": branch.opened_on.isoformat() if branch.opened_on else "",
    }
    items = [(name, special.get(name, str(getattr(branch, name)))) for name in PLAIN_FIELDS]
    items += [("accessibility", word) for word in branch.accessibility_list if word in known]
    return Form(
        [
            *items,
            ("slug", f"/branches/{branch.slug}"),
            (
                "position",
                str(branch.point) if branch.point and branch.geocode_accuracy not in GUESSED else "",
            ),
            ("languages", ", ".join(_language_words(spoken, tag) for tag in branch.language_list)),
            ("accessibility_other", ", ".join(w for w in branch.accessibility_list if w not in known)),
            ("parent", f"/branches/{parent.slug}" if parent else ""),
            ("external_id", branch.external_id or ""),
            ("confidential", "yes" if branch.confidential else ""),
            ("seen", seen(branch)),
        ]
    )


def seen(branch: Branch) -> str:
    """By which a form tells what it was filled in from."""
    return branch.updated_at.isoformat()


def _language_words(spoken: Language, tag: str) -> str:
    return str(spoken.locale.languages.get(tag, tag))


# ---------------------------------------------------------------- in words


def words_of(spoken: Language, words: Mapping[str, Message]) -> dict[str, str]:
    return {name: spoken.say(message) for name, message in words.items()}


def options_of(spoken: Language, words: Mapping[str, Message]) -> list[tuple[str, str]]:
    return list(words_of(spoken, words).items())


@cache
def country_options(code: str) -> list[tuple[str, str]]:
    """By their names in the language of the page, in its order."""
    names = language(code).locale.territories
    found = [(country, str(names.get(country, country))) for country in country_codes()]
    return [("", "–"), *sorted(found, key=lambda option: fold(option[1]))]


def cell_in_words(spoken: Language, column: str, text: str) -> str:
    """A cell of a table as people say it."""
    choices = {"status": STATUSES, "location_type": PLACES, "geocode_accuracy": ACCURACIES}.get(column, {})
    if text in choices:
        return spoken.say(choices[text])
    match column:
        case "confidential" if text:
            return spoken.gettext("yes") if text == "true" else spoken.gettext("no")
        case "timezone" if text == UNKNOWN_ZONE:
            return spoken.gettext("not known")
        case "country" if text:
            return str(spoken.locale.territories.get(text, text))
        case "slug" | "parent_slug" | "successor_slug" if text:
            return f"/branches/{text}"
        case "links" | "languages" | "accessibility":
            return text.replace(",", ", ")
    return text
