"""Every kind of mail there is, written by the code that really writes it, in each language.

`python -m tests.mails FOLDER` writes each as NAME.LANGUAGE.eml, .txt and .html, to be looked at. A new kind of mail is
a function here that makes the site write one, and its name in MAILS.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events import migrations
from events.branches.models import Branch
from events.calendars import changes, derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.models import Event
from events.calendars.timezones import to_wall
from events.config import Settings
from events.db import Database
from events.desk import freshness, notices, proposals
from events.mail import Refused, Undeliverable, composed
from events.messages import delivery, outbox
from events.messages.models import ContactMessage, OutgoingMail, RefusedAddress
from events.people import permissions, sign_in
from events.people.models import MembershipRequest, Person, Purpose, Role
from events.places.geo import Point
from events.subscriptions import digests, newsletters, urgent
from events.subscriptions.models import Subscription, SubscriptionEvent
from events.subscriptions.writing import Site

from .conftest import branch, running
from .small_gazetteer import build_small

SITE = "https://tools.example.org"
SENDER = "events@tools.example.org"
LANGUAGES = ("en", "es")
DAY = timedelta(days=1)
CHICAGO = Point(41.9227, -87.6533)


@dataclass(frozen=True, slots=True)
class Words:
    """What people of the organisation type, in their language."""

    organisation: str
    branch: str
    event: str
    series: str
    text: str
    venue: str
    visitor: str
    subject: str
    message: str
    note: str
    answer: str
    sister: str
    talk: str
    festival: str
    new: str
    elsewhere: str
    reason: str
    news: str
    news_text: str


WORDS = {
    "en": Words(
        organisation="Riverbend Tool Libraries",
        branch="Alder Street Tool Library and Workshop",
        event="Sharpening chisels, plane irons & everything else in your drawer: bring whatever is blunt",
        series="Tool night",
        text="Bring **what is broken**.\n\nWe have glue, and [a list](https://example.org/list) of what we lack.",
        venue="The old boat house",
        visitor="Ben O’Neill",
        subject="May I bring my saw?",
        message="Hello,\n\nmy grandfather’s saw needs new teeth. Can somebody show me how?\nI can come on any Tuesday.",
        note="My sister has the key to the boat house.",
        answer="We would love to, but the boat house is being painted until May.\nTry again then?",
        sister="Birch Lane Tool Shed",
        talk="How a bridge is built: an evening with somebody who has built three",
        festival="Two days of repairing",
        new="Spoons from green wood",
        elsewhere="The church hall",
        reason="The heating has failed; the plumber comes on Monday.",
        news="We are looking for old bench vices, and for hands to fix them",
        news_text="Do you have a **bench vice** in the cellar that nobody uses?\n\n- We fetch it.\n- We fix it.\n\n"
        "[What we need](https://example.org/vices) is on the list.",
    ),
    "es": Words(
        organisation="Bibliotecas de Herramientas del Ebro",
        branch="Biblioteca de Herramientas y Taller de la Calle del Aliso",
        event="Afilado de formones, cuchillas de cepillo y lo que haya en su cajón: traiga lo que ya no corte",
        series="Noche de taller",
        text="Traiga **lo que esté roto**.\n\nTenemos cola y [una lista](https://example.org/lista) de lo que falta.",
        venue="El antiguo embarcadero",
        visitor="Benito Núñez",
        subject="¿Puedo llevar mi sierra?",
        message="Buenas tardes:\n\nla sierra de mi abuelo necesita dientes nuevos. ¿Alguien me enseña?\n¡Gracias!",
        note="Mi hermana tiene la llave del embarcadero.",
        answer="Nos encantaría, pero están pintando el embarcadero hasta mayo.\n¿Lo intenta de nuevo entonces?",
        sister="Caseta de Herramientas del Abedul",
        talk="Cómo se construye un puente: una tarde con alguien que ha construido tres",
        festival="Dos días de reparaciones",
        new="Cucharas de madera verde",
        elsewhere="El salón parroquial",
        reason="Se ha averiado la calefacción; el fontanero viene el lunes.",
        news="Buscamos tornillos de banco viejos y manos para arreglarlos",
        news_text="¿Tiene en el sótano un **tornillo de banco** que nadie usa?\n\n- Lo recogemos.\n- Lo arreglamos.\n\n"
        "[Lo que buscamos](https://example.org/tornillos) está en la lista.",
    ),
}


class World:
    """A site in which everybody speaks one language: Ana organizes, Dee is admin, Ben visits."""

    def __init__(self, app: Starlette, code: str) -> None:
        state = app.state.branchline
        self.app, self.code, self.words = app, code, WORDS[code]
        self.database: Database = state.database
        self.publishing: Publishing = state.publishing
        self.settings: Settings = state.settings
        self.now = datetime.now(UTC)
        with self.database.writing() as session:
            self.ana, self.dee = (
                sign_in.find_or_add(session, f"{name}@example.org", self.now, code) for name in ("ana", "dee")
            )
            self.ana.name, self.dee.name = "Ana Ruiz", "Dee"
            self.branch = self.open_branch("alder", self.words.branch, "alder@example.org")
            session.add(self.branch)
            session.flush()
            self.birch = self.open_branch(
                "birch",
                self.words.sister,
                "birch@example.org",
                parent_id=self.branch.id,
                at=Point(39.8017, -89.6437),
                city="Springfield",
            )
            session.add(self.birch)
            session.flush()
            permissions.invite(session, self.ana, self.branch, Role.BRANCH_ADMIN)
            permissions.invite(session, self.dee, None, Role.ADMIN)
        self.ben = self.browser()
        self._signed_in: dict[int, TestClient] = {}
        self.birch_events: list[Event] = []  # of the first digest
        self.newsletter = 0  # the number of its notice

    def open_branch(self, slug: str, name: str, email: str, at: Point = CHICAGO, **more: object) -> Branch:
        town = {"city": "Chicago", "state_province": "IL", "country": "US", "timezone": "America/Chicago"}
        return branch(slug, name, at, email=email, **{**town, "languages": self.code, **more})

    def browser(self) -> TestClient:
        return TestClient(
            self.app, base_url=SITE, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False
        )

    def path(self, path: str) -> str:
        """The page in the world's language."""
        return path if self.code == "en" else f"/{self.code}{path}"

    def post(self, path: str, client: TestClient | None = None, /, **fields: str) -> str:
        """Where it leads."""
        answer = (client or self.ben).post(self.path(path), data=fields)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def signed_in(self, person: Person) -> TestClient:
        """A browser of the person's, in the world's language."""
        if (person.id or 0) not in self._signed_in:
            with self.database.writing() as session:
                token = sign_in.make_link(session, person, Purpose.SIGN_IN, self.now)
            client = self._signed_in[person.id or 0] = self.browser()
            self.post(f"/sign-in/{token}", client)
        return self._signed_in[person.id or 0]

    def person(self, email: str, role: Role | None = None, *, trusted: bool = True) -> Person:
        with self.database.writing() as session:
            person = sign_in.find_or_add(session, email, self.now, self.code)
            session.flush()
            if role:
                permissions.invite(session, person, self.branch, role, trusted=trusted)
        return person

    def event(self, at: datetime, host: Branch, *, posted: datetime | None = None, **more: object) -> Event:
        """Of that day; posted by Ana, a month before unless said, and published."""
        posted = posted or at - 30 * DAY
        with self.database.writing() as session:
            event = store.add(session, self.draft(at, **more), [session.merge(host)], self.publishing, posted)
            changes.added(session, event, self.ana, posted)
        return event

    def draft(self, at: datetime, **more: object) -> EventDraft:
        start = at.replace(hour=19, minute=0, second=0, microsecond=0, tzinfo=None)
        values = {
            "title": self.words.event,
            "description": self.words.text,
            "language": self.code,
            "start": start,
            "end": start + timedelta(hours=2),
            "timezone": "America/Chicago",
            "venue": {"name": self.words.venue, "address_1": "12 Quay St", "city": "Chicago"},
            "state": "published",
        }
        return EventDraft.model_validate({**values, **more})

    def suggested(self, email: str, *, by: Person | None = None, in_days: int = 21) -> int:
        """An event that waits for a decision: of a visitor with this address, or of somebody at the branch."""
        with self.database.writing() as session:
            draft = self.draft(self.now + in_days * DAY, state="submitted")
            host = session.merge(self.branch)
            event, _ = changes.post(session, draft, [host], by, self.publishing, self.now)
            said = {} if by else {"name": self.words.visitor, "email": email, "note": self.words.note}
            proposals.add(session, event, self.now, person=by, language=self.code, **said)
            session.flush()
            return event.id or 0

    def newest(self) -> OutgoingMail:
        """The mail that was written last."""
        with self.database.reading() as session:
            return session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id).desc()).limit(1)).one()

    def number_written(self) -> int:
        with self.database.reading() as session:
            return session.exec(select(sa.func.count(col(OutgoingMail.id)))).one()

    def link(self) -> str:
        """The path of the first link in the newest mail, without its language."""
        address = next(word for word in self.newest().body.split() if word.startswith(f"{SITE}/"))
        return address.removeprefix(SITE + self.path("/")).join(("/", ""))


