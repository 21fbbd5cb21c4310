"""A branch for search engines: what it is, where it may be said to be, and nothing that hides."""

import json
from datetime import date
from typing import Any

import pytest

from events.branches import json_ld
from events.branches.json_ld import Page, branch_page
from events.branches.models import Branch
from events.places.geo import Point
from tests.branches.test_formats import SECRETS, alder

PAGE = "https://clubs.example.org/branches/alder"
WHOLE = Page("Hazel Clubs", "https://clubs.example.org")
HOURS = "Mo,Tu 09:00-17:30; Sa 20:00-01:00"


def told(branch: Branch) -> dict[str, Any]:
    """What the script on the page says, read back."""
    found: dict[str, Any] = json.loads(json_ld.script(branch_page(branch, PAGE, WHOLE)))
    return found


def hours(text: str) -> list[tuple[str, str, str]]:
    """Of a branch that is open so: days by their first letters, from and to."""
    return [
        (
            ",".join(day.removeprefix("https://schema.org/")[:2] for day in each["dayOfWeek"]),
            each["opens"],
            each["closes"],
        )
        for each in told(alder(opening_hours=text)).get("openingHoursSpecification", [])
    ]


def test_a_branch_that_can_be_visited_is_a_local_business_with_its_address_and_position() -> None:
    assert told(alder(phone="+1 312 555 0100")) == {
        "@type": "LocalBusiness",
        "@id": f"{PAGE}#branch",
        "name": "Alder Club",
        "url": PAGE,
        "mainEntityOfPage": PAGE,
        "telephone": "+1 312 555 0100",
        "address": {
            "@type": "PostalAddress",
            "streetAddress": "2150 N Halsted St, Floor 3",
            "addressLocality": "Chicago",
            "addressRegion": "IL",
            "postalCode": "60614",
            "addressCountry": "US",
        },
        "geo": {"@type": "GeoCoordinates", "latitude": 41.9227, "longitude": -87.6533},
        "knowsLanguage": ["en", "es"],
        "parentOrganization": {"@type": "Organization", "name": WHOLE.name, "url": WHOLE.url},
    }


@pytest.mark.parametrize(
    "more",
    [
        {"confidential": True},
        {"location_type": "postal"},
        {"location_type": "virtual"},
        {"status": "forming"},
        {"status": "inactive"},
        {"status": "closed"},
        {"address_1": "", "address_2": ""},
    ],
)
def test_what_cannot_be_visited_is_an_organisation_without_position_or_hours(more: dict[str, Any]) -> None:
    found = told(alder(opening_hours=HOURS, **more))
    assert found["@type"] == "Organization"
    assert {"geo", "openingHoursSpecification"}.isdisjoint(found)


def test_of_a_confidential_branch_only_the_city_is_told() -> None:
    branch = alder(
        confidential=True, service_area="Around Halsted and Dickens", opening_hours="Mo 09:00-17:00"
    )
    text = json.dumps(told(branch))
    assert [secret for secret in (*SECRETS, "Dickens", "09:00") if secret in text] == []
    assert told(branch)["address"] == {
        "@type": "PostalAddress", "addressLocality": "Chicago", "addressRegion": "IL", "addressCountry": "US",
    }  # fmt: skip


@pytest.mark.parametrize("confidential", [False, True])
def test_no_email_address_is_told(confidential: bool) -> None:
    assert "alder@example.org" not in json.dumps(told(alder(confidential=confidential)))


@pytest.mark.parametrize("accuracy", ["postal_code", "place"])
def test_a_position_that_was_guessed_is_not_told(accuracy: str) -> None:
    assert "geo" not in told(alder(geocode_accuracy=accuracy))


def test_a_position_on_the_meridian_and_the_equator_is_one() -> None:
    assert told(alder(Point(0.0, 0.0)))["geo"] == {
        "@type": "GeoCoordinates",
        "latitude": 0.0,
        "longitude": 0.0,
    }


