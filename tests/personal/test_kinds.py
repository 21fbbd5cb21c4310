"""Of every column of every table somebody has decided whether it is about a person, and what becomes of it then."""

from collections import Counter

from events.db import table_of
from events.migrations.tables import metadata
from events.personal.kinds import KINDS, NOT_PERSONAL


def test_of_each_column_of_each_table_somebody_has_decided_whether_it_is_personal() -> None:
    """A new one goes into `shows` or `hides` of a kind, or into NOT_PERSONAL."""
    personal = {(kind.table.name, name) for kind in KINDS for name in f"{kind.shows} {kind.hides}".split()}
    other = Counter(
        (table_of(model).name, name) for model, names in NOT_PERSONAL.items() for name in names.split()
    )
    there = {(table.name, column.name) for table in metadata.sorted_tables for column in table.columns}
    assert there - personal - other.keys() == set(), "nobody has decided"
    assert (personal | other.keys()) - there == set(), "there is no such column"
    assert personal & other.keys() == set() and set(other.values()) == {1}, "decided twice"


def test_what_refers_to_a_person_is_personal() -> None:
    referring = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if any(key.column.table.name in ("person", "subscription") for key in column.foreign_keys)
    }
    personal = {(kind.table.name, name) for kind in KINDS for name in f"{kind.shows} {kind.hides}".split()}
    assert len(referring) > 10 and referring <= personal


def test_no_secret_is_shown() -> None:
    shown = {name for kind in KINDS for name in kind.shows.split()}
    assert not [name for name in shown if "hash" in name or "nonce" in name or "key" in name]
