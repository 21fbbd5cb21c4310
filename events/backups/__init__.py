"""Back-ups: an archive that holds everything an installation cannot get again, made while it runs, and brought back.

An archive is a plain tar: `manifest.json` first, then the database (`database.sqlite` or `database.pgdump`), the files
of `site/`, and `secret.key` when that was asked for. Pictures of events are in the database. Nothing in it is packed by
us: pictures and dumps of PostgreSQL are already, and whoever restores then unpacks no more than what the file shows.
"""
