"""What a visitor may have meant: coordinates, a postal code, a place. Read from one file, without a socket.

Nothing typed is logged, here or by what calls this: an `UnknownPlace` is an answer, not an incident.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from . import pluscodes
from .asking import cleaned, looks_like_code, said_country
from .gazetteer import is_usable, read_only
from .geo import Point
from .known import Wanted, among
from .mercator import Box
from .naming import home, parts
from .pointing import coordinates
from .readings import Hit, Interpretation, KnownPlace, Reason, UnknownPlace, readings
from .rows import Rows
from .search import Search
from .surroundings import Surroundings, nearest, surroundings
from .towns import Town, towns


class Gazetteer:
    """The place directory at `path`. Threads may share it; a new file at the path is noticed at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    @property
    def exists(self) -> bool:
        return self._connection() is not None

    def about(self) -> Mapping[str, str]:
        """`credits`, `built_at`, `sources` and counts; empty when there is no directory."""
        if self._connection() is None:
            return {}
        told: Mapping[str, str] = self._local.about
        return told

    def interpretations(
        self,
        text: str,
        *,
        country: str | None = None,
        prefer: Sequence[str] = (),
        locale: str = "en",
        known: Callable[[Wanted], Iterable[KnownPlace]] | None = None,
    ) -> list[Interpretation]:
        """What `text` may mean, the likeliest first: never empty.

        `country` was said and comes first, `prefer` is `country_order(…)`, `locale` names the countries.
        `known` is called when the directory has no answer. Raises Unreadable, InvalidCoordinates and UnknownPlace.
        """
        typed, said = cleaned(text), said_country(country)
        if exact := coordinates(typed):
            return [self._at(*exact)]
        order = [home(wanted) for wanted in prefer]
        database = self._connection()
        if code := pluscodes.split(typed):
            return self._cells(*code, country=country, prefer=prefer, locale=locale, known=known)
        search = Search(database) if database else None
        found, elsewhere = search.exactly(typed, [said] if said else order) if search else ([], [])
        if not found and known:
            wanted = Wanted.of(typed)
            found = among(wanted, known(wanted))
        if not found and search:
            countries = [said] if said else order
            found = search.misspelt_inside(typed) if elsewhere else search.kindly(typed, countries)
        if said and not any(hit.country in parts(said) for hit in found):
            found, elsewhere = [], found or elsewhere
        if not found:
            raise self._unknown(typed, elsewhere, [said] if said else order, locale)
        return readings(found, said, order, locale)

    def _at(self, point: Point, precision_km: float) -> Interpretation:
        """A point by itself, in the country of the nearest code."""
        database = self._connection()
        near = nearest(database, point) if database else []
        country = near[0].country if near else None
        return Interpretation("coordinates", str(point), country, point, precision_km)

    def _cells(
        self,
        code: str,
        beside: str,
        *,
        country: str | None,
        prefer: Sequence[str],
        locale: str,
        known: Callable[[Wanted], Iterable[KnownPlace]] | None,
    ) -> list[Interpretation]:
        """A plus code: a full one is a place by itself, a short one lies near the town written beside it."""
        if pluscodes.is_full(code):
            cell = pluscodes.decoded(code)
            where = self._at(cell.point, cell.precision_km)
            return [replace(where, kind="plus_code", label=code)]
        if not beside:
            raise UnknownPlace(code, "short_plus_code")
        towns = self.interpretations(beside, country=country, prefer=prefer, locale=locale, known=known)
        cells = [
            replace(
                town,
                kind="plus_code",
                label=f"{code} {town.label}",
                point=cell.point,
                precision_km=cell.precision_km,
                codes=(),
                region="",
            )
            for town in towns
            if town.point and town.kind not in ("region", "country")  # there are many such cells in these
            for cell in [pluscodes.recovered(code, town.point)]
        ]
        if not cells or towns[0].kind in ("region", "country"):
            raise UnknownPlace(code, "short_plus_code")
        return cells

    def _unknown(
        self, typed: str, elsewhere: Sequence[Hit], countries: Sequence[str], locale: str
    ) -> UnknownPlace:
        database = self._connection()
        reason: Reason = "code" if looks_like_code(typed) else "place"
        reason = "elsewhere" if elsewhere else reason if database else "no_directory"
        if reason == "code" and database:
            example = Rows(database).example_instead(typed, countries)
            if example:
                return UnknownPlace(typed, "not_a_code", example=example)
        return UnknownPlace(typed, reason, readings(elsewhere, None, countries, locale))

    def surroundings(self, place: Interpretation) -> Surroundings:
        """The codes and regions that a reading lies in, for areas that are given by them."""
        return surroundings(self._connection(), place)

    def towns(self, box: Box, most: int) -> list[Town]:
        """The largest in a window of the map; none when there is no directory."""
        database = self._connection()
        return towns(database, box, most) if database else []

    def _connection(self) -> sqlite3.Connection | None:
        """This thread's connection to the file that is there now; None when there is none of our version."""
        try:
            found = self.path.stat()
            state = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            state = None
        if getattr(self._local, "state", ()) != state:
            self.close()
            self._local.database = opened = read_only(self.path) if is_usable(self.path) else None
            self._local.about = dict(opened.execute("SELECT name, value FROM meta")) if opened else {}
            self._local.state = state
        database: sqlite3.Connection | None = self._local.database
        return database

    def close(self) -> None:
        """Closes this thread's connection."""
        database = getattr(self._local, "database", None)
        if database is not None:
            database.close()
        self._local.database, self._local.state = None, ()
