"""Which branch a row is about, what its slug is, and which branches its slugs name. Nothing is written here.

A branch is matched by `external_id`, else by `slug`; a row with neither is the branch of the same name, town
and postal code, so that importing a plain list twice adds nothing.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count

from ..errors import Message, Refusal, say
from ..places.naming import code_key, fold
from .drafts import RESERVED_SLUGS, SLUG_LENGTH, BranchDraft, shortened, slug_for

# A branch, whether in the database (its id) or only in the file (minus its row).
Node = int


@dataclass(frozen=True, slots=True)
class Known:
    """What must be known of a branch in the database to tell whether a row is about it."""

    id: int
    slug: str
    external_id: str | None
    name: str
    city: str
    postal_code: str
    parent_id: int | None
    successor_id: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that goes in: the branch it is about, if that exists already, and the slug it will have."""

    row: int
    draft: BranchDraft
    known: Known | None
    slug: str

    @property
    def node(self) -> Node:
        return self.known.id if self.known else -self.row


class Directory:
    """The branches of the database, to be claimed by the rows of a file, each once."""

    def __init__(self, known: Iterable[Known], former: Mapping[str, int]) -> None:
        self.by_id = {branch.id: branch for branch in known}
        self.by_slug = {branch.slug: branch for branch in self.by_id.values()}
        self.by_external_id = {
            branch.external_id: branch for branch in self.by_id.values() if branch.external_id
        }
        self.former = dict(former)
        self._namesakes: dict[tuple[str, str, str], deque[Known]] = defaultdict(deque)
        for branch in sorted(self.by_id.values(), key=lambda branch: branch.id):
            self._namesakes[_likeness(branch.name, branch.city, branch.postal_code)].append(branch)
        self._rows: dict[tuple[str, object], int] = {}

    def claim(self, kind: str, value: object, row: int) -> int | None:
        """Marks something that only one row of the file may have; the earlier row that has it already."""
        earlier = self._rows.setdefault((kind, value), row)
        return None if earlier == row else earlier

    def claimed(self, kind: str, value: object) -> bool:
        return (kind, value) in self._rows

    def namesake(self, draft: BranchDraft) -> Known | None:
        """The next branch of this name, town and postal code that no row was about."""
        alike = self._namesakes.get(_likeness(draft.name, draft.city, draft.postal_code), deque())
        while alike:
            branch = alike.popleft()
            if not self.claimed("branch", branch.id):
                return branch
        return None


def _likeness(name: str, city: str, postal_code: str) -> tuple[str, str, str]:
    return fold(name), fold(city), code_key(postal_code)


def matched(rows: Iterable[tuple[int, BranchDraft]], directory: Directory) -> Iterator[Entry | Refusal]:
    """Every row with the branch it is about, or why it cannot be told. Needs all rows at once."""
    rows = list(rows)
    spoken_for = {draft.slug for _, draft in rows if draft.slug}
    taken = RESERVED_SLUGS | spoken_for | directory.by_slug.keys() | directory.former.keys()
    generated: set[str] = set()
    for row, draft in rows:
        known = _known(draft, directory)
        if reason := _unclear(row, draft, known, directory):
            yield Refusal(row, reason)
            continue
        slug = draft.slug or (known.slug if known else "")
        if not slug:
            slug = _generated(draft, lambda slug: slug in taken or slug in generated)
            generated.add(slug)
        yield Entry(row, draft, known, slug)


def _known(draft: BranchDraft, directory: Directory) -> Known | None:
    if draft.external_id and (known := directory.by_external_id.get(draft.external_id)):
        return known
    if draft.slug:
        return directory.by_slug.get(draft.slug)
    return None if draft.external_id else directory.namesake(draft)


def _unclear(row: int, draft: BranchDraft, known: Known | None, directory: Directory) -> Message | None:
    """Why the row cannot be taken: it names what another row or another branch has."""
    if draft.external_id and (earlier := directory.claim("external_id", draft.external_id, row)):
        return say("Row %(row)d has the same external_id, “%(value)s”.", row=earlier, value=draft.external_id)
    if draft.slug and (earlier := directory.claim("slug", draft.slug, row)):
        return say("Row %(row)d has the same slug, “%(value)s”.", row=earlier, value=draft.slug)
    if reason := _owned(draft, known, directory):
        return reason
    if known and (earlier := directory.claim("branch", known.id, row)):
        return say("Row %(row)d is about the same branch, “%(slug)s”.", row=earlier, slug=known.slug)
    return None


