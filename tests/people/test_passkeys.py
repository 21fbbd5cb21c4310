"""Passkeys, and what attackers send instead."""

import hashlib
import json
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

from events.db import Database
from events.errors import Conflict, NotFound
from events.people import passkeys, sign_in
from events.people.models import Passkey, PasskeyChallenge, Person
from events.people.passkeys import GOOD_FOR, PasskeyRefused, Site
from tests.conftest import NOW, Cast
from tests.people.authenticator import Device

# What the database does is tried on both by the others.
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SITE = Site("localhost", "http://localhost", "Hazel Clubs")
HANDLE = b"stands for a person"


def to_add(database: Database, person: Person) -> str:
    with database.writing() as session:
        return passkeys.options_to_add(session, person, SITE, HANDLE, NOW)


def to_sign_in(database: Database) -> str:
    with database.writing() as session:
        return passkeys.options_to_sign_in(session, SITE, NOW)


def add(database: Database, person: Person, answer: str, after: timedelta = timedelta()) -> None:
    with database.writing() as session:
        passkeys.add(session, person, SITE, answer, "My phone", NOW + after)


def added(database: Database, person: Person, counts: bool = False) -> Device:
    device = Device(counts=counts)
    add(database, person, device.made(to_add(database, person)))
    return device


def who(database: Database, answer: str, after: timedelta = timedelta()) -> str:
    with database.writing() as session:
        return passkeys.person_of(session, SITE, answer, NOW + after).email


def is_refused(
    database: Database, answer: str, person: Person | None = None, said: str | None = None
) -> bool:
    with pytest.raises(PasskeyRefused, match=said):
        if person is None:
            who(database, answer)
        else:
            add(database, person, answer)
    return True


def test_a_passkey_signs_in_without_an_address(database: Database, cast: Cast) -> None:
    anas, cys = added(database, cast.ana), added(database, cast.cy)
    assert json.loads(to_sign_in(database)).get("allowCredentials", []) == []
    assert who(database, anas.used(to_sign_in(database))) == "ana@example.org"
    assert who(database, cys.used(to_sign_in(database)), GOOD_FOR - timedelta(seconds=1)) == "cy@example.org"
    with database.reading() as session:
        [kept] = passkeys.of(session, cast.ana)
        assert (kept.name, kept.used_at) == ("My phone", NOW)


@on_sqlite
def test_the_options_name_the_site_and_say_nothing_of_the_person_that_is_theirs_alone(
    database: Database, cast: Cast
) -> None:
    first = json.loads(to_add(database, cast.ana))
    assert first["rp"] == {"name": "Hazel Clubs", "id": "localhost"}
    assert first["authenticatorSelection"]["residentKey"] == "required"
    assert first["authenticatorSelection"]["userVerification"] == "preferred"
    assert first["attestation"] == "none" and first["excludeCredentials"] == []
    device = added(database, cast.ana)
    known = json.loads(to_add(database, cast.ana))["excludeCredentials"]
    assert [base64url_to_bytes(one["id"]) for one in known] == [device.number]
    assert json.loads(to_add(database, cast.cy))["excludeCredentials"] == []


@on_sqlite
def test_the_handle_is_always_the_same_and_tells_nothing(database: Database, cast: Cast) -> None:
    handle = passkeys.handle("secret", cast.ana)
    assert handle == passkeys.handle("secret", cast.ana) and len(handle) == 32
    assert len({handle, passkeys.handle("secret", cast.cy), passkeys.handle("other", cast.ana)}) == 3


@on_sqlite
def test_the_database_holds_no_challenge(database: Database, cast: Cast) -> None:
    options = to_sign_in(database)
    challenge = base64url_to_bytes(json.loads(options)["challenge"])
    with database.engine.connect() as connection:
        held = str(connection.execute(sa.text("SELECT * FROM passkey_challenge")).all())
    assert json.loads(options)["challenge"] not in held and challenge.hex() not in held


def test_a_challenge_is_good_once_and_for_five_minutes(database: Database, cast: Cast) -> None:
    device = added(database, cast.ana)
    answer = device.used(to_sign_in(database))
    assert who(database, answer) == "ana@example.org"
    assert is_refused(database, answer, said="done already")
    with pytest.raises(PasskeyRefused, match="took too long"):
        who(database, device.used(to_sign_in(database)), GOOD_FOR)
    late = Device().made(to_add(database, cast.ana))
    with pytest.raises(PasskeyRefused, match="took too long"):
        add(database, cast.ana, late, GOOD_FOR)


