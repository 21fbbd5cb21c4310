"""Tokens of programs."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from events.db import Database
from events.errors import Conflict, NotFound
from events.people import sign_in, tokens
from events.people.models import ApiToken, Person
from tests.conftest import NOW, Cast

YEAR = timedelta(days=365)


def made(database: Database, person: Person, name: str = "Calendar script") -> str:
    with database.writing() as session:
        return tokens.make(session, person, name, NOW)


def whose(database: Database, token: str, after: timedelta = timedelta()) -> str | None:
    with database.reading() as session:
        person = tokens.person_of(session, token, NOW + after)
        return person.email if person else None


def test_a_token_stands_for_a_person_for_a_year(database: Database, cast: Cast) -> None:
    token = made(database, cast.ana)
    assert token.startswith("bl_") and len(token) > 40
    assert whose(database, token) == "ana@example.org"
    assert whose(database, token, YEAR - timedelta(seconds=1)) == "ana@example.org"
    assert whose(database, token, YEAR) is None


def test_the_database_holds_a_tokens_hash_and_not_the_token(database: Database, cast: Cast) -> None:
    token = made(database, cast.ana)
    with database.engine.connect() as connection:
        held = str(connection.execute(sa.text("SELECT * FROM api_token")).all())
    assert token not in held and token.removeprefix("bl_") not in held and sign_in.token_hash(token) in held


def test_a_session_a_hash_or_nonsense_is_no_token(database: Database, cast: Cast) -> None:
    token = made(database, cast.ana)
    with database.writing() as session:
        signed_in = sign_in.begin(session, cast.ana, "", NOW)
    hashed = sign_in.token_hash(token)
    for other in (signed_in, hashed, f"bl_{hashed}", "", "bl_", "bl_nothing", "bl_" + "ñ" * 500):
        assert whose(database, other) is None, other


def test_tokens_are_listed_and_removed_by_whose_they_are_alone(database: Database, cast: Cast) -> None:
    token = made(database, cast.ana)
    with database.writing() as session:
        [mine] = tokens.of(session, cast.ana)
        assert mine.name == "Calendar script" and not tokens.of(session, cast.cy)
        with pytest.raises(NotFound):
            tokens.remove(session, cast.cy, mine.id or 0)
        tokens.remove(session, cast.ana, mine.id or 0)
        session.flush()
        with pytest.raises(NotFound):
            tokens.remove(session, cast.ana, mine.id or 0)
    assert whose(database, token) is None


def test_a_name_is_used_once_and_twenty_are_enough(database: Database, cast: Cast) -> None:
    made(database, cast.ana)
    with pytest.raises(Conflict, match="of this name"):
        made(database, cast.ana)
    made(database, cast.cy)
    with database.writing() as session:
        session.add_all(
            ApiToken(token_hash=str(number), person_id=cast.ana.id or 0, name=str(number), created_at=NOW,
                     expires_at=NOW + YEAR)
            for number in range(tokens.MOST - 1)
        )  # fmt: skip
    with pytest.raises(Conflict, match="20 tokens"):
        made(database, cast.ana, "One more")
