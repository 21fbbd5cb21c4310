"""Bringing the events of another calendar in, and keeping them in step with it.

An event is known again by where it came from and its UID there, so that nobody's file replaces the events of
others. `decide` looks, `carry_out` writes; a preview only looks.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from time import monotonic

from pydantic import ValidationError
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..drafts import faults
from ..errors import Message, Refusal, say
from ..interpreter import let_answers_go_first
from ..language import closest
from . import content, derived, store
from .content import Publishing
from .drafts import EventDraft, VenueDraft, shifted
from .memory import Memory, merged, remembered
from .models import PUBLIC, Event, State
from .parsing import NO_UID, ImportedEvent

SHOWN = 10  # decisions that are kept for showing
AT_ONCE = 100  # vanished events are looked at before answers to visitors go first
HOSTS = "hosts"  # remembered beside what the draft says: the branches, the owner first
OUR_UID = re.compile(r"[0-9a-f]{32}")


class Kind(Enum):
    NEW = "new"
    MOVED = "moved"  # takes place at another time than before
    CHANGED = "changed"
    SAME = "same"


@dataclass(slots=True)
class ImportReport:
    """What came of the entries of a calendar; refusals and notes by the line of the file they stand on."""

    added: int = 0
    moved: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[Refusal] = field(default_factory=list)
    decisions: list["Decision"] = field(default_factory=list)  # the first that change anything

    @property
    def updated(self) -> int:
        return self.moved + self.changed

    @property
    def total(self) -> int:
        return self.added + self.updated + self.unchanged

    def count(self, kind: Kind) -> None:
        match kind:
            case Kind.NEW:
                self.added += 1
            case Kind.MOVED:
                self.moved += 1
            case Kind.CHANGED:
                self.changed += 1
            case Kind.SAME:
                self.unchanged += 1

    def sort(self) -> None:
        self.refusals.sort(key=lambda refusal: refusal.row)
        self.notes.sort(key=lambda note: note.row)


@dataclass(frozen=True, slots=True)
class Decision:
    """What an entry comes to. `draft`: what the event will say; `upstream`: what to remember of it."""

    kind: Kind
    item: ImportedEvent
    hosts: Sequence[Branch]
    known: Event | None
    draft: EventDraft
    upstream: Memory


class Reconciler:
    """Takes the entries of one calendar. `source` is where they come from; without it, a file for the branch that
    owns each event. `branch`: the slug of the one that gets all; without it, each names its own."""

    def __init__(
        self,
        owners: Mapping[str, Branch],
        publishing: Publishing,
        now: datetime,
        *,
        branch: str | None = None,
        source: str | None = None,
        weeks: int = 0,
    ) -> None:
        self._owners, self._publishing = owners, publishing
        self._began, self._since = now, monotonic()
        self._branch, self._source, self._weeks = branch, source, weeks
        self._seen: set[str] = set()
        self._unread: set[str | None] = set()
        self.report = ImportReport()

    @property
    def now(self) -> datetime:
        """`now` at the beginning, and what has passed since: to bring thousands in takes minutes.

        What is written late must not say that it was there early, or whoever was told what is new until then (feeds,
        mails) never hears of it.
        """
        return self._began + timedelta(seconds=int(monotonic() - self._since))

    def take(self, session: Session, item: ImportedEvent | Refusal, *, write: bool = True) -> None:
        """Counts the entry, and unless this is only a look, does what it asks for. Answers to visitors go first."""
        let_answers_go_first()
        if isinstance(item, Refusal):
            self.report.refusals.append(item)
            self._unread.add(item.uid and _family(item.uid))
            return
        self._seen.add(item.uid)
        decision = self.decide(session, item)
        if isinstance(decision, Message):
            self.report.refusals.append(Refusal(item.line, decision))
            return
        self.report.count(decision.kind)
        if decision.kind is not Kind.SAME and len(self.report.decisions) < SHOWN:
            self.report.decisions.append(decision)
        self.report.notes += [Refusal(item.line, note) for note in item.notes]
        if write:
            self.carry_out(session, decision)

    def decide(self, session: Session, item: ImportedEvent) -> Decision | Message:
        """What to do with the entry, or why it stays out."""
        hosts = self._hosts(item)
        if isinstance(hosts, Message):
            return hosts
        try:
            draft = _at_home(shifted(item.draft, self._weeks) if self._weeks else item.draft, hosts[0])
            known = self._known(session, hosts[0], item.uid)
            if known is None:
                return Decision(Kind.NEW, item, hosts, None, draft, _memory(draft, hosts))
            if self._branch and known.branch_id != hosts[0].id:
                return say("This event belongs to another branch now. It is left as it is there.")
            memory = _memory(draft, hosts)
            if known.upstream == memory:  # it says what it said before: whatever was changed here stays
                return Decision(Kind.SAME, item, hosts, known, draft, memory)
            told = derived.tell(session, known)
            local = store.draft_of(told)
            result = merged(local, known.upstream, draft)
        except ValidationError as error:
            return next(iter(faults(error).values()))
        kind = _kind(local, result) if known.deleted_at is None else Kind.SAME
        ours, hosts_there = _slugs(told.hosts), hosts
        if known.upstream is not None and known.upstream.get(HOSTS, ours) != ours:
            hosts = list(told.hosts)  # moved, or joined by others, here
        elif kind is Kind.SAME and ours != _slugs(hosts) and known.deleted_at is None:
            kind = Kind.CHANGED
        return Decision(kind, item, hosts, known, result, _memory(draft, hosts_there))

    def carry_out(self, session: Session, decision: Decision) -> None:
        event, item = decision.known, decision.item
        if event is None:
            owner = decision.hosts[0]
            event = store.add(
                session, decision.draft, decision.hosts, self._publishing, self.now,
                uid=_free_uid(session, item.uid), source=self._source_for(owner), source_uid=item.uid,
                related_uid=self._related_uid(session, owner, item),
            )  # fmt: skip
        elif decision.kind is not Kind.SAME:
            store.replace_with(session, event, decision.draft, decision.hosts, self._publishing, self.now)
        if event.upstream != decision.upstream:
            event.upstream = decision.upstream

    def vanished(self, session: Session) -> list[int]:
        """The ids of events that came from the source and are not in it any more. What is over stays as it was.

        What is there but could not be read is not gone; if that may be any event, none is.
        """
        if None in self._unread:
            return []
        query = select(Event.id, Event.source_uid).where(
            col(Event.source) == self._source,
            col(Event.state).in_(PUBLIC),
            col(Event.state) != State.CANCELLED,
            col(Event.deleted_at).is_(None),
            (col(Event.ends_at).is_(None)) | (col(Event.ends_at) > self.now),
        )
        found = [
            event_id for event_id, uid in session.exec(query) if event_id and self._is_missing(uid or "")
        ]
        gone: list[int] = []
        for begin in range(0, len(found), AT_ONCE):
            let_answers_go_first()
            told = select(Event.id, Event.state, Event.upstream).where(
                col(Event.id).in_(found[begin : begin + AT_ONCE])
            )
            # What was postponed or called off here stays as it was said here.
            gone += [
                event_id for event_id, state, upstream in session.exec(told)
                if event_id and (upstream or {}).get("state", [state])[0] == state
            ]  # fmt: skip
        return gone

    def _is_missing(self, uid: str) -> bool:
        return uid not in self._seen and _family(uid) not in self._unread

    def cancel_vanished(self, session: Session, event_id: int) -> None:
        """Cancelled rather than removed, so that subscribers hear of it; back again if it comes back."""
        let_answers_go_first()
        event = session.get_one(Event, event_id)
        spoken = closest(event.language, self._publishing.locales)
        reason = spoken.say(say("It is no longer in the calendar that it came from."))
        event.cancel(reason, self.now)
        event.upstream = {**(event.upstream or {}), "state": [State.CANCELLED, reason]}
        derived.save(session, event, self._publishing, self.now)
        self.report.vanished += 1

    def _hosts(self, item: ImportedEvent) -> list[Branch] | Message:
        slugs = (self._branch,) if self._branch else item.branch_slugs
        if not slugs:
            return say("It does not say which branch it belongs to (X-BRANCHLINE-BRANCH).")
        for slug in slugs:
            if slug not in self._owners:
                return say("There is no branch called “%(slug)s”.", slug=slug[:80])
        return [self._owners[slug] for slug in slugs]

    def _source_for(self, owner: Branch) -> str:
        return self._source or f"file:{owner.id}"

    def _known(self, session: Session, owner: Branch, uid: str) -> Event | None:
        query = select(Event).where(
            col(Event.source) == self._source_for(owner), col(Event.source_uid) == uid
        )
        return session.exec(query).one_or_none()

    def _related_uid(self, session: Session, owner: Branch, item: ImportedEvent) -> str:
        """Our UID of the first event of the series that this one was a date of."""
        first = self._known(session, owner, item.related) if item.related else None
        return first.uid if first else ""


def _family(uid: str) -> str:
    """A series that was taken apart is read, or not, as a whole; and so is all that has no UID."""
    return NO_UID if uid.startswith(NO_UID) else uid.rpartition("#")[0] or uid


def _memory(draft: EventDraft, hosts: Sequence[Branch]) -> Memory:
    return {**remembered(draft), HOSTS: _slugs(hosts)}


def _slugs(hosts: Sequence[Branch]) -> list[str]:
    return [host.slug for host in hosts]


def _kind(local: EventDraft, result: EventDraft) -> Kind:
    before, after = remembered(local), remembered(result)
    if before == after:
        return Kind.SAME
    moved = before["when"] != after["when"] or before["dates"] != after["dates"]
    return Kind.MOVED if moved else Kind.CHANGED


def _at_home(draft: EventDraft, branch: Branch) -> EventDraft:
    """An event at the branch itself has no venue: it moves along when the branch does."""
    return draft.model_copy(update={"venue": None}) if draft.venue and _is_at(branch, draft.venue) else draft


def _is_at(branch: Branch, venue: VenueDraft) -> bool:
    place = content.branch_place(branch)
    return (venue.name, venue.address_line) == (place.name, place.address)


def _free_uid(session: Session, uid: str) -> str | None:
    """A UID of our own form comes back with its event, unless it stands for another one here."""
    taken = select(Event.id).where(col(Event.uid) == uid)
    return uid if OUR_UID.fullmatch(uid) and session.exec(taken).first() is None else None