def test_a_branch_without_any_address_says_none() -> None:
    bare = alder(None, address_1="", address_2="", city="", state_province="", postal_code="", country="")
    assert {"address", "geo", "telephone"}.isdisjoint(told(bare))


def test_its_own_website_is_its_url_and_its_page_is_about_it() -> None:
    found = told(alder(url="https://alder.example/", links="https://x.com/alder,https://a.example/b"))
    assert (found["url"], found["mainEntityOfPage"]) == ("https://alder.example/", PAGE)
    assert found["sameAs"] == ["https://x.com/alder", "https://a.example/b"]


def test_when_it_was_opened_and_closed_is_told() -> None:
    found = told(alder(status="closed", opened_on=date(2011, 1, 10), end_date=date(2025, 6, 30)))
    assert (found["foundingDate"], found["dissolutionDate"]) == ("2011-01-10", "2025-06-30")


def test_weekly_hours_are_told_by_weekday() -> None:
    first, second = told(alder(opening_hours=HOURS))["openingHoursSpecification"]
    assert first == {
        "@type": "OpeningHoursSpecification",
        "dayOfWeek": ["https://schema.org/Monday", "https://schema.org/Tuesday"],
        "opens": "09:00",
        "closes": "17:30",
    }
    assert (second["opens"], second["closes"]) == ("20:00", "01:00")
    assert "openingHoursSpecification" not in told(alder())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mo-We 09:00-12:00,14:00-18:00", [("Mo,Tu,We", "09:00", "12:00"), ("Mo,Tu,We", "14:00", "18:00")]),
        ("Mo-Fr 10:00-18:00; We 14:00-20:00", [("Mo,Tu,Th,Fr", "10:00", "18:00"), ("We", "14:00", "20:00")]),
        ("Mo-Su 10:00-18:00; Tu off", [("Mo,We,Th,Fr,Sa,Su", "10:00", "18:00")]),
        ("Sa-Mo 10:00-12:00", [("Mo,Sa,Su", "10:00", "12:00")]),
        ("24/7", [("Mo,Tu,We,Th,Fr,Sa,Su", "00:00", "23:59")]),
        ("Sa 18:00-24:00", [("Sa", "18:00", "00:00")]),
    ],
)
def test_later_rules_replace_those_of_the_same_day(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert hours(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Mo-Fr 10:00-18:00; PH off",
        "Mo-Fr 10:00-18:00; Dec 24-26 off",
        "Tu[1] 19:00-21:00",
        'Mo 10:00-12:00; "by appointment"',
        'We 17:00-19:00 "ring twice"',
        "week 1-20 Mo 10:00-12:00",
        "Mo 10:00-18:00; Mo 12:00-13:00 off",
        "Mo 10:00-12:00; whenever we feel like it",
        "closed",
    ],
)
def test_hours_that_differ_from_week_to_week_are_not_told_in_part(text: str) -> None:
    assert hours(text) == []


def test_the_breadcrumbs_lead_from_the_outermost_page_to_this_one() -> None:
    crumbs: Any = json_ld.breadcrumbs([WHOLE, Page("Alder Club", PAGE)])
    assert crumbs["@type"] == "BreadcrumbList"
    assert [(each["position"], each["name"], each["item"]["@id"]) for each in crumbs["itemListElement"]] == [
        (1, "Hazel Clubs", WHOLE.url),
        (2, "Alder Club", PAGE),
    ]


def test_nothing_in_it_can_end_the_script() -> None:
    name = "</script><script>alert(1)</script><!-- &amp; \u2028"
    branch = alder(name=name)
    text = json_ld.script(branch_page(branch, PAGE, WHOLE))
    assert not set("<>&\u2028\u2029") & set(text)
    assert told(branch)["name"] == name


def test_marks_of_markdown_are_left_out() -> None:
    assert told(alder(description="Bring **anything**."))["description"] == "Bring anything."
