"""The links of a subscription: whoever has one may change or end it, and nobody else."""

import pytest
from sqlmodel import Session

from events.db import Database
from events.errors import Gone
from events.subscriptions import choices
from events.subscriptions.choices import Choice
from events.subscriptions.links import subscription_at, token_of
from events.subscriptions.models import Subscription
from tests.conftest import NOW

SECRET = "for tests only"
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def asked(session: Session, email: str = "ben@example.org") -> Subscription:
    subscription = choices.ask(session, email, Choice(newsletter=True), NOW)
    session.flush()
    return subscription


def test_a_link_opens_its_own_subscription(database: Database) -> None:
    with database.writing() as session:
        tokens = {
            email: token_of(asked(session, email), SECRET) for email in ("a@example.org", "b@example.org")
        }
        for hold in (False, True):
            found = {email: subscription_at(session, tokens[email], SECRET, hold=hold) for email in tokens}
            assert [one.email for one in found.values()] == list(found)


def test_a_link_stays_the_same_as_it_stands_in_every_mail(database: Database) -> None:
    with database.writing() as session:
        token = token_of(asked(session), SECRET)
        choices.confirm(session, asked(session), NOW)
        assert token_of(asked(session), SECRET) == token


def test_nothing_else_opens_it(database: Database) -> None:
    with database.writing() as session:
        mine, other = asked(session), asked(session, "ana@example.org")
        token = token_of(mine, SECRET)
        number, _, mark = token.partition("-")
        wrong = [
            *(
                "",
                "x",
                number,
                f"{number}-",
                token[:-1],
                f"{token}0",
                token.upper(),
                f" {token}",
                f"{token}\n",
            ),
            *(
                f"0{token}",
                f"{other.id}-{mark}",
                f"{'9' * 30}-{mark}",
                f"3000000000-{mark}",
                token_of(mine, "another secret"),
            ),
        ]
        for text in wrong:
            with pytest.raises(Gone):
                subscription_at(session, text, SECRET)


def test_with_the_subscription_its_links_end_for_good(database: Database) -> None:
    """Also when the database gives the number out again."""
    with database.writing() as session:
        first = asked(session)
        number, token = first.id, token_of(first, SECRET)
        choices.end(session, first)
        assert asked(session).id == number
        with pytest.raises(Gone):
            subscription_at(session, token, SECRET)
