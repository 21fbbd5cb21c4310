"""Which tables say something about a person, and what becomes of it when the person is removed.

Every column of every table stands here: in what a kind `shows` to the person, in what it `hides` (secrets, which are
held and not told), or in NOT_PERSONAL. A new column breaks the build until somebody has decided where it belongs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ..branches.models import Branch, FormerSlug, ServiceKey
from ..calendars.models import (
    CalendarRevision,
    CalendarSource,
    DateChange,
    Departure,
    Event,
    EventBranch,
    EventTopic,
    HostingRefusal,
    Occurrence,
    Override,
    Picture,
    PollCount,
    Rendered,
    Topic,
)
from ..calendars.moves import CalendarMove
from ..db import Row, SiteRevision, table_of
from ..desk.models import BranchSheet, Proposal, Report, TrustedProposer
from ..limits import RequestCount
from ..messages.models import ContactMessage, MutedSender, OutgoingMail, RefusedAddress
from ..news.models import Headline, HeadlineSource, Notice
from ..people.history import Version
from ..people.models import (
    ApiToken,
    Membership,
    MembershipRequest,
    OneTimeLink,
    Passkey,
    PasskeyChallenge,
    Person,
    SignedIn,
)
from ..subscriptions.models import (
    Newsletter,
    Subscription,
    SubscriptionBranch,
    SubscriptionEvent,
    SubscriptionTopic,
)

NOBODY = -1  # an account that there is not


@dataclass(frozen=True, slots=True)
class Whom:
    """An address in every spelling in which it may be kept (all in lower case), and the account that has it."""

    spellings: tuple[str, ...]
    person_id: int | None

    @property
    def email(self) -> str:
        return self.spellings[0]


Theirs = Callable[[Whom], sa.ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows of a table that are about a person. `leaves`: the rows stay for others, with these values; else they go."""

    name: str
    model: type[Row]
    theirs: Theirs
    shows: str
    hides: str = ""
    leaves: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> sa.Table:
        return table_of(self.model)


def _of_account(model: type[Row], column: str = "person_id") -> Theirs:
    table = table_of(model)
    return lambda whom: table.c[column] == (NOBODY if whom.person_id is None else whom.person_id)


def _at_address(model: type[Row], column: str = "email") -> Theirs:
    table = table_of(model)
    return lambda whom: sa.func.lower(table.c[column]).in_(whom.spellings)


def _either(*conditions: Theirs) -> Theirs:
    return lambda whom: sa.or_(*(condition(whom) for condition in conditions))


def _of_subscription(model: type[Row]) -> Theirs:
    table, subscription = table_of(model), table_of(Subscription)
    at_address = _at_address(Subscription)
    return lambda whom: table.c.subscription_id.in_(sa.select(subscription.c.id).where(at_address(whom)))


def _with_their_message(whom: Whom) -> sa.ColumnElement[bool]:
    message = table_of(ContactMessage)
    written = sa.select(message.c.id).where(_at_address(ContactMessage)(whom))
    return table_of(OutgoingMail).c.message_ref.in_(written)