def test_of_two_that_answer_one_challenge_at_once_one_gets_in(database: Database, cast: Cast) -> None:
    answer = added(database, cast.ana).used(to_sign_in(database))
    start = threading.Barrier(2)

    def gets_in(_: int) -> bool:
        start.wait(10)
        try:
            return who(database, answer) == "ana@example.org"
        except PasskeyRefused:
            return False

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(gets_in, range(2))) == [False, True]


@on_sqlite
def test_a_refused_answer_uses_its_challenge_up_when_the_refusal_is_kept(
    database: Database, cast: Cast
) -> None:
    device = added(database, cast.ana)
    options = to_sign_in(database)
    with database.writing() as session, pytest.raises(PasskeyRefused, match="could not be checked"):
        passkeys.person_of(session, SITE, device.used(options, signature="AAAA"), NOW)
    assert is_refused(database, device.used(options), said="done already")


@on_sqlite
def test_somebody_elses_challenge_adds_nothing(database: Database, cast: Cast) -> None:
    stolen = Device().made(to_add(database, cast.cy))
    assert is_refused(database, stolen, cast.ana, "done already")
    to_enter = {**json.loads(to_sign_in(database)), "user": {"id": "AAAA"}}
    assert is_refused(database, Device().made(json.dumps(to_enter)), cast.ana)
    device = added(database, cast.ana)
    assert is_refused(database, device.used(to_add(database, cast.ana)))
    with database.reading() as session:
        assert not passkeys.of(session, cast.cy) and len(passkeys.of(session, cast.ana)) == 1


@on_sqlite
def test_what_was_signed_for_another_site_is_refused(database: Database, cast: Cast) -> None:
    for elsewhere in (
        Device("evil.example"),
        Device(origin="http://evil.example"),
        Device(origin="https://localhost"),
    ):
        assert is_refused(database, elsewhere.made(to_add(database, cast.ana)), cast.ana)
    device = added(database, cast.ana)
    device.origin = "http://evil.example"
    assert is_refused(database, device.used(to_sign_in(database)))
    device.origin, device.host = "http://localhost", "evil.example"
    assert is_refused(database, device.used(to_sign_in(database)))


@on_sqlite
def test_another_key_does_not_sign_in(database: Database, cast: Cast) -> None:
    device, other = added(database, cast.ana), Device()
    assert is_refused(database, other.used(to_sign_in(database)), said="do not know this passkey")
    other.number = device.number
    assert is_refused(database, other.used(to_sign_in(database)), said="could not be checked")


@on_sqlite
def test_a_device_that_counts_must_count_up(database: Database, cast: Cast) -> None:
    """A copy of it would count from where it was copied."""
    device = added(database, cast.ana, counts=True)
    for _ in range(2):
        assert who(database, device.used(to_sign_in(database)))
    device.uses = 0
    assert is_refused(database, device.used(to_sign_in(database)))
    device.uses = 7
    assert who(database, device.used(to_sign_in(database)))


@on_sqlite
def test_a_passkey_is_on_one_account(database: Database, cast: Cast) -> None:
    device = added(database, cast.ana)
    assert is_refused(database, device.made(to_add(database, cast.cy)), cast.cy, "added already")
    assert is_refused(database, device.made(to_add(database, cast.ana)), cast.ana, "added already")
    assert who(database, device.used(to_sign_in(database))) == "ana@example.org"


def test_a_passkey_is_removed_by_whose_it_is_alone(database: Database, cast: Cast) -> None:
    device = added(database, cast.ana)
    called = sign_in.label(bytes_to_base64url(device.number))
    with database.writing() as session:
        for person, name in (
            (cast.cy, called),
            (cast.ana, "x"),
            (cast.ana, bytes_to_base64url(device.number)),
        ):
            with pytest.raises(NotFound):
                passkeys.remove(session, person, name)
        passkeys.remove(session, cast.ana, called)
    assert is_refused(database, device.used(to_sign_in(database)), said="do not know")