# ---------------------------------------------------------------- messages to a branch


def contact(world: World) -> None:
    words = world.words
    world.post(
        "/branches/alder/contact",
        name=words.visitor,
        email="ben.oneill+tools@example.org",
        subject=words.subject,
        message=words.message,
        about="question",
        key="contact-of-ben-" + world.code,
    )


def forwarded_to_another_branch(world: World) -> None:
    """By Dee, who acts for both."""
    with world.database.reading() as session:
        number = session.exec(select(col(ContactMessage.id))).first()
    dee = world.signed_in(world.dee)
    world.post(f"/organize/messages/{number}/forwarding", dee, branch="birch", at="alder")


def _write_to_birch(world: World, **more: str) -> None:
    words = world.words
    said = {"name": words.visitor, "email": "ben@example.org", "message": words.message, "about": "visit"}
    world.post("/branches/birch/contact", None, **said, **more)


def refused_and_passed_on(world: World) -> None:
    """There is no such mailbox, says the server: the message goes up the tree."""
    _write_to_birch(world, key="contact-refused-" + world.code)
    error = Undeliverable("550 no such user", Refused.ADDRESS)
    mail = world.newest()
    with world.database.writing() as session:
        delivery.refused(session, mail.id or 0, error, world.settings, world.now)
        session.exec(sa.delete(RefusedAddress))