# In the order in which they are removed: rows that refer to others come before them.
KINDS = (
    Kind("roles", Membership, _of_account(Membership), "branch_id role trusted", "person_id"),
    Kind(
        "requests to organize",
        MembershipRequest,
        _of_account(MembershipRequest),
        "branch_id note created_at decided_at accepted",
        "person_id",
    ),
    Kind(
        "sessions",
        SignedIn,
        _of_account(SignedIn),
        "device created_at expires_at",
        "token_hash person_id",
    ),
    Kind(
        "links and invitations",
        OneTimeLink,
        _either(_of_account(OneTimeLink), _at_address(OneTimeLink, "detail")),
        "purpose detail expires_at used_at",
        "token_hash person_id",
    ),
    Kind(
        "passkeys",
        Passkey,
        _of_account(Passkey),
        "name created_at used_at sign_count",
        "credential_id person_id public_key",
    ),
    Kind(
        "tokens for programs",
        ApiToken,
        _of_account(ApiToken),
        "name created_at expires_at",
        "token_hash person_id",
    ),
    Kind(
        "tables brought back",
        BranchSheet,
        _of_account(BranchSheet),
        "name created_at",
        "id person_id",
    ),
    Kind(
        "changes in the history",
        Version,
        _of_account(Version),
        "subject number action made_at batch",
        "person_id",
        {"person_id": None},
    ),
    Kind(
        "newsletters started",
        Newsletter,
        _of_account(Newsletter),
        "notice_id started_at",
        "person_id",
        {"person_id": None},
    ),
    Kind(
        "messages answered",
        ContactMessage,
        _of_account(ContactMessage, "answered_by_id"),
        "id branch_id answered_at",
        "answered_by_id",
        {"answered_by_id": None},
    ),
    Kind(
        "events proposed",
        Proposal,
        _either(_at_address(Proposal), _of_account(Proposal)),
        "event_id branch_id name email language note urgent created_at decided_at accepted answer",
        "person_id",
        {"person_id": None, "name": "", "email": "", "note": "", "answer": ""},
    ),
    Kind(
        "trusted to propose",
        TrustedProposer,
        _at_address(TrustedProposer),
        "branch_id email created_at",
    ),
    Kind(
        "problems reported",
        Report,
        _at_address(Report),
        "branch_id event_id kind message email urgent created_at closed_at",
    ),
    Kind("muted by branches", MutedSender, _at_address(MutedSender), "branch_id email created_at"),
    Kind(
        "mails to them",
        OutgoingMail,
        _at_address(OutgoingMail, "recipient"),
        "kind recipient subject batch created_at sent_at failed_at attempts last_error",
        "body html event_file unsubscribe_url",  # while they wait: their links sign in, confirm and end things
    ),
    Kind(
        "mails with what they wrote",
        OutgoingMail,
        _either(_at_address(OutgoingMail, "reply_to"), _with_their_message),
        "kind reply_to subject body created_at sent_at failed_at",
    ),
    Kind(
        "messages to branches",
        ContactMessage,
        _at_address(ContactMessage),
        "branch_id about name email subject message language created_at forwarded_at answered_at muted copied_at",
    ),
    Kind(
        "mail refused by their server",
        RefusedAddress,
        _at_address(RefusedAddress, "address"),
        "address refused_at reason unknown",
    ),
    Kind(
        "branches they hear about",
        SubscriptionBranch,
        _of_subscription(SubscriptionBranch),
        "branch_id",
        "subscription_id",
    ),
    Kind(
        "topics they hear about",
        SubscriptionTopic,
        _of_subscription(SubscriptionTopic),
        "topic_id",
        "subscription_id",
    ),
    Kind(
        "events they follow",
        SubscriptionEvent,
        _of_subscription(SubscriptionEvent),
        "event_id",
        "subscription_id",
    ),
    Kind(
        "subscriptions by mail",
        Subscription,
        _at_address(Subscription),
        "email language timezone latitude longitude place within_km frequency urgent newsletter pending asked_at"
        " created_at confirmed_at told_until run_at",
        "id nonce",
    ),
    Kind("branches with their address", Branch, _at_address(Branch), "slug name email", "", {"email": ""}),
    Kind(
        "account",
        Person,
        _of_account(Person, "id"),
        "email name is_admin language created_at told_at",
        "id password_hash",
    ),
)

# What branches, events, news and calendars say is the organisation's own: a person may be named in their texts, and
# `searching` finds where. Counts and revisions name nobody.
NOT_PERSONAL: Mapping[type[Row], str] = {
    ApiToken: "id",
    Branch: "id external_id parent_id successor_id alternate_name search_key name_key city_key code_key description"
    " location_type address_1 address_2 city region state_province postal_code country latitude longitude x y z"
    " geocode_accuracy timezone phone url links languages accessibility opening_hours service_area status opened_on"
    " end_date confidential verified_at updated_at",
    BranchSheet: "body",
    CalendarMove: "number event_id scopes points",
    CalendarRevision: "id number moved_at",
    CalendarSource: "id branch_id url key name state body etag last_modified checksum report error failures created_at"
    " fetched_at changed_at run_at leased_until",
    ContactMessage: "key forwarded_from_id",
    DateChange: "event_id before created_at run_at leased_until",
    Departure: "event_id scope locale ics timezone all_day start left_at",
    Event: "id uid branch_id source source_uid upstream state cancelled_reason cancelled_at deleted_at withdrawn_at"
    " title description language translations start end all_day timezone rrule exdates moved_from related_uid form_key"
    " picture_id picture_alt confirmed_at asked_at asked_since attendance venue_name venue_address online_url"
    " registration_url contact cost access revision created_at published_at modified_at begins_at ends_at known_until"
    " derived_at search_key fingerprint listed_in latitude longitude x y z",
    EventBranch: "event_id branch_id added_at",
    EventTopic: "event_id topic_id",
    FormerSlug: "slug branch_id",
    Headline: "id source_id entry_id title url published_at seen_at",
    HeadlineSource: "id url name etag last_modified checksum error failures created_at fetched_at run_at leased_until",
    HostingRefusal: "event_id branch_id",
    MembershipRequest: "id",
    Newsletter: "id total cursor queued run_at leased_until stopped_at finished_at",
    Notice: "id slug branch_id topic_id form_key title text language picture_id picture_alt is_top shown_from"
    " shown_until timezone published_at begins_at ends_at removed_at revision created_at modified_at",
    Occurrence: "event_id original_start start end starts_at ends_at cancelled title place",
    OutgoingMail: "id message_id bulk message_ref run_at leased_until",
    Override: "id event_id original_start cancelled reason start end title description venue_name venue_address"
    " cancelled_at left_out revision created_at modified_at fingerprint",
    PasskeyChallenge: "challenge_hash expires_at",
    Picture: "id branch_id state original large small width height fault created_at run_at leased_until",
    PollCount: "branch_id day family revision polls unchanged",
    Rendered: "event_id locale ics without_cancelled made_for",
    Report: "id key",
    # A hash that only the secret key makes, of a network address or of one that mails go to; gone within a day.
    RequestCount: "key ends_at count",
    ServiceKey: "key branch_id",
    SiteRevision: "id number",
    Subscription: "leased_until",
    Topic: "id slug name",
    Version: "id snapshot",
}