@on_sqlite
def test_twenty_are_enough(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        session.add_all(
            Passkey(credential_id=str(number), person_id=cast.ana.id or 0, public_key=b"", created_at=NOW)
            for number in range(passkeys.MOST)
        )
    with pytest.raises(Conflict, match="20 passkeys"):
        to_add(database, cast.ana)


BAD_KEYS: list[Any] = [
    {}, [], 7, b"", {1: 2}, {1: 2, 3: -7}, {1: 2, 3: -7, -1: 1, -2: b"x", -3: b"y"}, {1: 2, 3: -7, -1: 1, -2: 1, -3: 2},
    {1: 2, 3: -7, -1: 99, -2: bytes(32), -3: bytes(32)}, {1: 3, 3: -257, -1: b"\x01", -2: b"\x01"},
    {1: 1, 3: -8, -1: 6, -2: b"short"}, {1: "x", 3: []}, b"\x9b\x00\xff\xff\xff\xff\xff\xff\xff", b"\xa1" * 2000,
]  # fmt: skip


@on_sqlite
def test_a_key_that_nothing_could_be_checked_with_is_refused_at_once(database: Database, cast: Cast) -> None:
    for key in BAD_KEYS:
        device = Device()
        device.cose = key if isinstance(key, bytes) else encode_cbor(key)
        answer = device.made(to_add(database, cast.ana))
        assert is_refused(database, answer, cast.ana, "could not be checked"), key


DEEP = "[" * 9_000
NOT_ANSWERS = [
    "", "{", "null", "7", "[]", "{}", '"x"', DEEP, '{"a":' * 3000, "9" * 6000, "x" * 30_000, "\ud800",
    '{"response": 7}', '{"response": {"clientDataJSON": 7}}', '{"response": {"clientDataJSON": "ñ"}}',
    '{"response": {"clientDataJSON": "%%%"}}', '{"response": {"clientDataJSON": "bnVsbA"}}',
]  # fmt: skip


@on_sqlite
def test_what_is_no_answer_is_refused_with_a_sentence(database: Database, cast: Cast) -> None:
    for answer in NOT_ANSWERS:
        assert is_refused(database, answer, said="could not be read"), answer[:40]
        assert is_refused(database, answer, cast.ana, "could not be read"), answer[:40]


@on_sqlite
def test_an_answer_with_a_part_of_the_wrong_kind_is_refused(database: Database, cast: Cast) -> None:
    device = added(database, cast.ana)
    wrong: list[Any] = [None, 7, True, [], {}, "", "ñ", "\ud800", "A", "AAAA", "x" * 9000]
    for part in ("id", "rawId", "type", "authenticatorAttachment"):
        for value in wrong:
            if part == "authenticatorAttachment" and not isinstance(value, str):
                continue  # which is ignored
            for make, person in ((device.used, None), (Device().made, cast.ana)):
                options = to_add(database, person) if person else to_sign_in(database)
                answer = json.dumps({**json.loads(make(options)), part: value})
                assert is_refused(database, answer, person), (part, value)
    for value in wrong:
        for part in ("authenticatorData", "signature"):
            assert is_refused(database, device.used(to_sign_in(database), **{part: value})), (part, value)
        answer = Device().made(to_add(database, cast.ana), attestationObject=value)
        assert is_refused(database, answer, cast.ana), value


@on_sqlite
def test_who_made_the_device_is_not_read(database: Database, cast: Cast) -> None:
    """An attestation of any kind, valid or not, changes nothing: it was not asked for."""
    device = Device()
    answer = json.loads(device.made(to_add(database, cast.ana)))
    whole = {"fmt": "packed", "attStmt": {"x5c": [b"no certificate"], "sig": 7}}
    authenticator = hashlib.sha256(b"localhost").digest() + struct.pack(">BI", 0x45, 0) + bytes(16)
    authenticator += struct.pack(">H", 32) + device.number + device.cose
    answer["response"]["attestationObject"] = bytes_to_base64url(
        encode_cbor(whole | {"authData": authenticator})
    )
    add(database, cast.ana, json.dumps(answer))
    assert who(database, device.used(to_sign_in(database))) == "ana@example.org"


@on_sqlite
def test_challenges_that_nobody_answered_do_not_pile_up(database: Database, cast: Cast) -> None:
    to_sign_in(database)
    with database.writing() as session:
        sign_in.forget_past(session, NOW + GOOD_FOR + timedelta(seconds=1))
        assert session.exec(select(PasskeyChallenge)).all() == []
