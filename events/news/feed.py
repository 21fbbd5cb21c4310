"""Notices as Atom and JSON Feed, with how long they stand."""

from collections.abc import Callable
from datetime import datetime

from sqlmodel import Session

from ..calendars import entries
from ..calendars.content import Publishing
from ..calendars.entries import Front, Item
from ..calendars.kept import LONG_AGO, Finished, current_revision, next_midnight
from ..language import Language, language
from ..markdown import html, plain
from . import notices
from .models import Notice
from .notices import Told, Wish

MOST_ENTRIES = 100
WRITERS = {"atom": entries.atom, "json": entries.json_feed}

PageOf = Callable[[Notice], str]


def finished(
    session: Session,
    extension: str,
    wish: Wish,
    front: Front,
    publishing: Publishing,
    page_of: PageOf,
    now: datetime,
) -> Finished:
    """The newest notices, and when the next of them begins or ends."""
    revision, moved_at = current_revision(session)
    moves = notices.moves(session, now)
    told = notices.told(session, wish, now, MOST_ENTRIES)
    items = [item(one, page_of(one[0]), publishing, language(front.locale)) for one in told]
    return Finished(
        body=WRITERS[extension](front, items, publishing),
        moved_at=moved_at,
        changed_at=moves.changed_at or LONG_AGO,
        good_until=min(moves.next_at or next_midnight(now), next_midnight(now)),
        revision=revision,
    )


def item(told: Told, page: str, publishing: Publishing, spoken: Language) -> Item:
    """A notice whose page is at `page`, an entry that stays the same whatever becomes of its title."""
    notice, branch, topic = told
    begins_at = notice.begins_at or notice.modified_at
    author = (publishing.organisation, publishing.base_url)
    if branch is not None:
        author = (branch.name, publishing.page_of_branch(branch, spoken))
    return Item(
        id=entries.urn(f"{publishing.base_url}/news/{notice.slug}"),
        url=page,
        title=notice.title,
        language=notice.language,
        summary=notices.excerpt(notice.text),
        html=html(notice.text),
        text=plain(notice.text),
        published_at=begins_at,
        updated_at=max(notice.modified_at, begins_at),
        tags=[(topic.slug, topic.name)] if topic else [],
        authors=[author],
    )
