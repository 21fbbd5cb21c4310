"""Passkeys (WebAuthn): signing in with what a device keeps, without a password and without a mail.

A browser's answer holds the challenge that it signed. A challenge is good once, for what it was made for, and for
some minutes; that it is used up must be kept also when the rest of the answer is refused.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..errors import BranchlineError, Conflict, NotFound, say
from ..later import loaded_later
from .models import Passkey, PasskeyChallenge, Person
from .sign_in import label

if TYPE_CHECKING:
    import webauthn
    from webauthn import helpers
    from webauthn.helpers import exceptions, structs
else:
    webauthn = loaded_later("webauthn")
    helpers = loaded_later("webauthn.helpers")
    exceptions = loaded_later("webauthn.helpers.exceptions")
    structs = loaded_later("webauthn.helpers.structs")

GOOD_FOR = timedelta(minutes=5)
MOST = 20  # of one person
LONGEST_ANSWER = 20_000  # characters; the longest that browsers send are a quarter of it
SIGN_IN = "sign in"
# What a hostile answer makes the library and the JSON, CBOR and key readers below it raise besides
# `WebAuthnException`.
BROKEN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

Result = TypeVar("Result")


class PasskeyRefused(BranchlineError):
    """An answer that signs nobody in and adds nothing."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where passkeys are made for and used: a host name, and the origin as browsers write it."""

    host: str
    origin: str
    name: str


def options_to_add(session: Session, person: Person, site: Site, handle: bytes, now: datetime) -> str:
    """What the browser needs to make a passkey, as JSON. Raises Conflict past MOST."""
    there = of(session, person)
    if len(there) >= MOST:
        raise Conflict(say("You can have %(most)d passkeys at most. Remove one that is not used.", most=MOST))
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name=site.name,
        user_id=handle,
        user_name=person.email,
        user_display_name=person.name or person.email,
        challenge=_challenge(session, _adding(person), now),
        timeout=int(GOOD_FOR.total_seconds() * 1000),
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,  # so that it is found without an address
            user_verification=structs.UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=helpers.base64url_to_bytes(one.credential_id))
            for one in there
        ],
    )
    return helpers.options_to_json(options)


def options_to_sign_in(session: Session, site: Site, now: datetime) -> str:
    """What the browser needs to use a passkey of anybody's, as JSON."""
    options = webauthn.generate_authentication_options(
        rp_id=site.host,
        challenge=_challenge(session, SIGN_IN, now),
        timeout=int(GOOD_FOR.total_seconds() * 1000),
        user_verification=structs.UserVerificationRequirement.PREFERRED,
    )
    return helpers.options_to_json(options)


def add(session: Session, person: Person, site: Site, answer: str, name: str, now: datetime) -> Passkey:
    """Raises PasskeyRefused."""
    credential, challenge = _read(answer)
    _use_up(session, challenge, _adding(person), now)
    made = _understood(
        lambda: webauthn.verify_registration_response(
            credential=_without_statement(credential),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=False,
        )
    )
    # A key that nothing can be checked with is refused now, and not when somebody wants to sign in.
    _understood(
        lambda: helpers.decoded_public_key_to_cryptography(
            helpers.decode_credential_public_key(made.credential_public_key)
        )
    )
    number = helpers.bytes_to_base64url(made.credential_id)
    if session.get(Passkey, number) is not None:
        raise PasskeyRefused(say("This passkey has been added already."))
    passkey = Passkey(
        credential_id=number,
        person_id=person.id or 0,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        name=name,
        created_at=now,
    )
    session.add(passkey)
    session.flush()
    return passkey


def person_of(session: Session, site: Site, answer: str, now: datetime) -> Person:
    """Who signs in. Raises PasskeyRefused.

    The key proves who it is. That the device also names the person (`userHandle`) is not asked for: those names
    come from the site's secret, which a restored backup may not have.
    """
    credential, challenge = _read(answer)
    _use_up(session, challenge, SIGN_IN, now)
    passkey = session.get(Passkey, _number(credential), with_for_update=True)
    if passkey is None:
        raise PasskeyRefused(
            say(
                "We do not know this passkey. It may have been removed. Please sign in by a link that we e-mail you."
            )
        )
    checked = _understood(
        lambda: webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=False,
        )
    )
    passkey.sign_count, passkey.used_at = checked.new_sign_count, now
    session.add(passkey)
    return session.get_one(Person, passkey.person_id)