def _owned(draft: BranchDraft, known: Known | None, directory: Directory) -> Message | None:
    """Why the slug cannot be had: it belongs to another branch, or still leads there."""
    owner = directory.by_slug.get(draft.slug)
    if owner and (
        owner is not known or (draft.external_id and owner.external_id not in (None, draft.external_id))
    ):
        return say(
            "The slug “%(slug)s” belongs to another branch, “%(name)s” (external_id %(id)s).",
            slug=draft.slug,
            name=owner.name,
            id=owner.external_id or "–",
        )
    before = directory.by_id.get(directory.former.get(draft.slug, 0))
    if before and before is not known:
        return say(
            "The slug “%(slug)s” still leads to “%(name)s”, which had it before.",
            slug=draft.slug,
            name=before.name,
        )
    return None


def _generated(draft: BranchDraft, is_taken: Callable[[str], bool]) -> str:
    """From the name; if that is taken with the town, and then with a number."""
    slug = slug_for(draft.name)
    if is_taken(slug) and draft.city:
        slug = _joined(slug, slug_for(draft.city))
    numbered = (_joined(slug, str(number)) for number in count(2))
    return next(free for free in chain([slug], numbered) if not is_taken(free))


def _joined(slug: str, addition: str) -> str:
    addition = shortened(addition, SLUG_LENGTH // 2)
    return f"{shortened(slug, SLUG_LENGTH - len(addition) - 1)}-{addition}"


# ---------------------------------------------------------------- parents and successors


@dataclass(slots=True)
class Relations:
    """Parent and successor of every branch as they will be once the entries are in."""

    parents: dict[Node, Node] = field(default_factory=dict)
    successors: dict[Node, Node] = field(default_factory=dict)


def related(entries: list[Entry], directory: Directory) -> tuple[list[Entry], Relations, list[Refusal]]:
    """The entries whose parents and successors exist and run in no circle, and the others as refusals.

    A refused row may have been another's parent: so it is asked again until no more are refused.
    """
    refusals: list[Refusal] = []
    while True:
        relations, found = _resolved(entries, directory)
        found = found or _circles(entries, relations, directory)
        if not found:
            return entries, relations, refusals
        refusals += (Refusal(row, reason) for row, reason in found.items())
        entries = [entry for entry in entries if entry.row not in found]


def _resolved(entries: list[Entry], directory: Directory) -> tuple[Relations, dict[int, Message]]:
    homes: dict[str, Node] = {
        **directory.former,
        **{slug: known.id for slug, known in directory.by_slug.items()},
    }
    homes.update((entry.slug, entry.node) for entry in entries)
    relations = Relations(
        {known.id: known.parent_id for known in directory.by_id.values() if known.parent_id},
        {known.id: known.successor_id for known in directory.by_id.values() if known.successor_id},
    )
    unknown: dict[int, Message] = {}
    for entry in entries:
        for column, nodes in (("parent_slug", relations.parents), ("successor_slug", relations.successors)):
            slug = getattr(entry.draft, column)
            if slug and slug not in homes:
                unknown[entry.row] = say(
                    "%(column)s: there is no branch “%(slug)s”.", column=column, slug=slug
                )
            elif slug:
                nodes[entry.node] = homes[slug]
            elif entry.draft.gives(column):
                nodes.pop(entry.node, None)
    return relations, unknown


def _circles(entries: list[Entry], relations: Relations, directory: Directory) -> dict[int, Message]:
    slugs = {known.id: known.slug for known in directory.by_id.values()}
    slugs.update((entry.node, entry.slug) for entry in entries)
    found: dict[int, Message] = {}
    for entry in entries:
        if entry.draft.parent_slug and (circle := _circle(entry.node, relations.parents)):
            names = " – ".join(slugs[node] for node in circle)
            found[entry.row] = say("Its parents run in a circle: %(circle)s.", circle=names)
        elif entry.draft.successor_slug and (circle := _circle(entry.node, relations.successors)):
            names = " – ".join(slugs[node] for node in circle)
            found[entry.row] = say("Its successors run in a circle: %(circle)s.", circle=names)
    return found


def _circle(start: Node, nodes: Mapping[Node, Node]) -> list[Node]:
    """The way from `start` back to `start`; empty when there is none."""
    way, seen = [start], set[Node]()
    while (node := nodes.get(way[-1])) is not None and node not in seen:
        way.append(node)
        if node == start:
            return way
        seen.add(node)
    return []
