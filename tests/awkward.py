"""One world with everything that breaks pages, for those who look at all of them: `tests.pages` says which there are.

What people type is longer, emptier, older and written from the other side than anybody expects.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from PIL import Image
from sqlmodel import Session, col, select
from starlette.applications import Starlette

from events.branches.models import Branch, Status
from events.calendars import changes, derived, following, pictures, sources, store
from events.calendars.content import Publishing
from events.calendars.dates import cancel_dates
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.models import Event, Picture, PictureState, PollCount, Topic
from events.config import Settings
from events.db import Database
from events.desk import branch_changes, bulk, proposals, sheets
from events.desk.models import Report
from events.fetching import Fetched
from events.language import language
from events.limits import CONTACT_BRANCH, Limit, Limiter
from events.messages import contact
from events.messages.contact import ContactDraft
from events.messages.models import OutgoingMail, RefusedAddress
from events.news import writing
from events.news.drafts import NoticeDraft
from events.news.models import Headline, HeadlineSource, Notice
from events.people import joining, permissions, sign_in
from events.people.models import MembershipRequest, Person, Purpose, Role
from events.people.tokens import make as make_token
from events.pictures import LARGE, SMALL
from events.places.geo import Distance, Point
from events.subscriptions import choices, newsletters
from events.subscriptions.choices import Choice
from events.subscriptions.links import token_of
from events.subscriptions.models import Frequency
from events.web.posting import edition

from .conftest import branch, running

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NO_SPACE = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 4
LONG_TITLE = NO_SPACE[:300]
EMOJI = "🌲🌲🏳️‍🌈👩‍👩‍👧‍👦"
ARABIC = "ورشة إصلاح الدراجات (الثلاثاء 19:00) – Café №5"
HEBREW = "מועדון השכונה הישנה"
PROSE = (
    "Bring **what is broken**.\n\nWe have glue, and [a list](https://example.org/list).\n\n- One\n- Two\n\n"
    f"{NO_SPACE[:200]}\n\nhttps://example.org/{'very-long-path/' * 12}"
)
CHICAGO, MADRID = Point(41.9227, -87.6533), Point(40.4203, -3.7058)
WHOLE = Choice(
    frequency=Frequency.WEEKLY, urgent=True, newsletter=True, place="Chicago", point=CHICAGO, within=Distance(40.0)
)  # fmt: skip
FULL_DAY = 20  # days from now, with forty events


@dataclass(slots=True)
class World:
    """`at` has what addresses are made of; `cookies` what the browsers of people who have signed in send."""

    now: datetime
    at: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)


class OneLimit(Limiter):
    """Counts no more than how often is written to a branch, so that one page says that it was too often."""

    def count(self, limit: Limit, who: str, now: datetime, amount: int = 1) -> None:
        if limit is CONTACT_BRANCH:
            super().count(limit, who, now, amount)

    def allows(self, session: Session, limit: Limit, who: str, now: datetime) -> bool:
        return True

    def passes(self, limit: Limit, who: str, now: datetime) -> bool:
        return True


def build(database: Database, settings: Settings, publishing: Publishing) -> World:
    """In an empty database of the newest schema."""
    builder = Builder(database, settings, publishing)
    for step in (
        builder.branches,
        builder.people,
        builder.ordinary_events,
        builder.awkward_events,
        builder.forty_on_one_day,
        builder.pictures,
        builder.news,
        builder.subscribers,
        builder.desk,
        builder.links,
        builder.brought_in,
        builder.too_often,
        builder.editions,
    ):
        step()
    return builder.world


@contextmanager
def running_with_one_limit(settings: Settings) -> Iterator[Starlette]:
    with running(settings) as app:
        state = app.state.branchline
        app.state.branchline = replace(state, limiter=OneLimit(state.database, settings.secret_key))
        yield app


class Builder:
    def __init__(self, database: Database, settings: Settings, publishing: Publishing) -> None:
        self.database, self.settings, self.publishing = database, settings, publishing
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.world = World(self.now)
        self.at = self.world.at
        self.full_day = (self.now + FULL_DAY * DAY).date()
        self.at |= {"year": str(self.full_day.year), "month": f"{self.full_day.month:02}"}
        self.at |= {"day": self.full_day.isoformat(), "last-year": f"{self.now.year - 1}"}

    # ---------------------------------------------------------------- branches and people

    def branches(self) -> None:
        with self.database.writing() as session:
            for row in _branches(self.now):
                session.add(row)
            session.flush()
            above = self._branch(session, "alder")
            for slug in ("emoji", "bare"):
                self._branch(session, slug).parent_id = above.id
            self._branch(session, "closed").successor_id = above.id

    def people(self) -> None:
        with self.database.writing() as session:
            for name, role in (("ana", Role.BRANCH_ADMIN), ("dee", Role.ADMIN), ("eli", Role.ORGANIZER)):
                person = sign_in.find_or_add(session, f"{name}@example.org", self.now)
                person.name = "Ana " + NO_SPACE[:60] if name == "ana" else name.title()
                where = None if role is Role.ADMIN else self._branch(session, "alder")
                permissions.invite(session, person, where, role, trusted=name != "eli")
                session.flush()
                self.world.cookies[name] = sign_in.begin(session, person, "Firefox on Linux", self.now)
                self.at[name] = str(person.id)
                make_token(session, person, "Newsletter program", self.now)
            fay = sign_in.find_or_add(session, "fay@example.org", self.now)
            joining.ask(session, fay, self._branch(session, "alder"), "I know Ana.", self.now)
            session.flush()
            self.at["request"] = str(session.exec(select(MembershipRequest.id)).one())
            self.world.cookies["fay"] = sign_in.begin(session, fay, "", self.now)

    # ---------------------------------------------------------------- events

    def ordinary_events(self) -> None:
        series = self.event(
            "series",
            title="Tool night",
            rrule="FREQ=WEEKLY",
            topics=("Repair", "Bicycles"),
            access=("step-free", "free"),
            overrides=self._changed_dates(),
            registration_url="https://example.org/register",
            cost="5 USD",
            contact="Ana, 555 0100",
        )
        self.at["date"] = f"{series.start + 7 * DAY:%Y-%m-%dT%H:%M}"
        self.at["date-day"], self.at["topic"] = self.at["date"][:10], "repair"
        self.event("online", title="Talk by video", attendance="online", venue=None, slug="birch", language="es",
                   timezone="Asia/Kathmandu", online_url="https://example.org/room")  # fmt: skip
        self.event("draft", title="Not yet", state="draft")
        self.event("cancelled", title="Picnic", state="cancelled", reason="It rains. " + NO_SPACE[:120])
        self.event("postponed", title="Concert", state="postponed", reason="The singer is ill.")
        self.event("past", days=-40, title="Long ago")
        self.event("removed", title="Gone", days=9)
        with self.database.writing() as session:
            event, ana = session.get_one(Event, int(self.at["removed"])), self._person(session, "ana")
            with changes.recorded(session, event, "removed", ana, self.now):
                event.delete(self.now)
                derived.save(session, event, self.publishing, self.now)
            event = session.get_one(Event, int(self.at["series"]))
            with changes.recorded(session, event, "date", ana, self.now):
                starts = [series.start + 21 * DAY]
                cancel_dates(session, event, starts, "Holidays", self.publishing, self.now)

    def _changed_dates(self) -> list[OverrideDraft]:
        first = self._start(3)
        moved, off, elsewhere = (first + weeks * 7 * DAY for weeks in (1, 2, 4))
        return [
            OverrideDraft(original_start=moved, start=moved + DAY + HOUR, end=moved + DAY + 3 * HOUR),
            OverrideDraft(original_start=off, cancelled=True, reason="Nobody has the key."),
            OverrideDraft(original_start=elsewhere, venue_name="Church hall", title="Tool night " + ARABIC),
        ]

    def awkward_events(self) -> None:
        self.event("long", title=LONG_TITLE, description=PROSE, days=2, topics=(NO_SPACE[:60],), venue={
            "name": LONG_TITLE[:200], "address_1": NO_SPACE[:180], "city": NO_SPACE[:80]})  # fmt: skip
        self.event(
            "arabic", title=ARABIC, description=f"{ARABIC}\n\n{ARABIC}", language="ar", days=4, slug="hebrew"
        )
        self.event("emoji", title=EMOJI, days=5, slug="emoji")
        self.event("years", title="Exhibition", days=-100, lasts=1000 * DAY, rrule="")
        self.event("whole", title="Two whole days", days=6, all_day=True)
        self.event("night", title="All night long", days=8, lasts=9 * HOUR)

    def forty_on_one_day(self) -> None:
        for number in range(40):
            title = f"Number {number} of forty" + (" with a title that goes on" * (number % 4))
            self.event(f"forty-{number}", title=title, days=FULL_DAY, description="")

    def event(
        self, name: str, *, days: int = 3, slug: str = "alder", lasts: timedelta = 2 * HOUR, **more: Any
    ) -> Event:
        start = self._start(days)
        if more.get("all_day"):
            start, lasts = start.replace(hour=0), 2 * DAY
        values = {
            "title": name, "description": PROSE if slug == "alder" else "", "language": "en", "start": start,
            "end": start + lasts, "timezone": "America/Chicago", "state": "published",
            "venue": {"name": "The old boat house", "address_1": "12 Quay St", "city": "Chicago"},
        }  # fmt: skip
        with self.database.writing() as session:
            draft = EventDraft.model_validate(values | more)
            hosts = [self._branch(session, slug)]
            posted = min(self.now, self.now + days * DAY) - 30 * DAY
            event = store.add(session, draft, hosts, self.publishing, posted)
            changes.added(session, event, self._person(session, "ana"), posted)
            self.at[name] = str(event.id)
        return event

    def pictures(self) -> None:
        """One that is a line, one that is wide, and one that the worker has not looked at yet."""
        with self.database.writing() as session:
            for name, size, event in (("line", (1, 4000), "years"), ("wide", (1600, 900), "series")):
                session.add(_picture(name, size, self._branch(session, "alder"), self.now))
                session.flush()
                row = session.get_one(Event, int(self.at[event]))
                pictures.put_on(
                    session, row, name, "A picture of " + NO_SPACE[:90], self.publishing, self.now
                )

    # ---------------------------------------------------------------- news, mails, the desk

    def news(self) -> None:
        with self.database.writing() as session:
            for name, title, picture in (
                ("notice", "We are looking for old bench vices", "wide"),
                ("long-notice", LONG_TITLE, "line"),
                ("arabic-notice", ARABIC, None),
                ("unsent", "Nothing but words", None),
            ):
                notice = self._notice(session, title)
                writing.put_picture(notice, picture, "Seen from above" if picture else "")
                self.at[name], self.at[f"{name}-slug"] = str(notice.id), notice.slug
            draft = self._notice(session, "A draft", publish=False)
            self.at["draft-notice"] = str(draft.id)
            gone = self._notice(session, "Over")
            writing.remove(gone, self.now)
            self.at["gone-notice-slug"] = gone.slug
            self._headlines(session)

    def _notice(self, session: Session, title: str, publish: bool = True) -> Notice:
        today = self.now.date()
        draft = NoticeDraft(title=title, text=PROSE, language="en", shown_from=today - DAY, is_top=publish)
        written = writing.Written(draft, self._branch(session, "alder"))
        notice, _ = writing.add(session, written, self._person(session, "ana"), self.now)
        if publish:
            writing.publish(notice, self.now)
        session.flush()
        return notice

    def _headlines(self, session: Session) -> None:
        source = HeadlineSource(
            url="https://example.org/feed.xml",
            name="The magazine",
            created_at=self.now,
            run_at=self.now + DAY,
        )
        session.add(source)
        session.flush()
        for number, title in enumerate((LONG_TITLE, ARABIC, "A short one")):
            session.add(
                Headline(
                    source_id=source.id or 0,
                    entry_id=str(number),
                    title=title,
                    url=f"https://example.org/{number}",
                    published_at=self.now - number * DAY,
                    seen_at=self.now,
                )
            )

    def subscribers(self) -> None:
        secret = self.settings.secret_key
        with self.database.writing() as session:
            alder, series = self._branch(session, "alder"), int(self.at["series"])
            topic = session.exec(select(Topic.id).where(col(Topic.slug) == "repair")).one()
            asked = replace(WHOLE, branches=(alder.id or 0,), events=(series,), topics=(topic or 0,))
            waiting = choices.ask(session, f"{'ben' * 20}@example.org", asked, self.now)
            held = choices.ask(session, "gil@example.org", asked, self.now)
            choices.confirm(session, held, self.now)
            session.flush()
            self.at["waiting"], self.at["subscription"] = token_of(waiting, secret), token_of(held, secret)
            notice = session.get_one(Notice, int(self.at["notice"]))
            newsletters.start(session, notice, self._person(session, "ana"), self.now)

    def desk(self) -> None:
        with self.database.writing() as session:
            alder, ana = self._branch(session, "alder"), self._person(session, "ana")
            self._suggested(session, alder)
            self._message(session, alder)
            self._mails(session)
            session.add(
                Report(
                    key="a report that somebody sent",
                    branch_id=alder.id or 0,
                    event_id=int(self.at["series"]),
                    kind="time",
                    message=PROSE[:300],
                    email="ben@example.org",
                    created_at=self.now,
                )
            )
            polls = {"family": "google", "revision": "1", "polls": 40, "unchanged": 30}
            session.add(PollCount.model_validate({"branch_id": alder.id, "day": self.now.date(), **polls}))
            days = bulk.Days(self.now.date() + 3 * DAY, self.now.date() + 4 * DAY, alder.timezone)
            planned = bulk.planned(session, alder, days, permissions.branch_ids(ana), self.now, below=True)
            bulk.cancel(session, planned[-1:], "Snow.", ana, self.publishing, self.now, "snow")
            self.at["batch"] = "snow"
            body = b"slug,name,city\nalder,Alder Club,Chicago\n,New one,Springfield\nbirch,,\n"
            sheet = sheets.bring(session, self._person(session, "dee"), "branches.csv", body, "key", self.now)
            self.at["sheet"] = sheet.id
            with branch_changes.recorded(session, alder, "changed", ana, self.now):
                alder.alternate_name = "The old one"

    def _suggested(self, session: Session, alder: Branch) -> None:
        for name, person in (("suggested", None), ("submitted", self._person(session, "eli"))):
            start = self._start(21)
            draft = EventDraft.model_validate(
                {"title": LONG_TITLE, "description": PROSE, "start": start, "end": start + 2 * HOUR,
                 "timezone": "America/Chicago", "state": "submitted"}
            )  # fmt: skip
            event, _ = changes.post(session, draft, [alder], person, self.publishing, self.now)
            said = (
                {}
                if person
                else {"name": NO_SPACE[:90], "email": "ben@example.org", "note": "My sister has the key."}
            )
            proposals.add(session, event, self.now, person=person, language="en", **said)
            session.flush()
            self.at[name] = str(event.id)

    def _message(self, session: Session, alder: Branch) -> None:
        for number, text in enumerate((PROSE, ARABIC, "May I bring my saw?")):
            said = {"email": "ben@example.org", "subject": text[:120].replace("\n", " "), "message": text}
            draft = ContactDraft.model_validate(
                {"key": f"message-number-{number}", "name": NO_SPACE[:80], **said}
            )
            message = contact.send(session, alder, draft, language("en"), "Hazel Clubs", self.now)
            session.flush()
            assert message is not None
            self.at["message"] = str(message.id)
            self.at["copy"] = contact.copy_token(message, self.settings.secret_key)

    def _mails(self, session: Session) -> None:
        for number in range(2):
            mail = OutgoingMail(
                message_id=f"<{number}@example.org>",
                recipient=f"{'nobody' * 8}{number}@example.org",
                subject=LONG_TITLE[:200],
                body="Hello",
                created_at=self.now,
                run_at=self.now + DAY,
            )
            if number:
                mail.failed_at, mail.last_error, mail.attempts = self.now, NO_SPACE[:200], 9
            session.add(mail)
        session.add(RefusedAddress(address="old@example.org", refused_at=self.now, reason="550 no such user"))

    def links(self) -> None:
        with self.database.writing() as session:
            ana = self._person(session, "ana")
            for name, purpose in (
                ("link", Purpose.SIGN_IN),
                ("reset", Purpose.RESET),
                ("invitation", Purpose.INVITATION),
                ("change-email", Purpose.CHANGE_EMAIL),
                ("confirmation", Purpose.CONFIRMATION),
                ("suggestion", Purpose.SUGGESTION),
            ):
                detail = {"confirmation": self.at["series"], "suggestion": f"{self.at['suggested']} 1.0"}.get(
                    name, ""
                )
                detail = "new@example.org" if name == "change-email" else detail
                self.at[name] = sign_in.make_link(session, ana, purpose, self.now, detail=detail)
            self.at["old-link"] = sign_in.make_link(session, ana, Purpose.SIGN_IN, self.now - 2 * DAY)

    def brought_in(self) -> None:
        """A file that waits for a yes, and a calendar that cannot be had."""
        with self.database.writing() as session:
            alder = self._branch(session, "alder")
            file = sources.upload(session, alder, "diary.ics", _diary(self._start(12)), self.now)
            self.at["import"] = str(file.id)
        with self.database.writing() as session:
            work = following.claim(session, self.now)
        assert work is not None
        following.work_on(self.database, work, _nothing, self.publishing, self.now)
        with self.database.writing() as session:
            address = f"https://example.org/{NO_SPACE[:150]}.ics"
            followed = sources.follow(session, self._branch(session, "alder"), address, self.now)
            followed.fetched_at = self.now - 3 * DAY
            session.get_one(Event, int(self.at["night"])).source = followed.key
            self.at["followed"] = str(followed.id)

    def too_often(self) -> None:
        limiter = OneLimit(self.database, self.settings.secret_key)
        for hour in range(3):  # the limit begins anew while somebody still looks
            moment = self.now + hour * HOUR
            limiter.count(CONTACT_BRANCH, "/branches/emoji/contact", moment, CONTACT_BRANCH.most)

    def editions(self) -> None:
        """What a form sends that was opened just now."""
        with self.database.reading() as session:
            self.at["edition"] = edition(session, session.get_one(Event, int(self.at["series"])))

    # ---------------------------------------------------------------- small things

    def _start(self, days: int) -> datetime:
        return datetime.combine((self.now + days * DAY).date(), datetime.min.time()).replace(hour=19)

    def _branch(self, session: Session, slug: str) -> Branch:
        return session.exec(select(Branch).where(col(Branch.slug) == slug)).one()

    def _person(self, session: Session, name: str) -> Person:
        return session.exec(select(Person).where(col(Person.email) == f"{name}@example.org")).one()


def _branches(now: datetime) -> Sequence[Branch]:
    chicago = {"city": "Chicago", "state_province": "IL", "country": "US", "timezone": "America/Chicago"}
    spain = {"city": "Madrid", "country": "ES", "timezone": "Europe/Madrid", "languages": "es"}
    return [
        branch(
            "alder",
            "Alder Club",
            CHICAGO,
            address_1="2150 N Halsted St",
            postal_code="60614",
            email="alder@example.org",
            phone="+1 312 555 0100",
            url="https://example.org/alder",
            links="https://example.org/chat,https://example.org/" + "long" * 30,
            languages="en,es,ar",
            accessibility="step-free,hearing-loop",
            opening_hours="Mo-Fr 09:00-17:00; PH off",
            service_area="606*",
            description=PROSE,
            verified_at=now.date(),
            opened_on=date(1999, 5, 1),
            **chicago,
        ),
        branch(
            "birch", "Club Abedul", MADRID, address_1="Calle del Pez 10", email="birch@example.org", **spain
        ),
        branch("emoji", EMOJI, Point(41.95, -87.7), email="emoji@example.org", **chicago),
        branch("bare", "Nothing but a name", None),
        branch("hebrew", HEBREW, Point(41.8, -87.6), description=ARABIC, address_1="רחוב 5", **chicago),
        branch("long", NO_SPACE[:200], Point(41.7, -87.7), address_1=NO_SPACE[:120], **chicago),
        branch("refuge", "Refuge", Point(41.6, -87.5), confidential=True, address_1="Secret St 1", **chicago),
        branch(
            "closed", "Closed Club", Point(41.9, -87.5), status=Status.CLOSED, end_date=now.date(), **chicago
        ),
        branch("forming", "Founding Club", Point(41.5, -87.9), status=Status.FORMING, **chicago),
        branch("orphan", "Closed for good", Point(41.9, -87.5), status=Status.CLOSED, **chicago),
    ]


def _picture(name: str, size: tuple[int, int], owner: Branch, now: datetime) -> Picture:
    large = Image.new("RGB", size, "#7a9")
    large.thumbnail(LARGE)
    small = large.copy()
    small.thumbnail(SMALL)
    return Picture(
        id=name,
        branch_id=owner.id,
        state=PictureState.READY,
        large=_jpeg(large),
        small=_jpeg(small),
        width=large.width,
        height=large.height,
        created_at=now,
    )


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def _diary(start: datetime) -> bytes:
    """Two events that can be taken over, and one without a start."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "X-WR-CALNAME:Diary"]
    for name, summary in (("one", ARABIC), ("two", LONG_TITLE)):
        when = f"DTSTART;TZID=America/Chicago:{start:%Y%m%dT%H%M%S}"
        lines += ["BEGIN:VEVENT", f"UID:{name}", when, "DURATION:PT2H", f"SUMMARY:{summary}", "END:VEVENT"]
    lines += ["BEGIN:VEVENT", "UID:three", f"SUMMARY:{NO_SPACE[:200]}", "END:VEVENT", "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def _nothing(*_: object, **__: object) -> Fetched:
    raise AssertionError("a file that was sent is not fetched")