def link_to_a_copy(world: World) -> None:
    _write_to_birch(world, copy="yes", key="contact-with-copy-" + world.code)


def copy_of_a_message(world: World) -> None:
    world.post(world.link())


# ---------------------------------------------------------------- accounts


def link_to_sign_in(world: World) -> None:
    world.post("/sign-in", email="ana@example.org", next="/organize")


def new_password(world: World) -> None:
    world.post("/password", email="ana@example.org")


def new_address(world: World) -> None:
    eve = world.person("eve@example.org", Role.ORGANIZER)
    world.post("/account/email", world.signed_in(eve), email="eve.new@example.org")


def address_changed(world: World) -> None:
    """To the old one."""
    mia = world.person("mia@example.org", Role.ORGANIZER)
    world.post("/account/email", world.signed_in(mia), email="mia.new@example.org")
    world.post(world.link(), world.browser())


def registration(world: World) -> None:
    world.post(
        "/register", name="Eli", email="eli@example.org", branch=world.words.branch, note=world.words.note
    )


def invitation(world: World) -> None:
    ana = world.signed_in(world.ana)
    world.post("/organize/people", ana, email="fay@example.org", name="Fay", branch="alder", role="organizer")


def invitation_as_admin(world: World) -> None:
    world.post("/organize/people", world.signed_in(world.dee), email="gil@example.org", role="admin")


def _request(world: World, email: str) -> int:
    asker = world.person(email)
    with world.database.writing() as session:
        asked = MembershipRequest(
            person_id=asker.id or 0,
            branch_id=world.branch.id or 0,
            note=world.words.note,
            created_at=world.now,
        )
        session.add(asked)
        session.flush()
        return asked.id or 0


def request_accepted(world: World) -> None:
    number = _request(world, "hal@example.org")
    fields = {"role": "organizer", "trusted": "yes"}
    world.post(f"/organize/requests/{number}/acceptance", world.signed_in(world.ana), **fields)


def request_accepted_with_approval(world: World) -> None:
    number = _request(world, "ida@example.org")
    fields = {"role": "organizer", "trusted": "no"}
    world.post(f"/organize/requests/{number}/acceptance", world.signed_in(world.ana), **fields)


def request_refused(world: World) -> None:
    number = _request(world, "jan@example.org")
    answer = world.words.answer
    world.post(f"/organize/requests/{number}/refusal", world.signed_in(world.ana), answer=answer)


# ---------------------------------------------------------------- what waits for somebody


def _tell(world: World) -> None:
    """As the worker does, once what waits has settled; those who were told yesterday hear of it again."""
    later = world.now = world.now + 2 * DAY
    with world.database.writing() as session:
        assert notices.send(session, world.publishing, later)