def of(session: Session, person: Person) -> Sequence[Passkey]:
    """The newest first."""
    query = select(Passkey).where(col(Passkey.person_id) == person.id)
    return session.exec(query.order_by(col(Passkey.created_at).desc(), col(Passkey.credential_id))).all()


def remove(session: Session, person: Person, labelled: str) -> None:
    """The passkey that `sign_in.label` calls so. Raises NotFound for one that is not theirs."""
    found = [one for one in of(session, person) if label(one.credential_id) == labelled]
    if not found:
        raise NotFound
    session.delete(found[0])


def handle(secret: str, person: Person) -> bytes:
    """What devices call the person by: always the same, and it says nothing about them."""
    key = hashlib.sha256(secret.encode()).digest()
    return hashlib.blake2b(f"passkey {person.id}".encode(), key=key, digest_size=32).digest()


# ---------------------------------------------------------------- challenges


def _adding(person: Person) -> str:
    return f"add {person.id}"


def _challenge(session: Session, purpose: str, now: datetime) -> bytes:
    challenge = secrets.token_bytes(32)
    session.add(PasskeyChallenge(challenge_hash=_hash(challenge, purpose), expires_at=now + GOOD_FOR))
    return challenge


def _use_up(session: Session, challenge: bytes, purpose: str, now: datetime) -> None:
    """Of two answers to one challenge, one passes; an answer to somebody else's never does."""
    mine = col(PasskeyChallenge.challenge_hash) == _hash(challenge, purpose)
    used = session.exec(sa.delete(PasskeyChallenge).where(mine, col(PasskeyChallenge.expires_at) > now))
    if used.rowcount != 1:
        raise PasskeyRefused(say("That took too long, or was done already. Please try again."))


def _hash(challenge: bytes, purpose: str) -> str:
    return hashlib.sha256(purpose.encode() + b" " + challenge).hexdigest()


# ---------------------------------------------------------------- what browsers say


def _read(answer: str) -> tuple[dict[str, Any], bytes]:
    """The credential, and the challenge that it says it signed."""
    if len(answer) > LONGEST_ANSWER:
        raise _unreadable()
    try:
        credential = json.loads(answer)
        said = json.loads(helpers.base64url_to_bytes(credential["response"]["clientDataJSON"]))
        return credential, helpers.base64url_to_bytes(said["challenge"])
    except (exceptions.WebAuthnException, *BROKEN) as error:
        raise _unreadable() from error


def _number(credential: dict[str, Any]) -> str:
    number = credential.get("id")
    if not isinstance(number, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", number):
        raise _unreadable()
    return number


def _without_statement(credential: dict[str, Any]) -> dict[str, Any]:
    """Who made the device is none of our business: what it says about that, with its certificates, is not read."""

    def changed() -> dict[str, Any]:
        said = helpers.parse_cbor(helpers.base64url_to_bytes(credential["response"]["attestationObject"]))
        kept = helpers.encode_cbor({"fmt": "none", "attStmt": {}, "authData": said["authData"]})
        return {
            **credential,
            "response": {**credential["response"], "attestationObject": helpers.bytes_to_base64url(kept)},
        }

    return _understood(changed)


def _understood(check: Callable[[], Result]) -> Result:
    try:
        return check()
    except (exceptions.WebAuthnException, *BROKEN) as error:
        raise PasskeyRefused(
            say(
                "This passkey could not be checked. Please try again, or sign in by a link that we e-mail you."
            )
        ) from error


def _unreadable() -> PasskeyRefused:
    return PasskeyRefused(
        say(
            "Your browser’s answer could not be read. Please try again, or sign in by a link that we e-mail you."
        )
    )
