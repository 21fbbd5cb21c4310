"""PostgreSQL finds the words of a search in an index of their trigrams; SQLite reads through all events soon enough."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Without the extension (a contrib package, as `cube` is) each search reads through all events. Words come into the
# index when they are written: by default they are put aside, and now and then who saves waits until all are in it.
TRIGRAMS = (
    "DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm;"
    " EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN"
    " RAISE NOTICE 'without the pg_trgm extension, searches for words are slower'; END $$",
    "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm') THEN"
    " CREATE INDEX ix_event_words ON event USING gin (search_key gin_trgm_ops) WITH (fastupdate = off);"
    " END IF; END $$",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in TRIGRAMS:
            op.execute(statement)
