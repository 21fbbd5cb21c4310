"""Writing notices: an address for life, one notice a form, a version a change, and 30 days to bring one back."""

import io
import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlmodel import col, select

from events.branches.drafts import SLUG_LENGTH
from events.db import Database
from events.errors import Conflict, NotFound
from events.news import writing
from events.news.drafts import NoticeDraft
from events.news.models import Notice
from events.news.writing import Written
from events.people import history
from tests.conftest import NOW, Cast, branch
from tests.news.test_notices import DAY, HOUR, TODAY, publish, write

DATA = Path(__file__).parents[2] / "data"
once = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # its SQL is covered by others


def draft(title: str = "A new roof", **more: object) -> NoticeDraft:
    values = {"text": "It is dry.", "language": "en", "shown_from": TODAY} | more
    return NoticeDraft.model_validate({"title": title} | values)


# --- Its address


def test_a_notice_is_called_by_its_title_and_the_next_one_gets_a_number(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        slugs = [
            write(session, title).slug for title in ("¡Año Nuevo!", "Año nuevo", "Ano-nuevo", "Año nuevo 2")
        ]
        assert slugs == ["ano-nuevo", "ano-nuevo-2", "ano-nuevo-3", "ano-nuevo-2-2"]
        assert [write(session, "新しい屋根").slug for _ in range(2)] == ["news", "news-2"]
        long = [write(session, "Roof " * 40).slug for _ in range(2)]
        assert len(set(long)) == 2 and max(map(len, long)) <= SLUG_LENGTH


def test_its_address_stays_whatever_becomes_of_its_title(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        notice = write(session, "A new roof", cast.alder)
        writing.revise(session, notice, Written(draft("An old roof"), cast.alder), NOW)
        assert (notice.title, notice.slug) == ("An old roof", "a-new-roof")


def test_a_form_sent_twice_writes_one_and_two_forms_at_once_write_two(database: Database, cast: Cast) -> None:
    keys = ["key-one", "key-one", "key-two", "key-three"]
    start = threading.Barrier(len(keys))
    made: list[tuple[str, bool]] = []

    def send(key: str) -> None:
        start.wait()
        with database.writing() as session:
            notice, is_new = writing.add(session, Written(draft(), cast.alder), cast.ana, NOW, key)
            made.append((notice.slug, is_new))

    threads = [threading.Thread(target=send, args=[key]) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slug for slug, is_new in made if is_new) == ["a-new-roof", "a-new-roof-2", "a-new-roof-3"]
    assert [is_new for _, is_new in made].count(False) == 1


# --- Changing it


@once
def test_each_change_is_a_version_with_who_and_when_and_none_is_none(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        notice, _ = writing.add(session, Written(draft(), cast.alder), cast.ana, NOW)
        with writing.recorded(session, notice, "changed", cast.ana, NOW + HOUR):
            writing.revise(session, notice, Written(draft(), cast.alder), NOW + HOUR)
        assert (notice.revision, notice.modified_at) == (0, NOW)
        publish(session, notice, NOW + HOUR)
        with writing.recorded(session, notice, "picture", cast.dee, NOW + 2 * HOUR):
            writing.put_picture(notice, "a-name", "A roof.")
        assert (notice.revision, notice.modified_at) == (2, NOW + 2 * HOUR)
        found = history.versions(session, f"notice:{notice.id}")
        assert [(one.action, one.person_id) for one in found] == [
            ("picture", cast.dee.id), ("published", None), ("added", cast.ana.id)
        ]  # fmt: skip
        assert found[0].snapshot["picture"] == ["a-name", "A roof."] and found[0].snapshot["published"]


@once
def test_a_draft_may_change_hands_and_what_is_published_stays_whose_it_was(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        notice = write(session, whose=cast.alder, at=None)
        writing.revise(session, notice, Written(draft(), cast.birch), NOW)
        assert (notice.branch_id, notice.timezone) == (cast.birch.id, "Europe/Madrid")
        publish(session, notice, NOW)
        writing.revise(session, notice, Written(draft(), cast.alder), NOW)
        assert (notice.branch_id, notice.timezone) == (cast.birch.id, "Europe/Madrid")


@once
def test_what_is_over_before_it_began_is_not_published(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        notice = write(session, at=None, shown_until=TODAY)
        with pytest.raises(Conflict, match="This day is over"):
            writing.publish(notice, NOW + DAY)
        assert notice.is_draft
        writing.publish(notice, NOW)
        writing.publish(notice, NOW + DAY)  # pressed twice: it was published the first time
        assert notice.published_at == NOW


@once
def test_what_was_removed_comes_back_within_thirty_days(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        notice = write(session)
        writing.remove(notice, NOW)
        writing.remove(notice, NOW + HOUR)
        assert notice.removed_at == NOW
        with pytest.raises(NotFound, match="more than 30 days ago"):
            writing.bring_back(notice, NOW + timedelta(days=30))
        writing.bring_back(notice, NOW + timedelta(days=29))
        assert notice.is_shown(NOW + timedelta(days=29))
        writing.bring_back(notice, NOW + timedelta(days=60))


def test_a_last_day_before_the_first_is_refused() -> None:
    with pytest.raises(ValidationError, match="The last day is before the first"):
        draft(shown_until=TODAY - DAY)
    assert draft(shown_until=TODAY).shown_until == TODAY


# --- From a file


@once
def test_the_news_of_the_demo_are_published_at_once_by_branches_that_it_has(
    database: Database, cast: Cast
) -> None:
    file = (DATA / "news.json").read_bytes()
    with database.writing() as session:
        session.add_all(
            branch(one["branch"], one["branch"], None) for one in json.loads(file) if "branch" in one
        )
        session.flush()
        writing.bring(session, io.BytesIO(file), NOW)
        found = session.exec(select(Notice).order_by(col(Notice.id))).all()
        assert len(found) == 3 and all(notice.is_shown(NOW) for notice in found)
        assert [notice.title for notice in found if notice.is_top] == ["One card for every tool library"]
    lines = (DATA / "branches.csv").read_text()
    assert all(f",{one['branch']}," in lines for one in json.loads(file) if "branch" in one)


@once
def test_what_is_sent_anew_from_the_same_form_is_another_notice_unless_it_says_the_same(
    database: Database, cast: Cast
) -> None:
    """Who goes back in the browser and writes something else sends the same key."""
    with database.writing() as session:
        said = [
            Written(draft(), cast.alder),
            Written(draft(), cast.alder),
            Written(draft(text="It is wet."), cast.alder),
            Written(draft(), cast.birch),
        ]
        added = [writing.add(session, one, cast.ana, NOW, "k" * 20) for one in said]
        assert [is_new for _, is_new in added] == [True, False, True, True]
        assert added[0][0] is added[1][0] and added[2][0].text == "It is wet."


def test_what_a_branch_has_written_goes_over_when_it_is_merged(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        roof, other = write(session, whose=cast.alder), write(session, "Elsewhere", cast.birch)
        before = roof.revision
        writing.take_over(session, cast.alder, cast.birch, cast.dee, NOW + HOUR)
        assert [one.branch_id for one in (roof, other)] == [cast.birch.id] * 2
        assert (roof.revision, roof.modified_at) == (before + 1, NOW + HOUR), "feeds are made anew"
        assert other.modified_at == NOW
