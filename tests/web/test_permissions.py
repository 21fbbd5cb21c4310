"""What each may do with what is not simply there: drafts, what waits for approval, what is off, and what was removed.

`test_routes` tries every route with an ordinary object, own and foreign. Here those of events and news meet the other
states, and one table says what each is answered. A new route is missing here until it has its lines.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from events.app import publishing_of
from events.calendars import changes, derived
from events.calendars.models import Event, State
from events.config import Settings
from events.news import writing
from events.news.drafts import NoticeDraft
from events.news.models import Notice
from events.news.writing import Written
from events.people import sign_in, tokens
from tests.conftest import Engines, running
from tests.web.test_routes import SECRET, TABLE, Maker, World, forgetful, staff

# All is Alder's. The admin of another branch stands for everybody else, who may do less.
COLUMNS = ("visitor", "strange branch admin", "organizer", "branch admin", "admin")
STATES: Mapping[str, tuple[str, ...]] = {
    "events/{id}": ("draft", "submitted", "cancelled", "removed", "discarded"),
    "news/{id}": ("draft", "removed"),
    "news/{slug}": ("draft", "removed"),
}
ANSWERS = """
GET    /events/{id}.ics                                              draft     404 404 404 404 404
GET    /events/{id}.ics                                              submitted 404 404 404 404 404
GET    /events/{id}.ics                                              cancelled 200 200 200 200 200
GET    /events/{id}.ics                                              removed   200 200 200 200 200
GET    /events/{id}.ics                                              discarded 404 404 404 404 404
GET    /events/{id}                                                  draft     404 404 404 404 404
GET    /events/{id}                                                  submitted 404 404 404 404 404
GET    /events/{id}                                                  cancelled 200 200 200 200 200
GET    /events/{id}                                                  removed   410 410 410 410 410
GET    /events/{id}                                                  discarded 404 404 404 404 404
GET    /events/{id}/poster                                           draft     404 404 404 404 404
GET    /events/{id}/poster                                           submitted 404 404 404 404 404
GET    /events/{id}/poster                                           cancelled 200 200 200 200 200
GET    /events/{id}/poster                                           removed   410 410 410 410 410
GET    /events/{id}/poster                                           discarded 404 404 404 404 404
GET    /events/{id}/follow                                           draft     404 404 404 404 404
GET    /events/{id}/follow                                           submitted 404 404 404 404 404
GET    /events/{id}/follow                                           cancelled 409 409 409 409 409
GET    /events/{id}/follow                                           removed   410 410 410 410 410
GET    /events/{id}/follow                                           discarded 404 404 404 404 404
POST   /events/{id}/follow                                           draft     404 404 404 404 404
POST   /events/{id}/follow                                           submitted 404 404 404 404 404
POST   /events/{id}/follow                                           cancelled 409 409 409 409 409
POST   /events/{id}/follow                                           removed   410 410 410 410 410
POST   /events/{id}/follow                                           discarded 404 404 404 404 404
GET    /events/{id}/report                                           draft     404 404 404 404 404
GET    /events/{id}/report                                           submitted 404 404 404 404 404
GET    /events/{id}/report                                           cancelled 200 200 200 200 200
GET    /events/{id}/report                                           removed   410 410 410 410 410
GET    /events/{id}/report                                           discarded 404 404 404 404 404
POST   /events/{id}/report                                           draft     404 404 404 404 404
POST   /events/{id}/report                                           submitted 404 404 404 404 404
POST   /events/{id}/report                                           cancelled 422 422 422 422 422
POST   /events/{id}/report                                           removed   410 410 410 410 410
POST   /events/{id}/report                                           discarded 404 404 404 404 404
GET    /events/{id}/report/thanks                                    draft     404 404 404 404 404
GET    /events/{id}/report/thanks                                    submitted 404 404 404 404 404
GET    /events/{id}/report/thanks                                    cancelled 200 200 200 200 200
GET    /events/{id}/report/thanks                                    removed   410 410 410 410 410
GET    /events/{id}/report/thanks                                    discarded 404 404 404 404 404
GET    /news/{slug}                                                  draft     404 404 404 404 404
GET    /news/{slug}                                                  removed   410 410 410 410 410
GET    /organize/events/{id}                                         draft     303 404 200 200 200
GET    /organize/events/{id}                                         submitted 303 404 200 200 200
GET    /organize/events/{id}                                         cancelled 303 404 200 200 200
GET    /organize/events/{id}                                         removed   303 404 404 404 404
GET    /organize/events/{id}                                         discarded 303 404 404 404 404
POST   /organize/events/{id}                                         draft     303 404 409 409 409
POST   /organize/events/{id}                                         submitted 303 404 409 409 409
POST   /organize/events/{id}                                         cancelled 303 404 409 409 409
POST   /organize/events/{id}                                         removed   303 404 404 404 404
POST   /organize/events/{id}                                         discarded 303 404 404 404 404
POST   /organize/events/{id}/preview                                 draft     303 404 422 422 422
POST   /organize/events/{id}/preview                                 submitted 303 404 422 422 422
POST   /organize/events/{id}/preview                                 cancelled 303 404 422 422 422
POST   /organize/events/{id}/preview                                 removed   303 404 404 404 404
POST   /organize/events/{id}/preview                                 discarded 303 404 404 404 404
GET    /organize/events/{id}/cancellation                            draft     303 404 409 409 409
GET    /organize/events/{id}/cancellation                            submitted 303 404 409 409 409
GET    /organize/events/{id}/cancellation                            cancelled 303 404 200 200 200
GET    /organize/events/{id}/cancellation                            removed   303 404 404 404 404
GET    /organize/events/{id}/cancellation                            discarded 303 404 404 404 404
POST   /organize/events/{id}/cancellation                            draft     303 404 409 409 409
POST   /organize/events/{id}/cancellation                            submitted 303 404 409 409 409
POST   /organize/events/{id}/cancellation                            cancelled 303 404 422 422 422
POST   /organize/events/{id}/cancellation                            removed   303 404 404 404 404
POST   /organize/events/{id}/cancellation                            discarded 303 404 404 404 404
POST   /organize/events/{id}/confirmation                            draft     303 404 409 409 409
POST   /organize/events/{id}/confirmation                            submitted 303 404 409 409 409
POST   /organize/events/{id}/confirmation                            cancelled 303 404 409 409 409
POST   /organize/events/{id}/confirmation                            removed   303 404 404 404 404
POST   /organize/events/{id}/confirmation                            discarded 303 404 404 404 404
GET    /organize/events/{id}/picture                                 draft     303 404 200 200 200
GET    /organize/events/{id}/picture                                 submitted 303 404 200 200 200
GET    /organize/events/{id}/picture                                 cancelled 303 404 200 200 200
GET    /organize/events/{id}/picture                                 removed   303 404 404 404 404
GET    /organize/events/{id}/picture                                 discarded 303 404 404 404 404
POST   /organize/events/{id}/picture                                 draft     303 404 422 422 422
POST   /organize/events/{id}/picture                                 submitted 303 404 422 422 422
POST   /organize/events/{id}/picture                                 cancelled 303 404 422 422 422
POST   /organize/events/{id}/picture                                 removed   303 404 404 404 404
POST   /organize/events/{id}/picture                                 discarded 303 404 404 404 404
POST   /organize/events/{id}/picture/removal                         draft     303 404 303 303 303
POST   /organize/events/{id}/picture/removal                         submitted 303 404 303 303 303
POST   /organize/events/{id}/picture/removal                         cancelled 303 404 303 303 303
POST   /organize/events/{id}/picture/removal                         removed   303 404 404 404 404
POST   /organize/events/{id}/picture/removal                         discarded 303 404 404 404 404
POST   /organize/events/{id}/publication                             draft     303 404 303 303 303
POST   /organize/events/{id}/publication                             submitted 303 404 303 303 303
POST   /organize/events/{id}/publication                             cancelled 303 404 303 303 303
POST   /organize/events/{id}/publication                             removed   303 404 404 404 404
POST   /organize/events/{id}/publication                             discarded 303 404 404 404 404
POST   /organize/events/{id}/removal                                 draft     303 404 303 303 303
POST   /organize/events/{id}/removal                                 submitted 303 404 303 303 303
POST   /organize/events/{id}/removal                                 cancelled 303 404 303 303 303
POST   /organize/events/{id}/removal                                 removed   303 404 303 303 303
POST   /organize/events/{id}/removal                                 discarded 303 404 303 303 303
POST   /organize/events/{id}/return                                  draft     303 404 303 303 303
POST   /organize/events/{id}/return                                  submitted 303 404 303 303 303
POST   /organize/events/{id}/return                                  cancelled 303 404 303 303 303
POST   /organize/events/{id}/return                                  removed   303 404 303 303 303
POST   /organize/events/{id}/return                                  discarded 303 404 303 303 303
POST   /organize/events/{id}/copy                                    draft     303 404 303 303 303
POST   /organize/events/{id}/copy                                    submitted 303 404 303 303 303
POST   /organize/events/{id}/copy                                    cancelled 303 404 303 303 303
POST   /organize/events/{id}/copy                                    removed   303 404 404 404 404
POST   /organize/events/{id}/copy                                    discarded 303 404 404 404 404
GET    /organize/events/{id}/history                                 draft     303 404 200 200 200
GET    /organize/events/{id}/history                                 submitted 303 404 200 200 200
GET    /organize/events/{id}/history                                 cancelled 303 404 200 200 200
GET    /organize/events/{id}/history                                 removed   303 404 404 404 404
GET    /organize/events/{id}/history                                 discarded 303 404 404 404 404
GET    /organize/events/{id}/history/{number}                        draft     303 404 200 200 200
GET    /organize/events/{id}/history/{number}                        submitted 303 404 200 200 200
GET    /organize/events/{id}/history/{number}                        cancelled 303 404 200 200 200
GET    /organize/events/{id}/history/{number}                        removed   303 404 404 404 404
GET    /organize/events/{id}/history/{number}                        discarded 303 404 404 404 404
POST   /organize/events/{id}/history/{number}/restoration            draft     303 404 303 303 303
POST   /organize/events/{id}/history/{number}/restoration            submitted 303 404 303 303 303
POST   /organize/events/{id}/history/{number}/restoration            cancelled 303 404 303 303 303
POST   /organize/events/{id}/history/{number}/restoration            removed   303 404 404 404 404
POST   /organize/events/{id}/history/{number}/restoration            discarded 303 404 404 404 404
GET    /organize/events/{id}/dates/{start}                           draft     303 404 200 200 200
GET    /organize/events/{id}/dates/{start}                           submitted 303 404 200 200 200
GET    /organize/events/{id}/dates/{start}                           cancelled 303 404 200 200 200
GET    /organize/events/{id}/dates/{start}                           removed   303 404 404 404 404
GET    /organize/events/{id}/dates/{start}                           discarded 303 404 404 404 404
POST   /organize/events/{id}/dates/{start}                           draft     303 404 422 422 422
POST   /organize/events/{id}/dates/{start}                           submitted 303 404 422 422 422
POST   /organize/events/{id}/dates/{start}                           cancelled 303 404 422 422 422
POST   /organize/events/{id}/dates/{start}                           removed   303 404 404 404 404
POST   /organize/events/{id}/dates/{start}                           discarded 303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/preview                   draft     303 404 422 422 422
POST   /organize/events/{id}/dates/{start}/preview                   submitted 303 404 422 422 422
POST   /organize/events/{id}/dates/{start}/preview                   cancelled 303 404 422 422 422
POST   /organize/events/{id}/dates/{start}/preview                   removed   303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/preview                   discarded 303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/publication               draft     303 404 303 303 303
POST   /organize/events/{id}/dates/{start}/publication               submitted 303 404 303 303 303
POST   /organize/events/{id}/dates/{start}/publication               cancelled 303 404 303 303 303
POST   /organize/events/{id}/dates/{start}/publication               removed   303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/publication               discarded 303 404 404 404 404
GET    /organize/events/{id}/dates/{start}/following                 draft     303 404 409 409 409
GET    /organize/events/{id}/dates/{start}/following                 submitted 303 404 409 409 409
GET    /organize/events/{id}/dates/{start}/following                 cancelled 303 404 200 200 200
GET    /organize/events/{id}/dates/{start}/following                 removed   303 404 404 404 404
GET    /organize/events/{id}/dates/{start}/following                 discarded 303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/following                 draft     303 404 409 409 409
POST   /organize/events/{id}/dates/{start}/following                 submitted 303 404 409 409 409
POST   /organize/events/{id}/dates/{start}/following                 cancelled 303 404 409 409 409
POST   /organize/events/{id}/dates/{start}/following                 removed   303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/following                 discarded 303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/following/preview         draft     303 404 409 409 409
POST   /organize/events/{id}/dates/{start}/following/preview         submitted 303 404 409 409 409
POST   /organize/events/{id}/dates/{start}/following/preview         cancelled 303 404 422 422 422
POST   /organize/events/{id}/dates/{start}/following/preview         removed   303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/following/preview         discarded 303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/ending                    draft     303 404 303 303 303
POST   /organize/events/{id}/dates/{start}/ending                    submitted 303 404 303 303 303
POST   /organize/events/{id}/dates/{start}/ending                    cancelled 303 404 303 303 303
POST   /organize/events/{id}/dates/{start}/ending                    removed   303 404 404 404 404
POST   /organize/events/{id}/dates/{start}/ending                    discarded 303 404 404 404 404
GET    /organize/news/{id}                                           draft     303 404 200 200 200
GET    /organize/news/{id}                                           removed   303 404 404 404 404
POST   /organize/news/{id}                                           draft     303 404 409 409 409
POST   /organize/news/{id}                                           removed   303 404 404 404 404
POST   /organize/news/{id}/publication                               draft     303 404 303 303 303
POST   /organize/news/{id}/publication                               removed   303 404 404 404 404
POST   /organize/news/{id}/removal                                   draft     303 404 303 303 303
POST   /organize/news/{id}/removal                                   removed   303 404 303 303 303
POST   /organize/news/{id}/return                                    draft     303 404 303 303 303
POST   /organize/news/{id}/return                                    removed   303 404 303 303 303
GET    /organize/news/{id}/picture                                   draft     303 404 200 200 200
GET    /organize/news/{id}/picture                                   removed   303 404 404 404 404
POST   /organize/news/{id}/picture                                   draft     303 404 422 422 422
POST   /organize/news/{id}/picture                                   removed   303 404 404 404 404
POST   /organize/news/{id}/picture/removal                           draft     303 404 303 303 303
POST   /organize/news/{id}/picture/removal                           removed   303 404 404 404 404
GET    /organize/news/{id}/newsletter                                draft     303 404 404 200 200
GET    /organize/news/{id}/newsletter                                removed   303 404 404 404 404
POST   /organize/news/{id}/newsletter                                draft     303 404 404 409 409
POST   /organize/news/{id}/newsletter                                removed   303 404 404 404 404
POST   /organize/news/{id}/newsletter/test                           draft     303 404 404 303 303
POST   /organize/news/{id}/newsletter/test                           removed   303 404 404 404 404
POST   /organize/news/{id}/newsletter/stop                           draft     303 404 404 409 409
POST   /organize/news/{id}/newsletter/stop                           removed   303 404 404 404 404
POST   /organize/news/{id}/newsletter/continuation                   draft     303 404 404 409 409
POST   /organize/news/{id}/newsletter/continuation                   removed   303 404 404 404 404
GET    /api/v1/events/{id}                                           draft     404 404 200 200 200
GET    /api/v1/events/{id}                                           submitted 404 404 200 200 200
GET    /api/v1/events/{id}                                           cancelled 200 200 200 200 200
GET    /api/v1/events/{id}                                           removed   410 410 410 410 410
GET    /api/v1/events/{id}                                           discarded 404 404 404 404 404
PATCH  /api/v1/events/{id}                                           draft     401 404 428 428 428
PATCH  /api/v1/events/{id}                                           submitted 401 404 428 428 428
PATCH  /api/v1/events/{id}                                           cancelled 401 404 428 428 428
PATCH  /api/v1/events/{id}                                           removed   401 404 410 410 410
PATCH  /api/v1/events/{id}                                           discarded 401 404 410 410 410
DELETE /api/v1/events/{id}                                           draft     401 404 204 204 204
DELETE /api/v1/events/{id}                                           submitted 401 404 204 204 204
DELETE /api/v1/events/{id}                                           cancelled 401 404 204 204 204
DELETE /api/v1/events/{id}                                           removed   401 404 410 410 410
DELETE /api/v1/events/{id}                                           discarded 401 404 410 410 410
POST   /api/v1/events/{id}/cancellation                              draft     401 404 409 409 409
POST   /api/v1/events/{id}/cancellation                              submitted 401 404 409 409 409
POST   /api/v1/events/{id}/cancellation                              cancelled 401 404 422 422 422
POST   /api/v1/events/{id}/cancellation                              removed   401 404 410 410 410
POST   /api/v1/events/{id}/cancellation                              discarded 401 404 410 410 410
POST   /api/v1/events/{id}/publication                               draft     401 404 200 200 200
POST   /api/v1/events/{id}/publication                               submitted 401 404 200 200 200
POST   /api/v1/events/{id}/publication                               cancelled 401 404 200 200 200
POST   /api/v1/events/{id}/publication                               removed   401 404 410 410 410
POST   /api/v1/events/{id}/publication                               discarded 401 404 410 410 410
PUT    /api/v1/events/{id}/dates/{start}                             draft     401 404 200 200 200
PUT    /api/v1/events/{id}/dates/{start}                             submitted 401 404 200 200 200
PUT    /api/v1/events/{id}/dates/{start}                             cancelled 401 404 200 200 200
PUT    /api/v1/events/{id}/dates/{start}                             removed   401 404 410 410 410
PUT    /api/v1/events/{id}/dates/{start}                             discarded 401 404 410 410 410
DELETE /api/v1/events/{id}/dates/{start}                             draft     401 404 200 200 200
DELETE /api/v1/events/{id}/dates/{start}                             submitted 401 404 200 200 200
DELETE /api/v1/events/{id}/dates/{start}                             cancelled 401 404 200 200 200
DELETE /api/v1/events/{id}/dates/{start}                             removed   401 404 410 410 410
DELETE /api/v1/events/{id}/dates/{start}                             discarded 401 404 410 410 410
"""
LINE = re.compile(r"(\w+) +(\S+) +(\w+) +([\d ]+)")
DECLARED = {
    (method, path, state): tuple(map(int, statuses.split()))
    for method, path, state, statuses in LINE.findall(ANSWERS)
}


def concerned() -> Iterator[tuple[str, str, str]]:
    """Each route and each state that its object can be in."""
    for method, route in TABLE:
        for before, states in STATES.items():
            if re.match(rf"(/organize|/api/v1)?/{re.escape(before)}", route.path):
                yield from ((method, route.path, state) for state in states)


@pytest.fixture(scope="module")
def worlds(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, World]]:
    """By state. They share one application; only the objects that stand in the paths differ."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("states"),
        database_url=engines.fresh_url("sqlite"),
        secret_key=SECRET,
        rate_limits=False,
    )
    with running(settings) as app:
        database, now = app.state.branchline.database, datetime.now(UTC)
        with database.writing() as session:
            alder, birch, people = staff(session, now)
            maker = Maker(session, alder, birch, people, publishing_of(settings), now)
            common = {"dates/{start}": "2043-12-01T19:00", "history/{number}": "1"}
            examples = {state: common | made(maker) for state, made in MADE.items()}
            sessions = {role: sign_in.begin(session, person, "", now) for role, person in people.items()}
            keys = {role: tokens.make(session, person, "For tests", now) for role, person in people.items()}
        client = TestClient(
            app,
            "http://localhost",
            headers={"Sec-Fetch-Site": "same-origin"},
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        with forgetful(database):
            yield {state: World(database, client, found, sessions, keys) for state, found in examples.items()}


def drafts(maker: Maker) -> dict[str, str]:
    return {"events/{id}": of(maker.event(state=State.DRAFT)), **news(notice(maker))}


def waiting(maker: Maker) -> dict[str, str]:
    return {"events/{id}": of(maker.event(state=State.SUBMITTED))}


def called_off(maker: Maker) -> dict[str, str]:
    event = maker.event()
    event.cancel("Snow.", maker.now)
    derived.save(maker.session, event, maker.publishing, maker.now)
    return {"events/{id}": of(event)}


def removed(maker: Maker) -> dict[str, str]:
    event, gone = maker.event(), notice(maker)
    with changes.recorded(maker.session, event, "removed", maker.ana, maker.now):
        event.delete(maker.now)
        derived.save(maker.session, event, maker.publishing, maker.now)
    writing.publish(gone, maker.now)
    writing.remove(gone, maker.now)
    return {"events/{id}": of(event), **news(gone)}


def discarded(maker: Maker) -> dict[str, str]:
    """A draft that nobody ever saw, removed: there was never anything at its address."""
    event = maker.event(state=State.DRAFT)
    with changes.recorded(maker.session, event, "removed", maker.ana, maker.now):
        event.delete(maker.now)
        derived.save(maker.session, event, maker.publishing, maker.now)
    return {"events/{id}": of(event)}


MADE: Mapping[str, Callable[[Maker], dict[str, str]]] = {
    "draft": drafts, "submitted": waiting, "cancelled": called_off, "removed": removed,
    "discarded": discarded,
}  # fmt: skip


def of(row: Event | Notice) -> str:
    return str(row.id)


def notice(maker: Maker) -> Notice:
    day = maker.now.date() - timedelta(days=1)  # which has begun in Chicago, too
    said = NoticeDraft(title="A new roof", text="It is dry.", language="en", shown_from=day)
    found, _ = writing.add(maker.session, Written(said, maker.alder), maker.ana, maker.now)
    maker.session.flush()
    return found


def news(found: Notice) -> dict[str, str]:
    return {"news/{id}": of(found), "news/{slug}": found.slug}


def test_every_route_of_events_and_news_says_what_it_answers_in_every_state() -> None:
    assert list(DECLARED) == list(concerned())


def test_everybody_is_answered_as_the_table_says(worlds: Mapping[str, World]) -> None:
    wrong = []
    for (method, path, state), statuses in DECLARED.items():
        found = tuple(worlds[state].status(role, method, path) for role in COLUMNS)
        if found != statuses:
            wrong.append(f"{method} {path} {state}: {found}, not {statuses}")
    assert not wrong, "\n".join(wrong)


def test_what_is_not_public_is_there_for_nobody_else() -> None:
    """Whatever the table says: no line of it lets a stranger see, or a visitor change, what is not theirs."""
    for (method, path, state), (visitor, stranger, *_) in DECLARED.items():
        if state in ("draft", "submitted", "discarded") and not path.startswith(("/organize", "/api")):
            assert {visitor, stranger} <= {404}, (method, path, state)
        if path.startswith("/organize"):
            assert (visitor, stranger) == (303, 404), (method, path, state)
