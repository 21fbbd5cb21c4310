"""What the calendar of origin said and what a person changed here: merged group by group. All pure."""

from datetime import datetime, timedelta

import pytest

from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.memory import DATES, GROUPS, edited, merged, remembered
from tests.calendars.test_feeds import weekly

SECOND = datetime(2026, 12, 1, 19)
HALL = {"name": "Hall 7", "address_1": "1 Long Street", "latitude": 41.9, "longitude": -87.7}
CHANGES: dict[str, tuple[dict[str, object], dict[str, object]]] = {  # by group: what is said here, and there
    "title": ({"title": "Ours"}, {"title": "Theirs"}),
    "description": ({"description": "Ours"}, {"description": "Theirs"}),
    "language": ({"language": "es"}, {"language": "fr"}),
    "when": ({"end": datetime(2026, 11, 24, 22)}, {"timezone": "America/New_York", "exdates": (SECOND,)}),
    "place": ({"venue": HALL}, {"attendance": "online", "online_url": "https://meet.example.org/x"}),
    "registration_url": ({"registration_url": "https://a.example/"}, {"registration_url": "https://b.example/"}),
    "contact": ({"contact": "Ana"}, {"contact": "Cy"}),
    "cost": ({"cost": "1 €"}, {"cost": "2 €"}),
    "topics": ({"topics": ("Ours",)}, {"topics": ("Theirs",)}),
    "access": ({"access": ("free",)}, {"access": ("childcare",)}),
    "translations": ({"translations": {"eu": {"title": "Gurea"}}}, {"translations": {"ca": {"title": "El seu"}}}),
    "state": ({"state": "cancelled", "reason": "Ill."}, {"state": "postponed", "reason": "Later."}),
}  # fmt: skip
ALL_THEIRS: dict[str, object] = {
    name: value for _, theirs in CHANGES.values() for name, value in theirs.items()
}


def date(at: datetime = SECOND, **more: object) -> OverrideDraft:
    return OverrideDraft.model_validate({"original_start": at, **more})


def test_every_group_has_its_case() -> None:
    assert CHANGES.keys() == GROUPS.keys()


@pytest.mark.parametrize("group", GROUPS)
def test_what_was_changed_here_stays_as_a_whole_and_the_rest_is_as_they_say(group: str) -> None:
    local, new = weekly(**CHANGES[group][0]), weekly(**ALL_THEIRS)
    before = remembered(weekly())
    assert edited(local, before) == [group]
    result = remembered(merged(local, before, new))
    assert result == {**remembered(new), group: remembered(local)[group]}


@pytest.mark.parametrize("group", GROUPS)
def test_what_changed_there_alone_is_taken_over(group: str) -> None:
    new = weekly(**CHANGES[group][1])
    assert remembered(merged(weekly(), remembered(weekly()), new)) == remembered(new) != remembered(weekly())


def test_every_field_of_an_event_is_in_one_group() -> None:
    assert {name for names in GROUPS.values() for name in names} == EventDraft.model_fields.keys() - {
        "overrides"
    }


def test_without_a_memory_they_are_right() -> None:
    new = weekly(**ALL_THEIRS)
    assert remembered(merged(weekly(title="Ours"), None, new)) == remembered(new)
    assert edited(weekly(title="Ours"), None) == []


def test_a_group_that_an_older_version_did_not_remember_is_not_edited() -> None:
    before = {name: said for name, said in remembered(weekly()).items() if name != "cost"}
    assert edited(weekly(cost="1 €"), before) == []


def test_the_order_of_topics_and_words_is_no_change() -> None:
    there = weekly(topics=("Repair", "Kids"), access=("free", "childcare"))
    here = weekly(topics=("kids", "repair"), access=("childcare", "free"))
    assert edited(here, remembered(there)) == []


def test_where_a_venue_is_on_the_map_is_a_part_of_it() -> None:
    assert edited(weekly(venue=HALL | {"latitude": 42.0}), remembered(weekly(venue=HALL))) == ["place"]


# ---------------------------------------------------------------- changed dates

OURS, THEIRS, BEFORE = date(title="Ours"), date(title="Theirs"), date(title="Before")
NOBODY: tuple[OverrideDraft, ...] = ()


@pytest.mark.parametrize(
    ("here", "before", "there", "result"),
    [
        (NOBODY, NOBODY, (THEIRS,), (THEIRS,)),
        ((BEFORE,), (BEFORE,), (THEIRS,), (THEIRS,)),
        ((BEFORE,), (BEFORE,), NOBODY, NOBODY),
        ((OURS,), NOBODY, NOBODY, (OURS,)),
        ((OURS,), (BEFORE,), (THEIRS,), (OURS,)),
        ((OURS,), (BEFORE,), NOBODY, (OURS,)),
        (NOBODY, (BEFORE,), (THEIRS,), NOBODY),  # put right here
    ],
)
def test_a_date_changed_here_stays_and_others_are_as_they_say(
    here: tuple[OverrideDraft, ...],
    before: tuple[OverrideDraft, ...],
    there: tuple[OverrideDraft, ...],
    result: tuple[OverrideDraft, ...],
) -> None:
    local, new = weekly(overrides=here), weekly(overrides=there)
    memory = remembered(weekly(overrides=before))
    assert merged(local, memory, new).overrides == result
    assert edited(local, memory) == ([] if here == before else [DATES])


def test_what_only_repeats_the_series_is_no_changed_date() -> None:
    same = date(start=SECOND, end=SECOND + timedelta(hours=2), title="Tool night", description="")
    assert remembered(weekly(overrides=(same,))) == remembered(weekly())


def test_changed_dates_that_the_series_leaves_out_or_has_no_more_are_forgotten() -> None:
    third = datetime(2026, 12, 8, 19)
    local = weekly(overrides=(OURS, date(third, cancelled=True)))
    for new in (weekly(exdates=(SECOND,)), weekly(rrule="FREQ=WEEKLY;INTERVAL=2;BYDAY=TU")):
        assert merged(local, remembered(weekly()), new).overrides == (date(third, cancelled=True),)
    assert merged(local, remembered(weekly()), weekly(rrule="")).overrides == ()