def something_waits(world: World) -> None:
    world.suggested("kim@example.org")
    said = world.words.message
    world.post("/branches/alder/report", kind="time", message=said, email="ben@example.org", key="r" * 20)
    _tell(world)


def something_urgent_waits(world: World) -> None:
    world.suggested("kim@example.org", in_days=0)
    _tell(world)


# ---------------------------------------------------------------- what became of a suggestion


def suggestion_accepted(world: World) -> None:
    number = world.suggested("lea@example.org")
    world.post(f"/organize/proposals/{number}/acceptance", world.signed_in(world.ana))


def suggestion_declined(world: World) -> None:
    number = world.suggested("lou@example.org")
    world.post(f"/organize/proposals/{number}/refusal", world.signed_in(world.ana))


def suggestion_declined_with_an_answer(world: World) -> None:
    number, answer = world.suggested("max@example.org"), world.words.answer
    world.post(f"/organize/proposals/{number}/refusal", world.signed_in(world.ana), answer=answer)


def post_accepted(world: World) -> None:
    number = world.suggested("", by=world.person("ned@example.org", Role.ORGANIZER, trusted=False))
    world.post(f"/organize/proposals/{number}/acceptance", world.signed_in(world.ana))


def post_declined(world: World) -> None:
    number = world.suggested("", by=world.person("oda@example.org", Role.ORGANIZER, trusted=False))
    answer = world.words.answer
    world.post(f"/organize/proposals/{number}/refusal", world.signed_in(world.ana), answer=answer)


def publication_by_a_trusted_address(world: World) -> None:
    with world.database.writing() as session:
        proposals.trust(session, world.branch.id or 0, "pam@example.org", world.now)
    world.post(
        "/suggest",
        branch="alder",
        title=world.words.event,
        start_date=f"{world.now + 14 * DAY:%Y-%m-%d}",
        start_time="19:00",
        end_time="21:00",
        name="Pam",
        email="pam@example.org",
        key="suggestion-of-pam-" + world.code,
    )


# ---------------------------------------------------------------- series that nobody confirms


def _series(world: World, *titles: str) -> list[int]:
    start = world.now - 120 * DAY
    return [world.event(start, world.branch, title=title, rrule="FREQ=DAILY").id or 0 for title in titles]


def _ask(world: World, now: datetime) -> None:
    with world.database.reading() as session:
        plan = freshness.plan(session, now)
    with world.database.writing() as session:
        assert sum(freshness.ask(session, asking, world.publishing, now) for asking in plan.askings)


def series_question(world: World) -> None:
    _series(world, world.words.series)
    _ask(world, world.now)


def series_questions(world: World) -> None:
    _series(world, world.words.event)
    _ask(world, world.now + 31 * DAY)


def series_ended(world: World) -> None:
    with world.database.writing() as session:
        assert freshness.stop(session, world.branch.id or 0, world.publishing, world.now + 95 * DAY)


# ---------------------------------------------------------------- subscriptions and news

READER = "reader@example.org"


def _confirm(world: World) -> None:
    """The reader opens the link of the newest mail and presses the button."""
    here = world.link()
    seen = re.search(r'name="seen" value="([^"]*)"', world.ben.get(world.path(here)).text)
    assert seen is not None
    world.post(f"{here}/confirmation", seen=seen[1])


def subscription_to_confirm(world: World) -> None:
    """To all that there is near a place."""
    chosen = {"near": "Springfield, IL", "within": "25mi", "branch": "birch", "frequency": "weekly"}
    world.post("/subscribe", None, email=READER, **chosen, urgent="yes", newsletter="yes")


def _publish(world: World, writer: TestClient, **said: str) -> int:
    """News: written, then published, as organizers do; its number."""
    words = world.words
    form = {"title": words.news, "text": words.news_text, "language": world.code, **said}
    key = f"news-of-{'-'.join(said)}-{world.code}".ljust(16, "-")
    number = world.post("/organize/news/new", writer, **form, key=key).split("/")[-1]
    world.post(f"/organize/news/{number.partition('?')[0]}/publication", writer)
    return int(number.partition("?")[0])


def _digest(world: World, now: datetime) -> None:
    """It is the reader's morning."""
    site = Site(world.publishing, world.settings.secret_key)
    with world.database.writing() as session:
        session.exec(sa.update(Subscription).values(run_at=now))
    assert digests.send(world.database, site, now)


