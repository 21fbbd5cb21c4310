"""Who somebody is: links, passwords, sessions."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import argon2
import pytest
import sqlalchemy as sa
from sqlmodel import select

from events.db import Database
from events.errors import Gone, NotFound, Unreadable
from events.migrations.tables import metadata
from events.people import history, joining, permissions, sign_in, tokens
from events.people.models import (
    ApiToken,
    MembershipRequest,
    OneTimeLink,
    Passkey,
    PasskeyChallenge,
    Person,
    Purpose,
    Role,
    SignedIn,
)
from events.people.sign_in import LinkExpired, LinkUsed, normal_email
from tests.conftest import NOW, Cast

HOUR = timedelta(hours=1)


def link(database: Database, person: Person, lifetime: timedelta = OneTimeLink.LIFETIME) -> str:
    with database.writing() as session:
        return sign_in.make_link(session, person, Purpose.SIGN_IN, NOW, lifetime=lifetime)


def used(database: Database, token: str, after: timedelta = timedelta()) -> OneTimeLink:
    with database.writing() as session:
        return sign_in.use_link(session, token, NOW + after)


def begun(database: Database, person: Person, device: str = "Firefox") -> str:
    with database.writing() as session:
        return sign_in.begin(session, person, device, NOW)


def whose(database: Database, token: str, after: timedelta = timedelta()) -> str | None:
    with database.reading() as session:
        person = sign_in.who(session, token, NOW + after)
        return person.email if person else None


def test_a_link_is_looked_at_as_often_as_one_likes_and_used_once(database: Database, cast: Cast) -> None:
    token = link(database, cast.ana)
    for _ in range(3):
        with database.writing() as session:
            assert sign_in.look_at_link(session, token, NOW).person_id == cast.ana.id
    assert used(database, token).person_id == cast.ana.id
    with pytest.raises(LinkUsed):
        used(database, token)
    with pytest.raises(LinkUsed), database.reading() as session:
        sign_in.look_at_link(session, token, NOW)


def test_of_two_that_use_a_link_at_the_same_moment_one_gets_in(database: Database, cast: Cast) -> None:
    token = link(database, cast.ana)
    start = threading.Barrier(4)

    def gets_in(_: int) -> bool:
        start.wait(10)
        try:
            used(database, token)
        except LinkUsed:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(gets_in, range(4))) == [False, False, False, True]


def test_a_link_expires_after_an_hour_and_an_invitation_after_a_week(database: Database, cast: Cast) -> None:
    mailed = link(database, cast.ana)
    invitation = link(database, cast.ana, lifetime=OneTimeLink.INVITATION_LIFETIME)
    with pytest.raises(LinkExpired):
        used(database, mailed, HOUR)
    assert used(database, invitation, timedelta(days=7) - timedelta(seconds=1))
    late = link(database, cast.ana, lifetime=OneTimeLink.INVITATION_LIFETIME)
    with pytest.raises(LinkExpired):
        used(database, late, timedelta(days=7))


@pytest.mark.parametrize("token", ["", "x", "nothing of ours", "ñ" * 500])
def test_a_link_that_never_existed_says_so(database: Database, token: str) -> None:
    with pytest.raises(Gone, match="not one of ours"):
        used(database, token)


def test_the_database_holds_no_token_and_no_password(database: Database, cast: Cast) -> None:
    secrets = [link(database, cast.ana), begun(database, cast.ana), "correct horse battery"]
    with database.writing() as session:
        sign_in.set_password(session, session.get_one(Person, cast.ana.id), secrets[2])
    secrets[:2] = [link(database, cast.ana), begun(database, cast.ana)]
    with database.engine.connect() as connection:
        rows = [row for table in metadata.sorted_tables for row in connection.execute(sa.select(table))]
    held = "\n".join(str(value) for row in rows for value in row)
    assert not [secret for secret in secrets if secret in held]
    assert sign_in.token_hash(secrets[0]) in held  # the rows that were searched do hold their hashes
    assert "$argon2id$" in held


def test_a_session_ends_when_it_is_told_to_or_after_sixty_days(database: Database, cast: Cast) -> None:
    token, other = begun(database, cast.ana), begun(database, cast.ana)
    assert whose(database, token) == "ana@example.org"
    assert whose(database, token, SignedIn.LIFETIME - HOUR) == "ana@example.org"
    assert whose(database, token, SignedIn.LIFETIME) is None
    with database.writing() as session:
        sign_in.end(session, token)
    assert whose(database, token) is None
    assert whose(database, other) == "ana@example.org"


@pytest.mark.parametrize("token", ["", "nonsense", sign_in.token_hash("x")])
def test_a_token_that_nobody_was_given_is_nobodys(database: Database, cast: Cast, token: str) -> None:
    begun(database, cast.ana)
    assert whose(database, token) is None


def test_the_hash_of_a_token_opens_nothing(database: Database, cast: Cast) -> None:
    """Whoever steals the database cannot send what is in it."""
    assert whose(database, sign_in.token_hash(begun(database, cast.ana))) is None
    with pytest.raises(Gone):
        used(database, sign_in.token_hash(link(database, cast.ana)))


def test_a_new_password_ends_every_session_of_that_person(database: Database, cast: Cast) -> None:
    first, second, of_cy = begun(database, cast.ana), begun(database, cast.ana), begun(database, cast.cy)
    with database.writing() as session:
        sign_in.set_password(session, session.get_one(Person, cast.ana.id), "correct horse battery")
    assert [whose(database, token) for token in (first, second, of_cy)] == [None, None, "cy@example.org"]


def test_all_sessions_but_the_present_one_can_be_ended(database: Database, cast: Cast) -> None:
    here, elsewhere = begun(database, cast.ana), begun(database, cast.ana)
    with database.writing() as session:
        sign_in.end_all(session, cast.ana.id or 0, except_token=here)
    assert (whose(database, here), whose(database, elsewhere)) == ("ana@example.org", None)


def test_the_list_of_sessions_names_devices_newest_first(database: Database, cast: Cast) -> None:
    begun(database, cast.cy)
    begun(database, cast.ana, "Firefox")
    with database.writing() as session:
        sign_in.begin(session, cast.ana, "x" * 5000, NOW + HOUR)
    with database.reading() as session:
        devices = [one.device for one in sign_in.sessions(session, cast.ana.id or 0)]
    assert devices == ["x" * 200, "Firefox"]


def test_the_right_password_signs_in_and_nothing_else_does(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        sign_in.set_password(session, session.get_one(Person, cast.ana.id), "correct horse battery")
    with database.reading() as session:
        person = sign_in.with_password(session, "ana@example.org", "correct horse battery")
        assert person is not None and person.email == "ana@example.org"
        for email, password in (
            ("ana@example.org", "correct horse batter"),
            ("ana@example.org", "Correct horse battery"),
            ("ana@example.org", ""),
            ("ana@example.org", person.password_hash),
            ("cy@example.org", "correct horse battery"),
            ("cy@example.org", ""),  # who has no password signs in by link only
            ("nobody@example.org", "correct horse battery"),
            ("nobody@example.org", ""),
        ):
            assert sign_in.with_password(session, email, password) is None, (email, password)


@pytest.mark.parametrize("email", ["ana@example.org", "cy@example.org", "nobody@example.org"])
def test_a_wrong_password_is_as_much_work_whoever_is_known(
    database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch, email: str
) -> None:
    """Ana has a password, Cy has none, and nobody else is known: the time it takes must not tell which."""
    with database.writing() as session:
        sign_in.set_password(session, session.get_one(Person, cast.ana.id), "correct horse battery")
    checked: list[str] = []
    real = argon2.PasswordHasher.verify

    def verify(self: argon2.PasswordHasher, kept: str, password: str) -> bool:
        checked.append(kept.rpartition("$")[0].rpartition("$")[0])  # how much work: all but salt and hash
        return real(self, kept, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)
    with database.reading() as session:
        assert sign_in.with_password(session, email, "no horse at all") is None
    assert checked == ["$argon2id$v=19$m=65536,t=3,p=4"]


def test_a_password_of_the_longest_kind_works_whole(database: Database, cast: Cast) -> None:
    longest = "ñ" * sign_in.LONGEST_PASSWORD
    with database.writing() as session:
        sign_in.set_password(session, session.get_one(Person, cast.ana.id), longest)
    with database.reading() as session:
        assert sign_in.with_password(session, "ana@example.org", longest) is not None
        assert sign_in.with_password(session, "ana@example.org", longest[:-1]) is None


@pytest.mark.parametrize(
    ("password", "said"), [("", "at least 10"), ("nine char", "at least 10"), ("x" * 201, "at most 200")]
)
def test_a_password_of_a_wrong_length_is_refused_and_changes_nothing(
    database: Database, cast: Cast, password: str, said: str
) -> None:
    token = begun(database, cast.ana)
    with pytest.raises(Unreadable, match=said), database.writing() as session:
        sign_in.set_password(session, session.get_one(Person, cast.ana.id), password)
    assert whose(database, token) == "ana@example.org"


def test_what_is_over_is_forgotten(database: Database, cast: Cast) -> None:
    begun(database, cast.ana)
    link(database, cast.ana)
    with database.writing() as session:
        sign_in.forget_past(session, NOW + timedelta(days=29))
        assert session.exec(select(SignedIn)).all() and session.exec(select(OneTimeLink)).all()
        sign_in.forget_past(session, NOW + timedelta(days=61))
        assert not session.exec(select(SignedIn)).all() and not session.exec(select(OneTimeLink)).all()


def test_a_person_is_added_once(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        assert sign_in.find_or_add(session, "ana@example.org", NOW).id == cast.ana.id
        assert sign_in.find(session, "ben@example.org") is None
        ben = sign_in.find_or_add(session, "ben@example.org", NOW, language="es")
        assert (ben.id, ben.language) == (4, "es")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("ana@example.org", "ana@example.org"),
        ("  Ana@Example.ORG\n", "ana@example.org"),
        ("a.na+tag@mail.example.org", "a.na+tag@mail.example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("ana@MÜNCHEN.example", "ana@xn--mnchen-3ya.example"),
        ("ana@münchen.example", "ana@xn--mnchen-3ya.example"),
        ("ana@ｅｘａｍｐｌｅ.org", "ana@example.org"),
        ("ana@xn--mnchen-3ya.example", "ana@xn--mnchen-3ya.example"),
        ("ana@straße.de", "ana@xn--strae-oqa.de"),  # strasse.de is another's
    ],
)
def test_an_address_is_kept_in_one_form(typed: str, kept: str) -> None:
    assert normal_email(typed) == kept
    assert normal_email(kept) == kept


@pytest.mark.parametrize(
    "typed",
    ["", "ana", "ana@", "@example.org", "ana@localhost", "ana@example", "ana@example.o", "a b@example.org",
     "ana@@example.org", "ana@example..org", "a..na@example.org", "ana@example.org.", "ana@-example.org",
     "ana@example.org,ben@example.org", "ana@example.org, ben@example.org", "Ana <ana@example.org>",
     '"ana"@example.org', "ana@[192.0.2.1]", "ana@exa_mple.org", "ana\n@example.org", "ana@example.org\nBcc: x@y.zz",
     "ana@exam\x00ple.org", "=?utf-8?q?ana?=@example.org", "ana@" + "x" * 64 + ".org", "a" * 250 + "@example.org",
     "ana@example＠evil.org", "ana@example，org.org", "ana@℀.org", "ana@evil.org／.example.org",
     "ñandú@example.org", "a" * 65 + "@example.org"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_sentence(typed: str) -> None:
    """Some hide a real @, comma or slash in a look-alike that IDNA folds; to the last two no mail could be sent."""
    with pytest.raises(Unreadable, match=r"address|after the @"):
        normal_email(typed)


def test_of_two_that_add_the_same_address_at_the_same_moment_both_get_the_one_person(
    database: Database,
) -> None:
    start = threading.Barrier(4)

    def add(_: int) -> int | None:
        start.wait(10)
        with database.writing() as session:
            return sign_in.find_or_add(session, "ben@example.org", NOW).id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(add, range(4)))) == 1


def test_a_new_password_ends_the_links_that_are_under_way(database: Database, cast: Cast) -> None:
    """Whoever knew the old one may have sent themselves a link, or read one in a mailbox that is theirs now."""
    sign_nobody_in = {Purpose.SUGGESTION, Purpose.CONFIRMATION}
    with database.writing() as session:
        tokens = {purpose: sign_in.make_link(session, cast.ana, purpose, NOW) for purpose in Purpose}
        of_cy = sign_in.make_link(session, cast.cy, Purpose.RESET, NOW)
        sign_in.set_password(session, session.get_one(Person, cast.ana.id), "correct horse battery")
    for purpose in set(Purpose) - sign_nobody_in:
        with pytest.raises(Gone):
            used(database, tokens[purpose])
    assert used(database, of_cy) and all(used(database, tokens[purpose]) for purpose in sign_nobody_in)


def test_a_session_is_ended_by_a_name_that_is_neither_its_token_nor_its_hash(
    database: Database, cast: Cast
) -> None:
    here, there = begun(database, cast.ana), begun(database, cast.ana)
    name = sign_in.label(sign_in.token_hash(there))
    assert name not in (there, sign_in.token_hash(there))
    with database.writing() as session:
        for stranger, called in ((cast.cy, name), (cast.ana, sign_in.token_hash(there)), (cast.ana, "x")):
            with pytest.raises(NotFound):
                sign_in.end_one(session, stranger.id or 0, called)
        sign_in.end_one(session, cast.ana.id or 0, name)
    assert (whose(database, here), whose(database, there)) == ("ana@example.org", None)


def test_who_gave_an_address_and_never_came_is_forgotten_and_nobody_else(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:

        def add(name: str, days: int) -> Person:
            return sign_in.find_or_add(session, f"{name}@example.org", NOW - timedelta(days=days))

        never, lately = add("never", 31), add("lately", 29)
        sign_in.make_link(session, lately, Purpose.REGISTRATION, NOW - timedelta(days=29))
        sign_in.make_link(session, add("mailed", 60), Purpose.REGISTRATION, NOW - timedelta(days=29))
        permissions.invite(session, add("invited", 400), cast.alder, Role.ORGANIZER)
        permissions.invite(session, add("admin", 400), None, Role.ADMIN)
        assert joining.ask(session, add("asking", 400), cast.alder, "", NOW)
        sign_in.begin(session, add("visiting", 400), "", NOW)
        sign_in.set_password(session, add("returning", 400), "correct horse battery")
        tokens.make(session, add("program", 400), "Script", NOW)
        history.write(session, "event:1", "changed", {}, add("author", 400), NOW)
        key = Passkey(credential_id="x", person_id=add("key", 400).id or 0, public_key=b"", created_at=NOW)
        session.add(key)
        session.flush()
        sign_in.forget_past(session, NOW)
        left = {person.email.partition("@")[0] for person in session.exec(select(Person)).all()}
    assert never.email.partition("@")[0] not in left
    assert left == {
        "ana", "cy", "dee", "lately", "mailed", "invited", "admin", "asking", "visiting", "returning", "program",
        "author", "key",
    }  # fmt: skip


def test_answered_requests_challenges_and_expired_tokens_are_forgotten(
    database: Database, cast: Cast
) -> None:
    def there(after: timedelta) -> list[int]:
        with database.writing() as session:
            sign_in.forget_past(session, NOW + after)
            return [
                len(session.exec(select(kind)).all())
                for kind in (PasskeyChallenge, MembershipRequest, ApiToken)
            ]

    with database.writing() as session:
        sign_in.make_no_link(session, NOW)
        joining.ask(session, cast.cy, cast.alder, "", NOW)
        joining.ask(session, cast.ana, cast.birch, "", NOW)
        joining.refuse(session, joining.waiting(session, cast.dee)[0], NOW)
        tokens.make(session, cast.ana, "Script", NOW)
    assert there(timedelta()) == [1, 2, 1]
    assert there(timedelta(days=91)) == [0, 1, 1], "what waits for an answer stays"
    assert there(timedelta(days=396)) == [0, 1, 0]
