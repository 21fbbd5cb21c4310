"""Writing notices: each change leaves a version of what the notice came to say, with who and when."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Any, BinaryIO

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from ..branches import queries as branches
from ..branches.drafts import SLUG_LENGTH, shortened, slug_for
from ..branches.models import Branch
from ..calendars.models import Topic
from ..calendars.timezones import to_utc, to_wall
from ..errors import Conflict, NotFound, say
from ..people import history
from ..people.models import Person
from .drafts import NoticeDraft
from .models import Notice
from .notices import RETURNS_FOR

MOST_DIGITS = 6  # of the number that tells slugs apart
TRIES = 10  # of several who write under one title at the same moment, one gets an address in each round


@dataclass(frozen=True, slots=True)
class Written:
    """What a form says: the notice, whose it is (None: the organisation's), and what it is about."""

    draft: NoticeDraft
    branch: Branch | None
    topic: Topic | None = None


def timezone_of(session: Session, branch: Branch | None) -> str:
    """By whose days a notice begins and ends: of the organisation's, those of the branch at the top of the tree."""
    branch = branch or branches.parent_or_top(session, None)
    return branch.timezone if branch else "UTC"


def today(session: Session, branch: Branch | None, now: datetime) -> date:
    """The day that it is there."""
    return to_wall(now, timezone_of(session, branch)).date()


def subject(notice: Notice) -> str:
    """How the history calls it."""
    return f"notice:{notice.id}"


def hold(session: Session, notice: Notice) -> None:
    """Nobody else changes the notice until the transaction ends."""
    session.refresh(notice, with_for_update=True)


@contextmanager
def recorded(
    session: Session, notice: Notice, action: str, person: Person | None, now: datetime
) -> Iterator[None]:
    """What is done to the notice in the block becomes a version, unless the notice says the same afterwards."""
    before = snapshot(notice)
    yield
    after = snapshot(notice)
    if after != before:
        notice.revision += 1
        notice.modified_at = now
        history.write(session, subject(notice), action, after, person, now)


def snapshot(notice: Notice) -> dict[str, Any]:
    """All that people say of a notice, as JSON."""
    return {
        "title": notice.title,
        "text": notice.text,
        "language": notice.language,
        "branch": notice.branch_id,
        "topic": notice.topic_id,
        "from": notice.shown_from.isoformat(),
        "until": notice.shown_until.isoformat() if notice.shown_until else None,
        "top": notice.is_top,
        "picture": [notice.picture_id, notice.picture_alt],
        "published": notice.published_at is not None,
        "removed": notice.removed_at is not None,
    }


# ---------------------------------------------------------------- a new one


def add(
    session: Session, written: Written, person: Person | None, now: datetime, key: str = ""
) -> tuple[Notice, bool]:
    """A draft with its first version; True. What was written by this form before, as it is: that notice; False."""
    key = _key(written, key) if key else ""
    for _ in range(TRIES):
        if key and (before := _written_with(session, key)) is not None:
            return before, False
        notice = _row(session, written, now, key)
        try:
            with session.begin_nested():
                session.add(notice)
                session.flush()
        except IntegrityError:  # the same form, or another notice with this title, at the same moment
            continue
        history.write(session, subject(notice), "added", snapshot(notice), person, now)
        return notice, True
    raise Conflict(say("Somebody else saved something at the same moment. Please send it once more."))


def _key(written: Written, key: str) -> str:
    """Who goes back and writes something else sends the key of the same form again: that is another notice."""
    whose, topic = (row.id if row else None for row in (written.branch, written.topic))
    said = json.dumps([key, whose, topic, written.draft.model_dump(mode="json")])
    return hashlib.sha256(said.encode()).hexdigest()


def _written_with(session: Session, key: str) -> Notice | None:
    return session.exec(select(Notice).where(col(Notice.form_key) == key)).one_or_none()


def _row(session: Session, written: Written, now: datetime, key: str) -> Notice:
    draft = written.draft
    notice = Notice(
        slug=_free_slug(session, draft.title),
        form_key=key or None,
        title=draft.title,
        shown_from=draft.shown_from,
        created_at=now,
        modified_at=now,
    )
    _apply(session, notice, written, now)
    return notice


def _free_slug(session: Session, title: str) -> str:
    """From the title; if that is taken, with a number. What is written in other letters is called `news`."""
    slug = slug_for(title)
    slug = "news" if slug == slug_for("") else slug
    short = shortened(slug, SLUG_LENGTH - MOST_DIGITS - 1)
    alike = select(Notice.slug).where(col(Notice.slug).startswith(short, autoescape=True))
    taken = set(session.exec(alike))
    if slug not in taken:
        return slug
    return next(free for number in count(2) if (free := f"{short}-{number}") not in taken)


# ---------------------------------------------------------------- changing


def revise(session: Session, notice: Notice, written: Written, now: datetime) -> None:
    """Makes the notice say this. To be called in `recorded`. Its address stays; once published, so does its branch."""
    _apply(session, notice, written, now)


def _apply(session: Session, notice: Notice, written: Written, now: datetime) -> None:
    draft = written.draft
    notice.title, notice.text, notice.language = draft.title, draft.text, draft.language
    notice.shown_from, notice.shown_until = draft.shown_from, draft.shown_until
    notice.is_top = draft.is_top
    notice.topic_id = written.topic.id if written.topic else None
    if notice.is_draft:
        notice.branch_id = written.branch.id if written.branch else None
        notice.timezone = timezone_of(session, written.branch)
    _set_times(notice, now)


def publish(notice: Notice, now: datetime) -> None:
    """To be called in `recorded`. Raises Conflict when its last day is over."""
    if not notice.is_draft:
        return
    end = _end(notice)
    if end is not None and end <= now:
        raise Conflict(say("This day is over. Choose a later one, or leave it empty."))
    notice.published_at = now
    _set_times(notice, now)


def _set_times(notice: Notice, now: datetime) -> None:
    """When people see it. What nobody saw before begins now at the earliest: digests tell what began since the last."""
    if notice.published_at is None:
        return
    first = to_utc(datetime.combine(notice.shown_from, time(0)), notice.timezone)
    was_seen = notice.begins_at is not None and notice.begins_at <= now
    if first > now:
        notice.begins_at = first
    elif not was_seen:
        notice.begins_at = now
    notice.ends_at = _end(notice)


def _end(notice: Notice) -> datetime | None:
    if notice.shown_until is None:
        return None
    return to_utc(datetime.combine(notice.shown_until + timedelta(days=1), time(0)), notice.timezone)


def put_picture(notice: Notice, picture_id: str | None, alt: str) -> None:
    """To be called in `recorded`."""
    notice.picture_id, notice.picture_alt = picture_id, alt


def remove(notice: Notice, now: datetime) -> None:
    """To be called in `recorded`."""
    notice.removed_at = notice.removed_at or now


def bring_back(notice: Notice, now: datetime) -> None:
    """To be called in `recorded`. Raises NotFound when that is too late."""
    removed_at = notice.removed_at
    if removed_at is None:
        return
    if removed_at <= now - RETURNS_FOR:
        raise NotFound(say("This news was removed more than 30 days ago."))
    notice.removed_at = None
    if notice.begins_at is not None and removed_at < notice.begins_at <= now:
        notice.begins_at = now  # nobody has seen it yet


def take_over(session: Session, branch: Branch, into: Branch, person: Person, now: datetime) -> None:
    """What a branch has written goes to the one into which it is merged: its people could not change it any more."""
    own = select(Notice).where(col(Notice.branch_id) == branch.id).order_by(col(Notice.id))
    for notice in session.exec(own.with_for_update()).all():
        with recorded(session, notice, "changed", person, now):
            notice.branch_id = into.id


# ---------------------------------------------------------------- several from a file


def bring(session: Session, file: BinaryIO, now: datetime) -> None:
    """Publishes the notices of a JSON file: a list of drafts, each with the slugs of its branch and topic, if any."""
    for entry in json.load(file):
        branch = branches.here(session, entry["branch"]) if entry.get("branch") else None
        topic = session.exec(select(Topic).where(col(Topic.slug) == entry.get("topic", ""))).one_or_none()
        said = {name: value for name, value in entry.items() if name not in ("branch", "topic")}
        draft = NoticeDraft.model_validate(said | {"shown_from": today(session, branch, now)})
        notice, _ = add(session, Written(draft, branch, topic), None, now)
        with recorded(session, notice, "published", None, now):
            publish(notice, now)