def digest(world: World) -> None:
    """The first: all that is coming up at Birch, and news."""
    _confirm(world)
    words, moment = world.words, datetime.now(UTC)
    far = {"timezone": "Europe/Madrid", "attendance": "online", "online_url": "https://example.org/room"}
    festival = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) + 40 * DAY
    at_birch: list[dict[str, object]] = [
        {"title": words.event},
        {"title": words.series, "rrule": "FREQ=WEEKLY", "venue": None},
        {"title": words.talk, **far, "venue": None},
        {"title": words.festival, "start": festival, "end": festival + 2 * DAY, "all_day": True},
    ]
    world.birch_events = [
        world.event(moment + (number + 5) * DAY, world.birch, posted=moment, **said)
        for number, said in enumerate(at_birch)
    ]
    _publish(world, world.signed_in(world.dee), whole="yes")
    _digest(world, moment + timedelta(minutes=5))


def digest_of_changes(world: World) -> None:
    """The next one: something new, moved, cancelled, postponed and withdrawn."""
    words, moment = world.words, datetime.now(UTC) + timedelta(minutes=10)
    single, series, talk, festival = world.birch_events
    world.event(moment + 9 * DAY, world.birch, posted=moment, title=words.new)
    second, third = (series.start + number * 7 * DAY for number in (1, 2))
    moved = OverrideDraft(original_start=second, start=second + DAY, end=second + DAY + timedelta(hours=2))
    off = OverrideDraft(original_start=third, cancelled=True, reason=words.reason)
    with world.database.writing() as session:
        store.change_dates(session, session.merge(series), [moved, off], world.publishing, moment)
        for event in (single, talk, festival):
            again = session.merge(event)
            if event is single:
                draft = world.draft(moment + 20 * DAY, title=words.event)
                store.revise(session, again, draft, [session.merge(world.birch)], world.publishing, moment)
                continue
            if event is talk:
                again.postpone(words.reason, moment)
            else:
                again.delete(moment)
            derived.save(session, again, world.publishing, moment)
    _digest(world, moment + timedelta(minutes=5))


def _tell_at_once(world: World, now: datetime) -> None:
    site = Site(world.publishing, world.settings.secret_key)
    while urgent.send(world.database, site, now):
        pass


def _tomorrow() -> dict[str, Any]:
    """In twenty hours, so that the day after is within two days as well. At night clocks change: then five hours less,
    because a series does not begin there."""
    start = to_wall(datetime.now(UTC) + timedelta(hours=20), "America/Chicago")
    start = start.replace(second=0, microsecond=0) - timedelta(hours=5 if start.hour < 4 else 0)
    return {"start": start, "end": start + timedelta(hours=2)}


def urgent_cancelled(world: World) -> None:
    """To those who chose a place near it."""
    soon = world.event(datetime.now(UTC), world.birch, **_tomorrow())
    dee, here = world.signed_in(world.dee), f"/organize/events/{soon.id}/cancellation"
    world.post(here, dee, kind="cancelled", reason=world.words.reason)
    _tell_at_once(world, datetime.now(UTC) + timedelta(minutes=2))


def event_to_follow(world: World) -> None:
    event = world.event(datetime.now(UTC) + 30 * DAY, world.branch, title=world.words.event)
    world.post(f"/events/{event.id}/follow", email="follower@example.org")


def urgent_moved(world: World) -> None:
    """To those who follow it, however far away it is."""
    _confirm(world)
    moment = datetime.now(UTC)
    with world.database.writing() as session:
        number = session.exec(select(col(SubscriptionEvent.event_id))).one()
        event, host = session.get_one(Event, number), session.merge(world.branch)
        draft = world.draft(moment + 33 * DAY, title=event.title, venue={"name": world.words.elsewhere})
        store.revise(session, event, draft, [host], world.publishing, moment)
    _tell_at_once(world, moment + timedelta(minutes=2))


def urgent_dates_of_a_series(world: World) -> None:
    """Several dates at once."""
    moment = datetime.now(UTC)
    said = {"title": world.words.series, "rrule": "FREQ=DAILY", **_tomorrow()}
    series = world.event(moment, world.birch, posted=moment, **said)
    changes_of_it = [
        OverrideDraft(original_start=series.start, cancelled=True, reason=world.words.reason),
        OverrideDraft(original_start=series.start + DAY, venue_name=world.words.elsewhere),
    ]
    with world.database.writing() as session:
        store.change_dates(session, session.merge(series), changes_of_it, world.publishing, moment)
    _tell_at_once(world, moment + timedelta(minutes=2))


