"""A branch as schema.org knows it, for search engines: only what is true, and what its page shows too.

Of a confidential branch no place is told but its city: no street, code, position, area or opening hours.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time

from ..markdown import plain
from ..places.geo import Point
from .hour_rules import MIDNIGHT, Days, Rule, State, read
from .models import GUESSED, Branch, LocationType, Status
from .serving import territory_of

SCHEMA = "https://schema.org"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DIGITS = 6  # of degrees: 10 cm

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is about, and where it is (an absolute URL)."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Open on these weekdays (0 is Monday) of each week, by the branch's clock.

    `closes` before `opens`: of the next day.
    """

    weekdays: Sequence[int]
    opens: time
    closes: time


def branch_page(branch: Branch, page: str, part_of: Page) -> Values:
    """What the page at `page` is about. `part_of`: the parent, else the organisation."""
    visited, served = _can_be_visited(branch), territory_of(branch)
    return {"@type": "LocalBusiness" if visited else "Organization", "@id": f"{page}#branch"} | filled(
        name=branch.name,
        alternateName=branch.alternate_name,
        description=plain(branch.description),
        url=branch.url or page,
        mainEntityOfPage=page,
        sameAs=branch.link_list,
        telephone=branch.phone,
        address=postal_address(branch),
        geo=coordinates(branch.point) if visited and _is_exact(branch) else None,
        areaServed=[] if branch.confidential else [*served.notes, *served.region_names],
        openingHoursSpecification=[_opening(each) for each in weekly(branch.opening_hours)]
        if visited
        else None,
        knowsLanguage=branch.language_list,
        foundingDate=branch.opened_on and branch.opened_on.isoformat(),
        dissolutionDate=branch.end_date and branch.end_date.isoformat(),
        parentOrganization={"@type": "Organization", "name": part_of.name, "url": part_of.url},
    )


def _can_be_visited(branch: Branch) -> bool:
    """Then it is what schema.org calls a LocalBusiness, "a particular physical business or branch of an
    organization", place and organisation at once, which needs an address. Everything else is an organisation: what
    is confidential, online or a post box, still being set up, or no longer active.
    """
    is_open = branch.status == Status.ACTIVE and branch.location_type == LocationType.PHYSICAL
    return is_open and bool(branch.street)


def _is_exact(branch: Branch) -> bool:
    """The middle of a town or of a postal code would be a false address."""
    return branch.shows_position and branch.geocode_accuracy not in GUESSED


def _opening(hours: WeeklyHours) -> Values:
    return {
        "@type": "OpeningHoursSpecification",
        "dayOfWeek": [f"{SCHEMA}/{WEEKDAYS[day]}" for day in hours.weekdays],
        "opens": f"{hours.opens:%H:%M}",
        "closes": f"{hours.closes:%H:%M}",
    }


def weekly(text: str) -> list[WeeklyHours]:
    """Opening hours where each week is like the other; nothing where any rule speaks of dates, weeks of the month,
    holidays or a condition, because then the rest alone would be wrong some day.
    """
    parts = read(text)
    rules = [rule for part in parts for rule in part.rules]
    if any(not part.rules for part in parts) or not all(map(_is_weekly, rules)):
        return []
    spans: dict[int, tuple[tuple[int, int], ...]] = {}
    for rule in rules:
        for day in _weekdays(rule):
            before = spans.get(day, ()) if rule.link == "," else ()
            spans[day] = (*before, *_times(rule))
    days_of: dict[tuple[int, int], list[int]] = {}
    for day in sorted(spans):
        for span in dict.fromkeys(spans[day]):
            days_of.setdefault(span, []).append(day)
    return [WeeklyHours(days, _clock(start), _clock(end)) for (start, end), days in days_of.items()]


def _is_weekly(rule: Rule) -> bool:
    by_date = rule.dates or rule.weeks or rule.holidays or any(days.nth for days in rule.days)
    in_part = rule.state is State.CLOSED and rule.times  # a break, which would have to be cut out
    depends = rule.comment or rule.state is State.UNKNOWN or rule.link == "||"
    return not (by_date or in_part or depends)


def _weekdays(rule: Rule) -> list[int]:
    """Saturday to Monday (`Sa-Mo`) goes over the end of the week."""
    ranges = rule.days or (Days(0, 6),)
    return [
        (days.first + number) % 7 for days in ranges for number in range((days.last - days.first) % 7 + 1)
    ]


def _times(rule: Rule) -> tuple[tuple[int, int], ...]:
    """A whole day ends a minute before its end: from midnight to midnight would mean closed."""
    if rule.state is State.CLOSED:
        return ()
    spans = rule.times or ((0, MIDNIGHT),)
    return tuple((start, end - 1 if end - start >= MIDNIGHT else end) for start, end in spans)


def _clock(minutes: int) -> time:
    return time(*divmod(minutes % MIDNIGHT, 60))


# ---------------------------------------------------------------- shared with what else schema.org is told


def graph(*nodes: Values) -> Values:
    """What one page speaks of: a single thing, or several."""
    return {"@context": SCHEMA} | (nodes[0] if len(nodes) == 1 else {"@graph": list(nodes)})


def breadcrumbs(pages: Sequence[Page]) -> Values:
    """Where a page stands: those above it, outermost first, and itself."""
    items = [
        {
            "@type": "ListItem",
            "position": position,
            "name": page.name,
            "item": {"@type": "WebPage", "@id": page.url},
        }
        for position, page in enumerate(pages, 1)
    ]
    return {"@type": "BreadcrumbList", "itemListElement": items}


def script(values: Values) -> str:
    """The text of a script element: nothing in it can end the element or begin another."""
    text = json.dumps(values, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def postal_address(branch: Branch) -> Values | None:
    """As far as it may be shown."""
    parts = filled(
        streetAddress=", ".join(branch.street),
        addressLocality=branch.city,
        addressRegion=branch.state_province,
        postalCode="" if branch.confidential else branch.postal_code,
        addressCountry=branch.country,
    )
    return {"@type": "PostalAddress"} | parts if parts else None


def coordinates(point: Point | None) -> Values | None:
    if point is None:
        return None
    latitude, longitude = round(point.latitude, DIGITS), round(point.longitude, DIGITS)
    return {"@type": "GeoCoordinates", "latitude": latitude, "longitude": longitude}


def filled(**values: object) -> Values:
    """Without what is empty."""
    return {name: value for name, value in values.items() if value not in (None, "", 0, [])}
