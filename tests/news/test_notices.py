"""Which notices are shown where and when: by the days of their branch, in lists, and to those who were told before."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from events.branches.models import Branch
from events.calendars.models import Topic
from events.db import Database
from events.errors import Gone, NotFound
from events.news import notices, writing
from events.news.drafts import NoticeDraft
from events.news.models import Headline, HeadlineSource, Notice
from events.news.notices import Stage, Wish, excerpt, stage_of
from events.news.writing import Written
from events.people import permissions
from tests.conftest import NOW, Cast, branch

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TODAY = date(2026, 11, 23)


def write(
    session: Session,
    title: str = "A new roof",
    whose: Branch | None = None,
    at: datetime | None = NOW,
    topic: Topic | None = None,
    **more: Any,
) -> Notice:
    """Published `at`; None: a draft."""
    first = writing.today(session, whose, at or NOW)
    said: dict[str, Any] = {"text": "It is **dry** now.", "language": "en", "shown_from": first}
    draft = NoticeDraft(title=title, **said | more)
    notice, _ = writing.add(session, Written(draft, whose, topic), None, at or NOW)
    if at is not None:
        publish(session, notice, at)
    return notice


def publish(session: Session, notice: Notice, at: datetime) -> None:
    with writing.recorded(session, notice, "published", None, at):
        writing.publish(notice, at)


def headline(session: Session, title: str, at: datetime) -> None:
    source = HeadlineSource(
        url=f"https://news.example.org/{title}", name="The Hazel Paper", created_at=at, run_at=at
    )
    session.add(source)
    session.flush()
    session.add(
        Headline(source_id=source.id or 0, entry_id=title, title=title, url="https://news.example.org/1",
                 published_at=at, seen_at=at)
    )  # fmt: skip
    session.flush()


def titles(found: Sequence[Notice]) -> list[str]:
    return [notice.title for notice in found]


def listed(session: Session, wish: Wish = Wish(), at: datetime = NOW, **more: int) -> list[str]:  # noqa: B008
    return [row.title for row in notices.listed(session, wish, at, **more)[0]]


# --- When


def test_a_notice_begins_when_it_is_published_and_ends_with_its_last_day_where_its_branch_is(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        notice = write(session, whose=cast.alder, shown_until=TODAY + DAY)
        assert (notice.begins_at, notice.timezone) == (NOW, "America/Chicago")
        assert notice.ends_at == datetime(
            2026, 11, 25, 6, tzinfo=UTC
        )  # midnight in Chicago, after the last day
        assert listed(session, at=notice.ends_at - HOUR) == ["A new roof"]
        assert listed(session, at=notice.ends_at) == []


def test_one_that_is_published_ahead_begins_with_its_first_day(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        notice = write(session, whose=cast.birch, shown_from=TODAY + 2 * DAY)
        assert notice.begins_at == datetime(2026, 11, 24, 23, tzinfo=UTC)  # midnight in Madrid
        assert (listed(session), listed(session, at=notice.begins_at)) == ([], ["A new roof"])
        assert stage_of(notice, NOW) == Stage.COMING


def test_the_days_of_the_organisation_are_those_of_the_branch_at_the_top_of_the_tree(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        assert write(session).timezone == "UTC"
        top = branch("hazel", "Hazel Clubs", None, timezone="Europe/Madrid")
        session.add(top)
        session.flush()
        session.get_one(Branch, cast.birch.id).parent_id = top.id
        session.flush()
        assert write(session).timezone == "Europe/Madrid"


def test_drafts_and_what_was_removed_are_not_shown(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        write(session, "A draft", at=None)
        writing.remove(write(session, "Removed"), NOW)
        session.flush()
        assert listed(session) == [] and notices.since(session, None, NOW) == []


# --- What was not known before


def test_since_tells_what_became_visible_between_two_mails_the_newest_first(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        write(session, "Old", at=NOW - DAY)
        write(session, "First", at=NOW + HOUR)
        write(session, "Ahead", at=NOW - DAY, shown_from=TODAY + DAY)
        write(session, "Over", at=NOW + HOUR, shown_until=TODAY)
        assert titles(notices.since(session, NOW, NOW + DAY)) == ["Ahead", "First"]
        assert titles(notices.since(session, None, NOW + DAY)) == ["Ahead", "First", "Old"]
        assert notices.since(session, NOW + DAY, NOW + 2 * DAY) == []


def test_since_tells_of_the_organisation_and_of_these_branches_and_topics_alone(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        repair, bikes = Topic(slug="repair", name="Repair"), Topic(slug="bikes", name="Bikes")
        session.add_all([repair, bikes])
        session.flush()
        write(session, "All")
        write(session, "Alder", cast.alder, topic=repair)
        write(session, "Birch", cast.birch, topic=bikes)

        def told(branches: Sequence[Branch] = (), topics: Sequence[Topic] = ()) -> list[str]:
            ids = [one.id or 0 for one in branches], [one.id or 0 for one in topics]
            return sorted(titles(notices.since(session, None, NOW, *ids)))

        assert told() == ["Alder", "All", "Birch"]
        assert told([cast.alder]) == ["Alder", "All"]
        assert told(topics=[bikes]) == ["All", "Birch"]
        assert told([cast.alder], [bikes]) == ["All"]


@pytest.mark.parametrize("first", [TODAY, TODAY + DAY], ids=["at once", "ahead"])
def test_what_nobody_has_seen_yet_is_news_from_when_it_is_seen(
    database: Database, cast: Cast, first: date
) -> None:
    """Brought forward or brought back: a mail that went out meanwhile has not told of it."""
    later = NOW + 3 * HOUR
    with database.writing() as session:
        notice = write(session, shown_from=TODAY + 3 * DAY)
        draft = NoticeDraft(title="A new roof", text="It is dry.", language="en", shown_from=first)
        writing.revise(session, notice, Written(draft, None), later)
        assert notice.begins_at == max(later, datetime(2026, 11, first.day, tzinfo=UTC))
        seen = notice.begins_at
        writing.revise(session, notice, Written(draft, None), seen + HOUR)
        assert notice.begins_at == seen  # it was seen: another text does not make it news again
        writing.remove(notice, NOW)
        writing.bring_back(notice, seen + DAY)
        assert notice.begins_at == seen + DAY


# --- Lists


def test_notices_and_headlines_stand_in_one_list_the_newest_first_page_by_page(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        for number in range(5):
            write(session, f"Notice {number}", cast.alder, at=NOW - number * 2 * HOUR)
            headline(session, f"Headline {number}", NOW - (number * 2 + 1) * HOUR)
        headline(session, "Of tomorrow", NOW + DAY)
        first, more = notices.listed(session, Wish(), NOW, size=4)
        assert [row.title for row in first] == ["Notice 0", "Headline 0", "Notice 1", "Headline 1"] and more
        assert [(row.by, row.by_slug, row.at) for row in first[:2]] == [
            ("Alder Club", "alder", NOW), ("The Hazel Paper", "", NOW - HOUR)
        ]  # fmt: skip
        last, more = notices.listed(session, Wish(), NOW, page=3, size=4)
        assert [row.title for row in last] == ["Notice 4", "Headline 4"] and not more
        with pytest.raises(NotFound):
            notices.listed(session, Wish(), NOW, page=4, size=4)


def test_a_branch_or_a_topic_narrows_the_list_to_its_own_notices(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        repair = Topic(slug="repair", name="Repair")
        session.add(repair)
        session.flush()
        ours = write(session, "All", topic=repair)
        write(session, "Alder", cast.alder)
        headline(session, "Elsewhere", NOW)
        assert listed(session, Wish([cast.alder.id or 0])) == ["Alder"]
        assert listed(session, Wish(topic_ids=[repair.id or 0])) == ["All"]
        assert sorted(listed(session, Wish(without=[ours.id or 0]))) == ["Alder", "Elsewhere"]
        assert [topic.slug for topic in notices.topics(session, NOW)] == ["repair"]


def test_top_stories_are_what_admins_put_there_else_the_newest_of_the_organisation(
    database: Database, cast: Cast
) -> None:
    def top(session: Session) -> list[str]:
        return [notice.title for notice, *_ in notices.top_stories(session, NOW)]

    with database.writing() as session:
        write(session, "Alder", cast.alder)
        assert top(session) == []
        for number in range(4):
            write(session, f"All {number}", at=NOW - number * HOUR)
        assert top(session) == ["All 0", "All 1", "All 2"]
        write(session, "On top", cast.birch, at=NOW - DAY, is_top=True)
        write(session, "On top, and over", at=NOW - 2 * DAY, is_top=True, shown_until=TODAY - DAY)
        assert top(session) == ["On top"]


def test_one_is_found_by_its_address_while_it_is_shown_and_says_what_became_of_it(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        write(session, "A new roof", cast.alder, shown_until=TODAY)
        write(session, "A draft", at=None)
        writing.remove(write(session, "Removed"), NOW)
        session.flush()
        notice, owner, topic = notices.public(session, "a-new-roof", NOW)
        assert (notice.title, owner and owner.slug, topic) == ("A new roof", "alder", None)
        for slug, at, error in [
            ("a-new-roof", NOW - HOUR, NotFound),
            ("a-new-roof", NOW + DAY, Gone),
            ("removed", NOW, Gone),
            ("a-draft", NOW, NotFound),
            ("no-such", NOW, NotFound),
        ]:
            with pytest.raises(error):
                notices.public(session, slug, at)


def test_organizers_see_their_drafts_first_then_what_is_shown_to_come_and_over(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        write(session, "Over", cast.alder, at=NOW - 3 * DAY, shown_until=TODAY - DAY)
        write(session, "Coming", cast.alder, shown_from=TODAY + DAY)
        write(session, "Shown", cast.alder)
        write(session, "Newer", cast.alder, at=NOW + HOUR)
        write(session, "Draft", cast.alder, at=None)
        write(session, "Birch", cast.birch)
        write(session, "All")
        writing.remove(write(session, "Removed", cast.alder), NOW)
        session.flush()
        ana, dee = (permissions.branch_ids(person) for person in (cast.ana, cast.dee))
        found, more = notices.of_desk(session, ana, False, NOW + 2 * HOUR, 1)
        assert [notice.title for notice, _ in found] == ["Draft", "Newer", "Shown", "Coming", "Over"]
        assert [name for _, name in found] == ["Alder Club"] * 5 and not more
        assert [stage_of(notice, NOW + 2 * HOUR) for notice, _ in found] == [
            Stage.DRAFT, Stage.SHOWN, Stage.SHOWN, Stage.COMING, Stage.OVER
        ]  # fmt: skip
        everything, _ = notices.of_desk(session, dee, True, NOW, 1)
        assert {("All", None), ("Birch", "Club Abedul")} <= {(one.title, name) for one, name in everything}
        [(gone, _)] = notices.removed_lately(session, ana, False, NOW + 29 * DAY)
        assert gone.title == "Removed"
        assert notices.removed_lately(session, ana, False, NOW + 31 * DAY) == []


# --- What has moved


def test_a_list_stands_until_a_notice_changes_begins_or_ends(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        assert notices.moves(session, NOW).changed_at is None
        write(session, "A draft", at=None)
        notice = write(session, shown_from=TODAY + DAY, shown_until=TODAY + DAY)
        begins, ends = notice.begins_at, notice.ends_at
        assert begins and ends
        before = notices.moves(session, NOW)
        assert (before.changed_at, before.next_at) == (NOW, begins)
        assert (notices.moves(session, begins).changed_at, notices.moves(session, begins).next_at) == (
            begins,
            ends,
        )
        assert (notices.moves(session, ends).changed_at, notices.moves(session, ends).next_at) == (ends, None)
        with writing.recorded(session, notice, "removed", None, NOW + HOUR):
            writing.remove(notice, NOW + HOUR)
        session.flush()
        after = notices.moves(session, NOW + HOUR)
        assert after.changed_at == NOW + HOUR


def test_pictures_of_notices_that_are_there_or_may_come_back_are_in_use(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        for name, removed_at in (("there", None), ("lately", NOW - DAY), ("long-ago", NOW - 31 * DAY)):
            notice = write(session)
            writing.put_picture(notice, name, "Words.")
            notice.removed_at = removed_at
        session.flush()
        used = session.connection().execute(notices.pictures_in_use(NOW)).scalars()
        assert set(used) == {"there", "lately"}


def test_a_list_takes_one_query_however_long_it_is(database: Database, cast: Cast) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    with database.writing() as session:
        for number in range(40):
            write(session, f"Notice {number}", cast.alder)
        session.flush()
        sa.event.listen(database.engine, "before_cursor_execute", note)
        notices.listed(session, Wish(), NOW)
        notices.top_stories(session, NOW)
        notices.told(session, Wish(), NOW, 100)
        sa.event.remove(database.engine, "before_cursor_execute", note)
    assert len(asked) == 3


# --- How a text begins


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        (
            "The floor is **sanded**\nand [dry](https://example.org/).\n\n- one\n- two",
            "The floor is sanded and dry.",
        ),
        ("# Hello\n\nworld & all", "Hello world & all"),
        ("- one\n- two", "one two"),
        ("word " * 60, "word " * 31 + "word…"),
        ("x" * 200, "x" * 160 + "…"),
    ],
)
def test_an_excerpt_is_the_first_paragraph_in_whole_words(text: str, begins: str) -> None:
    assert excerpt(text) == begins
