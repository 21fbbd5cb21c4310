"""The schema: what the migrations make is what the models say, all of it or nothing."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from events import migrations
from events.db import Database
from events.errors import ConfigurationError
from events.migrations.tables import metadata
from tests.conftest import Engines, branch

ROOT = Path(__file__).parents[1]
PROCESSES = 4
# Read once and then split, so that they begin in the same moment.
UPGRADE = f"""
import os, sys
from events import migrations
from events.db import Database
waiting, go = os.pipe()
children = []
for _ in range({PROCESSES}):
    child = os.fork()
    if not child:
        os.close(go)
        os.read(waiting, 1)
        migrations.upgrade(Database(sys.argv[1], size=1))
        sys.exit()
    children.append(child)
os.close(go)
sys.exit(max(os.waitpid(child, 0)[1] for child in children) >> 8)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def blank(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Database]:
    """A database without any table."""
    database = Database(engines.blank_url(request.param), size=4)
    yield database
    database.dispose()


def is_modelled(thing: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """All but what no model describes: the spatial index, whose R*Tree has tables of its own, and that of words."""
    return not (kind in ("table", "index") and name is not None and ("_spot" in name or "_words" in name))


def tables(database: Database) -> set[str]:
    return set(sa.inspect(database.engine).get_table_names())


def everything(database: Database) -> list[str]:
    """Every object of the schema, as the engine describes it."""
    query = (
        "SELECT type || name || coalesce(sql, '') FROM sqlite_master"
        if database.is_sqlite
        else "SELECT concat(relkind, relname, oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    with database.engine.connect() as connection:
        return sorted(connection.exec_driver_sql(query).scalars())


def test_an_upgraded_empty_database_is_what_the_models_say(blank: Database) -> None:
    migrations.upgrade(blank)
    with blank.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "compare_server_default": True, "include_object": is_modelled},
        )
        assert compare_metadata(context, metadata) == []


def test_the_comparison_would_notice_a_missing_column_and_a_missing_index(blank: Database) -> None:
    migrations.upgrade(blank)
    with blank.writing() as session:
        session.connection().exec_driver_sql("DROP INDEX ix_event_begins_at_ends_at")
        session.connection().exec_driver_sql("ALTER TABLE topic DROP COLUMN name")
    with blank.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_modelled})
        found = {difference[0] for difference in compare_metadata(context, metadata)}
    assert found == {"add_column", "add_index"}


def test_constraints_have_the_names_that_the_models_give_them(blank: Database) -> None:
    migrations.upgrade(blank)
    inspector = sa.inspect(blank.engine)
    for table in metadata.sorted_tables:
        wanted = {str(key.name) for key in table.foreign_key_constraints}
        assert {key["name"] for key in inspector.get_foreign_keys(table.name)} == wanted
        assert inspector.get_pk_constraint(table.name)["name"] == table.primary_key.name


def test_rows_that_hang_on_others_go_with_them_as_the_models_say(blank: Database) -> None:
    migrations.upgrade(blank)
    inspector = sa.inspect(blank.engine)
    for table in metadata.sorted_tables:
        wanted = {str(key.name): key.ondelete for key in table.foreign_key_constraints}
        found = {
            key["name"]: key["options"].get("ondelete") for key in inspector.get_foreign_keys(table.name)
        }
        assert found == wanted, table.name


def test_both_engines_have_a_spatial_index(blank: Database) -> None:
    migrations.upgrade(blank)
    made = " ".join(everything(blank))
    for table in ("branch", "event"):
        assert (f"{table}_spot_moved" if blank.is_sqlite else f"ix_{table}_spot") in made


def test_upgrading_again_changes_nothing(blank: Database) -> None:
    migrations.upgrade(blank)
    before = everything(blank)
    migrations.upgrade(blank)
    assert everything(blank) == before


def test_whether_the_schema_is_the_newest_is_known_before_and_after(blank: Database) -> None:
    with blank.reading() as session:
        assert not migrations.is_newest(session.connection())
    migrations.upgrade(blank)
    with blank.reading() as session:
        assert migrations.is_newest(session.connection())


def test_an_upgrade_that_is_interrupted_leaves_nothing_and_can_be_repeated(blank: Database) -> None:
    def fail(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "ix_rendered_made_for" in statement:
            raise KeyboardInterrupt

    sa.event.listen(blank.engine, "before_cursor_execute", fail)
    with pytest.raises(KeyboardInterrupt):
        migrations.upgrade(blank)
    assert everything(blank) == []
    sa.event.remove(blank.engine, "before_cursor_execute", fail)
    migrations.upgrade(blank)
    assert tables(blank) >= metadata.tables.keys()


def test_of_several_processes_that_migrate_at_once_one_does_and_all_succeed(blank: Database) -> None:
    command = [sys.executable, "-c", UPGRADE, blank.url]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    with blank.reading() as session:
        assert migrations.is_newest(session.connection())
        rows = session.connection().exec_driver_sql("SELECT count(*) FROM alembic_version").scalar_one()
        assert rows == 1


def test_a_database_of_a_newer_version_is_left_alone(blank: Database) -> None:
    migrations.upgrade(blank)
    with blank.writing() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="newer Branchline"):
        migrations.upgrade(blank)
    with blank.reading() as session:
        assert not migrations.is_newest(session.connection())


def test_rows_added_together_have_whole_numbers_as_keys(database: Database) -> None:
    """SQLite 3.40 returns new keys as 1.0 and 2.0 when a table begins with a REAL column."""
    with database.writing() as session:
        rows = [branch("alder", "Alder", None), branch("birch", "Birch", None)]
        session.add_all(rows)
        session.flush()
        assert [repr(row.id) for row in rows] == ["1", "2"]


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    def opened(url: str, barrier: Barrier) -> str:
        database = Database(url, size=1)
        barrier.wait()
        with database.reading() as session:
            mode: str = session.connection().exec_driver_sql("PRAGMA journal_mode").scalar_one()
        database.dispose()
        return mode

    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            url, barrier = f"sqlite:///{tmp_path}/{number}.db", Barrier(4)
            assert set(pool.map(opened, [url] * 4, [barrier] * 4)) == {"wal"}