def newsletter_to_try_out(world: World) -> None:
    dee = world.signed_in(world.dee)
    world.newsletter = _publish(world, dee, whole="yes", topic="")
    world.post(f"/organize/news/{world.newsletter}/newsletter/test", dee)


def newsletter(world: World) -> None:
    dee, here = world.signed_in(world.dee), f"/organize/news/{world.newsletter}/newsletter"
    seen = re.search(r'name="seen" value="([^"]*)"', dee.get(world.path(here)).text)
    assert seen is not None
    world.post(here, dee, seen=seen[1])
    with world.database.writing() as session:
        site = Site(world.publishing, world.settings.secret_key)
        assert newsletters.advance(session, site, datetime.now(UTC))


# ---------------------------------------------------------------- all of them

MAILS: Mapping[str, Callable[[World], None]] = {
    "contact": contact,
    "forwarded-to-another-branch": forwarded_to_another_branch,
    "refused-and-passed-on": refused_and_passed_on,
    "link-to-a-copy": link_to_a_copy,
    "copy-of-a-message": copy_of_a_message,
    "link-to-sign-in": link_to_sign_in,
    "new-password": new_password,
    "new-address": new_address,
    "address-changed": address_changed,
    "registration": registration,
    "invitation": invitation,
    "invitation-as-admin": invitation_as_admin,
    "request-accepted": request_accepted,
    "request-accepted-with-approval": request_accepted_with_approval,
    "request-refused": request_refused,
    "something-waits": something_waits,
    "something-urgent-waits": something_urgent_waits,
    "suggestion-accepted": suggestion_accepted,
    "suggestion-declined": suggestion_declined,
    "suggestion-declined-with-an-answer": suggestion_declined_with_an_answer,
    "post-accepted": post_accepted,
    "post-declined": post_declined,
    "publication-by-a-trusted-address": publication_by_a_trusted_address,
    "subscription-to-confirm": subscription_to_confirm,
    "digest": digest,
    "digest-of-changes": digest_of_changes,
    "urgent-cancelled": urgent_cancelled,
    "urgent-dates-of-a-series": urgent_dates_of_a_series,
    "event-to-follow": event_to_follow,
    "urgent-moved": urgent_moved,
    "newsletter-to-try-out": newsletter_to_try_out,
    "newsletter": newsletter,
    "series-question": series_question,
    "series-questions": series_questions,
    "series-ended": series_ended,
}


@dataclass(frozen=True, slots=True)
class Written:
    """One mail: what the site put into its outbox, and what goes out."""

    name: str
    code: str
    row: OutgoingMail
    message: EmailMessage


def site_settings(database_url: str, folder: Path, code: str) -> Settings:
    return Settings(
        data_dir=folder,
        database_url=database_url,
        secret_key="for tests only",
        name=WORDS[code].organisation,
        base_url=SITE,
        mail_from=SENDER,
        rate_limits=False,
    )


def all_mails(settings: Settings, code: str) -> Iterator[Written]:
    """Each kind once, by a site of its own whose database is empty and at the newest schema."""
    with running(settings) as app:
        world = World(app, code)
        for name, write in MAILS.items():
            before = world.number_written()
            write(world)
            assert world.number_written() > before, name
            row = world.newest()
            yield Written(name, code, row, composed(outbox.as_mail(row), SENDER, settings.name))


@contextmanager
def _empty_site(code: str) -> Iterator[Settings]:
    with tempfile.TemporaryDirectory() as folder:
        settings = site_settings(f"sqlite:///{folder}/mails.db", Path(folder), code)
        build_small(Path(folder))
        database = Database(settings.database_url, size=1)
        migrations.upgrade(database)
        database.dispose()
        yield settings


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for code in LANGUAGES:
        with _empty_site(code) as settings:
            for mail in all_mails(settings, code):
                target = folder / f"{mail.name}.{code}"
                target.with_suffix(f".{code}.eml").write_bytes(mail.message.as_bytes())
                target.with_suffix(f".{code}.txt").write_text(f"{mail.row.subject}\n\n{mail.row.body}")
                target.with_suffix(f".{code}.html").write_text(mail.row.html)
                print(target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.mails FOLDER")
    write_all(Path(sys.argv[1]))
